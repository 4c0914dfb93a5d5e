"""Write deltas into an open cache."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from duckdb import DuckDBPyConnection

from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.change import Delta
from amxwatch.stores.snapshots.damage import DamageError, OutdatedError
from amxwatch.stores.snapshots.queries import queries
from amxwatch.stores.snapshots.reading import newest
from amxwatch.stores.snapshots.rows import table_row, type_of_row

_STAGES = ("put_sch", "touched_tbl", "touched_sch", "wanted_name")
_PART = 32_768
"""Table versions that are appended at a time: rows wait in memory until then."""

type_of_name = tuple[str, str]


def replay(connection: DuckDBPyConnection, log: Iterable[tuple[SnapshotNumber, Delta]]) -> None:
    """Apply the deltas that the cache lacks, in order.

    Raises: DamageError where a number is missing in between, OutdatedError where the numbers
    that it holds have been pruned.
    """
    held = newest(connection)
    names: Names | None = None
    for number, delta in log:
        if held is not None and number <= held:
            continue
        _check(held, number, delta)
        if names is None:
            names = _prepare(connection)
        _apply(connection, number, delta, names)
        held = number


def _check(held: SnapshotNumber | None, number: SnapshotNumber, delta: Delta) -> None:
    if delta.whole and held is not None:
        raise OutdatedError(f"the snapshots before {number} were pruned since it was written")
    if number != (held or 0) + 1 and not delta.whole:
        raise DamageError(f"snapshot {(held or 0) + 1} is missing before {number}")


class Names:
    """The numbers of names: asked as they are needed, and given where there is none."""

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._connection = connection
        self._highest: int
        ((self._highest,),) = connection.execute(queries("replay")["highest"]).fetchall()
        self._known: dict[type_of_name, int] = {}

    @property
    def any(self) -> bool:
        """Claim that some table has a number already."""
        return self._highest > 0

    def of(self, wanted: Sequence[type_of_name]) -> list[int]:
        """Return the numbers of these names."""
        asked = [name for name in wanted if name not in self._known]
        if asked and self._highest:
            append(self._connection, "wanted_name", asked)
            rows = self._connection.execute(queries("replay")["read_some_known"]).fetchall()
            self._known.update({(schema, table): tid for schema, table, tid in rows})
        fresh: list[type_of_row] = []
        for name in asked:
            if name not in self._known:
                self._highest += 1
                self._known[name] = self._highest
                fresh.append((self._highest, *name))
        append(self._connection, "known", fresh)
        return [self._known[name] for name in wanted]


def _prepare(connection: DuckDBPyConnection) -> Names:
    named = queries("replay")
    for stage in _STAGES:
        connection.execute(named[f"make_{stage}"])
    return Names(connection)


def _apply(
    connection: DuckDBPyConnection, number: SnapshotNumber, delta: Delta, names: Names
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
    for stage in _STAGES:
        connection.execute(f"TRUNCATE {stage}")
    _apply_schemas(connection, number, delta)
    _apply_tables(connection, number, delta, names)


def _apply_schemas(connection: DuckDBPyConnection, number: SnapshotNumber, delta: Delta) -> None:
    named = queries("replay")
    schemas = [(schema.name, schema.comment) for schema in delta.put_schemas]
    append(connection, "put_sch", schemas)
    touched = [name for name, _ in schemas] + list(delta.gone_schemas)
    append(connection, "touched_sch", ((name,) for name in touched))
    connection.execute(named["close_schemas"], {"n": number})
    connection.execute(named["open_schemas"], {"n": number})


def _apply_tables(
    connection: DuckDBPyConnection, number: SnapshotNumber, delta: Delta, names: Names
) -> None:
    put = [(table.schema, table.name) for table in delta.put_tables]
    stands_any = names.any
    numbers = names.of([*put, *delta.gone_tables])
    if stands_any:
        append(connection, "touched_tbl", ((tid,) for tid in numbers))
        connection.execute(queries("replay")["close_tables"], {"n": number})
    for start in range(0, len(put), _PART):
        part = delta.put_tables[start : start + _PART]
        own = zip(numbers[start : start + _PART], part, strict=False)
        append(connection, "tbl", ((*table_row(tid, t), number, None) for tid, t in own))


def append(connection: DuckDBPyConnection, table: str, rows: Iterable[type_of_row]) -> None:
    """Add rows to a table, quickly."""
    appender = connection.appender(table)
    appender.append_rows(rows)
    appender.flush()
