"""The port's implementation: each call opens the file, does one thing, and closes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from duckdb import DuckDBPyConnection

from amxwatch.core.catalog import Catalog, ObjectRef, SnapshotNumber
from amxwatch.core.change import Delta, Moved, Patch
from amxwatch.core.collector import collector_paused
from amxwatch.core.life import Lives
from amxwatch.stores.snapshots import comparing, filing, opening, reading, replaying
from amxwatch.stores.snapshots.damage import BlamedError, type_of_signature

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
        self._blamed: BlamedError | None = None
        self._seen: tuple[type_of_signature, reading.type_of_held] | None = None

    async def latest(self) -> SnapshotNumber | None:
        held = await self._run(self._held)
        return held[1] if held else None

    async def compare(self, catalog: Catalog, *, ignore: Sequence[str]) -> tuple[Delta, Moved]:
        return await self._run(lambda: self._compare(catalog, ignore))

    async def compare_patch(self, patch: Patch, *, ignore: Sequence[str]) -> tuple[Delta, Moved]:
        return await self._read(lambda opened: comparing.compare_patch(opened, patch, ignore))

    async def replay(self, log: Iterable[tuple[SnapshotNumber, Delta]]) -> None:
        await self._run(lambda: self._replay(log))

    async def forget(self, oldest: SnapshotNumber) -> None:
        await self._run(lambda: self._forget(oldest))

    async def moved(self, start: SnapshotNumber | None, end: SnapshotNumber) -> Moved:
        return await self._read(lambda opened: reading.moved(opened, start, end))

    async def as_of(self, number: SnapshotNumber) -> Catalog:
        return await self._read(lambda opened: reading.as_of(opened, number))

    async def history(self, ref: ObjectRef) -> list[tuple[SnapshotNumber, Moved]]:
        return await self._read(lambda opened: reading.history(opened, ref))

    async def lives(self) -> Lives:
        return await self._read(reading.lives)

    async def size(self) -> int:
        return await self._run(lambda: filing.size(self._path))

    async def discard(self) -> Path | None:
        blamed, self._blamed = self._blamed, None
        return await self._run(
            lambda: filing.remove(self._path, blamed, wait_seconds=self._wait_seconds)
        )

    def _held(self) -> reading.type_of_held:
        """Return the oldest and newest number; without opening a file that has not moved."""
        now = opening.signature(self._path)
        if not now:
            return None
        if self._seen is not None and self._seen[0] == now:
            return self._seen[1]

        def work(opened: DuckDBPyConnection) -> tuple[type_of_signature, reading.type_of_held]:
            return opening.signature(self._path), reading.held(opened)

        self._seen = opening.read(self._path, work, wait_seconds=self._wait_seconds)
        return self._seen[1]

    def _compare(self, catalog: Catalog, ignore: Sequence[str]) -> tuple[Delta, Moved]:
        with collector_paused():
            if not opening.signature(self._path):
                return comparing.compare_first(catalog, ignore)
            return opening.read(
                self._path,
                lambda opened: comparing.compare(opened, catalog, ignore),
                wait_seconds=self._wait_seconds,
            )

    def _replay(self, log: Iterable[tuple[SnapshotNumber, Delta]]) -> None:
        before = opening.signature(self._path)

        def work(opened: DuckDBPyConnection) -> reading.type_of_held:
            with collector_paused():
                replaying.replay(opened, log)
            return reading.held(opened)

        held, after = opening.write(self._path, work, wait_seconds=self._wait_seconds)
        self._seen = after, held
        if self._blamed is not None and self._blamed.signature == before:
            # What is wrong with it still is.
            self._blamed.signature = after

    def _forget(self, oldest: SnapshotNumber) -> None:
        held = self._held()
        if held is not None and held[0] < oldest:
            filing.forget(self._path, oldest, wait_seconds=self._wait_seconds)

    async def _read(self, work: Callable[[DuckDBPyConnection], T]) -> T:
        return await self._run(
            lambda: opening.read(self._path, work, wait_seconds=self._wait_seconds)
        )

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        except BlamedError as error:
            self._blamed = error
            raise
