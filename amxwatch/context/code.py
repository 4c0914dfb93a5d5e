"""Code that uses a column: indexed offline, found by parsing and, where that fails, by search."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from amxwatch.context.indexing import Index, Layout, Refreshed
from amxwatch.context.uses import MAX_LINE, uses_in
from amxwatch.context.walking import Found, read_text
from amxwatch.core.catalog import Table
from amxwatch.core.evidence import Cited

ENDINGS = (
    *(".sql", ".ddl", ".hql", ".sqlx", ".py", ".yml", ".yaml", ".lkml", ".java", ".kt", ".scala"),
    *(".rb", ".php", ".ts", ".js", ".go", ".cs", ".rs", ".r"),
)

LINES = 20
"""Of one piece that is searched."""

_SCHEMA = """
CREATE TABLE used (
  file TEXT NOT NULL, tbl TEXT NOT NULL, col TEXT NOT NULL,
  line INTEGER NOT NULL, shown TEXT NOT NULL, how INTEGER NOT NULL
);
CREATE INDEX used_by_name ON used (tbl, col);
CREATE INDEX used_by_file ON used (file);
CREATE VIRTUAL TABLE piece USING fts5 (
  text, file UNINDEXED, line UNINDEXED, tokenize = "unicode61 tokenchars '_'"
)
"""


@dataclass(frozen=True, kw_only=True)
class CodeIndex:
    """The code of one code profile, its SQL read in one dialect. Blocks: call it in a thread."""

    name: str
    folder: Path
    path: Path
    dialect: str

    def refresh(self) -> Refreshed:
        """Read what moved in the folder. Raises: StoreError."""
        return self._index.refresh(self.folder, ENDINGS, self._keep)

    def about_table(self, table: Table, *, most: int) -> list[Cited]:
        """Return where the table itself is declared and used, the surest first."""
        with self._index.opened() as connection:
            found = self._used(connection, table, "", most)
            return found or self._searched(connection, table.name, table.name, most)

    def about_columns(
        self, table: Table, columns: Iterable[str], *, most: int
    ) -> dict[str, list[Cited]]:
        """Return, for each column that is used, where; the surest first. Raises: StoreError."""
        found = {}
        with self._index.opened() as connection:
            for name in columns:
                cited = self._used(connection, table, name, most)
                cited = cited or self._searched(connection, table.name, name, most)
                if cited:
                    found[name] = cited
        return found

    @property
    def _index(self) -> Index:
        layout = Layout(version=f"code/1/{self.dialect}", schema=_SCHEMA, tables=("used", "piece"))
        return Index(self.path, layout)

    def _keep(self, connection: sqlite3.Connection, found: Found) -> str | None:
        text = read_text(found)
        if text is None:
            return "is no text"
        uses = uses_in(found.name.lower(), text, self.dialect)
        connection.executemany(
            "INSERT INTO used VALUES (?, ?, ?, ?, ?, ?)",
            [(found.name, u.table, u.column, u.line, u.text, int(u.how)) for u in uses],
        )
        lines = text.splitlines()
        connection.executemany(
            "INSERT INTO piece VALUES (?, ?, ?)",
            [
                ("\n".join(lines[at : at + LINES]), found.name, at + 1)
                for at in range(0, len(lines), LINES)
            ],
        )
        return None

    def _used(
        self, connection: sqlite3.Connection, table: Table, column: str, most: int
    ) -> list[Cited]:
        name = table.name.lower()
        ends = [f"*_{part}" for part in _endings(name)]
        marks = ", ".join("?" * (1 + len(ends)))
        rows = connection.execute(
            f"SELECT file, min(line), shown FROM used WHERE tbl IN ({marks}) AND col = ?"
            " GROUP BY shown ORDER BY min(how), file, min(line) LIMIT ?",
            [name, *ends, column.lower(), most],
        )
        return [self._cited(file, line, shown) for file, line, shown in rows]

    def _searched(
        self, connection: sqlite3.Connection, table: str, name: str, most: int
    ) -> list[Cited]:
        """Return lines that hold a name, out of files that hold the table's name as well."""
        whole = re.compile(rf"(?<![\w]){re.escape(name)}(?![\w])", re.IGNORECASE)
        found: dict[str, Cited] = {}
        for file, first, text in self._pieces(connection, table, name):
            lines = text.splitlines()
            for at, line in enumerate(lines):
                if whole.search(line):
                    shown = _with_next(lines[at : at + 2], file)
                    found.setdefault(shown, self._cited(file, first + at, shown))
                if len(found) == most:
                    return list(found.values())
        return list(found.values())

    def _pieces(
        self, connection: sqlite3.Connection, table: str, name: str
    ) -> Sequence[tuple[str, int, str]]:
        if not _token(name) or not _token(table):
            return []
        query = (
            "SELECT file, line, text FROM piece WHERE piece MATCH ?"
            " AND file IN (SELECT file FROM piece WHERE piece MATCH ?)"
            " AND file NOT IN (SELECT file FROM used)"
            " ORDER BY rank, file, line LIMIT 20"
        )
        return connection.execute(query, [_token(name), _token(table)]).fetchall()

    def _cited(self, file: str, line: int, shown: str) -> Cited:
        return Cited(where=f"{self.name}/{file}:{line}", text=shown)


def _endings(name: str) -> list[str]:
    """Return what a table's name ends in after each underscore."""
    parts = name.split("_")
    return ["_".join(parts[at:]) for at in range(1, len(parts))]


def _token(name: str) -> str:
    quoted = name.replace('"', " ").strip()
    return f'"{quoted}"' if any(char.isalnum() for char in quoted) else ""


def _with_next(lines: Sequence[str], file: str) -> str:
    """Return a line; in YAML with the next one, where a description stands below a name."""
    is_yaml = file.lower().endswith((".yml", ".yaml"))
    return " ".join(" ".join(lines if is_yaml else lines[:1]).split())[:MAX_LINE]
