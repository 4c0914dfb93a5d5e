"""Looks at rows of an SQLite file's tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from amxwatch.core.catalog import Table
from amxwatch.core.sample import ColumnTotals, Sample
from amxwatch.databases.sampling import (
    LONGEST_VALUE,
    qualified,
    quote_identifier,
    read_totals,
)
from amxwatch.databases.sqlite.file import SqliteFile

ROW_NAMES = ("rowid", "_rowid_", "oid")
"""What the number of a row may be called, unless a column has taken the name."""


class SqliteSampler:
    """Implements `ports.database.Sampler`."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def sample(self, table: Table, *, rows: int, full: bool) -> Sample:
        return await self._file.run(lambda connection: _sample(connection, table, rows, full))


def _sample(connection: sqlite3.Connection, table: Table, rows: int, full: bool) -> Sample:
    source = qualified(table.schema, table.name)
    values = _spread(connection, table, source, rows)
    if len(values) < rows:
        values = max(values, _first(connection, table, source, rows), key=len)
    count: int | None = None
    totals: dict[str, ColumnTotals] = {}
    if full:
        count, totals = read_totals(
            lambda query: _one(connection, query),
            source,
            [(column.name, column.type) for column in table.columns],
            is_ordered=lambda _: True,
            is_countable=lambda _: True,
        )
    names = tuple(column.name for column in table.columns)
    return Sample(columns=names, rows=tuple(values), row_count=count, totals=totals)


def _first(
    connection: sqlite3.Connection, table: Table, source: str, rows: int
) -> Sequence[tuple[Any, ...]]:
    query = f"SELECT {_expressions(table)} FROM {source} LIMIT ?"
    return connection.execute(query, [rows]).fetchall()


def _spread(
    connection: sqlite3.Connection, table: Table, source: str, rows: int
) -> Sequence[tuple[Any, ...]]:
    """Fetch rows at even steps of their numbers, by one index search each.

    Nothing where the object has no numbered rows (a view, WITHOUT ROWID) or hardly more of
    them than are asked for.
    """
    taken = {column.name.lower() for column in table.columns}
    number = next((name for name in ROW_NAMES if name not in taken), None)
    if number is None or rows < 1:
        return ()
    try:
        low, high = _one(connection, f"SELECT min({number}), max({number}) FROM {source}")
    except sqlite3.OperationalError:
        return ()
    if not isinstance(low, int) or not isinstance(high, int) or high - low < rows * 2:
        return ()
    query = f"""
        WITH RECURSIVE steps (step) AS (
          SELECT 0 UNION ALL SELECT step + 1 FROM steps WHERE step + 1 < :rows
        )
        SELECT {_expressions(table)} FROM {source} WHERE {number} IN (
          SELECT (SELECT min({number}) FROM {source} WHERE {number} >= :low + step * :width)
          FROM steps
        )"""
    width = (high - low) // rows
    return connection.execute(query, {"rows": rows, "low": low, "width": width}).fetchall()


def _expressions(table: Table) -> str:
    return ", ".join(_expression(quote_identifier(column.name)) for column in table.columns)


def _expression(quoted: str) -> str:
    cut = f"substr({quoted}, 1, {LONGEST_VALUE})"
    return f"CASE WHEN typeof({quoted}) IN ('text', 'blob') THEN {cut} ELSE {quoted} END"


def _one(connection: sqlite3.Connection, query: str) -> Sequence[object]:
    row: Sequence[object] = connection.execute(query).fetchone()
    return row
