"""Looks at rows of MariaDB's and MySQL's tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from amxwatch.core.catalog import KeyKind, Table
from amxwatch.core.errors import StatementRefusedError
from amxwatch.core.sample import ColumnTotals, Sample
from amxwatch.databases.mysql.connection import (
    Connection,
    Rows,
    Session,
    execute,
    quoted,
)
from amxwatch.databases.mysql.spelling import SPATIAL
from amxwatch.databases.sampling import LONGEST_VALUE, read_totals, refuse_unwritable

INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
NUMBERS = INTEGERS | {"decimal", "float", "double"}
MOMENTS = frozenset({"date", "datetime", "timestamp", "time", "year"})
PLAIN = NUMBERS | MOMENTS
"""Types that are small and that the driver has values for; others are fetched as cut text."""

TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"})
BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "bit"})
ORDERED = PLAIN | TEXTS

STRIPES = 20
"""A large table is looked at in so many places."""

LOCKING = frozenset({"MyISAM", "Aria", "MEMORY", "MRG_MyISAM", "CSV"})
"""Engines where reading a table keeps writers out of it."""


class MysqlSampler:
    """Implements `ports.database.Sampler`. Reads in a read-only transaction with a time limit.

    A table of an engine where readers keep writers out is not counted as a whole: its sample
    has no totals, whatever `full` says.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def sample(self, table: Table, *, rows: int, full: bool) -> Sample:
        for column in table.columns:
            refuse_unwritable(column.name, "a name")
        return await self._session.run(
            lambda connection: self._sample(connection, table, rows, full)
        )

    def _sample(self, connection: Connection, table: Table, rows: int, full: bool) -> Sample:
        count: int | None = None
        totals: dict[str, ColumnTotals] = {}
        source = f"{quoted(table.schema)}.{quoted(table.name)}"
        with _reading(connection):
            values = _rows(connection, table, source, rows)
            if full and table.variant not in LOCKING:
                count, totals = _totals(connection, table, source)
        names = tuple(column.name for column in table.columns)
        return Sample(columns=names, rows=tuple(values), row_count=count, totals=totals)


@contextmanager
def _reading(connection: Connection) -> Iterator[None]:
    """See one moment throughout, and write nothing, not even by a function in a view."""
    execute(connection, "START TRANSACTION READ ONLY")
    try:
        yield
    finally:
        if connection.open:
            connection.rollback()


def _rows(connection: Connection, table: Table, source: str, rows: int) -> Rows:
    if not table.columns:
        raise StatementRefusedError(f"{table.ref} has no columns that can be seen")
    parts = ", ".join(_expression(column.name, column.type) for column in table.columns)
    head = f"SELECT {parts} FROM {source}"
    found = _striped(connection, table, source, head, rows)
    return found or execute(connection, f"{head} LIMIT {int(rows)}")


def _striped(connection: Connection, table: Table, source: str, head: str, rows: int) -> Rows:
    """Return rows from all over a large table with a numeric primary key, else none.

    The same ones each time while the table stands still, so that a draft made again after a
    crash sees the same rows and is not paid twice.
    """
    key = _number_key(table)
    if key is None or (table.row_estimate or 0) < rows * 4:
        return []
    name = quoted(key)
    ((low, high),) = execute(connection, f"SELECT min({name}), max({name}) FROM {source}")
    if low is None or high - low < rows:
        return []
    found: Rows = []
    share = -(-rows // STRIPES)
    for number in range(STRIPES):
        start = low + (high - low + 1) * number // STRIPES
        end = low + (high - low + 1) * (number + 1) // STRIPES
        where = f"{name} >= {int(start)} AND {name} < {int(end)}"
        found += execute(connection, f"{head} WHERE {where} ORDER BY {name} LIMIT {share}")
    return found[:rows] if len(found) >= rows else []


def _number_key(table: Table) -> str | None:
    for key in table.keys:
        if key.kind is KeyKind.PRIMARY and len(key.columns) == 1:
            column = table.column(key.columns[0])
            if column is not None and _base(column.type) in INTEGERS:
                return column.name
    return None


def _base(declared: str) -> str:
    return declared.partition("(")[0].partition(" ")[0].lower()


def _expression(name: str, declared: str) -> str:
    base = _base(declared)
    if base in PLAIN:
        return quoted(name)
    if base in SPATIAL:
        return f"left(ST_AsText({quoted(name)}), {LONGEST_VALUE})"
    if base in BYTES:
        return f"hex(left({quoted(name)}, {LONGEST_VALUE // 2}))"
    return f"left(CAST({quoted(name)} AS CHAR), {LONGEST_VALUE})"


def _totals(
    connection: Connection, table: Table, source: str
) -> tuple[int, dict[str, ColumnTotals]]:
    def fetch(query: str) -> Sequence[Any]:
        return execute(connection, query)[0]

    return read_totals(
        fetch,
        source,
        [(column.name, column.type) for column in table.columns],
        is_ordered=lambda declared: _base(declared) in ORDERED,
        is_countable=lambda _: True,
        quote=quoted,
        text_type="char",
    )
