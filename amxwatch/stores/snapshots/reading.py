"""Questions to an open cache.

Whatever is read whole is checked against its fingerprint, so that damage which DuckDB's own
checksums do not see is never taken for a catalog.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from duckdb import DuckDBPyConnection

from amxwatch.core.catalog import (
    Catalog,
    Column,
    ObjectRef,
    ObjectType,
    Schema,
    SnapshotNumber,
    Table,
)
from amxwatch.core.change import Moved
from amxwatch.core.errors import NotFoundError
from amxwatch.stores.snapshots.damage import DamageError
from amxwatch.stores.snapshots.fingerprint import fingerprint
from amxwatch.stores.snapshots.queries import queries
from amxwatch.stores.snapshots.rows import read_column, read_keys, type_of_row

type_of_version = tuple[int, int]
"""A table's number, and as of which snapshot."""

type_of_span = tuple[int, int]
"""Two snapshots, without a baseline between them."""

_CHUNK = 50_000


def newest(connection: DuckDBPyConnection) -> SnapshotNumber | None:
    """Return the newest snapshot's number, or None in an empty cache."""
    ((number,),) = ask(connection, "newest")
    return None if number is None else SnapshotNumber(number)


def origin(connection: DuckDBPyConnection, number: int) -> tuple[str, str, tuple[str, ...]] | None:
    """Return a snapshot's reader, source and ignore set; None where it does not exist."""
    for reader, source, ignored in ask(connection, "origin", n=number):
        return reader, source, tuple(ignored)
    return None


def as_of(connection: DuckDBPyConnection, number: int) -> Catalog:
    """Return the whole catalog of one snapshot. Raises: NotFoundError."""
    reader, source, _ = _origin_of(connection, number)
    _make_wanted(connection)
    connection.execute(queries("reading")["want_all"], {"n": number})
    return Catalog(
        reader=reader,
        source=source,
        schemas=tuple(schemas_at(connection, number).values()),
        tables=tuple(_read_wanted(connection).values()),
    )


def schemas_at(connection: DuckDBPyConnection, number: int) -> dict[str, Schema]:
    """Return the schemas of one snapshot by name, in order."""
    rows = ask(connection, "schemas_at", n=number)
    return {name: Schema(name=name, comment=comment) for name, comment in rows}


def versions(
    connection: DuckDBPyConnection, wanted: Iterable[type_of_version]
) -> dict[type_of_version, Table]:
    """Return table versions by (schema, name); one that did not exist then is absent."""
    _make_wanted(connection)
    appender = connection.appender("wanted")
    appender.append_rows(sorted(set(wanted)))
    appender.flush()
    return _read_wanted(connection)


def moved(connection: DuckDBPyConnection, start: int | None, end: int) -> Moved:
    """Return what differs between two snapshots, but for what moved only at a baseline.

    An object that moved on both sides of a baseline is paired whole: its version before the
    first move, and the one after the last. Raises: NotFoundError.
    """
    _origin_of(connection, end)
    if start is None:
        spans = [(0, end)]
    elif start <= end:
        _origin_of(connection, start)
        spans = _spans(connection, start, end)
    else:
        return _reversed(moved(connection, end, start))
    return Moved(
        tables=_moved_tables(connection, spans, end),
        schemas=_moved_schemas(connection, spans, end),
    )


def history(connection: DuckDBPyConnection, ref: ObjectRef) -> list[tuple[SnapshotNumber, Moved]]:
    """Return each snapshot that moved a table (of a column: its table) or a schema."""
    if not ref.table:
        rows = ask(connection, "schema_moves", schema=ref.schema)
        return [(n, Moved(schemas=_schema_step(connection, ref.schema, n))) for (n,) in rows]
    for (tid,) in ask(connection, "table_number", schema=ref.schema, table=ref.table):
        numbers = [n for (n,) in ask(connection, "table_moves", tid=tid)]
        found = versions(connection, ((tid, m) for n in numbers for m in (n - 1, n)))
        return [
            (n, Moved(tables=((found.get((tid, n - 1)), found.get((tid, n))),))) for n in numbers
        ]
    return []


def ask(connection: DuckDBPyConnection, query: str, /, **given: object) -> list[type_of_row]:
    """Return the rows of a query of `reading.sql`."""
    return connection.execute(queries("reading")[query], given or None).fetchall()


def _origin_of(connection: DuckDBPyConnection, number: int) -> tuple[str, str, tuple[str, ...]]:
    found = origin(connection, number)
    if found is None:
        raise NotFoundError(
            f"no snapshot {number}; the newest is {newest(connection) or 'not taken yet'}"
            f" (amxwatch catalog log lists them)"
        )
    return found


