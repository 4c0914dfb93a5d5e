"""The ledger itself: functions run in transactions, in worker threads."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection, Engine

from amxwatch.core.errors import StoreBusyError
from amxwatch.ports.clock import Clock
from amxwatch.ports.ledger import Tx
from amxwatch.stores.ledger.connection import READERS, transaction
from amxwatch.stores.ledger.drafts import SqlDrafts
from amxwatch.stores.ledger.events import SqlEvents
from amxwatch.stores.ledger.installation import SqlInstallation
from amxwatch.stores.ledger.objects import SqlObjects
from amxwatch.stores.ledger.runs import SqlRuns
from amxwatch.stores.ledger.schedules import SqlSchedules
from amxwatch.stores.ledger.snapshots import SqlSnapshots
from amxwatch.stores.ledger.sources import SqlSources
from amxwatch.stores.ledger.steps import SqlSteps

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
"""How long a transaction is tried again while other processes write."""

PAUSE_SECONDS = (0.001, 0.008)
"""Between two tries, drawn evenly: with growing pauses the one that waits longest would lose."""


class SqlTx:
    """Implements `ports.ledger.Tx` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @cached_property
    def runs(self) -> SqlRuns:
        return SqlRuns(self._connection)

    @cached_property
    def steps(self) -> SqlSteps:
        return SqlSteps(self._connection, self.runs)

    @cached_property
    def schedules(self) -> SqlSchedules:
        return SqlSchedules(self._connection)

    @cached_property
    def snapshots(self) -> SqlSnapshots:
        return SqlSnapshots(self._connection)

    @cached_property
    def objects(self) -> SqlObjects:
        return SqlObjects(self._connection)

    @cached_property
    def drafts(self) -> SqlDrafts:
        return SqlDrafts(self._connection, self.objects, self.events)

    @cached_property
    def events(self) -> SqlEvents:
        return SqlEvents(self._connection)

    @cached_property
    def sources(self) -> SqlSources:
        return SqlSources(self._connection)

    @cached_property
    def installation(self) -> SqlInstallation:
        return SqlInstallation(self._connection)


class SqlLedger:
    """Implements `ports.ledger.Ledger`. Writers of this process take turns, first come first."""

    def __init__(self, engine: Engine, *, path: Path, clock: Clock) -> None:
        self._engine = engine
        self._path = path
        self._clock = clock
        self._turn = anyio.Lock()
        self._threads = anyio.CapacityLimiter(READERS + 1)
        self._readers = anyio.Semaphore(READERS)

    async def write(self, work: Callable[[Tx], T]) -> T:
        async with self._turn:
            return await self._patiently(work, writes=True)

    async def read(self, work: Callable[[Tx], T]) -> T:
        # Readers leave one thread and one connection for the writer.
        async with self._readers:
            return await self._patiently(work, writes=False)

    async def aclose(self) -> None:
        """Close every connection. May be called twice."""
        await anyio.to_thread.run_sync(self._engine.dispose, limiter=self._threads)

    async def _patiently(self, work: Callable[[Tx], T], *, writes: bool) -> T:
        until = self._clock.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return await anyio.to_thread.run_sync(
                    self._once, work, writes, limiter=self._threads
                )
            except StoreBusyError:
                if self._clock.monotonic() >= until:
                    raise
            await self._clock.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 no secret

    def _once(self, work: Callable[[Tx], T], writes: bool) -> T:
        with transaction(self._engine, self._path, writes=writes) as connection:
            return work(SqlTx(connection))
