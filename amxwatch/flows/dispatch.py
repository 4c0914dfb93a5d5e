"""Decide for one schedule whether it fires now, and put its run.

Decisions are made by the triggers; this module reads what they need, and writes what they
decided in one transaction. Evaluating twice, or in two processes, fires once: a clock run has
the unique key `schedule:due`, a change schedule at most one open run.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.errors import NotFoundError
from amxwatch.core.retry import backoff
from amxwatch.core.run import Run, RunEvent, RunId, RunKind, RunStatus, RunTrigger
from amxwatch.core.schedule import ScheduleState
from amxwatch.flows.pending import Pending, pending
from amxwatch.flows.source import Source
from amxwatch.ports.ledger import RunFilter, Tx
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import CatalogChange, ClockTrigger, Files
from amxwatch.triggers.cadence import Action, decide

MAX_CAUGHT_UP = 100
"""How many past firings `catch_up = "all"` queues at one look; the rest follow at the next."""

MarkOf = Callable[[Files], str]
"""Digests the files that a trigger watches, as they are now."""


@dataclass(frozen=True, kw_only=True)
class Dispatched:
    """What one evaluation of one schedule came to. `look_at` is when to evaluate it again."""

    schedule: str
    action: str
    run_id: str | None = None
    status: str | None = None
    skip_reason: str | None = None
    blocked_category: str | None = None
    recovery_action: str | None = None
    look_at: datetime | None = None

    def document(self) -> dict[str, object]:
        """Return the fields that `run-due --json` and `daemon --json` print."""
        return {
            "schedule": self.schedule,
            "action": self.action,
            "run_id": self.run_id,
            "status": self.status,
            "skip_reason": self.skip_reason,
            "blocked_category": self.blocked_category,
            "recovery_action": self.recovery_action,
        }


def new_run_id(now: datetime) -> RunId:
    """Return a run id that sorts by time and that two processes do not both make."""
    return RunId(f"run_{now:%Y-%m-%d_%H-%M-%S}-{secrets.token_hex(3)}")


@dataclass(frozen=True, kw_only=True)
class Firing:
    """A schedule that is being evaluated at one moment."""

    schedule: Schedule
    source: Source
    llm_profile: str
    now: datetime

    def run(self, trigger: RunTrigger, **values: object) -> Run:
        """Return a queued run of this schedule."""
        plan = self.schedule
        fields: dict[str, object] = {
            "id": new_run_id(self.now),
            "kind": RunKind(plan.kind),
            "status": RunStatus.QUEUED,
            "trigger": trigger,
            "trigger_reason": plan.trigger_reason or f"schedule:{plan.name}",
            "db_profile": plan.db_profile,
            "llm_profile": self.llm_profile,
            "schedule": plan.name,
            "database": plan.database,
            "scope": str(plan.parsed_scope),
            "review_strategy": plan.review_strategy,
            "timeout_seconds": plan.timeout_seconds,
            "queued_at": self.now,
            "not_before": self.now,
        }
        return Run(**{**fields, **values})  # type: ignore[arg-type]  # names checked by Run itself


async def dispatch(firing: Firing, *, files_mark: str | None = None) -> Dispatched:
    """Evaluate one schedule. `files_mark` is the digest that a files trigger compares."""
    plan = firing.schedule
    state = await armed(firing, files_mark=files_mark)
    if state is None:
        return Dispatched(
            schedule=plan.name, action="wait", skip_reason=f"no snapshot of {plan.db_profile} yet"
        )
    if not plan.enabled or state.paused:
        return Dispatched(schedule=plan.name, action="paused", status="paused")
    if state.cancelled:
        return Dispatched(schedule=plan.name, action="cancelled", status="cancelled")
    open_run = await _open_run(firing)
    if open_run is not None and open_run.status is RunStatus.BLOCKED:
        return _blocked(open_run)
    if isinstance(plan.trigger, CatalogChange):
        return await _on_change(firing, plan.trigger, state, open_run)
    if isinstance(plan.trigger, Files):
        return await _on_files(firing, plan.trigger, state, open_run, files_mark or "")
    return await _on_clock(firing, plan.trigger, state, open_run)


async def armed(firing: Firing, *, files_mark: str | None) -> ScheduleState | None:
    """Return the schedule's state, armed: made at first sight, armed again after an edit.

    None while a change schedule has no snapshot to start from.
    """
    plan, now = firing.schedule, firing.now
    newest = await firing.source.newest()
    number = newest.number if newest else None
    on_change = isinstance(plan.trigger, CatalogChange)
    if on_change and number is None:
        return None
    scope = str(plan.parsed_scope)

    def work(tx: Tx) -> ScheduleState:
        state = tx.schedules.get(plan.name)
        if state is None:
            start = None if on_change and plan.trigger.initial_run else number  # type: ignore[union-attr]
            fresh = ScheduleState(
                name=plan.name,
                armed_at=now,
                trigger_hash=plan.trigger.hash(),
                scope=scope,
                watermark=start,
                files_mark=files_mark,
            )
            return _arm(tx, fresh, now, reason="first seen")
        edited = _rescoped(state, scope, number)
        if edited.trigger_hash != plan.trigger.hash():
            return _arm(tx, _rearmed(edited, plan, now, files_mark), now, reason="trigger edited")
        if edited != state:
            tx.schedules.put(edited)
        return edited

    known = await firing.source.ledger.read(lambda tx: tx.schedules.get(plan.name))
    if known is not None and known.scope == scope and known.trigger_hash == plan.trigger.hash():
        return known
    return await firing.source.ledger.write(work)


def _arm(tx: Tx, state: ScheduleState, now: datetime, *, reason: str) -> ScheduleState:
    tx.schedules.put(state)
    tx.events.add("schedule_armed", at=now, schedule=state.name, reason=reason)
    return state


def _rearmed(
    state: ScheduleState, plan: Schedule, now: datetime, files_mark: str | None
) -> ScheduleState:
    """An edited clock trigger never fires a tick of its past; a watermark stays as it is."""
    return replace(
        state,
        armed_at=now,
        trigger_hash=plan.trigger.hash(),
        last_due_at=None,
        missed_due_at=None,
        cancelled=False,
        files_mark=files_mark if isinstance(plan.trigger, Files) else state.files_mark,
        settle_mark=None,
        settle_since=None,
        settle_first=None,
    )


def _rescoped(
    state: ScheduleState, scope: str, newest: SnapshotNumber | None
) -> ScheduleState:
    if state.scope == scope:
        return state
    return replace(
        state,
        scope=scope,
        former_scope=state.former_scope or state.scope,
        scope_since=newest,
    )


async def _open_run(firing: Firing) -> Run | None:
    which = RunFilter(
        statuses=frozenset({RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.BLOCKED}),
        schedule=firing.schedule.name,
        limit=firing.schedule.max_concurrent + 1,
    )
    runs = await firing.source.ledger.read(lambda tx: tx.runs.list(which))
    blocked = [run for run in runs if run.status is RunStatus.BLOCKED]
    if blocked:
        return blocked[0]
    allowed = 1 if firing.schedule.skip_if_running else firing.schedule.max_concurrent
    return runs[0] if len(runs) >= allowed else None


def _blocked(run: Run) -> Dispatched:
    return Dispatched(
        schedule=run.schedule or "",
        action="blocked",
        run_id=run.id,
        status=run.status,
        blocked_category=run.failure_category,
        recovery_action=run.recovery_action,
    )


def _busy(run: Run) -> Dispatched:
    return Dispatched(
        schedule=run.schedule or "",
        action="skip",
        run_id=run.id,
        status=run.status,
        skip_reason=f"run {run.id} is {run.status}",
    )


# -- change and files ------------------------------------------------------------------------


async def _on_change(
    firing: Firing, trigger: CatalogChange, state: ScheduleState, open_run: Run | None
) -> Dispatched:
    newest = await firing.source.newest()
    if newest is None or (state.watermark == newest.number and state.settle_mark is None):
        return Dispatched(schedule=state.name, action="idle", status="pending")
    if open_run is not None:
        return _busy(open_run)
    found = await pending(
        firing.source, state, scope=state.scope, kinds=trigger.kinds, end=newest.number
    )
    return await _by_cadence(
        firing, state, found.mark, RunTrigger.CHANGE, trigger, found=found
    )


async def _on_files(
    firing: Firing, trigger: Files, state: ScheduleState, open_run: Run | None, mark: str
) -> Dispatched:
    moved = mark if mark != state.files_mark else None
    if moved is None and state.settle_mark is None:
        return Dispatched(schedule=state.name, action="idle", status="pending")
    if open_run is not None:
        return _busy(open_run)
    return await _by_cadence(firing, state, moved, RunTrigger.FILES, trigger)


async def _by_cadence(
    firing: Firing,
    state: ScheduleState,
    mark: str | None,
    run_trigger: RunTrigger,
    trigger: CatalogChange | Files,
    *,
    found: Pending | None = None,
) -> Dispatched:
    decision = decide(
        pending_mark=mark,
        state=state,
        now=firing.now,
        cadence_cap=timedelta(hours=trigger.cadence_cap_hours),
        settle=timedelta(seconds=trigger.settle_seconds),
        backoff_until=_backoff_until(state),
    )
    settling = replace(
        state,
        settle_mark=decision.settle_mark,
        settle_since=decision.settle_since,
        settle_first=decision.settle_first,
    )
    if decision.action is Action.FIRE:
        return await _fire(firing, settling, run_trigger, mark or "", found)
    if decision.action is Action.IDLE and found is not None:
        settling = _served(settling, found.end)
    await _keep(firing, state, settling, decision.reason if mark else None)
    return Dispatched(
        schedule=state.name,
        action="wait" if mark else "idle",
        status="pending",
        skip_reason=decision.reason if mark else None,
        look_at=decision.look_at,
    )


def _backoff_until(state: ScheduleState) -> datetime | None:
    if not state.consecutive_failures or state.last_change_run_at is None:
        return None
    return state.last_change_run_at + backoff(state.consecutive_failures, key=state.name)


def _served(state: ScheduleState, number: SnapshotNumber) -> ScheduleState:
    """Move the watermark, and forget a scope edit that it has passed."""
    return replace(
        state, watermark=number, former_scope=None, scope_since=None, skip_reason=None
    )


async def _keep(
    firing: Firing, old: ScheduleState, new: ScheduleState, reason: str | None
) -> None:
    """Store what changed, if anything did. A burst that is first seen is told once."""
    new = replace(new, skip_reason=reason)
    if new == old:
        return

    def work(tx: Tx) -> None:
        current = tx.schedules.get(old.name)
        if current != old:
            return  # another process was quicker; its word stands and we look again
        tx.schedules.put(new)
        if reason and old.settle_first is None:
            tx.events.add(
                "schedule_waiting", at=firing.now, schedule=old.name, reason=reason
            )
        if new.watermark != old.watermark:
            tx.events.add(
                "watermark_moved", at=firing.now, schedule=old.name, snapshot=new.watermark
            )

    await firing.source.ledger.write(work)


async def _fire(
    firing: Firing,
    state: ScheduleState,
    trigger: RunTrigger,
    mark: str,
    found: Pending | None,
) -> Dispatched:
    run = firing.run(trigger, from_snapshot=state.watermark)
    flood = found.flood if found else None

    def work(tx: Tx) -> Run | None:
        if not _put(tx, run, firing.now):
            return None
        current = tx.schedules.get(state.name) or state
        tx.schedules.put(
            replace(
                current,
                fired_mark=mark,
                last_fired_at=firing.now,
                last_change_run_at=firing.now,
                last_run_id=run.id,
                last_run_status=RunStatus.QUEUED,
                skip_reason=None,
                settle_mark=None,
                settle_since=None,
                settle_first=None,
            )
        )
        return _held_back(tx, run, flood, firing.now) if flood else run

    put = await firing.source.ledger.write(work)
    if put is None:
        return Dispatched(
            schedule=state.name, action="skip", skip_reason="another run is already open"
        )
    if put.status is RunStatus.BLOCKED:
        return _blocked(put)
    return Dispatched(schedule=state.name, action="fire", run_id=put.id, status=put.status)


def _held_back(tx: Tx, run: Run, why: str, now: datetime) -> Run:
    """A flood is a question: the run waits for a person before anything is drafted."""
    action = f"amxwatch unblock {run.id}"
    tx.events.add(
        "run_blocked",
        at=now,
        schedule=run.schedule,
        run_id=run.id,
        trigger=run.trigger,
        db_profile=run.db_profile,
        category="flood",
        reason=why,
        recovery_action=action,
    )
    return tx.runs.move(
        run.id,
        RunEvent.BLOCK,
        token=None,
        failure_category="flood",
        error=f"{why}: a restore, or the wrong database?",
        recovery_action=action,
    )


def _put(tx: Tx, run: Run, now: datetime) -> bool:
    if not tx.runs.put(run):
        return False
    tx.events.add(
        "run_queued",
        at=now,
        schedule=run.schedule,
        run_id=run.id,
        trigger=run.trigger,
        db_profile=run.db_profile,
        kind=run.kind,
    )
    return True


# -- clocks ----------------------------------------------------------------------------------


async def _on_clock(
    firing: Firing, trigger: ClockTrigger, state: ScheduleState, open_run: Run | None
) -> Dispatched:
    plan, now = firing.schedule, firing.now
    since = state.last_due_at or state.armed_at
    due = [
        moment
        for moment in trigger.due_between(
            since, now, armed_at=state.armed_at, limit=MAX_CAUGHT_UP
        )
        if moment + trigger.jitter_for(moment, plan.name) <= now
    ]
    if not due:
        return Dispatched(
            schedule=plan.name,
            action="missed" if state.missed_due_at else "idle",
            status="missed" if state.missed_due_at else "pending",
            look_at=_next_look(trigger, state, plan.name, since, now),
        )
    if open_run is not None and plan.skip_if_running:
        return await _passed_over(firing, state, due[-1], f"run {open_run.id} is still going on")
    wanted = _caught_up(plan, trigger, due, now)
    if not wanted:
        return await _missed(firing, state, due[-1])
    if trigger.only_if_changed and not await _has_changed(firing, state):
        return await _passed_over(firing, state, due[-1], "nothing changed since the last run")
    return await _fire_clock(firing, state, wanted, due[-1])


def _next_look(
    trigger: ClockTrigger, state: ScheduleState, name: str, since: datetime, now: datetime
) -> datetime | None:
    upcoming = trigger.next_after(since, armed_at=state.armed_at)
    if upcoming is None:
        return None
    return max(upcoming + trigger.jitter_for(upcoming, name), now)


def _caught_up(
    plan: Schedule, trigger: ClockTrigger, due: list[datetime], now: datetime
) -> list[datetime]:
    """Return the due times to run now: on-time ones always, late ones by `catch_up`."""
    grace = timedelta(seconds=plan.grace_seconds)
    policy = plan.catch_up or ("once" if trigger.is_recurring else "none")
    if policy == "all":
        return due
    if policy == "once" or now - due[-1] <= grace:
        return due[-1:]
    return []


async def _has_changed(firing: Firing, state: ScheduleState) -> bool:
    newest = await firing.source.newest()
    if newest is None or state.watermark is None:
        return True
    found = await pending(
        firing.source, state, scope=state.scope, kinds=None, end=newest.number
    )
    return found.mark is not None


async def _passed_over(
    firing: Firing, state: ScheduleState, due: datetime, reason: str
) -> Dispatched:
    await firing.source.ledger.write(
        lambda tx: tx.schedules.put(replace(state, last_due_at=due, skip_reason=reason))
    )
    return Dispatched(
        schedule=state.name, action="skip", status="pending", skip_reason=reason
    )


async def _missed(firing: Firing, state: ScheduleState, due: datetime) -> Dispatched:
    def work(tx: Tx) -> None:
        tx.schedules.put(replace(state, last_due_at=due, missed_due_at=due))
        tx.events.add(
            "schedule_missed", at=firing.now, schedule=state.name, due_at=due.isoformat()
        )

    await firing.source.ledger.write(work)
    return Dispatched(schedule=state.name, action="missed", status="missed")


async def _fire_clock(
    firing: Firing, state: ScheduleState, wanted: list[datetime], newest_due: datetime
) -> Dispatched:
    runs = [
        firing.run(
            RunTrigger.SCHEDULE, due_at=due, unique_key=f"{state.name}:{due.isoformat()}"
        )
        for due in wanted
    ]

    def work(tx: Tx) -> list[Run]:
        new = [run for run in runs if _put(tx, run, firing.now)]
        current = tx.schedules.get(state.name) or state
        if new:
            current = replace(
                current,
                last_fired_at=firing.now,
                last_run_id=new[-1].id,
                last_run_status=RunStatus.QUEUED,
            )
        tx.schedules.put(
            replace(current, last_due_at=newest_due, missed_due_at=None, skip_reason=None)
        )
        return new

    put = await firing.source.ledger.write(work)
    if not put:
        return Dispatched(
            schedule=state.name, action="skip", skip_reason="this firing was already started"
        )
    return Dispatched(
        schedule=state.name, action="fire", run_id=put[-1].id, status=RunStatus.QUEUED
    )


# -- after a run -----------------------------------------------------------------------------


def settled(tx: Tx, run: Run) -> None:
    """Move the schedule on, inside the transaction that settles its run.

    Only a completed run moves the watermark.
    """
    if run.schedule is None or run.is_open:
        return
    state = tx.schedules.get(run.schedule)
    if state is None:
        return
    completed = run.status is RunStatus.COMPLETED
    changed = replace(
        state,
        last_run_id=run.id,
        last_run_status=run.status,
        last_error=None if completed else run.error,
        runs=state.runs + 1,
        runs_completed=state.runs_completed + completed,
        consecutive_failures=_failures(state, run.status),
    )
    if run.trigger in (RunTrigger.CHANGE, RunTrigger.FILES) and run.started_at is not None:
        changed = replace(changed, last_change_run_at=run.started_at)
    if completed:
        changed = _passed(changed, run)
    tx.schedules.put(changed)


def _failures(state: ScheduleState, status: RunStatus) -> int:
    """A cancelled run is a person's decision, and no failure."""
    if status is RunStatus.COMPLETED:
        return 0
    return state.consecutive_failures + (status is RunStatus.FAILED)


def _passed(state: ScheduleState, run: Run) -> ScheduleState:
    if run.trigger is RunTrigger.FILES:
        state = replace(state, files_mark=state.fired_mark)
    if run.to_snapshot is None or (state.watermark or 0) >= run.to_snapshot:
        return state
    if run.trigger is RunTrigger.MANUAL:
        return state
    return _served(state, run.to_snapshot)


def require(state: ScheduleState | None, name: str) -> ScheduleState:
    """Return the state. Raises: NotFoundError."""
    if state is None:
        raise NotFoundError(
            f"schedule {name!r} was never armed; it is armed when a daemon or run-due sees it"
        )
    return state
