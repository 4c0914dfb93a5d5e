"""Write deltas into an open cache."""

from __future__ import annotations

from collections.abc import Iterable

from duckdb import DuckDBPyConnection

from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.change import Delta
from amxwatch.stores.snapshots.damage import DamageError
from amxwatch.stores.snapshots.queries import queries
from amxwatch.stores.snapshots.reading import newest
from amxwatch.stores.snapshots.rows import canonical, column_rows, table_row, type_of_row

_STAGES = ("put_tbl", "put_col", "put_sch", "touched_tbl", "touched_sch")
_STEPS = (
    "close_schemas",
    "open_schemas",
    "close_tables",
    "open_tables",
    "close_columns",
    "open_columns",
)

type_of_names = dict[tuple[str, str], int]


def replay(connection: DuckDBPyConnection, log: Iterable[tuple[SnapshotNumber, Delta]]) -> None:
    """Apply the deltas that the cache lacks, in order.

    Raises: DamageError where a number is missing in between.
    """
    held = newest(connection) or 0
    names: type_of_names | None = None
    for number, delta in log:
        if number <= held:
            continue
        if number != held + 1:
            raise DamageError(f"snapshot {held + 1} is missing before {number}")
        if names is None:
            names = _prepare(connection)
        _apply(connection, number, delta, names)
        held = number


def _prepare(connection: DuckDBPyConnection) -> type_of_names:
    named = queries("replay")
    for stage in _STAGES:
        connection.execute(named[f"make_{stage}"])
    rows = connection.execute(named["read_known"]).fetchall()
    return {(schema, table): tid for schema, table, tid in rows}


def _apply(
    connection: DuckDBPyConnection, number: SnapshotNumber, delta: Delta, names: type_of_names
) -> None:
    named = queries("replay")
    connection.execute(
        named["add_snapshot"],
        {
            "n": number,
            "reader": delta.reader,
            "source": delta.source,
            "ignored": list(delta.ignore),
            "baseline": delta.baseline,
        },
    )
    _stage(connection, delta, names)
    for step in _STEPS:
        given = {"n": number} if "$n" in named[step] else None
        connection.execute(named[step], given)


def _stage(connection: DuckDBPyConnection, delta: Delta, names: type_of_names) -> None:
    """Fill the temporary tables with what the delta brings."""
    for stage in _STAGES:
        connection.execute(f"TRUNCATE {stage}")
    tables = [canonical(table) for table in delta.put_tables]
    put = [(table.schema, table.name) for table in tables]
    _number(connection, [*put, *delta.gone_tables], names)
    pairs = [(names[name], table) for name, table in zip(put, tables, strict=True)]
    _append(connection, "put_tbl", (table_row(tid, table) for tid, table in pairs))
    _append(connection, "put_col", (row for pair in pairs for row in column_rows(*pair)))
    _append(connection, "touched_tbl", ((names[name],) for name in [*put, *delta.gone_tables]))
    schemas = [(schema.name, schema.comment) for schema in delta.put_schemas]
    _append(connection, "put_sch", schemas)
    touched = [name for name, _ in schemas] + list(delta.gone_schemas)
    _append(connection, "touched_sch", ((name,) for name in touched))


def _number(
    connection: DuckDBPyConnection, wanted: list[tuple[str, str]], names: type_of_names
) -> None:
    """Give a number to each name that has none."""
    fresh: list[type_of_row] = []
    for name in wanted:
        if name not in names:
            names[name] = len(names) + 1
            fresh.append((names[name], *name))
    _append(connection, "known", fresh)


def _append(connection: DuckDBPyConnection, table: str, rows: Iterable[type_of_row]) -> None:
    appender = connection.appender(table)
    appender.append_rows(rows)
    appender.flush()
