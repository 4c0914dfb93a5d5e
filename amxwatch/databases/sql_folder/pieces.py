"""Cuts a file into statements, without reading what they say.

sqlglot's tokenizer gives up on a whole file for one stray quote, and knows nothing of psql's
own commands, COPY data or DELIMITER lines. This cutter knows quotes, comments and bodies only,
and can start again at any place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from amxwatch.databases.sql_folder import dialects, grammar

_ROUTINE = re.compile(
    r"\s*CREATE\b[^;(]{0,200}?\b(?:PROCEDURE|PROC|FUNCTION|TRIGGER|EVENT|PACKAGE|TASK)\b",
    re.IGNORECASE,
)
_COPY = re.compile(r"\s*COPY\b[^;]*\bFROM\s+STDIN\b", re.IGNORECASE)
_COPY_END = re.compile(r"^\\\.[ \t]*\r?$", re.MULTILINE)
_LEAD = re.compile(r"\s+|(?:--|#|//)[^\n]*|/\*(?!!).*?\*/", re.DOTALL)
_NOT_A_BLOCK = re.compile(r"\s+(?:IF|LOOP|WHILE|REPEAT|FOR)\b", re.IGNORECASE)
_TRANSACTION = re.compile(r"\s+(?:TRAN|TRANSACTION|WORK)\b|\s*;", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One statement's text, `start` being its offset in the file and `end` where to go on.

    `open_quote` is the offset in the file of a quote that is never closed.
    """

    text: str
    start: int
    end: int
    open_quote: int | None = None


@dataclass(frozen=True, kw_only=True)
class _Marks:
    stop: re.Pattern[str]
    escapes: bool
    nested: bool
    psql: bool


@lru_cache
def _marks(name: str, delimiter: str) -> _Marks:
    tokens = grammar.dialect_named(name).tokenizer_class
    quotes = {q if isinstance(q, str) else q[0] for q in (*tokens.QUOTES, *tokens.IDENTIFIERS)}
    lines = {mark for mark in tokens.COMMENTS if isinstance(mark, str)}
    branches = [
        f"(?P<line>{_any_of(lines)})",
        r"(?P<block>/\*)",
        f"(?P<quote>{_any_of(quotes)})",
        f"(?P<stop>{re.escape(delimiter)})",
        r"(?P<word>\b(?:BEGIN|CASE|END)\b)",
    ]
    if tokens.HEREDOC_STRINGS or "$$" in tokens.RAW_STRINGS:
        branches.append(r"(?P<dollar>(?<![\w$])\$(?:[^\W\d]\w*)?\$)")
    if dialects.is_psql(name):
        branches.append(r"(?P<command>^[ \t]*\\[^\n]*)")
    if dialects.is_tsql(name):
        branches.append(r"(?P<go>^[ \t]*GO[ \t]*(?:\d+[ \t]*)?\r?$)")
    if name == "oracle":
        branches.append(r"(?P<slash>^[ \t]*/[ \t]*\r?$)")
    if dialects.is_mysql(name):
        branches.append(r"(?P<delimiter>^[ \t]*DELIMITER[ \t]+(?P<mark>\S+)[^\n]*)")
    return _Marks(
        stop=re.compile("|".join(reversed(branches)), re.IGNORECASE | re.MULTILINE),
        escapes="\\" in tokens.STRING_ESCAPES,
        nested=bool(tokens.NESTED_COMMENTS),
        psql=dialects.is_psql(name),
    )


def _any_of(marks: set[str]) -> str:
    return "|".join(re.escape(mark) for mark in sorted(marks, key=len, reverse=True))


def skip_lead(text: str, at: int = 0) -> int:
    """Return where the statement begins behind white space and comments."""
    while found := _LEAD.match(text, at):
        at = found.end()
    return at


