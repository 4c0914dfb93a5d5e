"""Looks at rows of an SQLite file's tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from amxwatch.core.catalog import Table
from amxwatch.core.sample import ColumnTotals, Sample, Tally, Wanted
from amxwatch.databases.sampling import (
    LONGEST_VALUE,
    qualified,
    quote_identifier,
    read_totals,
)
from amxwatch.databases.sqlite.file import SqliteFile
from amxwatch.databases.tallying import (
    PLAIN_LETTERS,
    TallyColumn,
    Tongue,
    columns_of,
    read_tally,
)

ROW_NAMES = ("rowid", "_rowid_", "oid")
"""What the number of a row may be called, unless a column has taken the name."""


class SqliteSampler:
    """Implements `ports.database.Sampler`."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def sample(self, table: Table, *, rows: int, full: bool) -> Sample:
        return await self._file.run(lambda connection: _sample(connection, table, rows, full))

    async def tally(self, table: Table, wanted: Wanted) -> Tally:
        return await self._file.run(lambda connection: _tally(connection, table, wanted))


def _tally(connection: sqlite3.Connection, table: Table, wanted: Wanted) -> Tally:
    connection.create_function("amxwatch_shape", 1, _shape, deterministic=True)
    source = qualified(table.schema, table.name)
    tally = read_tally(
        lambda query: connection.execute(query).fetchall(),
        _columns(table, wanted),
        _some(connection, table, source, wanted.rows),
        TONGUE,
    )
    if not wanted.full:
        return tally
    count, totals = _totals(connection, table, source, wanted.hidden)
    return replace(tally, row_count=count, totals=totals)


def _columns(table: Table, wanted: Wanted) -> tuple[TallyColumn, ...]:
    """Return the columns; what a value is, it says itself here, whatever its column's type."""
    return columns_of(table, wanted, text=lambda name, _: _text(name), kind=lambda _: None)


def _sample(connection: sqlite3.Connection, table: Table, rows: int, full: bool) -> Sample:
    source = qualified(table.schema, table.name)
    values = _spread(connection, table, source, rows)
    if len(values) < rows:
        values = max(values, _first(connection, table, source, rows), key=len)
    count: int | None = None
    totals: dict[str, ColumnTotals] = {}
    if full:
        count, totals = _totals(connection, table, source)
    names = tuple(column.name for column in table.columns)
    return Sample(columns=names, rows=tuple(values), row_count=count, totals=totals)


def _totals(
    connection: sqlite3.Connection, table: Table, source: str, hidden: frozenset[str] = frozenset()
) -> tuple[int, dict[str, ColumnTotals]]:
    return read_totals(
        lambda query: _one(connection, query),
        source,
        [(column.name, column.type) for column in table.columns],
        is_ordered=lambda _: True,
        is_countable=lambda _: True,
        hidden=hidden,
    )


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
    where = _steps(connection, table, source, rows)
    if not where:
        return ()
    query = f"SELECT {_expressions(table)} FROM {source} WHERE {where}"
    return connection.execute(query).fetchall()


def _steps(connection: sqlite3.Connection, table: Table, source: str, rows: int) -> str:
    """Return the condition that picks rows at even steps, or nothing where there are no steps."""
    taken = {column.name.lower() for column in table.columns}
    number = next((name for name in ROW_NAMES if name not in taken), None)
    if number is None or rows < 1:
        return ""
    try:
        low, high = _one(connection, f"SELECT min({number}), max({number}) FROM {source}")
    except sqlite3.OperationalError:
        return ""
    if not isinstance(low, int) or not isinstance(high, int) or high - low < rows * 2:
        return ""
    width = (high - low) // rows
    return f"""{number} IN (
          WITH RECURSIVE steps (step) AS (
            SELECT 0 UNION ALL SELECT step + 1 FROM steps WHERE step + 1 < {int(rows)}
          )
          SELECT (SELECT min({number}) FROM {source} WHERE {number} >= {low} + step * {width})
          FROM steps
        )"""


def _some(connection: sqlite3.Connection, table: Table, source: str, rows: int) -> str:
    """Return what to read for so many rows: from all over a large table, else the first."""
    first = f"{source} LIMIT {int(rows)}"
    where = _steps(connection, table, source, rows)
    if not where:
        return first
    # Where numbers are missing, steps meet in one row: the beginning may hold more of them.
    (met,) = _one(connection, f"SELECT count(*) FROM {source} WHERE {where}")
    few = isinstance(met, int) and met * 2 < rows
    return first if few else f"{source} WHERE {where}"


def _told(count: int) -> str:
    return " UNION ALL ".join(
        # SQLite keeps no types beside texts: the kind stands before the value.
        f"SELECT {place} AS k, substr(v{place}, 3) AS v, substr(v{place}, 1, 1) AS t FROM sampled"
        for place in range(1, count + 1)
    )


TONGUE = Tongue(
    told=_told,
    number=lambda text: f"CAST({text} AS REAL)",
    shape=lambda text: f"amxwatch_shape({text})",
    once="MATERIALIZED",
    text_type="TEXT",
    numeric="least IN ('i', 'r') AND most IN ('i', 'r')",
)

_REPLACED = str.maketrans(
    {char: instead for chars, instead in zip(PLAIN_LETTERS, "Aa9", strict=True) for char in chars}
)


def _shape(text: object) -> str:
    return str(text).translate(_REPLACED)


def _text(name: str) -> str:
    """Write a value behind the first letter of its type's name; NULL stays NULL."""
    quoted = quote_identifier(name)
    cut = f"substr(CAST({quoted} AS TEXT), 1, {LONGEST_VALUE})"
    value = f"CASE typeof({quoted}) WHEN 'blob' THEN hex(substr({quoted}, 1, 99)) ELSE {cut} END"
    return (
        f"CASE WHEN {quoted} IS NOT NULL THEN substr(typeof({quoted}), 1, 1) || ':' || {value} END"
    )


def _expressions(table: Table) -> str:
    return ", ".join(_expression(quote_identifier(column.name)) for column in table.columns)


def _expression(quoted: str) -> str:
    cut = f"substr({quoted}, 1, {LONGEST_VALUE})"
    return f"CASE WHEN typeof({quoted}) IN ('text', 'blob') THEN {cut} ELSE {quoted} END"


def _one(connection: sqlite3.Connection, query: str) -> Sequence[object]:
    row: Sequence[object] = connection.execute(query).fetchone()
    return row
