"""Questions to an open cache.

Whatever is read whole is checked against its fingerprint, so that damage which DuckDB's own
checksums do not see is never taken for a catalog.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from operator import attrgetter

from duckdb import DuckDBPyConnection

from amxwatch.core.catalog import (
    Catalog,
    ObjectRef,
    Schema,
    SnapshotNumber,
    Table,
)
from amxwatch.core.change import Moved
from amxwatch.core.errors import NotFoundError
from amxwatch.core.life import Lives, TableVersion
from amxwatch.stores.snapshots.fingerprint import fingerprint
from amxwatch.stores.snapshots.queries import queries
from amxwatch.stores.snapshots.rows import read_table, type_of_row

type_of_version = tuple[int, int]
"""A table's number, and as of which snapshot."""

type_of_span = tuple[int, int]
"""Two snapshots, without a baseline between them."""

type_of_held = tuple[SnapshotNumber, SnapshotNumber] | None

_CHUNK = 5_000
_NAME = attrgetter("schema", "name")


def newest(connection: DuckDBPyConnection) -> SnapshotNumber | None:
    """Return the newest snapshot's number, or None in an empty cache."""
    span = held(connection)
    return None if span is None else span[1]


def held(connection: DuckDBPyConnection) -> type_of_held:
    """Return the oldest and the newest snapshot's number, or None in an empty cache."""
    ((oldest, last),) = ask(connection, "held")
    return None if oldest is None else (SnapshotNumber(oldest), SnapshotNumber(last))


def origin(connection: DuckDBPyConnection, number: int) -> tuple[str, str, tuple[str, ...]] | None:
    """Return a snapshot's reader, source and ignore set; None where it does not exist."""
    for reader, source, ignored in ask(connection, "origin", n=number):
        return reader, source, tuple(ignored)
    return None


def as_of(connection: DuckDBPyConnection, number: int) -> Catalog:
    """Return the whole catalog of one snapshot. Raises: NotFoundError."""
    reader, source, _ = _origin_of(connection, number)
    tables = [read_table(*row) for row in _rows(connection, "tables_at", n=number)]
    tables.sort(key=_NAME)
    return Catalog(
        reader=reader,
        source=source,
        schemas=tuple(schemas_at(connection, number).values()),
        tables=tuple(tables),
    )


def schemas_at(connection: DuckDBPyConnection, number: int) -> dict[str, Schema]:
    """Return the schemas of one snapshot by name, in order."""
    rows = ask(connection, "schemas_at", n=number)
    return {name: Schema(name=name, comment=comment) for name, comment in rows}


def versions(
    connection: DuckDBPyConnection, wanted: Iterable[type_of_version]
) -> dict[type_of_version, Table]:
    """Return table versions by (schema, name); one that did not exist then is absent."""
    connection.execute("DROP TABLE IF EXISTS temp.wanted")
    connection.execute(queries("reading")["make_wanted"])
    appender = connection.appender("wanted")
    appender.append_rows(sorted(set(wanted)))
    appender.flush()
    return {(tid, n): read_table(*row) for tid, n, *row in _rows(connection, "wanted_tables")}


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


def lives(connection: DuckDBPyConnection) -> Lives:
    """Return every version of each table that moved after it came."""
    spans = ask(connection, "moved_spans")
    found = versions(connection, ((tid, start) for _, _, tid, start, _ in spans))
    told: dict[tuple[str, str], list[TableVersion]] = defaultdict(list)
    ends: dict[tuple[str, str], int | None] = {}
    for schema, name, tid, start, end in spans:
        own = told[schema, name]
        if own and ends[schema, name] != start:
            own.append(_nothing_from(ends[schema, name]))
        own.append(TableVersion(since=SnapshotNumber(start), table=found.get((tid, start))))
        ends[schema, name] = end
    for key, end in ends.items():
        if end is not None:
            told[key].append(_nothing_from(end))
    return Lives(
        versions={key: tuple(own) for key, own in told.items()},
        baselines=frozenset(SnapshotNumber(n) for (n,) in ask(connection, "all_baselines")),
    )


def _nothing_from(end: int | None) -> TableVersion:
    return TableVersion(since=SnapshotNumber(end or 0), table=None)


def ask(connection: DuckDBPyConnection, query: str, /, **given: object) -> list[type_of_row]:
    """Return the rows of a query of `reading.sql`."""
    return connection.execute(queries("reading")[query], given or None).fetchall()


def _origin_of(connection: DuckDBPyConnection, number: int) -> tuple[str, str, tuple[str, ...]]:
    found = origin(connection, number)
    if found is None:
        span = held(connection)
        if span is not None and 0 < number < span[0]:
            raise NotFoundError(f"snapshot {number} was pruned: the oldest is {span[0]}")
        raise NotFoundError(
            f"no snapshot {number}; the newest is {span[1] if span else 'not taken yet'}"
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


def _rows(connection: DuckDBPyConnection, query: str, /, **given: object) -> Iterator[type_of_row]:
    """Yield rows by the chunk: a million columns at once would fill the memory."""
    connection.execute(queries("reading")[query], given or None)
    while rows := connection.fetchmany(_CHUNK):
        yield from rows
