"""The queue against a model in plain Python: whatever is done to both, both say the same."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from amxwatch.clocks.system import SystemClock
from amxwatch.core.errors import AmxwatchError, FencedError, NotFoundError, TransitionError
from amxwatch.core.run import (
    OPEN,
    TRANSITIONS,
    Run,
    RunEvent,
    RunId,
    RunStatus,
    RunTrigger,
    Slots,
)
from amxwatch.ports.ledger import RunFilter, Tx
from tests.contracts.ledgers import LEASE, NOW, a_run, new_ledger

BY_CHANGE = {RunTrigger.CHANGE, RunTrigger.FILES}
RUNNING = RunStatus.RUNNING


class Model:
    """What the port's docstrings say, as simply as it can be said."""

    def __init__(self) -> None:
        self.runs: dict[RunId, Run] = {}

    def put(self, run: Run) -> bool:
        keys = {other.unique_key for other in self.runs.values()} - {None}
        if run.unique_key in keys or self._is_second(run):
            return False
        self.runs[run.id] = run
        return True

    def _is_second(self, run: Run) -> bool:
        return any(
            {run.trigger, other.trigger} <= BY_CHANGE
            and None is not run.schedule == other.schedule
            and other.status in OPEN
            for other in self.runs.values()
        )

    def claim(self, now: datetime, owner: str, slots: Slots, only: RunId | None) -> Run | None:
        running = [run for run in self.runs.values() if run.status is RUNNING]

        def fits(run: Run) -> bool:
            profile = slots.profiles.get(run.db_profile, slots.each_profile)
            schedule = slots.schedules.get(run.schedule or "", slots.each_schedule)
            return (
                run.status is RunStatus.QUEUED
                and run.not_before <= now
                and run.reserved_for in {None, owner}
                and only in {None, run.id}
                and len(running) < slots.total
                and sum(r.db_profile == run.db_profile for r in running) < profile
                and (
                    run.schedule is None
                    or sum(r.schedule == run.schedule for r in running) < schedule
                )
            )

        ready = [run for run in self.runs.values() if fits(run)]
        if not ready:
            return None
        first = min(ready, key=lambda run: (-run.priority, run.queued_at, run.id))
        return self._set(
            first,
            status=RUNNING,
            token=first.token + 1,
            attempt=first.attempt + 1,
            owner=owner,
            lease_until=now + LEASE,
            started_at=first.started_at or now,
            error=None,
        )

    def held(self, run_id: RunId, token: int) -> Run:
        run = self.get(run_id)
        if run.token != token or run.status is not RUNNING:
            raise FencedError
        return run

    def move(self, run_id: RunId, event: RunEvent, token: int | None, error: str) -> Run:
        run = self.get(run_id) if token is None else self.held(run_id, token)
        status = TRANSITIONS.get((run.status, event))
        if status is None or event is RunEvent.CLAIM:
            raise TransitionError
        if run.status not in OPEN and status in OPEN and self._is_second(run):
            raise TransitionError
        return self._set(run, status=status, error=error, owner=None, lease_until=None)

    def update(self, run_id: RunId, token: int, objects: int) -> None:
        self._set(self.held(run_id, token), objects=objects)

    def get(self, run_id: RunId) -> Run:
        if run_id not in self.runs:
            raise NotFoundError
        return self.runs[run_id]

    def _set(self, run: Run, **values: Any) -> Run:
        self.runs[run.id] = dataclasses.replace(run, **values)
        return self.runs[run.id]


names = st.sampled_from([RunId(f"run_{n}") for n in range(6)])
few = st.integers(0, 2)
owners = st.sampled_from(["a", "b"])


class Queue(RuleBasedStateMachine):
    """Does the same to a ledger and to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.portal_context = start_blocking_portal()
        self.portal = self.portal_context.__enter__()
        self.ledger = new_ledger(Path(self.folder.name) / "state.db", SystemClock())
        self.model = Model()
        self.now = NOW

    def teardown(self) -> None:
        self.portal.call(self.ledger.aclose)
        self.portal_context.__exit__(None, None, None)
        self.folder.cleanup()

    def same(self, real: Callable[[Tx], Any], model: Callable[[], Any]) -> None:
        assert told(lambda: self.portal.call(self.ledger.write, real)) == told(model)

    @rule(
        trigger=st.sampled_from([RunTrigger.CHANGE, RunTrigger.FILES, RunTrigger.MANUAL]),
        schedule=st.sampled_from([None, "s", "t"]),
        profile=st.sampled_from(["p", "q"]),
        key=st.sampled_from([None, None, "k1", "k2"]),
        priority=few,
        delay=few,
        reserved=st.none() | owners,
    )
    def put(
        self,
        trigger: RunTrigger,
        schedule: str | None,
        profile: str,
        key: str | None,
        priority: int,
        delay: int,
        reserved: str | None,
    ) -> None:
        run = a_run(
            f"run_{len(self.model.runs)}",
            trigger=trigger,
            schedule=schedule,
            db_profile=profile,
            unique_key=key,
            priority=priority,
            queued_at=self.now,
            not_before=self.now + timedelta(seconds=delay),
            reserved_for=reserved,
        )
        self.same(lambda tx: tx.runs.put(run), lambda: self.model.put(run))

    @rule(owner=owners, only=st.none() | names, total=few, profile=few, each=st.integers(1, 2))
    def claim(self, owner: str, only: RunId | None, total: int, profile: int, each: int) -> None:
        slots = Slots(
            total=total + 1,
            profiles={"p": profile},
            schedules={"s": 2},
            each_profile=each,
            each_schedule=each,
        )
        self.same(
            lambda tx: tx.runs.claim(
                now=self.now, owner=owner, lease=LEASE, slots=slots, only=only
            ),
            lambda: self.model.claim(self.now, owner, slots, only),
        )

    @rule(name=names, event=st.sampled_from(RunEvent), token=st.none() | st.integers(1, 3))
    def move(self, name: RunId, event: RunEvent, token: int | None) -> None:
        self.same(
            lambda tx: tx.runs.move(name, event, token=token, error="e"),
            lambda: self.model.move(name, event, token, "e"),
        )

    @rule(name=names, token=st.integers(1, 3), objects=few)
    def update(self, name: RunId, token: int, objects: int) -> None:
        self.same(
            lambda tx: tx.runs.update(name, token, objects=objects),
            lambda: self.model.update(name, token, objects),
        )

    @rule(seconds=st.integers(1, 2))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def both_hold_the_same(self) -> None:
        listed = self.portal.call(self.ledger.read, lambda tx: tx.runs.list(RunFilter()))
        assert listed == sorted(
            self.model.runs.values(), key=lambda run: (run.queued_at, run.id), reverse=True
        )


def told(work: Callable[[], Any]) -> Any:
    """Return what a call says: its value, or the kind of its error."""
    try:
        return work()
    except AmxwatchError as error:
        return type(error)


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
