"""Compare what was just read with the newest snapshot of an open cache."""

from __future__ import annotations

from collections.abc import Sequence

from duckdb import DuckDBPyConnection

from amxwatch.core.catalog import Catalog, Schema, Table
from amxwatch.core.change import Delta, Moved, Patch
from amxwatch.stores.snapshots.damage import DamageError
from amxwatch.stores.snapshots.fingerprint import canonical, fingerprint
from amxwatch.stores.snapshots.queries import queries
from amxwatch.stores.snapshots.reading import newest, origin, pair_schemas, schemas_at, versions
from amxwatch.stores.snapshots.replaying import append
from amxwatch.stores.snapshots.rows import type_of_row

type_of_pairs = tuple[tuple[Table | None, Table | None], ...]


def compare(
    connection: DuckDBPyConnection, catalog: Catalog, ignore: Sequence[str]
) -> tuple[Delta, Moved]:
    """Return what turns the newest snapshot into `catalog`, also as version pairs."""
    number = newest(connection)
    if number is None:
        return compare_first(catalog, ignore)
    load(connection, fingerprint_rows(catalog.tables))
    rows = find_moved(connection)
    moved = Moved(
        tables=_pair_tables(connection, rows, catalog.tables, number),
        schemas=_pair_schemas(connection, catalog.schemas, number),
    )
    ignored = tuple(sorted(set(ignore)))
    here = (catalog.reader, catalog.source, ignored)
    return _delta(catalog, ignored, moved, baseline=origin(connection, number) != here), moved


def compare_first(catalog: Catalog, ignore: Sequence[str]) -> tuple[Delta, Moved]:
    """Return what turns nothing into `catalog`, also as version pairs. Needs no cache."""
    tables = {(table.schema, table.name): canonical(table) for table in catalog.tables}
    moved = Moved(
        tables=tuple([(None, tables[name]) for name in sorted(tables)]),
        schemas=pair_schemas({}, {schema.name: schema for schema in catalog.schemas}),
    )
    return _delta(catalog, tuple(sorted(set(ignore))), moved, baseline=False), moved


def compare_patch(
    connection: DuckDBPyConnection, patch: Patch, ignore: Sequence[str]
) -> tuple[Delta, Moved]:
    """Return what turns the newest snapshot into the patched one, also as version pairs."""
    connection.execute(queries("compare")["make_named"])
    put = [(t.schema, t.name, fingerprint(t), place) for place, t in enumerate(patch.put)]
    append(connection, "named", put)
    append(connection, "named", ((schema, name, None, None) for schema, name in patch.gone))
    number = newest(connection) or 0
    rows = connection.execute(queries("compare")["moved_of_patch"]).fetchall()
    moved = Moved(
        tables=_pair_tables(connection, rows, patch.put, number),
        schemas=_pair_schemas(connection, patch.schemas, number),
    )
    return _delta(patch, tuple(sorted(set(ignore))), moved, baseline=False), moved


def fingerprint_rows(tables: Sequence[Table]) -> list[type_of_row]:
    """Return the rows of `seen`."""
    return [(fingerprint(table), place) for place, table in enumerate(tables)]


def load(connection: DuckDBPyConnection, rows: list[type_of_row]) -> None:
    """Put the fresh catalog's fingerprints beside the cache's."""
    connection.execute(queries("compare")["make_seen"])
    append(connection, "seen", rows)


def find_moved(connection: DuckDBPyConnection) -> list[type_of_row]:
    """Return (number of a table that is only now, None) and (None, place of one only seen)."""
    return connection.execute(queries("compare")["moved_tables"]).fetchall()


def _pair_tables(
    connection: DuckDBPyConnection, rows: list[type_of_row], tables: Sequence[Table], number: int
) -> type_of_pairs:
    """Return the old and new versions of what moved, by name."""
    wanted = {(tid, number) for tid, _ in rows if tid is not None}
    found = versions(connection, wanted) if wanted else {}
    if found.keys() != wanted:
        raise DamageError("a table in it has lost its version")
    old = {(table.schema, table.name): table for table in found.values()}
    moved = (canonical(tables[place]) for _, place in rows if place is not None)
    new = {(table.schema, table.name): table for table in moved}
    names = sorted(old.keys() | new.keys())
    return tuple((old.get(name), new.get(name)) for name in names)


def _pair_schemas(
    connection: DuckDBPyConnection, schemas: Sequence[Schema], number: int
) -> tuple[tuple[Schema | None, Schema | None], ...]:
    now = {schema.name: schema for schema in schemas}
    return pair_schemas(schemas_at(connection, number), now)


def _delta(
    read: Catalog | Patch, ignored: tuple[str, ...], moved: Moved, *, baseline: bool
) -> Delta:
    return Delta(
        reader=read.reader,
        source=read.source,
        ignore=ignored,
        baseline=baseline,
        put_schemas=tuple(new for _, new in moved.schemas if new),
        put_tables=tuple(new for _, new in moved.tables if new),
        gone_schemas=tuple(_names(moved.schemas)),
        gone_tables=tuple((old.schema, old.name) for old, new in moved.tables if old and not new),
    )


def _names(pairs: Sequence[tuple[Schema | None, Schema | None]]) -> list[str]:
    return [old.name for old, new in pairs if old and not new]
