"""The catalog cache of a simulated install: what the DuckDB file holds, as plain Python."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from amxwatch.core.catalog import Catalog, ObjectRef, Schema, SnapshotNumber, Table
from amxwatch.core.change import Delta, Moved, Patch
from amxwatch.core.errors import CacheBrokenError, NotFoundError
from amxwatch.core.life import Lives

type_of_tables = dict[tuple[str, str], Table]


class CacheFile:
    """The versions that one db profile's cache holds; it outlives the processes."""

    def __init__(self) -> None:
        self.held: dict[int, Catalog] = {}

    @property
    def newest(self) -> int | None:
        return next(reversed(self.held), None)  # they come one after the other


class MemorySnapshots:
    """Implements `ports.snapshots.Snapshots` on a `CacheFile`; `pause` comes before each call."""

    def __init__(self, file: CacheFile, pause: Callable[[], Awaitable[None]]) -> None:
        self._file = file
        self._pause = pause

    async def latest(self) -> SnapshotNumber | None:
        await self._pause()
        return None if self._file.newest is None else SnapshotNumber(self._file.newest)

    async def compare(self, catalog: Catalog, *, ignore: Sequence[str]) -> tuple[Delta, Moved]:
        await self._pause()
        moved = _moved(self._newest, catalog)
        return _delta(catalog, ignore, moved), moved

    async def compare_patch(self, patch: Patch, *, ignore: Sequence[str]) -> tuple[Delta, Moved]:
        await self._pause()
        catalog = _patched(self._newest or _nothing(patch), patch)
        moved = _moved(self._newest, catalog)
        return _delta(catalog, ignore, moved), moved

    async def replay(self, log: Iterable[tuple[SnapshotNumber, Delta]]) -> None:
        await self._pause()
        for number, delta in log:
            newest = self._file.newest
            if newest is not None and number <= newest:
                continue
            if number != (newest or 0) + 1:
                raise CacheBrokenError(f"snapshot {number} follows {newest}")
            self._file.held[number] = applied(self._newest, delta)

    async def forget(self, oldest: SnapshotNumber) -> None:
        await self._pause()

    async def moved(self, start: SnapshotNumber | None, end: SnapshotNumber) -> Moved:
        await self._pause()
        return _moved(None if start is None else self._at(start), self._at(end))

    async def as_of(self, number: SnapshotNumber) -> Catalog:
        await self._pause()
        return self._at(number)

    async def history(self, ref: ObjectRef) -> list[tuple[SnapshotNumber, Moved]]:
        await self._pause()
        steps = [(number, self._step(number)) for number in sorted(self._file.held)]
        return [(SnapshotNumber(n), moved) for n, moved in steps if _names(moved, ref)]

    async def lives(self) -> Lives:
        raise AssertionError("no part of the scheduler asks for it")

    async def size(self) -> int:
        return len(self._file.held)

    async def discard(self) -> Path | None:
        await self._pause()
        self._file.held.clear()
        return None

    @property
    def _newest(self) -> Catalog | None:
        return None if self._file.newest is None else self._file.held[self._file.newest]

    def _at(self, number: int) -> Catalog:
        if number not in self._file.held:
            raise NotFoundError(f"no snapshot {number}")
        return self._file.held[number]

    def _step(self, number: int) -> Moved:
        return _moved(self._file.held.get(number - 1), self._file.held[number])


def _nothing(patch: Patch) -> Catalog:
    return Catalog(reader=patch.reader, source=patch.source)


def _by_name(catalog: Catalog | None) -> type_of_tables:
    return {(t.schema, t.name): t for t in catalog.tables} if catalog else {}


def _moved(old: Catalog | None, new: Catalog) -> Moved:
    before, after = _by_name(old), _by_name(new)
    names = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
    had: dict[str, Schema] = {s.name: s for s in old.schemas} if old else {}
    has = {s.name: s for s in new.schemas}
    schemas = sorted(n for n in had.keys() | has.keys() if had.get(n) != has.get(n))
    return Moved(
        tables=tuple((before.get(name), after.get(name)) for name in names),
        schemas=tuple((had.get(name), has.get(name)) for name in schemas),
    )


def _delta(catalog: Catalog, ignore: Sequence[str], moved: Moved) -> Delta:
    return Delta(
        reader=catalog.reader,
        source=catalog.source,
        ignore=tuple(sorted(set(ignore))),
        put_schemas=tuple(new for _, new in moved.schemas if new),
        put_tables=tuple(new for _, new in moved.tables if new),
        gone_schemas=tuple(old.name for old, new in moved.schemas if old and not new),
        gone_tables=tuple((old.schema, old.name) for old, new in moved.tables if old and not new),
    )


def applied(old: Catalog | None, delta: Delta) -> Catalog:
    """Return what a delta makes of a catalog; of nothing, where it is the first."""
    tables = {name: t for name, t in _by_name(old).items() if name not in delta.gone_tables}
    tables |= {(table.schema, table.name): table for table in delta.put_tables}
    schemas = {s.name: s for s in old.schemas if s.name not in delta.gone_schemas} if old else {}
    schemas |= {schema.name: schema for schema in delta.put_schemas}
    return Catalog(
        reader=delta.reader,
        source=delta.source,
        schemas=tuple(schemas[name] for name in sorted(schemas)),
        tables=tuple(tables[name] for name in sorted(tables)),
    )


def _patched(old: Catalog, patch: Patch) -> Catalog:
    tables = {name: t for name, t in _by_name(old).items() if name not in patch.gone}
    tables |= {(table.schema, table.name): table for table in patch.put}
    put = tuple(tables[name] for name in sorted(tables))
    return replace(old, tables=put, schemas=patch.schemas, source=patch.source)


def _names(moved: Moved, ref: ObjectRef) -> bool:
    sides = [table for pair in moved.tables for table in pair if table is not None]
    return any(table.ref == ref.owner for table in sides)
