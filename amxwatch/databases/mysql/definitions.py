"""Takes SHOW CREATE TABLE apart, so that a comment can be exchanged and all else stays verbatim.

What the server prints is read as it prints it under the sql_mode that we pin: names in
backticks, strings in single quotes with backslash escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

TOKEN = re.compile(
    r"""
      (?P<name> `(?:[^`]|``)*` )
    | (?P<text> '(?:[^'\\]|\\.|'')*' )
    | (?P<skip> "(?:[^"\\]|\\.|"")*" | /\*.*?\*/ )
    | (?P<open> \( ) | (?P<close> \) ) | (?P<comma> , )
    | (?P<word> [A-Za-z_]\w* )
    """,
    re.VERBOSE | re.DOTALL,
)
COUNTER = re.compile(r" AUTO_INCREMENT=\d+")


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int
    depth: int


def _tokens(sql: str) -> Iterator[_Token]:
    """Yield the tokens; a parenthesis has the depth outside of it."""
    depth = 0
    for found in TOKEN.finditer(sql):
        kind = str(found.lastgroup)
        depth -= kind == "close"
        yield _Token(kind, found.group(), found.start(), found.end(), depth)
        depth += kind == "open"


@dataclass(frozen=True, kw_only=True)
class ColumnText:
    """One column of a CREATE TABLE as the server prints it, from its name on."""

    text: str

    def commented(self, comment: str | None) -> str:
        """Return the same with another comment, given as a literal, or without one."""
        clause = f" COMMENT {comment}" if comment is not None else ""
        found = self._comment()
        if found is not None:
            start, end = found
            return self.text[:start].rstrip() + clause + self.text[end:]
        at = self._check() if clause else len(self.text)
        return self.text[:at] + clause + self.text[at:]

    def _comment(self) -> tuple[int, int] | None:
        before: _Token | None = None
        for token in _tokens(self.text):
            is_text = token.depth == 0 and token.kind == "text"
            if is_text and before is not None and before.text.upper() == "COMMENT":
                return before.start, token.end
            before = token
        return None

    def _check(self) -> int:
        """Return where the column's CHECK begins, before which a comment must stand."""
        for token in _tokens(self.text):
            if token.depth == 0 and token.kind == "word" and token.text.upper() == "CHECK":
                return len(self.text[: token.start].rstrip())
        return len(self.text)

    def in_system(self, reference_system: int) -> ColumnText:
        """Return the same with the reference system that MariaDB's SHOW CREATE TABLE leaves out."""
        kind = next(token for token in _tokens(self.text) if token.kind == "word")
        system = f" REF_SYSTEM_ID={reference_system}"
        return ColumnText(text=self.text[: kind.end] + system + self.text[kind.end :])

    def as_json(self) -> ColumnText | None:
        """Return the same with the type that MariaDB prints as LONGTEXT with a check, or None."""
        name = next(token for token in _tokens(self.text) if token.kind == "name").text
        head = f"{name} longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        check = f" CHECK (json_valid({name}))"
        if not (self.text.startswith(head) and self.text.endswith(check)):
            return None
        return ColumnText(text=f"{name} json{self.text[len(head) : -len(check)]}")


@dataclass(frozen=True, kw_only=True)
class TableText:
    """A CREATE TABLE statement, with the place of each column in it."""

    sql: str
    columns: dict[str, tuple[int, int]]
    tail: int

    def column(self, name: str) -> ColumnText | None:
        place = self.columns.get(name)
        return None if place is None else ColumnText(text=self.sql[place[0] : place[1]])

    def apart_from(self, column: str) -> str:
        """Return all but one comment: of the column, or of the table where that is ''.

        The next value of a counter is left out too; inserts move it.
        """
        head, tail = self.sql[: self.tail], COUNTER.sub("", self.sql[self.tail :])
        place = self.columns.get(column)
        if place is not None:
            bare = ColumnText(text=self.sql[place[0] : place[1]]).commented(None)
            head = head[: place[0]] + bare + head[place[1] :]
        elif not column:
            tail = _without_comment(tail)
        return head + tail


def _without_comment(options: str) -> str:
    """Return the options of a table without its COMMENT='…'."""
    before: _Token | None = None
    for token in _tokens(options):
        if token.kind == "text" and before is not None and before.text.upper() == "COMMENT":
            return options[: before.start].rstrip() + options[token.end :]
        before = token
    return options


def parse_table(sql: str) -> TableText | None:
    """Find the columns of a CREATE TABLE statement; None for what is not one."""
    if not sql.startswith("CREATE TABLE"):
        return None
    columns: dict[str, tuple[int, int]] = {}
    begin = tail = 0
    for token in _tokens(sql):
        if token.kind == "open" and token.depth == 0 and not begin:
            begin = token.end
        elif begin and not tail and (token.kind, token.depth) in {("comma", 1), ("close", 0)}:
            _add(columns, sql, begin, token.start)
            begin = token.end
            tail = token.end if token.kind == "close" else 0
    return TableText(sql=sql, columns=columns, tail=tail)


def _add(columns: dict[str, tuple[int, int]], sql: str, start: int, end: int) -> None:
    text = sql[start:end]
    inner = text.strip()
    name = TOKEN.match(inner)
    if name is not None and name.lastgroup == "name":
        at = start + text.index(inner)
        columns[name.group()[1:-1].replace("``", "`")] = (at, at + len(inner))
