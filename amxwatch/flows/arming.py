"""Give a schedule its runtime state: at first sight, and again when it is to count from now on.

A clock schedule that was edited, enabled again or resumed never fires a tick of its past. A
change schedule keeps its watermark through all of it, so that nothing that moved is forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.schedule import ScheduleState
from amxwatch.flows.firing import Firing
from amxwatch.ports.ledger import Ledger, Tx
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import At, CatalogChange, Files

FIRST_SEEN = "first seen"
EDITED = "edited"
ENABLED = "re-enabled"
RESUMED = "resumed"
SET_BACK = "the clock was set back"

TOLERANCE = timedelta(minutes=1)
"""What was handled so far in the future was handled by a clock that has been set back since.

Less than that is two processes that looked at the clock one after the other.
"""


@dataclass(frozen=True, kw_only=True)
class Arming:
    """A schedule's state; `reason` says why it was armed just now, None where it was not."""

    state: ScheduleState
    reason: str | None = None


async def armed(firing: Firing, *, files_mark: str | None) -> ScheduleState | None:
    """Return the schedule's state, armed; None while a change schedule has no snapshot."""
    name = firing.schedule.name
    known = await firing.source.ledger.read(lambda tx: tx.schedules.get(name))
    arming = await arm(firing, known, files_mark=files_mark)
    return None if arming is None else arming.state


async def arm(
    firing: Firing, known: ScheduleState | None, *, files_mark: str | None
) -> Arming | None:
    """Arm the schedule where that is due: at first sight, after an edit, when enabled again.

    `known` is its state as it was read. None while a change schedule has no snapshot to start
    from.
    """
    plan = firing.schedule
    if known is not None and is_armed(known, plan, firing.now):
        return Arming(state=known)
    newest = await firing.source.newest()
    number = newest.number if newest else None
    if known is None and number is None and isinstance(plan.trigger, CatalogChange):
        return None

    def work(tx: Tx) -> Arming:
        state = tx.schedules.get(plan.name)
        if state is None:
            first = _first(plan, firing.now, files_mark=files_mark, newest=number)
            return _put(tx, first, firing.now, FIRST_SEEN)
        seen, reason = _seen(state, plan, firing.now, number)
        if reason == EDITED and isinstance(plan.trigger, Files):
            seen = replace(seen, files_mark=files_mark)
        return _put(tx, seen, firing.now, reason, before=state)

    return await firing.source.ledger.write(work)


def _put(
    tx: Tx,
    state: ScheduleState,
    now: datetime,
    reason: str | None,
    *,
    before: ScheduleState | None = None,
) -> Arming:
    if state != before:
        tx.schedules.put(state)
    if reason is not None:
        tell_armed(tx, state, now, reason=reason, before=before)
    return Arming(state=state, reason=reason)


def tell_armed(
    tx: Tx, state: ScheduleState, now: datetime, *, reason: str, before: ScheduleState | None
) -> None:
    """Say in the trail that a schedule counts from now on, and which firing that leaves behind."""
    tx.events.add("schedule_armed", at=now, schedule=state.name, reason=reason)
    missed = state.missed_due_at
    if missed is not None and (before is None or missed != before.missed_due_at):
        tx.events.add(
            "schedule_missed", at=now, schedule=state.name, due_at=missed.isoformat(), count=1
        )


async def arm_new(
    ledger: Ledger, plans: Sequence[Schedule], now: datetime
) -> dict[str, ScheduleState]:
    """Arm those of many schedules that were never seen, in one transaction.

    Not for those that watch files, or that wait for a first snapshot. Returns the states of all
    of them, as they stand then.
    """

    def work(tx: Tx) -> dict[str, ScheduleState]:
        known = tx.schedules.some(plan.name for plan in plans)
        profiles = {plan.db_profile for plan in plans}
        records = {name: tx.snapshots.latest(name) for name in profiles}
        newest = {name: record.number for name, record in records.items() if record is not None}
        new = {
            plan.name: _first(plan, now, files_mark=None, newest=newest.get(plan.db_profile))
            for plan in plans
            if plan.name not in known
        }
        tx.schedules.put(*new.values())
        tx.events.add_each("schedule_armed", new, at=now, reason=FIRST_SEEN)
        return {**known, **new}

    return await ledger.write(work)


