"""The port's implementation: each call opens the file, does one thing, and closes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from duckdb import DuckDBPyConnection

from amxwatch.core.catalog import Catalog, ObjectRef, SnapshotNumber
from amxwatch.core.change import Delta, Moved
from amxwatch.stores.snapshots import comparing, opening, reading, replaying

T = TypeVar("T")

WAIT_SECONDS = 30.0
"""How long a call waits for other processes; a first replay of a million columns takes a few."""


class SnapshotCache:
    """Implements `ports.snapshots.Snapshots` for one db profile in one DuckDB file.

    Work runs in a worker thread, one call at a time. A cancelled call stops waiting for the
    lock at once; once it has the lock it ends its work, which takes seconds at most.
    """

    def __init__(self, path: Path, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._path = path
        self._wait_seconds = wait_seconds
        self._limiter = anyio.CapacityLimiter(1)

    async def latest(self) -> SnapshotNumber | None:
        return await self._read(reading.newest)

    async def compare(self, catalog: Catalog, *, ignore: Sequence[str]) -> tuple[Delta, Moved]:
        return await self._read(lambda opened: comparing.compare(opened, catalog, ignore))

    async def replay(self, log: Iterable[tuple[SnapshotNumber, Delta]]) -> None:
        await self._run(
            lambda: opening.write(
                self._path,
                lambda opened: replaying.replay(opened, log),
                wait_seconds=self._wait_seconds,
            )
        )

    async def moved(self, start: SnapshotNumber | None, end: SnapshotNumber) -> Moved:
        return await self._read(lambda opened: reading.moved(opened, start, end))

    async def as_of(self, number: SnapshotNumber) -> Catalog:
        return await self._read(lambda opened: reading.as_of(opened, number))

    async def history(self, ref: ObjectRef) -> list[tuple[SnapshotNumber, Moved]]:
        return await self._read(lambda opened: reading.history(opened, ref))

    async def discard(self) -> None:
        await self._run(lambda: opening.remove(self._path, wait_seconds=self._wait_seconds))

    async def _read(self, work: Callable[[DuckDBPyConnection], T]) -> T:
        return await self._run(
            lambda: opening.read(self._path, work, wait_seconds=self._wait_seconds)
        )

    async def _run(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)
