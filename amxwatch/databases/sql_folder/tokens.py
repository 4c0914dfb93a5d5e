"""Names, comments and other small statements, read from tokens where sqlglot has no tree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

from sqlglot.dialects.dialect import Dialect
from sqlglot.tokenizer_core import Token, TokenType

from amxwatch.databases.sql_folder.edits import Name, SetComment
from amxwatch.databases.sql_folder.grammar import fold_column, fold_schema, fold_table

Tokens: TypeAlias = Sequence[Token]

_TEXTS = frozenset(
    {
        TokenType.STRING,
        TokenType.HEREDOC_STRING,
        TokenType.RAW_STRING,
        TokenType.BYTE_STRING,
        TokenType.NATIONAL_STRING,
        TokenType.UNICODE_STRING,
    }
)
_NOT_WORDS = _TEXTS | {TokenType.IDENTIFIER}
_OPENING = "([{<"
_UNICODE = re.compile(r"\\(\\|[0-9A-Fa-f]{4}|\+[0-9A-Fa-f]{6})")
_WORD = re.compile(r"[^\W\d][\w$]*\Z")


class UnreadableError(Exception):
    """The tokens do not say what they should; `token` is where."""

    def __init__(self, message: str, token: Token) -> None:
        self.message = message
        self.token = token
        super().__init__(message)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a dotted name, as written."""

    text: str
    quoted: bool


def is_name(token: Token) -> bool:
    """Say whether a token can be part of a name: quoted, or a word (keywords too)."""
    return token.token_type is TokenType.IDENTIFIER or (
        bool(_WORD.match(token.text)) and (token.token_type not in _TEXTS)
    )


def word(tokens: Tokens, at: int) -> str:
    """Return the token in upper case; empty at the end, and for quoted names and strings.

    Of a token that is several words (PARTITION BY) the first.
    """
    if not 0 <= at < len(tokens) or tokens[at].token_type in _NOT_WORDS:
        return ""
    return tokens[at].text.upper().partition(" ")[0]


def skip_words(tokens: Tokens, at: int, words: frozenset[str]) -> int:
    """Return the offset of the first token that is none of `words`."""
    while word(tokens, at) in words:
        at += 1
    return at


def read_parts(tokens: Tokens, at: int) -> tuple[tuple[Part, ...], int]:
    """Return the parts of a dotted name and the offset behind it; no part where there is none."""
    parts: list[Part] = []
    while at < len(tokens) and is_name(tokens[at]):
        quoted = tokens[at].token_type is TokenType.IDENTIFIER
        parts.append(Part(text=tokens[at].text, quoted=quoted))
        at += 1
        if at >= len(tokens) or tokens[at].token_type is not TokenType.DOT:
            break
        at += 1
    return tuple(parts), at


def table_name(parts: Sequence[Part], dialect: Dialect) -> Name:
    """Return (schema, table) of the last two parts, folded."""
    if type(dialect).__name__ == "BigQuery":  # there `project.dataset.table` may be one name
        parts = [replace(part, text=text) for part in parts for text in part.text.split(".")]
    last = parts[-1]
    if len(parts) == 1:
        return fold_table(dialect, last.text, last.quoted, None, False)
    schema = parts[-2]
    return fold_table(dialect, last.text, last.quoted, schema.text, schema.quoted)


def schema_name(parts: Sequence[Part], dialect: Dialect) -> str:
    """Return the last part as a schema, folded."""
    return fold_schema(dialect, parts[-1].text, quoted=parts[-1].quoted)


def read_text(tokens: Tokens, at: int) -> str | None:
    """Return the text that a COMMENT sets; None for NULL and for the empty text."""
    if word(tokens, at) == "NULL":
        return None
    if at >= len(tokens) or tokens[at].token_type not in _TEXTS:
        raise UnreadableError("expected a quoted text or NULL", tokens[min(at, len(tokens) - 1)])
    texts = []
    while at < len(tokens) and tokens[at].token_type in _TEXTS:
        token = tokens[at]
        is_unicode = token.token_type is TokenType.UNICODE_STRING
        texts.append(_UNICODE.sub(_character, token.text) if is_unicode else token.text)
        at += 1
    return "".join(texts) or None


def _character(found: re.Match[str]) -> str:
    code = found.group(1)
    return "\\" if code == "\\" else chr(min(int(code.lstrip("+"), 16), 0x10FFFF))


def read_comment(tokens: Tokens, dialect: Dialect, *, schemas: frozenset[str]) -> SetComment | None:
    """Return what COMMENT ON sets; None for objects that no catalog holds.

    `schemas` are the words that name a schema. Raises: UnreadableError.
    """
    at = skip_words(tokens, 1, frozenset({"IF", "EXISTS", "ON"}))
    at = skip_words(tokens, at, frozenset({"MATERIALIZED", "FOREIGN", "EXTERNAL", "DYNAMIC"}))
    kind = word(tokens, at)
    if kind not in schemas | {"TABLE", "VIEW", "COLUMN"}:
        return None
    at = skip_words(tokens, at + 1, frozenset({"IF", "EXISTS"}))
    parts, at = read_parts(tokens, at)
    if not parts or (kind == "COLUMN" and len(parts) < 2):
        raise UnreadableError("expected a name", tokens[min(at, len(tokens) - 1)])
    if word(tokens, at) not in ("IS", "AS"):
        raise UnreadableError("expected IS", tokens[min(at, len(tokens) - 1)])
    text = read_text(tokens, at + 1)
    if kind in schemas:
        return SetComment(schema=schema_name(parts, dialect), text=text)
    if kind != "COLUMN":
        schema, table = table_name(parts, dialect)
        return SetComment(schema=schema, table=table, text=text)
    schema, table = table_name(parts[:-1], dialect)
    column = fold_column(dialect, parts[-1].text, quoted=parts[-1].quoted)
    return SetComment(schema=schema, table=table, column=column, text=text)


def actions_of(tokens: Tokens, at: int) -> list[Tokens]:
    """Split the actions of ALTER TABLE at the commas outside parentheses."""
    found: list[list[Token]] = [[]]
    depth = 0
    for token in tokens[at:]:
        if token.token_type is TokenType.L_PAREN:
            depth += 1
        elif token.token_type is TokenType.R_PAREN:
            depth -= 1
        if token.token_type is TokenType.COMMA and depth == 0:
            found.append([])
        else:
            found[-1].append(token)
    return [action for action in found if action]


def is_deeper(tokens: Tokens, text: str, most: int) -> bool:
    """Say whether brackets and the < of types are nested more than `most` deep in a text."""
    if sum(map(text.count, _OPENING)) <= most:
        return False
    return _nesting(tokens) > most


def _nesting(tokens: Tokens) -> int:
    deepest = depth = 0
    for token, after in pairwise([*tokens, None]):
        assert token is not None  # only the last is
        kind = token.token_type
        if kind in (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE):
            depth += 1
        elif kind in (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE):
            depth -= 1
        elif after is not None and after.token_type is TokenType.LT:
            # ARRAY< nests; a comparison does not, but is never this frequent by itself.
            depth += token.text.upper() in ("ARRAY", "STRUCT", "MAP", "ROW", "LIST", "OBJECT")
        deepest = max(deepest, depth)
    return deepest
