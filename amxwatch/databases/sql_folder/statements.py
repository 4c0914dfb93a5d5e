"""One statement's text → what it does to the catalog, or why it cannot be read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, SqlglotError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from amxwatch.core.grammar import are_within_bounds, is_harmless
from amxwatch.databases.sql_folder import alters, creates, dialects, grammar
from amxwatch.databases.sql_folder.edits import (
    Again,
    Edit,
    Fault,
    Name,
    Reading,
    RenameTable,
    SetPath,
    Statement,
)
from amxwatch.databases.sql_folder.headlines import (
    MODIFIERS,
    Headline,
    is_garbled,
    next_statement,
    read_headline,
    unwrap,
)
from amxwatch.databases.sql_folder.pieces import Cutter, Piece, skip_lead
from amxwatch.databases.sql_folder.plain_comments import find_plain_comment, read_plain_comment
from amxwatch.databases.sql_folder.tokens import (
    Tokens,
    UnreadableError,
    is_deeper,
    read_comment,
    read_parts,
    schema_name,
    skip_words,
    table_name,
    word,
)

_DEEPEST = 200
"""sqlglot is compiled code: nested a few thousand deep it would end the process, not raise."""

_LONGEST = 400_000
"""Tokens of one statement: a table of 5,000 columns takes some 60,000, and a second."""

_COMMENT = Headline(verb="COMMENT", kind="COMMENT")


class _UnreadError(Exception):
    def __init__(self, message: str, offset: int) -> None:
        self.message = message
        self.offset = offset
        super().__init__(message)


def read_statements(
    text: str, dialect: Dialect, name: str, known: frozenset[bytes] = frozenset()
) -> Reading:
    """Read a whole file: what matters in order, and what each text was read as.

    `known` are the marks of texts that need not be parsed: `Again` stands in for those.
    """
    cutter = Cutter(text, name)
    found: list[Statement | Again] = []
    seen: dict[bytes, Statement | Again] = {}
    at = 0
    while True:
        start = skip_lead(text, at)
        if cutter.cuts_at_semicolons and (plain := find_plain_comment(text, start, dialect)):
            at = plain.end()
            found.append(_remembered_plain(plain, dialect, known, seen))
            continue
        if (piece := cutter.take(start)) is None:
            break
        at = max(piece.end, piece.start + 1)
        statement = _remembered(piece, dialect, name, known, seen)
        if isinstance(statement, Statement) and statement.fault is not None:
            again = next_statement(text, piece.start, piece.start + len(piece.text))
            if again is not None:
                # A forgotten quote or semicolon swallowed what follows: read on from there.
                at = again
                piece = Piece(text=text[piece.start : again], start=piece.start, end=again)
                statement = _read(piece, dialect, name) or statement
        if statement is not None:
            found.append(statement)
    return Reading(statements=tuple(found), seen=seen)


def _remembered(
    piece: Piece,
    dialect: Dialect,
    name: str,
    known: frozenset[bytes],
    seen: dict[bytes, Statement | Again],
) -> Statement | Again | None:
    mark = _mark(piece.text)
    if mark in seen:
        return seen[mark]
    statement = Again(mark=mark) if mark in known else _read(piece, dialect, name)
    if isinstance(statement, Again) or (statement is not None and statement.fault is None):
        seen[mark] = statement  # a fault has its place in the file, and is read anew
    return statement


def _remembered_plain(
    found: re.Match[str],
    dialect: Dialect,
    known: frozenset[bytes],
    seen: dict[bytes, Statement | Again],
) -> Statement | Again:
    mark = _mark(found["text"])
    if mark not in seen:
        if mark in known:
            seen[mark] = Again(mark=mark)
        else:
            about, edit = read_plain_comment(found, dialect)
            seen[mark] = Statement(key=_key(_COMMENT, about), edits=(edit,), about=about)
    return seen[mark]


def _mark(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _read(piece: Piece, dialect: Dialect, name: str) -> Statement | None:
    """Read one statement; None where it does not matter."""
    text = unwrap(piece.text, name)
    lead = skip_lead(text)
    headline = read_headline(text[lead:], name)
    if headline is None:
        return _unknown(piece, text[lead:], lead)
    tokens: list[Token] = []
    try:
        with _parsing(tokens, text):
            tokens += grammar.tokenize(dialect, text)
            if is_deeper(tokens, text, _DEEPEST):
                raise UnreadableError(f"nested more than {_DEEPEST} deep", tokens[0])
            edits = _edits(headline, tokens, text, dialect, name)
        return _good(headline, tokens, edits, dialect, name)
    except _UnreadError as error:
        offset = piece.start + max(error.offset, lead)
        return _broken(headline, piece, text, Fault(offset=offset, message=error.message), dialect)


def _unknown(piece: Piece, text: str, lead: int) -> Statement | None:
    """Report what is no known statement, but seems to have been one that matters."""
    if piece.open_quote is not None:
        return Statement(key="", fault=_open_quote(piece), loses=True)
    if not is_garbled(text):
        return None
    fault = Fault(offset=piece.start + lead, message="no statement begins like this")
    return Statement(key="", fault=fault, loses=True)


def _open_quote(piece: Piece) -> Fault:
    message = "the quote or comment that opens here is never closed"
    return Fault(offset=piece.open_quote or piece.start, message=message)


@contextmanager
def _parsing(tokens: list[Token], text: str) -> Iterator[None]:
    try:
        yield
    except UnreadableError as error:
        raise _UnreadError(error.message, error.token.start) from error
    except ParseError as error:
        raise _UnreadError(*_place(error, tokens)) from error
    except TokenError as error:
        raise _UnreadError("the text cannot be split into words", 0) from error
    except RecursionError as error:
        raise _UnreadError("nested too deep", 0) from error
    except (SqlglotError, ValueError, TypeError, AttributeError, LookupError) as error:
        # sqlglot meets text that nobody has tried before; a defect of its own on one statement
        # must not cost the rest of the folder.
        raise _UnreadError(f"sqlglot fails on it with {type(error).__name__}", 0) from error


def _place(error: ParseError, tokens: list[Token]) -> tuple[str, int]:
    """Return what sqlglot expected, and the offset of the token that it names."""
    first = error.errors[0] if error.errors else {}
    description = str(first.get("description") or "it does not parse").split(" but got <")[0]
    if description.startswith("Required keyword"):
        description = "something is missing here"
    line, column = first.get("line"), first.get("col")
    named = (token.start for token in tokens if (token.line, token.col) == (line, column))
    return description, next(named, 0)


def _edits(
    headline: Headline, tokens: list[Token], text: str, dialect: Dialect, name: str
) -> tuple[Edit, ...]:
    if headline.kind == "COMMENT":
        found = read_comment(tokens, dialect, schemas=_schema_words(name))
        return (found,) if found else ()
    if headline.kind == "PATH":
        return _path(headline, tokens, dialect)
    if headline.verb == "RENAME":
        return _renames(tokens, dialect)
    if headline.verb == "CREATE":
        return creates.read_create(tokens, text, dialect, parse_tree)
    return alters.read_change(tokens, text, dialect, parse_tree)


def parse_tree(tokens: Tokens, text: str, dialect: Dialect) -> exp.Expr:
    """Parse one statement and fold its identifiers. Raises: ParseError, UnreadableError."""
    if not (is_harmless(text) or are_within_bounds(tokens, longest=_LONGEST)):
        raise UnreadableError("too deeply nested, too many joins, or too long", tokens[0])
    trees = [tree for tree in dialect.parser().parse(list(tokens), text) if tree is not None]
    if not trees:
        raise ParseError("it holds no statement")
    if isinstance(trees[0], exp.Command):
        return trees[0]
    return grammar.fold_names(trees[0], dialect, text)


def _schema_words(name: str) -> frozenset[str]:
    both = dialects.database_is_schema(name)
    return frozenset({"SCHEMA", "DATABASE"}) if both else frozenset({"SCHEMA"})


def _path(headline: Headline, tokens: list[Token], dialect: Dialect) -> tuple[Edit, ...]:
    """Read SET search_path, set_config('search_path', …) and USE."""
    if headline.verb == "USE":
        at = skip_words(tokens, 1, frozenset({"SCHEMA", "NAMESPACE", "IF", "EXISTS"}))
        if word(tokens, 1) in ("DATABASE", "CATALOG", "ROLE", "WAREHOUSE", "SECONDARY"):
            return ()
        parts, _ = read_parts(tokens, at)
        return (SetPath(schemas=(schema_name(parts, dialect),)),) if parts else ()
    if headline.verb == "SELECT":
        texts = [token.text for token in tokens if token.token_type is TokenType.STRING][1:2]
        names = [part.strip().strip('"') for part in texts[0].split(",")] if texts else []
    else:
        at = skip_words(tokens, 1, frozenset({"SESSION", "LOCAL"})) + 1
        at = skip_words(tokens, at, frozenset({"TO", "="}))
        names = [
            grammar.fold_schema(dialect, token.text, quoted=token.token_type is not TokenType.VAR)
            for token in tokens[at:]
            if token.token_type is not TokenType.COMMA
        ]
    return (SetPath(schemas=tuple(n for n in names if n and n.lower() not in _NO_SCHEMA)),)


_NO_SCHEMA = frozenset({"$user", "default", "pg_catalog", "pg_temp"})


def _renames(tokens: list[Token], dialect: Dialect) -> tuple[Edit, ...]:
    """Read MySQL's RENAME TABLE a TO b, c TO d."""
    # sqlglot keeps what follows RENAME as one text.
    inner = dialect.tokenize(tokens[1].text) if len(tokens) == 2 else tokens[1:]
    found: list[Edit] = []
    for action in alters.actions_after(inner, 1):
        old, at = read_parts(action, 0)
        new, _ = read_parts(action, at + 1)
        if not old or not new:
            raise UnreadableError("expected RENAME TABLE old TO new", tokens[0])
        found.append(RenameTable(name=table_name(old, dialect), to=table_name(new, dialect)))
    return tuple(found)


