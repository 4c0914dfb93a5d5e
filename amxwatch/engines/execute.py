"""Executing one claimed run: lease, fence, steps, time limit, settling. Shared by all engines."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import anyio

from amxwatch.core.errors import FencedError, StoreError
from amxwatch.core.run import Run, RunId, RunStatus, Slots
from amxwatch.engines import ending as endings
from amxwatch.engines.ending import Ending
from amxwatch.engines.held import HeldRun
from amxwatch.engines.trail import record, record_ending, record_lost
from amxwatch.ports.clock import Clock
from amxwatch.ports.engine import Handler
from amxwatch.ports.ledger import Ledger, Tx

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
RENEW_SECONDS = 10.0

TOGETHER = 16
"""How many runs are claimed in one transaction at most: other processes want to write too."""

SETTLE_SECONDS = 35.0
"""Longer than the ledger's own patience."""

RELEASE_SECONDS = 3.0
"""A worker that leaves has 5 seconds in all; a run that is not given back is recovered."""

Settled = Callable[[Tx, Run], None]
"""Called in the transaction that claims or settles a run, so that its schedule moves with it.

Not for a release or a recovery: such a run goes on.
"""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run as it stands after its end, and what was claimed with that; None: nothing was asked."""

    run: Run
    claimed: list[Run] | None


@dataclass(frozen=True, kw_only=True)
class Executor:
    """Claims and executes runs in the name of `owner`."""

    ledger: Ledger
    clock: Clock
    owner: str
    settled: Settled | None = None

    async def claim(self, slots: Slots, only: RunId | None = None) -> Run | None:
        """Take the first run that may start now."""
        return await self.ledger.write(lambda tx: self._claim(tx, slots, only))

    async def claim_all(self, slots: Slots) -> list[Run]:
        """Take the runs that may start now, as many as there are slots for, in one transaction."""
        return await self.ledger.write(lambda tx: self._claim_all(tx, slots))

    def _claim_all(self, tx: Tx, slots: Slots) -> list[Run]:
        taken: list[Run] = []
        while len(taken) < TOGETHER and (run := self._claim(tx, slots, None)) is not None:
            taken.append(run)
        return taken

    def _claim(self, tx: Tx, slots: Slots, only: RunId | None) -> Run | None:
        now = self.clock.now()
        run = tx.runs.claim(now=now, owner=self.owner, lease=LEASE, slots=slots, only=only)
        if run is not None:
            record(tx, run, "run_started", now, attempt=run.attempt)
            if self.settled is not None:
                self.settled(tx, run)
        return run

    async def execute(self, run: Run, handler: Handler, stopping: Callable[[], bool]) -> Run:
        """Execute a claimed run to its settlement and return it as it stands then.

        On cancellation the run is released to the queue. Raises: StoreError where it could not
        be settled; it is recovered once its lease is over.
        """
        return (await self.execute_on(run, handler, stopping, lambda: None)).run

    async def execute_on(
        self,
        run: Run,
        handler: Handler,
        stopping: Callable[[], bool],
        slots: Callable[[], Slots | None],
    ) -> Ended:
        """Do the same, and claim what may start now in the transaction that settles the run.

        Nothing is claimed where `slots` returns None by then.
        """
        held = HeldRun(run, ledger=self.ledger, clock=self.clock, stopping=stopping)
        try:
            ended = await self._run_under_lease(held, handler)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(RELEASE_SECONDS, shield=True):
                await self._settle(held, endings.released(), None)
            raise
        with anyio.fail_after(SETTLE_SECONDS, shield=True):
            return await self._settle(held, ended, slots())

    async def _run_under_lease(self, held: HeldRun, handler: Handler) -> Ending | None:
        guard = _Guard(self, held)
        async with anyio.create_task_group() as group:
            group.start_soon(guard.renew)
            if held.run.timeout_seconds is not None:
                group.start_soon(guard.expire, held.run.timeout_seconds)
            with guard.scope:
                guard.verdict = await self._ending(held, handler)
            group.cancel_scope.cancel()
        return guard.verdict

    async def _ending(self, held: HeldRun, handler: Handler) -> Ending | None:
        try:
            held.start()
            outcome = await handler(held)
        # A handler may fail in any way; whatever it is ends this run and no other.
        except Exception as error:  # noqa: BLE001
            return endings.of_error(error, held.run, self.clock.now())
        return endings.completed(outcome, self.clock.now())

    async def _settle(self, held: HeldRun, ended: Ending | None, slots: Slots | None) -> Ended:
        def work(tx: Tx) -> Ended:
            assert ended is not None
            run = self._write_ending(tx, held, ended)
            return Ended(run=run, claimed=self._claim_all(tx, slots) if slots else None)

        try:
            if ended is not None:
                return await self.ledger.write(work)
        except FencedError:
            pass
        log.warning(
            "a run was taken over by another worker; what this one had is dropped",
            extra={"action": "run_fenced", "run_id": held.run.id},
        )
        run = await self.ledger.read(lambda tx: tx.runs.get(held.run.id))
        return Ended(run=run, claimed=None)

    def _write_ending(self, tx: Tx, held: HeldRun, ended: Ending) -> Run:
        now, run = self.clock.now(), held.run
        if held.has_asked:
            record_lost(tx, run, now)
        moved = tx.runs.move(run.id, ended.event, token=run.token, **ended.values)
        record_ending(tx, moved, ended, now)
        if self.settled is not None and moved.status is not RunStatus.QUEUED:
            self.settled(tx, moved)
        return moved


class _Guard:
    """Watches over a run beside its handler: renews the lease, and ends the run from outside."""

    def __init__(self, executor: Executor, held: HeldRun) -> None:
        self._clock = executor.clock
        self._held = held
        self.scope = anyio.CancelScope()
        self.verdict: Ending | None = None

    async def renew(self) -> None:
        asked = False
        while True:
            await self._clock.sleep(RENEW_SECONDS)
            try:
                await self._held.update(lease_until=self._clock.now() + LEASE)
            except FencedError:
                return self._end(None)
            except StoreError:  # the lease is long enough for two more tries
                log.warning("a lease could not be renewed", extra={"action": "lease_not_renewed"})
            # A handler sees the wish at its next step and leaves in order; it has one turn to.
            if asked:
                return self._end(endings.cancelled(self._clock.now()))
            asked = self._held.run.cancel_requested

    async def expire(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._end(endings.timed_out(self._held.run, self._clock.now()))

    def _end(self, verdict: Ending | None) -> None:
        self.verdict = verdict
        self.scope.cancel()
