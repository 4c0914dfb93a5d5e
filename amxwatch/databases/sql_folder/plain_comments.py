"""COMMENT ON in its plain form, read without a tokenizer: folders hold thousands of them."""

from __future__ import annotations

import re

from sqlglot.dialects.dialect import Dialect

from amxwatch.databases.sql_folder.edits import Name, SetComment
from amxwatch.databases.sql_folder.grammar import fold_column, fold_table

_NAME = r'(?:[A-Za-z_][A-Za-z0-9_]*|"[^"\\]+")'
_PLAIN = re.compile(
    r"(?P<text>COMMENT\s+ON\s+(?P<kind>TABLE|VIEW|COLUMN)\s+"
    rf"(?P<named>{_NAME}(?:\.{_NAME}){{0,3}})\s+IS\s+'(?P<written>[^'\\]*(?:''[^'\\]*)*)')\s*(?:;|\Z)",
    re.IGNORECASE | re.ASCII,
)
_PART = re.compile(_NAME, re.ASCII)


def find_plain_comment(text: str, at: int, dialect: Dialect) -> re.Match[str] | None:
    """Return the comment that begins at an offset, its group `text` without the semicolon.

    None where it has any form in which dialects differ: it is cut and split into tokens then.
    """
    found = _PLAIN.match(text, at)
    if found is None or (found["kind"].upper() == "COLUMN" and "." not in found["named"]):
        return None
    quotes_name, quotes_quote = '"' in found["named"], "''" in found["written"]
    is_alike = _is_alike(dialect, quotes_name=quotes_name, quotes_quote=quotes_quote)
    return found if is_alike else None


def read_plain_comment(found: re.Match[str], dialect: Dialect) -> tuple[Name, SetComment]:
    """Return the table that a comment is about, and what it sets."""
    parts = [(part.strip('"'), part[0] == '"') for part in _PART.findall(found["named"])]
    column = ""
    if found["kind"].upper() == "COLUMN":
        spelled, quoted = parts.pop()
        column = fold_column(dialect, spelled, quoted=quoted)
    schema, schema_quoted = parts[-2] if len(parts) > 1 else (None, False)
    about = fold_table(dialect, *parts[-1], schema, schema_quoted)
    comment = found["written"].replace("''", "'") or None
    return about, SetComment(schema=about[0], table=about[1], column=column, text=comment)


def _is_alike(dialect: Dialect, *, quotes_name: bool, quotes_quote: bool) -> bool:
    """Say whether a dialect means what the others do by "a name" and 'it''s'."""
    tokens = dialect.tokenizer_class
    return (
        "'" in tokens.QUOTES
        and "'''" not in tokens.QUOTES
        and (not quotes_name or '"' in tokens.IDENTIFIERS)
        and (not quotes_quote or "'" in tokens.STRING_ESCAPES)
    )