class Cutter:
    """Cuts one text; `take` may be asked for any offset, and keeps MySQL's DELIMITER."""

    def __init__(self, text: str, dialect: str) -> None:
        self._text = text
        self._dialect = dialect
        self._marks = _marks(dialect, ";")
        self._delimiter = ";"

    @property
    def cuts_at_semicolons(self) -> bool:
        """Claim that no DELIMITER line is in force."""
        return self._delimiter == ";"

    def take(self, start: int) -> Piece | None:
        """Return the statement that begins at or after `start`; None at the end."""
        start = skip_lead(self._text, start)
        if start >= len(self._text):
            return None
        routine = _ROUTINE.match(self._text, start) is not None
        piece = self._cut(start, blocks=routine)
        if routine and piece.end >= len(self._text) and "END" in piece.text.upper():
            # A body whose BEGIN and END do not pair must not swallow the rest of the file.
            return self._cut(start, blocks=False) if self._unpaired(piece) else piece
        return piece

    def _unpaired(self, piece: Piece) -> bool:
        return not piece.text.rstrip().rstrip(";/ \r\n").upper().endswith("END")

    def _cut(self, start: int, *, blocks: bool) -> Piece:
        at, depth = start, 0
        while found := self._marks.stop.search(self._text, at):
            kind = found.lastgroup or ""
            if kind == "word":
                depth += self._step(found) if blocks else 0
                at = found.end()
            elif kind in ("quote", "dollar", "block", "line"):
                after = self._skip(found, kind)
                if after is None:
                    return self._piece(start, len(self._text), len(self._text), found.start())
                at = after
            elif kind == "stop" and depth > 0 and self._delimiter == ";":
                at = found.end()
            else:
                return self._ending(start, found, kind)
        return self._piece(start, len(self._text), len(self._text))

    def _ending(self, start: int, found: re.Match[str], kind: str) -> Piece:
        end = found.end()
        if kind == "delimiter":
            self._delimiter = found["mark"]
            self._marks = _marks(self._dialect, self._delimiter)
        elif kind == "stop":
            end = self._after_copy(start, end)
        return self._piece(start, found.start(), end)

    def _after_copy(self, start: int, end: int) -> int:
        if not (self._marks.psql and _COPY.match(self._text, start, end)):
            return end
        data_end = _COPY_END.search(self._text, end)
        return data_end.end() if data_end else len(self._text)

    def _piece(self, start: int, stop: int, end: int, open_quote: int | None = None) -> Piece:
        stop = max(start, stop)
        return Piece(text=self._text[start:stop], start=start, end=end, open_quote=open_quote)

    def _step(self, word: re.Match[str]) -> int:
        """Return by how much a BEGIN, CASE or END changes the depth of a body."""
        spelled, after = word.group().upper(), word.end()
        if spelled == "BEGIN":
            return 0 if _TRANSACTION.match(self._text, after) else 1
        if spelled == "CASE":
            before = self._text[max(0, word.start() - 12) : word.start()].split()
            return 0 if before and before[-1].upper() == "END" else 1
        return 0 if _NOT_A_BLOCK.match(self._text, after) else -1

    def _skip(self, found: re.Match[str], kind: str) -> int | None:
        """Return the offset behind a comment or quoted text; None where it is never closed."""
        if kind == "line":
            end = self._text.find("\n", found.end())
            return len(self._text) if end < 0 else end
        if kind == "block":
            return self._close_block(found.end())
        if kind == "dollar":
            end = self._text.find(found.group(), found.end())
            return None if end < 0 else end + len(found.group())
        return self._close_quote(found)

    def _close_block(self, at: int) -> int | None:
        depth = 1
        for found in re.compile(r"/\*|\*/").finditer(self._text, at):
            if found.group() == "*/":
                depth -= 1
            elif self._marks.nested:
                depth += 1
            if depth == 0:
                return found.end()
        return None

    def _close_quote(self, found: re.Match[str]) -> int | None:
        quote = "]" if found.group() == "[" else found.group()
        escapes = quote[0] in "'\"" and (self._marks.escapes or self._is_escape_string(found))
        pattern = _closing(quote, escapes)
        at = found.end()
        while end := pattern.search(self._text, at):
            at = end.end()
            if end.group().startswith("\\"):
                continue
            if len(quote) == 1 and self._text.startswith(quote, at):
                at += 1
                continue
            return at
        return None

    def _is_escape_string(self, found: re.Match[str]) -> bool:
        """Say whether this is PostgreSQL's E'…', where a backslash escapes."""
        before = self._text[max(0, found.start() - 2) : found.start()]
        if not self._marks.psql or not before[-1:] or before[-1] not in "eE":
            return False
        return len(before) == 1 or not (before[0].isalnum() or before[0] == "_")


@lru_cache
def _closing(quote: str, escapes: bool) -> re.Pattern[str]:
    return re.compile(re.escape(quote) + (r"|\\." if escapes else ""), re.DOTALL)