def _spans(connection: DuckDBPyConnection, start: int, end: int) -> list[type_of_span]:
    """Cut the way from start to end at its baselines."""
    cuts = [n for (n,) in ask(connection, "baselines", start=start, end=end)]
    ends = [*(cut - 1 for cut in cuts), end]
    return [(a, b) for a, b in zip([start, *cuts], ends, strict=True) if a < b]


def _moved_tables(
    connection: DuckDBPyConnection, spans: list[type_of_span], end: int
) -> tuple[tuple[Table | None, Table | None], ...]:
    ways: dict[int, type_of_span] = {}
    for a, b in spans:
        for (tid,) in ask(connection, "tables_between", start=a, end=b):
            ways[tid] = (ways.get(tid, (a, b))[0], b)
    wanted = ((tid, n) for tid, (a, b) in ways.items() for n in (a, b, end))
    found = versions(connection, wanted)
    pairs = [
        (found.get((tid, a)), found.get((tid, b)))
        for tid, (a, b) in ways.items()
        # What came or went at a later baseline is told by nobody: there is nothing to draft.
        if ((tid, b) in found) == ((tid, end) in found)
    ]
    return tuple(sorted((pair for pair in pairs if _differ(pair)), key=_name_of_pair))


def _differ(pair: tuple[Table | None, Table | None]) -> bool:
    old, new = pair
    if old is None or new is None:
        return old is not new
    return fingerprint(old) != fingerprint(new)


def _name_of_pair(pair: tuple[Table | None, Table | None]) -> tuple[str, str]:
    table = pair[0] or pair[1]
    assert table is not None  # _differ
    return (table.schema, table.name)


def _moved_schemas(
    connection: DuckDBPyConnection, spans: list[type_of_span], end: int
) -> tuple[tuple[Schema | None, Schema | None], ...]:
    ways: dict[str, tuple[Schema | None, Schema | None]] = {}
    for a, b in spans:
        for old, new in pair_schemas(schemas_at(connection, a), schemas_at(connection, b)):
            name = (old or new or Schema(name="")).name
            ways[name] = (ways[name][0] if name in ways else old, new)
    now = schemas_at(connection, end) if ways else {}
    return tuple(
        pair
        for name, pair in sorted(ways.items())
        if pair[0] != pair[1] and (pair[1] is None) == (name not in now)
    )


def pair_schemas(
    old: dict[str, Schema], new: dict[str, Schema]
) -> tuple[tuple[Schema | None, Schema | None], ...]:
    """Return the schemas that differ, by name."""
    names = sorted(old.keys() | new.keys())
    pairs = ((old.get(name), new.get(name)) for name in names)
    return tuple(pair for pair in pairs if pair[0] != pair[1])


def _schema_step(
    connection: DuckDBPyConnection, name: str, number: int
) -> tuple[tuple[Schema | None, Schema | None], ...]:
    before, after = (schemas_at(connection, n).get(name) for n in (number - 1, number))
    return ((before, after),)


def _reversed(forward: Moved) -> Moved:
    return Moved(
        tables=tuple((new, old) for old, new in forward.tables),
        schemas=tuple((new, old) for old, new in forward.schemas),
    )


def _make_wanted(connection: DuckDBPyConnection) -> None:
    connection.execute("DROP TABLE IF EXISTS temp.wanted")
    connection.execute(queries("reading")["make_wanted"])


def _read_wanted(connection: DuckDBPyConnection) -> dict[type_of_version, Table]:
    """Return the versions that the temporary table `wanted` names, by (schema, name)."""
    columns: dict[type_of_version, list[Column]] = defaultdict(list)
    try:
        for row in _rows(connection, "wanted_columns"):
            columns[row[0], row[1]].append(read_column(row))
        rows = _rows(connection, "wanted_tables")
        return {(row[0], row[1]): _table(row, columns[row[0], row[1]]) for row in rows}
    except (ValueError, TypeError, LookupError) as error:
        raise DamageError(f"a table in it cannot be read ({type(error).__name__})") from error


def _rows(connection: DuckDBPyConnection, query: str) -> Iterator[Any]:
    """Yield rows by the chunk: a million columns at once would fill the memory."""
    connection.execute(queries("reading")[query])
    while rows := connection.fetchmany(_CHUNK):
        yield from rows


def _table(row: type_of_row, columns: list[Column]) -> Table:
    _, number, schema, name, type_, comment, definition, row_estimate, native_id, keys, fp = row
    table = Table(
        schema=schema,
        name=name,
        type=ObjectType(type_),
        columns=tuple(columns),
        keys=read_keys(keys),
        comment=comment,
        definition=definition,
        row_estimate=row_estimate,
        native_id=native_id,
    )
    if fingerprint(table) != fp:
        raise DamageError(f"{table.ref} as of snapshot {number} does not match its fingerprint")
    return table
