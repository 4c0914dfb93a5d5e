"""Looks at rows of a DuckDB file's tables."""

from __future__ import annotations

from collections.abc import Sequence

from amxwatch.core.catalog import ObjectType, Table
from amxwatch.core.sample import ColumnTotals, Sample
from amxwatch.databases.duckdb.file import Connection, DuckFile
from amxwatch.databases.sampling import (
    LONGEST_VALUE,
    base_type,
    qualified,
    quote_identifier,
    read_totals,
)

NUMBERS = frozenset(
    {"tinyint", "smallint", "integer", "bigint", "hugeint", "float", "double", "decimal"}
    | {"utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"}
)
MOMENTS = frozenset({"date", "time", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"})
PLAIN = NUMBERS | MOMENTS | {"boolean", "uuid", "interval"}
"""Types that are small and that the driver has values for; others are fetched as cut text."""

ORDERED = NUMBERS | MOMENTS | {"varchar", "timestamp with time zone"}


class DuckSampler:
    """Implements `ports.database.Sampler`."""

    def __init__(self, file: DuckFile) -> None:
        self._file = file

    async def sample(self, table: Table, *, rows: int, full: bool) -> Sample:
        parts = (self._file.qualifier(table.schema), table.schema, table.name)
        source = qualified(*filter(None, parts))
        return await self._file.run(
            lambda connection: _sample(connection, table, source, rows=rows, full=full)
        )


def _sample(connection: Connection, table: Table, source: str, *, rows: int, full: bool) -> Sample:
    columns = [(column.name, column.type) for column in table.columns]
    parts = ", ".join(_expression(name, declared) for name, declared in columns)
    is_table = table.type is ObjectType.TABLE
    # One thread, so that the seed gives the same rows each time.
    connection.execute("SET threads = 1")
    spread = f"USING SAMPLE reservoir({int(rows)} ROWS) REPEATABLE (0)"
    values = connection.execute(
        f"SELECT {parts} FROM {source} {spread if is_table else f'LIMIT {int(rows)}'}"
    ).fetchall()
    count: int | None = None
    totals: dict[str, ColumnTotals] = {}
    if full:
        connection.execute("RESET threads")
        count, totals = read_totals(
            lambda query: _one(connection, query),
            source,
            columns,
            is_ordered=lambda declared: _name_of(declared) in ORDERED,
            is_countable=lambda _: True,
        )
    return Sample(
        columns=tuple(name for name, _ in columns),
        rows=tuple(values),
        row_count=count,
        totals=totals,
    )


def _expression(name: str, declared: str) -> str:
    quoted = quote_identifier(name)
    if _name_of(declared) in PLAIN:
        return quoted
    # Also keeps away times with a zone, for which the driver wants another package.
    return f"left(CAST({quoted} AS VARCHAR), {LONGEST_VALUE})"


def _name_of(declared: str) -> str:
    """Return the type's name; of a nested type or one with a zone, all of it."""
    if declared.endswith("]") or " WITH " in declared:
        return declared.lower()
    return base_type(declared)


def _one(connection: Connection, query: str) -> Sequence[object]:
    row: tuple[object, ...] | None = connection.execute(query).fetchone()
    assert row is not None
    return row
