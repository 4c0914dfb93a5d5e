"""Looks at rows of PostgreSQL's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg

from amxwatch.core.catalog import Table
from amxwatch.core.errors import StatementRefusedError
from amxwatch.core.sample import ColumnTotals, Sample, Tally, ValueKind, Wanted
from amxwatch.databases.postgres.connection import QUERIES, Connection, Session
from amxwatch.databases.sampling import (
    LONGEST_VALUE,
    base_type,
    qualified,
    quote_identifier,
    read_totals,
)
from amxwatch.databases.tallying import Tongue, columns_of, read_tally, translated_shape

PLAIN = frozenset(
    {"smallint", "integer", "bigint", "numeric", "real", "double precision", "boolean", "uuid"}
    | {"oid", "date", "time", "timestamp", "interval"}
)
"""Types that are small and that the driver has values for; others are fetched as cut text."""

TEXTS = frozenset({"text", "character varying", "character", "name"})
ORDERED = (PLAIN | TEXTS) - {"boolean", "uuid"}
COUNTED = PLAIN | TEXTS | {"bytea", "jsonb", "inet", "cidr", "macaddr"}

SAMPLED = frozenset("rmp")
"""Kinds of relation that TABLESAMPLE is allowed on."""


class PostgresSampler:
    """Implements `ports.database.Sampler`. Reads in a read-only transaction with a time limit."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def sample(self, table: Table, *, rows: int, full: bool) -> Sample:
        return await self._session.run(
            lambda connection: self._sample(connection, table, rows, full)
        )

    async def tally(self, table: Table, wanted: Wanted) -> Tally:
        return await self._session.run(lambda connection: self._tally(connection, table, wanted))

    def _tally(self, connection: Connection, table: Table, wanted: Wanted) -> Tally:
        columns = columns_of(table, wanted, text=_text, kind=kind_of)
        source = qualified(table.schema, table.name)

        def counted(spread: str) -> Tally:
            return read_tally(
                lambda query: connection.execute(query.encode()).fetchall(),
                columns,
                f"{source}{spread} LIMIT {int(wanted.rows)}",
                TONGUE,
            )

        with self._session.transaction(connection, read_only=True):
            spread = _spread(*_size(connection, table), wanted.rows)
            tally = counted(spread)
            if spread and tally.rows < wanted.rows:
                tally = max(tally, counted(""), key=lambda one: one.rows)
            if not wanted.full:
                return tally
            count, totals = _totals(connection, source, table, wanted.hidden)
        return replace(tally, row_count=count, totals=totals)

    def _sample(self, connection: Connection, table: Table, rows: int, full: bool) -> Sample:
        names = tuple(column.name for column in table.columns)
        source = qualified(table.schema, table.name)
        count: int | None = None
        totals: dict[str, ColumnTotals] = {}
        with self._session.transaction(connection, read_only=True):
            values = _rows(connection, table, source, rows)
            if full:
                count, totals = _totals(connection, source, table)
        return Sample(columns=names, rows=tuple(values), row_count=count, totals=totals)


def _rows(
    connection: Connection, table: Table, source: str, rows: int
) -> Sequence[tuple[Any, ...]]:
    spread = _spread(*_size(connection, table), rows)
    values = _fetch(connection, table, f"{source}{spread}", rows)
    if spread and len(values) < rows:
        # The estimate was stale, or whole blocks were passed over: the beginning will do.
        values = max(values, _fetch(connection, table, source, rows), key=len)
    return values


def _size(connection: Connection, table: Table) -> tuple[str, int]:
    """Return what kind of relation it is, and about how many rows it holds."""
    found = connection.execute(QUERIES["size"], [table.schema, table.name]).fetchone()
    if found is None:
        raise StatementRefusedError(f"{table.ref} does not exist any more")
    kind, estimate = found
    return kind, estimate


def _spread(kind: str, estimate: int, rows: int) -> str:
    """Return a TABLESAMPLE clause for a large table, else nothing.

    Repeatable, so that a draft made again after a crash sees the same rows and is not paid twice.
    """
    if kind not in SAMPLED or estimate < rows * 4:
        return ""
    percent = min(100.0, 100.0 * 2 * max(rows, 1) / estimate)
    return f" TABLESAMPLE SYSTEM ({percent:.6f}) REPEATABLE (0)"


def _fetch(
    connection: Connection, table: Table, source: str, rows: int
) -> Sequence[tuple[Any, ...]]:
    def query(*, as_text: bool) -> str:
        parts = [_expression(column.name, column.type, as_text) for column in table.columns]
        return f"SELECT {', '.join(parts)} FROM {source} LIMIT {int(rows)}"

    try:
        with connection.transaction():
            return connection.execute(query(as_text=False).encode()).fetchall()
    except psycopg.DataError:
        # A value that Python has none for: an infinite date, or one before the year 1.
        return connection.execute(query(as_text=True).encode()).fetchall()


def _expression(name: str, declared: str, as_text: bool) -> str:
    quoted = quote_identifier(name)
    if base_type(declared) in PLAIN and not declared.endswith("]") and not as_text:
        return quoted
    return f"left(CAST({quoted} AS text), {LONGEST_VALUE})"


def _text(name: str, declared: str) -> str:
    return _expression(name, declared, as_text=True)


def _told(count: int) -> str:
    values = ", ".join(f"v{place}" for place in range(1, count + 1))
    return (
        "SELECT k, v, CAST(NULL AS text) AS t FROM sampled,"
        f" unnest(ARRAY[{values}]) WITH ORDINALITY AS told (v, k)"
    )


TONGUE = Tongue(
    told=_told,
    number=lambda text: f"CAST({text} AS double precision)",
    shape=translated_shape,
    collation=' COLLATE "C"',
    once="MATERIALIZED",
    text_type="text",
)

NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision"})
MOMENTS = frozenset({"date", "time", "timestamp"})


def kind_of(declared: str) -> ValueKind:
    """Return what the values of a type are."""
    name = base_type(declared)
    if declared.endswith("]"):
        return ValueKind.OTHER
    if name in NUMBERS:
        return ValueKind.NUMBER
    if name in MOMENTS:
        return ValueKind.TIME
    plain = {"boolean": ValueKind.FLAG, "uuid": ValueKind.UUID}
    # An enumeration, a domain or citext is as good as text; JSON and bytes say nothing so.
    other = {"bytea", "json", "jsonb", "xml", "interval", "oid", "tsvector"}
    return plain.get(name, ValueKind.OTHER if name in other else ValueKind.TEXT)


def _totals(
    connection: Connection, source: str, table: Table, hidden: frozenset[str] = frozenset()
) -> tuple[int, dict[str, ColumnTotals]]:
    def fetch(query: str) -> Sequence[object]:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row

    return read_totals(
        fetch,
        source,
        [(column.name, column.type) for column in table.columns],
        is_ordered=lambda declared: _is_one_of(declared, ORDERED),
        is_countable=lambda declared: _is_one_of(declared, COUNTED),
        hidden=hidden,
    )


def _is_one_of(declared: str, types: frozenset[str]) -> bool:
    return base_type(declared) in types and not declared.endswith("]")
