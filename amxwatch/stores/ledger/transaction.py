"""The ledger itself: functions run in transactions, in worker threads."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from amxwatch.core.errors import StoreBusyError, StoreError
from amxwatch.ports.clock import Clock
from amxwatch.ports.ledger import Tx
from amxwatch.stores.ledger.alerts import SqlAlerts, SqlOutbox
from amxwatch.stores.ledger.answers import SqlAnswers
from amxwatch.stores.ledger.batches import SqlBatchJobs
from amxwatch.stores.ledger.connection import READERS, Writer, transaction
from amxwatch.stores.ledger.drafts import SqlDrafts
from amxwatch.stores.ledger.events import SqlEvents
from amxwatch.stores.ledger.history import SqlHistory
from amxwatch.stores.ledger.housekeeping import SqlHousekeeping
from amxwatch.stores.ledger.installation import SqlInstallation
from amxwatch.stores.ledger.intake import SqlGitRefs, SqlIntake
from amxwatch.stores.ledger.locks import SqlLocks
from amxwatch.stores.ledger.memory import SqlMemory
from amxwatch.stores.ledger.news import SqlNews
from amxwatch.stores.ledger.objects import SqlObjects
from amxwatch.stores.ledger.profiles import SqlProfiles
from amxwatch.stores.ledger.runs import SqlRuns
from amxwatch.stores.ledger.schedules import SqlSchedules
from amxwatch.stores.ledger.sessions import SqlSessions
from amxwatch.stores.ledger.snapshots import SqlSnapshotKeeping, SqlSnapshots
from amxwatch.stores.ledger.sources import SqlSources
from amxwatch.stores.ledger.steps import SqlSteps

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
"""How long a transaction is tried again while other processes write."""

PAUSE_SECONDS = (0.001, 0.008)
"""Between two tries, drawn evenly: with growing pauses the one that waits longest would lose."""

TOGETHER = 64
"""How many functions share one transaction at most: other processes want to write too."""


UNASKED = frozenset({"_connection", "_parts", "events", "installation"})
"""A transaction that touched no more than these (a heartbeat) moved nothing that is recalled."""


class SqlTx:
    """Implements `ports.ledger.Tx` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._parts: list[SqlTx] = []

    @contextmanager
    def part(self) -> Iterator[SqlTx]:
        """Yield a part of the transaction that falls by itself when the block raises."""
        self._parts.append(SqlTx(self._connection))
        self._connection.exec_driver_sql("SAVEPOINT part")
        try:
            yield self._parts[-1]
        except BaseException:
            self._connection.exec_driver_sql("ROLLBACK TO part")
            self._connection.exec_driver_sql("RELEASE part")
            raise
        self._connection.exec_driver_sql("RELEASE part")

    @property
    def is_news(self) -> bool:
        """Say whether more was touched than what nobody recalls."""
        return bool(vars(self).keys() - UNASKED) or any(part.is_news for part in self._parts)

    @cached_property
    def runs(self) -> SqlRuns:
        return SqlRuns(self._connection)

    @cached_property
    def steps(self) -> SqlSteps:
        return SqlSteps(self._connection, self.runs)

    @cached_property
    def batches(self) -> SqlBatchJobs:
        return SqlBatchJobs(self._connection)

    @cached_property
    def schedules(self) -> SqlSchedules:
        return SqlSchedules(self._connection)

    @cached_property
    def snapshots(self) -> SqlSnapshots:
        return SqlSnapshots(self._connection)

    @cached_property
    def keeping(self) -> SqlSnapshotKeeping:
        return SqlSnapshotKeeping(self._connection)

    @cached_property
    def objects(self) -> SqlObjects:
        return SqlObjects(self._connection)

    @cached_property
    def drafts(self) -> SqlDrafts:
        return SqlDrafts(self._connection, self.objects, self.events)

    @cached_property
    def answers(self) -> SqlAnswers:
        return SqlAnswers(self._connection)

    @cached_property
    def locks(self) -> SqlLocks:
        return SqlLocks(self._connection, self.objects)

    @cached_property
    def events(self) -> SqlEvents:
        return SqlEvents(self._connection)

    @cached_property
    def sources(self) -> SqlSources:
        return SqlSources(self._connection)

    @cached_property
    def intake(self) -> SqlIntake:
        return SqlIntake(self._connection)

    @cached_property
    def git_refs(self) -> SqlGitRefs:
        return SqlGitRefs(self._connection)

    @cached_property
    def history(self) -> SqlHistory:
        return SqlHistory(self._connection)

    @cached_property
    def alerts(self) -> SqlAlerts:
        return SqlAlerts(self._connection, self.outbox, self.schedules)

    @cached_property
    def outbox(self) -> SqlOutbox:
        return SqlOutbox(self._connection)

    @cached_property
    def sessions(self) -> SqlSessions:
        return SqlSessions(self._connection)

    @cached_property
    def memory(self) -> SqlMemory:
        return SqlMemory(self._connection, self.drafts)

    @cached_property
    def profiles(self) -> SqlProfiles:
        return SqlProfiles(self._connection)

    @cached_property
    def news(self) -> SqlNews:
        return SqlNews(self._connection)

    @cached_property
    def installation(self) -> SqlInstallation:
        return SqlInstallation(self._connection)

    @cached_property
    def housekeeping(self) -> SqlHousekeeping:
        return SqlHousekeeping(self._connection)


