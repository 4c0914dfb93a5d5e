"""Clock triggers: what came due, whether it is late, and whether it still counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from amxwatch.core.run import Run, RunStatus, RunTrigger
from amxwatch.core.schedule import ScheduleState
from amxwatch.flows.firing import Dispatched, Firing, busy, put
from amxwatch.flows.pending import pending
from amxwatch.ports.ledger import Tx
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import ClockTrigger

FIRST_SEEN_LATE = timedelta(days=366)
"""How far back a one-shot may lie at first sight and still be shown as missed."""

MAX_CAUGHT_UP = 100
"""How many past firings `catch_up = "all"` queues at one look; the rest follow at the next."""


async def on_clock(
    firing: Firing, trigger: ClockTrigger, state: ScheduleState, open_run: Run | None
) -> Dispatched:
    """Fire what came due since the last firing, as far as `catch_up` lets it count."""
    plan, now = firing.schedule, firing.now
    since = state.last_due_at or _armed_since(trigger, state)
    newest = trigger.latest_due(since, now, armed_at=state.armed_at)
    if newest is None or newest + trigger.jitter_for(newest, plan.name) > now:
        return Dispatched(
            schedule=plan.name,
            action="missed" if state.missed_due_at else "idle",
            status="missed" if state.missed_due_at else "pending",
            look_at=_next_start(trigger, state, plan.name, newest or now),
        )
    if open_run is not None and plan.skip_if_running and plan.catch_up_policy == "all":
        return busy(open_run)  # nothing is passed over: it follows when the run has ended
    if open_run is not None and plan.skip_if_running:
        return await _passed_over(firing, state, newest, f"run {open_run.id} is still going on")
    wanted = _caught_up(plan, trigger, state, since, newest, now)
    if not wanted:
        return await _missed(firing, state, newest)
    if trigger.only_if_changed and not await _has_changed(firing, state):
        return await _passed_over(firing, state, newest, "nothing changed since the last run")
    return await _fire(firing, state, wanted)


def _armed_since(trigger: ClockTrigger, state: ScheduleState) -> datetime:
    """A one-shot whose time passed before it was first seen is late, not forgotten."""
    return state.armed_at if trigger.is_recurring else state.armed_at - FIRST_SEEN_LATE


def _next_start(
    trigger: ClockTrigger, state: ScheduleState, name: str, moment: datetime
) -> datetime | None:
    """Return when the first due time at or after `moment` starts, jitter included."""
    upcoming = trigger.next_after(moment - timedelta(microseconds=1), armed_at=state.armed_at)
    return None if upcoming is None else upcoming + trigger.jitter_for(upcoming, name)


def _caught_up(
    plan: Schedule,
    trigger: ClockTrigger,
    state: ScheduleState,
    since: datetime,
    newest: datetime,
    now: datetime,
) -> list[datetime]:
    """Return the due times to run now: on-time ones always, late ones by `catch_up`."""
    if plan.catch_up_policy == "all":
        return trigger.due_between(since, newest, armed_at=state.armed_at, limit=MAX_CAUGHT_UP)
    grace = timedelta(seconds=plan.grace_seconds)
    if plan.catch_up_policy == "once" or now - newest <= grace:
        return [newest]
    return []


async def _has_changed(firing: Firing, state: ScheduleState) -> bool:
    newest = await firing.source.newest()
    if newest is None or state.watermark is None:
        return True
    found = await pending(firing.source, state, scope=state.scope, kinds=None, end=newest.number)
    return found.mark is not None


async def _passed_over(
    firing: Firing, state: ScheduleState, due: datetime, reason: str
) -> Dispatched:
    def work(tx: Tx) -> None:
        current = tx.schedules.get(state.name) or state
        tx.schedules.put(replace(current, last_due_at=due, skip_reason=reason))

    await firing.source.ledger.write(work)
    return Dispatched(schedule=state.name, action="skip", status="pending", skip_reason=reason)


async def _missed(firing: Firing, state: ScheduleState, due: datetime) -> Dispatched:
    def work(tx: Tx) -> None:
        current = tx.schedules.get(state.name) or state
        tx.schedules.put(replace(current, last_due_at=due, missed_due_at=due))
        tx.events.add("schedule_missed", at=firing.now, schedule=state.name, due_at=due.isoformat())

    await firing.source.ledger.write(work)
    return Dispatched(schedule=state.name, action="missed", status="missed")


async def _fire(firing: Firing, state: ScheduleState, wanted: list[datetime]) -> Dispatched:
    runs = [
        firing.run(RunTrigger.SCHEDULE, due_at=due, unique_key=f"{state.name}:{due.isoformat()}")
        for due in wanted
    ]

    def work(tx: Tx) -> list[Run]:
        new = [run for run in runs if put(tx, run, firing.now)]
        current = tx.schedules.get(state.name) or state
        if new:
            current = replace(
                current,
                last_fired_at=firing.now,
                last_run_id=new[-1].id,
                last_run_status=RunStatus.QUEUED,
            )
        tx.schedules.put(
            replace(current, last_due_at=wanted[-1], missed_due_at=None, skip_reason=None)
        )
        return new

    made = await firing.source.ledger.write(work)
    if not made:
        return Dispatched(
            schedule=state.name, action="skip", skip_reason="this firing was already started"
        )
    return Dispatched(
        schedule=state.name, action="fire", run_id=made[-1].id, status=RunStatus.QUEUED
    )
