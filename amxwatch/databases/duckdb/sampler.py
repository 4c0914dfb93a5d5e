"""Looks at rows of a DuckDB file's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from amxwatch.core.catalog import ObjectType, Table
from amxwatch.core.sample import ColumnTotals, Sample, Tally, ValueKind, Wanted
from amxwatch.databases.duckdb.file import Connection, DuckFile
from amxwatch.databases.sampling import (
    LONGEST_VALUE,
    base_type,
    qualified,
    quote_identifier,
    read_totals,
)
from amxwatch.databases.tallying import Tongue, columns_of, read_tally, translated_shape

NUMBERS = frozenset(
    {"tinyint", "smallint", "integer", "bigint", "hugeint", "float", "double", "decimal"}
    | {"utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"}
)
MOMENTS = frozenset({"date", "time", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"})
PLAIN = NUMBERS | MOMENTS | {"boolean", "uuid", "interval"}
"""Types that are small and that the driver has values for; others are fetched as cut text."""

ORDERED = NUMBERS | MOMENTS | {"varchar", "timestamp with time zone"}

STRIPES = 10
"""A large table is looked at in so many places; each costs the reading of one row group."""


class DuckSampler:
    """Implements `ports.database.Sampler`."""

    def __init__(self, file: DuckFile) -> None:
        self._file = file

    async def sample(self, table: Table, *, rows: int, full: bool) -> Sample:
        source = self._source(table)
        return await self._file.run(
            lambda connection: _sample(connection, table, source, rows=rows, full=full)
        )

    async def tally(self, table: Table, wanted: Wanted) -> Tally:
        source = self._source(table)
        return await self._file.run(lambda connection: _tally(connection, table, source, wanted))

    def _source(self, table: Table) -> str:
        parts = (self._file.qualifier(table.schema), table.schema, table.name)
        return qualified(*filter(None, parts))


def _sample(connection: Connection, table: Table, source: str, *, rows: int, full: bool) -> Sample:
    parts = ", ".join(_expression(column.name, column.type) for column in table.columns)
    some = _some(connection, table, source, rows)
    values = connection.execute(f"SELECT {parts} FROM {some}").fetchall()
    count, totals = _totals(connection, table, source) if full else (None, {})
    return Sample(
        columns=tuple(column.name for column in table.columns),
        rows=tuple(values),
        row_count=count,
        totals=totals,
    )


def _tally(connection: Connection, table: Table, source: str, wanted: Wanted) -> Tally:
    columns = columns_of(table, wanted, text=_text, kind=kind_of)
    tally = read_tally(
        lambda query: connection.execute(query).fetchall(),
        columns,
        _some(connection, table, source, wanted.rows),
        TONGUE,
    )
    if not wanted.full:
        return tally
    count, totals = _totals(connection, table, source, wanted.hidden)
    return replace(tally, row_count=count, totals=totals)


def _some(connection: Connection, table: Table, source: str, rows: int) -> str:
    """Return what to read for so many rows from all over the table, the same ones each time.

    A large table is read in stripes by row number, for which most of the file is passed over.
    """
    if table.type is not ObjectType.TABLE:
        return f"{source} LIMIT {int(rows)}"
    if any(column.name.lower() == "rowid" for column in table.columns):
        return f"{source} USING SAMPLE reservoir({int(rows)} ROWS) REPEATABLE (0)"
    low, high = _one(connection, f"SELECT min(rowid), max(rowid) FROM {source}")
    if not isinstance(low, int) or not isinstance(high, int) or high - low < rows * 4:
        # One thread, so that the seed gives the same rows each time.
        connection.execute("SET threads = 1")
        return f"{source} USING SAMPLE reservoir({int(rows)} ROWS) REPEATABLE (0)"
    share, width = -(-rows // STRIPES), (high - low + 1) // STRIPES
    stripes = " UNION ALL ".join(
        f"SELECT * FROM {source} WHERE rowid BETWEEN {start} AND {start + share - 1}"
        for start in (low + number * width + (width - share) // 2 for number in range(STRIPES))
    )
    return f"({stripes} LIMIT {int(rows)}) AS some_rows"


def _totals(
    connection: Connection, table: Table, source: str, hidden: frozenset[str] = frozenset()
) -> tuple[int, dict[str, ColumnTotals]]:
    connection.execute("RESET threads")
    return read_totals(
        lambda query: _one(connection, query),
        source,
        [(column.name, column.type) for column in table.columns],
        is_ordered=lambda declared: _name_of(declared) in ORDERED,
        is_countable=lambda _: True,
        hidden=hidden,
    )


def _told(count: int) -> str:
    values = ", ".join(f"v{place}" for place in range(1, count + 1))
    return (
        f"SELECT unnest(range(1, {count + 1})) AS k, unnest([{values}]) AS v,"
        " CAST(NULL AS VARCHAR) AS t FROM sampled"
    )


TONGUE = Tongue(
    told=_told,
    number=lambda text: f"TRY_CAST({text} AS DOUBLE)",
    shape=translated_shape,
    once="MATERIALIZED",
)


def kind_of(declared: str) -> ValueKind:
    """Return what the values of a type are."""
    name = _name_of(declared)
    if name in NUMBERS:
        return ValueKind.NUMBER
    if name in MOMENTS or name == "timestamp with time zone":
        return ValueKind.TIME
    plain = {"boolean": ValueKind.FLAG, "uuid": ValueKind.UUID, "varchar": ValueKind.TEXT}
    return plain.get(name, ValueKind.TEXT if name.startswith("enum") else ValueKind.OTHER)


def _text(name: str, declared: str) -> str:
    return f"left(CAST({quote_identifier(name)} AS VARCHAR), {LONGEST_VALUE})"


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