def _good(
    headline: Headline, tokens: Tokens, edits: tuple[Edit, ...], dialect: Dialect, name: str
) -> Statement | None:
    if not edits:
        return None
    about = _about(headline, tokens, dialect)
    return Statement(key=_key(headline, about), edits=edits, about=about)


def _broken(
    headline: Headline, piece: Piece, text: str, fault: Fault, dialect: Dialect
) -> Statement | None:
    if headline.kind == "PATH":
        return None
    about = None
    stop = len(text) if piece.open_quote is None else piece.open_quote - piece.start
    try:
        about = _about(headline, grammar.tokenize(dialect, text[:stop]), dialect)
    except TokenError:
        about = None
    if piece.open_quote is not None:
        fault = _open_quote(piece)
    return Statement(
        key=_key(headline, about) if about else "",
        about=about,
        fault=fault,
        loses=about is None or piece.open_quote is not None,
    )


def _key(headline: Headline, about: Name | None) -> str:
    return f"{headline.verb} {headline.kind} {'.'.join(about or ())}"


def _about(headline: Headline, tokens: Tokens, dialect: Dialect) -> Name | None:
    """Return the table that a statement names, as far as its tokens say so."""
    at = skip_words(tokens, 1, MODIFIERS | {"ON", "IF", "EXISTS"})
    column = word(tokens, at) == "COLUMN"
    words = frozenset({"TABLE", "VIEW", "SCHEMA", "DATABASE", "COLUMN"})
    at = skip_words(tokens, at, words)
    at = skip_words(tokens, at, frozenset({"IF", "NOT", "EXISTS", "ONLY"}))
    parts, _ = read_parts(tokens, at)
    if column and len(parts) > 1:
        parts = parts[:-1]
    if not parts or headline.kind in ("SCHEMA", "PATH"):
        return None
    return table_name(parts, dialect)
