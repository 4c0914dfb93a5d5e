"""Compare a fresh catalog with the newest snapshot of an open cache."""

from __future__ import annotations

from collections.abc import Sequence

from duckdb import DuckDBPyConnection

from amxwatch.core.catalog import Catalog, Schema, Table
from amxwatch.core.change import Delta, Moved
from amxwatch.stores.snapshots.damage import DamageError
from amxwatch.stores.snapshots.fingerprint import fingerprint
from amxwatch.stores.snapshots.queries import queries
from amxwatch.stores.snapshots.reading import newest, origin, pair_schemas, schemas_at, versions
from amxwatch.stores.snapshots.rows import canonical, type_of_row


def compare(
    connection: DuckDBPyConnection, catalog: Catalog, ignore: Sequence[str]
) -> tuple[Delta, Moved]:
    """Return what turns the newest snapshot into `catalog`, also as version pairs."""
    load(connection, fingerprint_rows(catalog))
    number = newest(connection) or 0
    moved = Moved(
        tables=_pair_tables(connection, catalog, number),
        schemas=pair_schemas(
            schemas_at(connection, number), {schema.name: schema for schema in catalog.schemas}
        ),
    )
    ignored = tuple(sorted(set(ignore)))
    here = (catalog.reader, catalog.source, ignored)
    before = origin(connection, number)
    return _delta(catalog, ignored, moved, baseline=before not in (None, here)), moved


def fingerprint_rows(catalog: Catalog) -> list[type_of_row]:
    """Return the rows of `seen`."""
    return [
        (table.schema, table.name, fingerprint(table), place)
        for place, table in enumerate(catalog.tables)
    ]


def load(connection: DuckDBPyConnection, rows: list[type_of_row]) -> None:
    """Put the fresh catalog's fingerprints beside the cache's."""
    connection.execute(queries("compare")["make_seen"])
    appender = connection.appender("seen")
    appender.append_rows(rows)
    appender.flush()


def find_moved(connection: DuckDBPyConnection) -> list[type_of_row]:
    """Return (number of the old table or None, place of the new one or None), by name."""
    return connection.execute(queries("compare")["moved_tables"]).fetchall()


def _pair_tables(
    connection: DuckDBPyConnection, catalog: Catalog, number: int
) -> tuple[tuple[Table | None, Table | None], ...]:
    rows = find_moved(connection)
    wanted = {(tid, number) for tid, _ in rows if tid is not None}
    old = versions(connection, wanted)
    if old.keys() != wanted:
        raise DamageError("a table in it has lost its version")
    return tuple(
        (
            None if tid is None else old[tid, number],
            None if place is None else canonical(catalog.tables[place]),
        )
        for tid, place in rows
    )


def _delta(catalog: Catalog, ignored: tuple[str, ...], moved: Moved, *, baseline: bool) -> Delta:
    return Delta(
        reader=catalog.reader,
        source=catalog.source,
        ignore=ignored,
        baseline=baseline,
        put_schemas=tuple(new for _, new in moved.schemas if new),
        put_tables=tuple(new for _, new in moved.tables if new),
        gone_schemas=tuple(_names(moved.schemas)),
        gone_tables=tuple((old.schema, old.name) for old, new in moved.tables if old and not new),
    )


def _names(pairs: Sequence[tuple[Schema | None, Schema | None]]) -> list[str]:
    return [old.name for old, new in pairs if old and not new]