def _first(
    plan: Schedule, now: datetime, *, files_mark: str | None, newest: SnapshotNumber | None
) -> ScheduleState:
    initial = isinstance(plan.trigger, CatalogChange) and plan.trigger.initial_run
    return ScheduleState(
        name=plan.name,
        armed_at=now,
        trigger_hash=plan.armed_mark,
        scope=plan.scope,
        watermark=None if initial else newest,
        files_mark=files_mark,
        enabled=plan.enabled,
    )


def is_armed(state: ScheduleState, plan: Schedule, now: datetime) -> bool:
    """Say whether a look at this moment would leave the state as it is."""
    return state == _seen(state, plan, now, None)[0]


def _seen(
    state: ScheduleState, plan: Schedule, now: datetime, newest: SnapshotNumber | None
) -> tuple[ScheduleState, str | None]:
    """Return the state as this look leaves it, and why it was armed anew, if it was."""
    scoped = _rescoped(state, plan.scope, newest)
    if scoped.trigger_hash != plan.armed_mark:
        again = replace(rearmed(scoped, plan, now), cancelled=False)
        if scoped.trigger_hash.rpartition("\n")[2] != plan.db_profile:
            again = _elsewhere(again, plan, newest)
        return again, EDITED
    if plan.enabled and not scoped.enabled:
        return rearmed(scoped, plan, now), ENABLED
    steady = replace(scoped, enabled=plan.enabled)
    return _by_this_clock(steady, plan, now)


def rearmed(state: ScheduleState, plan: Schedule, now: datetime) -> ScheduleState:
    """Return the state of a schedule that counts from now on.

    A one-shot whose time passed meanwhile is missed, and a person decides; one that has fired
    stays spent until it is given another time.
    """
    edited = state.trigger_hash != plan.armed_mark
    again = replace(
        state,
        armed_at=now,
        trigger_hash=plan.armed_mark,
        enabled=plan.enabled,
        last_due_at=None,
        missed_due_at=None if edited else state.missed_due_at,
        settle_mark=None,
        settle_since=None,
        settle_first=None,
    )
    if not isinstance(plan.trigger, At):
        return again
    if state.last_due_at is not None and not edited:
        return replace(again, last_due_at=state.last_due_at)
    due = plan.trigger.instant
    return again if due > now else replace(again, last_due_at=due, missed_due_at=due)


def _by_this_clock(
    state: ScheduleState, plan: Schedule, now: datetime
) -> tuple[ScheduleState, str | None]:
    """Bring back what lies in the future: the clock that wrote it was ahead of this one.

    Due times come again then; those that were fired are known by their unique keys, and the
    others were never fired.
    """
    late = now + TOLERANCE
    if state.armed_at > late:
        return rearmed(replace(state, last_due_at=None, missed_due_at=None), plan, now), SET_BACK
    moments = (state.last_due_at, state.last_change_run_at, state.missed_due_at)
    if not any(moment is not None and moment > late for moment in moments):
        return state, None
    missed = state.missed_due_at
    return (
        replace(
            state,
            last_due_at=_not_after(state.last_due_at, now),
            last_change_run_at=_not_after(state.last_change_run_at, now),
            missed_due_at=None if missed is not None and missed > late else missed,
        ),
        SET_BACK,
    )


def _not_after(moment: datetime | None, now: datetime) -> datetime | None:
    return None if moment is None else min(moment, now)


def _elsewhere(
    state: ScheduleState, plan: Schedule, newest: SnapshotNumber | None
) -> ScheduleState:
    """Another db profile has another log of snapshots: start from its newest one."""
    initial = isinstance(plan.trigger, CatalogChange) and plan.trigger.initial_run
    start = None if initial else newest
    return replace(state, watermark=start, former_scope=None, scope_since=None)


def _rescoped(state: ScheduleState, scope: str, newest: SnapshotNumber | None) -> ScheduleState:
    if state.scope == scope:
        return state
    return replace(
        state,
        scope=scope,
        former_scope=state.former_scope or state.scope,
        scope_since=newest if state.former_scope is None else state.scope_since,
    )