@dataclass(eq=False)
class _Wish:
    """One function that waits for a transaction; used as a block, it keeps what became of it."""

    work: Callable[[Tx], Any]
    is_done: bool = False
    result: Any = None
    error: Exception | None = None

    def __enter__(self) -> None:
        self.result = self.error = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> bool:
        """Keep what `work` raised for its caller; the driver's own errors end the transaction."""
        if not isinstance(error, Exception) or isinstance(error, DBAPIError):
            return False
        self.error = error
        return True


def _together(wishes: list[_Wish], tx: SqlTx) -> None:
    """Run each in a savepoint of its own."""
    for wish in wishes:
        with wish, tx.part() as part:
            wish.result = wish.work(part)


Stamp = tuple[int, int]
"""What others committed, and how often this process did: equal where nothing was written."""


class SqlLedger:
    """Implements `ports.ledger.Ledger`. Writers of this process take turns, first come first.

    Those that wait at the same time share one transaction, each in a savepoint of its own: the
    disk is waited for once. A function returns to its caller only when that is committed.
    """

    def __init__(self, engine: Engine, *, path: Path, clock: Clock) -> None:
        self._engine = engine
        self._path = path
        self._clock = clock
        self._writer = Writer(engine, path)
        self._written = 0
        self._recalled: dict[Hashable, Any] = {}
        self._recalled_at: Stamp | None = None
        self._turn = anyio.Lock()
        self._waiting: deque[_Wish] = deque()
        self._threads = anyio.CapacityLimiter(READERS + 1)
        self._readers = anyio.Semaphore(READERS)

    async def write(self, work: Callable[[Tx], T]) -> T:
        wish = _Wish(work)
        self._waiting.append(wish)
        try:
            async with self._turn:
                while not wish.is_done:
                    await self._serve()
        finally:
            if not wish.is_done:
                await self._withdraw(wish)
        if wish.error is not None:
            raise wish.error
        return wish.result  # type: ignore[no-any-return]  # what `work` returned

    async def _withdraw(self, wish: _Wish) -> None:
        """Leave nothing behind that would be written after its cancelled caller has gone."""
        if wish not in self._waiting:  # another task is writing it just now
            with anyio.CancelScope(shield=True):
                await self._turn.acquire()
                self._turn.release()
        if wish in self._waiting:
            self._waiting.remove(wish)

    async def _serve(self) -> None:
        """Run what waits, in one transaction."""
        taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER))]
        try:
            await self._run(taken)
        finally:
            # Where we were cancelled, the next in turn runs those that are not committed.
            self._waiting.extendleft(wish for wish in reversed(taken) if not wish.is_done)

    async def _run(self, taken: list[_Wish]) -> None:
        if len(taken) > 1:
            try:
                await self._patiently(partial(self._write, partial(_together, taken)))
            except StoreBusyError as error:
                for wish in taken:
                    wish.error = error
            except StoreError:
                # SQLite may have rolled back all of it: each for itself, so that one that
                # cannot be written does not take the others with it.
                return await self._run_each(taken)
            for wish in taken:
                wish.is_done = True
            return None
        return await self._run_each(taken)

    async def _run_each(self, taken: list[_Wish]) -> None:
        for wish in taken:
            with wish:
                wish.result = await self._patiently(partial(self._write, wish.work))
            wish.is_done = True

    async def read(self, work: Callable[[Tx], T]) -> T:
        # Readers leave one thread and one connection for the writer.
        async with self._readers:
            return await self._patiently(partial(self._read, work))

    async def recall(self, key: Hashable, work: Callable[[Tx], T]) -> T:
        known = await self._known()
        if key in known:
            return known[key]  # type: ignore[no-any-return]  # what `work` returned
        known[key] = value = await self.read(work)
        return value

    async def foresee(self, questions: Mapping[Hashable, Callable[[Tx], object]]) -> None:
        known = await self._known()
        asked = {key: work for key, work in questions.items() if key not in known}
        if asked:
            known |= await self.read(lambda tx: {key: work(tx) for key, work in asked.items()})

    async def _known(self) -> dict[Hashable, Any]:
        """Return what was read since the last commit; what is added later than another is lost."""
        stamp = await self._stamp()
        if stamp is None:
            return {}
        if stamp != self._recalled_at:
            self._recalled_at, self._recalled = stamp, {}
        return self._recalled

    async def _stamp(self) -> Stamp | None:
        """Return what moves with each commit that may matter; None where that cannot be told."""
        if self._turn.locked():  # the writer's connection is in use
            return None
        others = self._writer.others()
        if others is None:
            async with self._turn:
                await anyio.to_thread.run_sync(self._writer.open, limiter=self._threads)
            return None
        return others, self._written

    async def aclose(self) -> None:
        """Close every connection. May be called twice."""
        async with self._turn:
            await anyio.to_thread.run_sync(self._close, limiter=self._threads)

    def _close(self) -> None:
        self._writer.close()
        self._engine.dispose()

    async def _patiently(self, work: Callable[[], T]) -> T:
        until = self._clock.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return await anyio.to_thread.run_sync(work, limiter=self._threads)
            except StoreBusyError:
                if self._clock.monotonic() >= until:
                    raise
            await self._clock.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 no secret

    def _read(self, work: Callable[[SqlTx], T]) -> T:
        with transaction(self._engine, self._path, writes=False) as connection:
            return work(SqlTx(connection))

    def _write(self, work: Callable[[SqlTx], T]) -> T:
        with self._writer.transaction() as connection:
            tx = SqlTx(connection)
            try:
                return work(tx)
            finally:
                # Before the commit: whoever recalls after it finds another stamp.
                self._written += tx.is_news
