"""The engine of one machine: any number of processes claim straight from the ledger."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import anyio
from anyio.abc import TaskGroup

from amxwatch.core.errors import StoreError
from amxwatch.core.run import Run, RunId, RunStatus, Slots
from amxwatch.engines.execute import TOGETHER, Ended, Executor, Settled
from amxwatch.engines.owner import Owner
from amxwatch.engines.recover import recover
from amxwatch.ports.clock import Clock
from amxwatch.ports.engine import Handler
from amxwatch.ports.ledger import Ledger, RunFilter, Tx

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0

PATIENCE = timedelta(minutes=2)
"""How long `work_one` waits for a run that was put off; longer ones are left to the queue."""


class LocalEngine:
    """Implements `ports.engine.Engine`. Looks at the queue when woken, else once a poll.

    A poll also gives back what dead workers left, so that a slot is never held for ever; who is
    woken claims at once.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        clock: Clock,
        owner: Owner,
        settled: Settled | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._owner = owner
        self._settled = settled
        self._poll_seconds = poll_seconds
        self._pause = partial(clock.sleep, poll_seconds)
        self._executor = Executor(ledger=ledger, clock=clock, owner=owner.name, settled=settled)
        self._woken = anyio.Event()
        self._is_told = False
        """Whether somebody said that there is something to claim."""
        self._stopping = False
        self._held: dict[RunId, anyio.CancelScope] = {}
        self.on_ended: Callable[[Run], None] | None = None
        """Called after each run that this engine executed has ended or was given back."""
        self._services: set[anyio.Event] = set()

    async def work(self, handler: Handler, slots: Callable[[], Slots]) -> None:
        with self._serving():
            async with anyio.create_task_group() as group:
                next_poll = self._clock.monotonic()
                while not self._stopping:
                    woken = self._look()
                    polling = self._clock.monotonic() >= next_poll
                    if polling:
                        next_poll = self._clock.monotonic() + self._poll_seconds
                    if polling or self._is_told:
                        await self._claim_all(group, handler, slots, polling=polling)
                    pause = next_poll - self._clock.monotonic()
                    await _first_of(woken.wait, partial(self._clock.sleep, pause))

    async def work_one(self, run_id: RunId, handler: Handler, slots: Callable[[], Slots]) -> Run:
        with self._serving():
            while True:
                woken = self._look()
                run = await self._ledger.read(lambda tx: tx.runs.get(run_id))
                if self._stopping or run.status not in {RunStatus.QUEUED, RunStatus.RUNNING}:
                    return run
                if run.is_put_off(self._clock.now(), PATIENCE):
                    return run
                await self.recover()
                claimed = await self._executor.claim(slots(), only=run_id)
                if claimed is None:
                    await _first_of(woken.wait, self._pause)
                else:
                    self._hold(claimed)
                    await self._execute(claimed, handler)
                    self.wake()  # its slot is free

    async def recover(self) -> list[Run]:
        """Give back what dead workers left, now; `work` does this at every poll."""
        return await recover(
            self._ledger,
            self._clock,
            is_dead=self._owner.is_dead,
            held=self._held.keys(),
            settled=self._settled,
        )

    @property
    def is_idle(self) -> bool:
        """Claim that no run is executed here just now."""
        return not self._held

    def wake(self) -> None:
        """Say that something was queued."""
        self._is_told = True
        self._woken.set()

    async def stop(self, within_seconds: float) -> None:
        """Let runs finish within that time, then release them; returns when all have ended."""
        self._stopping = True
        self.wake()
        await _first_of(self._all_ended, partial(self._clock.sleep, within_seconds))
        for scope in self._held.values():
            scope.cancel()
        await self._all_ended()

    async def _claim_all(
        self, group: TaskGroup, handler: Handler, slots: Callable[[], Slots], *, polling: bool
    ) -> None:
        """Start every run that may start now, as soon as they are claimed."""
        try:
            told, self._is_told = self._is_told, False
            if polling:
                await self.recover()
                if not told and not await self._ledger.recall("queued", _has_queued):
                    return
            while not self._stopping:
                runs = await self._executor.claim_all(slots())
                self._start(runs, group, handler, slots)
                if len(runs) < TOGETHER:
                    return
        except StoreError as error:  # busy, or a full disk: the next look tries again
            log.warning(str(error), extra={"action": "store_failed"})

    def _hold(self, run: Run) -> None:
        # Before its task starts, so that a stop in between reaches it.
        self._held[run.id] = anyio.CancelScope()

    def _start(
        self, runs: Iterable[Run], group: TaskGroup, handler: Handler, slots: Callable[[], Slots]
    ) -> None:
        for run in runs:
            self._hold(run)
            if self._stopping:  # claimed with the end of another run: it goes back at once
                self._held[run.id].cancel()
            group.start_soon(self._execute_on, run, group, handler, slots)

    async def _execute_on(
        self, run: Run, group: TaskGroup, handler: Handler, slots: Callable[[], Slots]
    ) -> None:
        """Execute a run, and start what was claimed with its end."""
        ended = await self._execute(run, handler, lambda: None if self._stopping else slots())
        if ended is None or ended.claimed is None:
            self.wake()
        else:
            self._start(ended.claimed, group, handler, slots)

    async def _execute(
        self, run: Run, handler: Handler, slots: Callable[[], Slots | None] = lambda: None
    ) -> Ended | None:
        """Execute a run that we hold. None where it was released, or could not be settled."""
        scope = self._held[run.id]
        with scope:
            try:
                ended = await self._executor.execute_on(run, handler, lambda: self._stopping, slots)
                if self.on_ended is not None:
                    self.on_ended(ended.run)
            except (StoreError, TimeoutError):
                # It stays `running` until its lease is over, and is recovered then.
                log.exception(
                    "a run could not be settled",
                    extra={"action": "run_unsettled", "run_id": run.id},
                )
            else:
                return ended
            finally:
                if self._held.get(run.id) is scope:  # else we hold it again, by a later claim
                    del self._held[run.id]
                self._woken.set()
        return None

    def _look(self) -> anyio.Event:
        """Return the event that says that something was queued from now on."""
        if self._woken.is_set():
            self._woken = anyio.Event()
        return self._woken

    @contextmanager
    def _serving(self) -> Iterator[None]:
        ended = anyio.Event()
        self._services.add(ended)
        try:
            yield
        finally:
            self._services.discard(ended)
            ended.set()

    async def _all_ended(self) -> None:
        for ended in tuple(self._services):
            await ended.wait()


def _has_queued(tx: Tx) -> bool:
    """Say whether a look is worth a transaction that writes; mostly it is not."""
    return bool(tx.runs.list(RunFilter(statuses=frozenset({RunStatus.QUEUED}), limit=1)))


async def _first_of(*waits: Callable[[], Awaitable[None]]) -> None:
    """Wait until one of them is over, and give the others up."""
    async with anyio.create_task_group() as group:

        async def wait(one: Callable[[], Awaitable[None]]) -> None:
            await one()
            group.cancel_scope.cancel()

        for one in waits:
            group.start_soon(wait, one)
