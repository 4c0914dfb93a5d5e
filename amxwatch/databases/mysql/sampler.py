"""Looks at rows of MariaDB's and MySQL's tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pymysql

from amxwatch.core.catalog import KeyKind, Table
from amxwatch.core.errors import StatementRefusedError
from amxwatch.core.sample import ColumnTotals, Sample, Tally, ValueKind, Wanted
from amxwatch.core.tally import tally_of
from amxwatch.databases.mysql.address import code_of
from amxwatch.databases.mysql.connection import (
    Connection,
    Rows,
    Session,
    execute,
    quoted,
)
from amxwatch.databases.mysql.spelling import SPATIAL
from amxwatch.databases.sampling import LONGEST_VALUE, read_totals, refuse_unwritable
from amxwatch.databases.tallying import Tongue, columns_of, read_tally

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

SYNTAX = 1064
"""The server's number for a statement that it does not understand."""

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

    async def tally(self, table: Table, wanted: Wanted) -> Tally:
        for column in table.columns:
            refuse_unwritable(column.name, "a name")
        return await self._session.run(lambda connection: self._tally(connection, table, wanted))

    def _tally(self, connection: Connection, table: Table, wanted: Wanted) -> Tally:
        source = f"{quoted(table.schema)}.{quoted(table.name)}"
        with _reading(connection):
            try:
                tally = _counted(connection, table, source, wanted)
            except pymysql.err.ProgrammingError as error:
                if code_of(error) != SYNTAX:
                    raise
                # Servers before MySQL 8.0 and MariaDB 10.2 know neither WITH nor OVER.
                names = tuple(column.name for column in table.columns)
                values = _rows(connection, table, source, wanted.rows)
                tally = tally_of(Sample(columns=names, rows=tuple(values)), wanted)
            if not wanted.full or table.variant in LOCKING:
                return tally
            count, totals = _totals(connection, table, source, wanted.hidden)
        return replace(tally, row_count=count, totals=totals)

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
    found: Rows = []
    for stripe in _stripes(connection, table, source, rows):
        found += execute(connection, f"{head}{stripe}")
    return found[:rows] if len(found) >= rows else []


def _stripes(connection: Connection, table: Table, source: str, rows: int) -> list[str]:
    """Return the clauses that pick rows from so many places, or none for a table as a whole."""
    key = _number_key(table)
    if key is None or (table.row_estimate or 0) < rows * 4:
        return []
    name = quoted(key)
    ((low, high),) = execute(connection, f"SELECT min({name}), max({name}) FROM {source}")
    if low is None or high - low < rows:
        return []
    found = []
    share = -(-rows // STRIPES)
    for number in range(STRIPES):
        start = low + (high - low + 1) * number // STRIPES
        end = low + (high - low + 1) * (number + 1) // STRIPES
        where = f"{name} >= {int(start)} AND {name} < {int(end)}"
        found.append(f" WHERE {where} ORDER BY {name} LIMIT {share}")
    return found


def _counted(connection: Connection, table: Table, source: str, wanted: Wanted) -> Tally:
    if not table.columns:
        raise StatementRefusedError(f"{table.ref} has no columns that can be seen")
    columns = columns_of(table, wanted, text=_text, kind=kind_of)

    def counted(some: str) -> Tally:
        return read_tally(lambda query: execute(connection, query), columns, some, TONGUE)

    stripes = _stripes(connection, table, source, wanted.rows)
    if stripes:
        parts = " UNION ALL ".join(f"(SELECT * FROM {source}{stripe})" for stripe in stripes)
        tally = counted(f"({parts}) AS some_rows")
        if tally.rows >= wanted.rows:
            return tally
    return counted(f"{source} LIMIT {int(wanted.rows)}")


def _told(count: int) -> str:
    places = " UNION ALL ".join(f"SELECT {place} AS k" for place in range(1, count + 1))
    values = ", ".join(f"v{place}" for place in range(1, count + 1))
    return (
        f"SELECT k, elt(k, {values}) AS v, CAST(NULL AS CHAR) AS t"
        f" FROM sampled CROSS JOIN ({places}) AS places"
    )


def _shape(text: str) -> str:
    for letters, instead in (("[A-Z]", "A"), ("[a-z]", "a"), ("[0-9]", "9")):
        text = f"regexp_replace({text}, '(?-i){letters}', '{instead}')"
    return text


TONGUE = Tongue(
    told=_told,
    number=lambda text: f"({text} + 0e0)",
    shape=_shape,
    length="char_length",
    text_type="char",
)


def kind_of(declared: str) -> ValueKind:
    """Return what the values of a type are."""
    base = _base(declared)
    if base in NUMBERS:
        return ValueKind.NUMBER
    if base in MOMENTS:
        return ValueKind.TIME
    plain = {"uuid": ValueKind.UUID, "json": ValueKind.OTHER}
    other = base in BYTES or base in SPATIAL
    return plain.get(base, ValueKind.OTHER if other else ValueKind.TEXT)


def _text(name: str, declared: str) -> str:
    # A collation that tells all texts apart: what is counted together must be the same.
    return f"CONVERT({_expression(name, declared)} USING utf8mb4) COLLATE utf8mb4_bin"


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
    connection: Connection, table: Table, source: str, hidden: frozenset[str] = frozenset()
) -> tuple[int, dict[str, ColumnTotals]]:
    def fetch(query: str) -> Sequence[Any]:
        return execute(connection, query)[0]

    return read_totals(
        fetch,
        source,
        [(column.name, column.type) for column in table.columns],
        is_ordered=lambda declared: _base(declared) in ORDERED,
        is_countable=lambda _: True,
        hidden=hidden,
        quote=quoted,
        text_type="char",
    )
