"""Clock triggers: what came due, whether it is late, and whether it still counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from amxwatch.core.run import OPEN, Run, RunStatus, RunTrigger
from amxwatch.core.schedule import ScheduleState
from amxwatch.flows.firing import Dispatched, Firing, blocked, busy, put
from amxwatch.flows.pending import pending
from amxwatch.flows.session_life import begin_due
from amxwatch.ports.ledger import RunFilter, Tx
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import ClockTrigger

FIRST_SEEN_LATE = timedelta(days=366)
"""How far back a one-shot may lie at first sight and still be shown as missed."""

MAX_CAUGHT_UP = 100
"""How many past firings `catch_up = "all"` queues at one look; the rest follow at the next."""

MAX_TOLD = 100
"""How many firings that were passed over between two looks get an event each."""

MAX_COUNTED = 1000
"""How many missed firings are counted; of more it is said that there were more."""


@dataclass(frozen=True, kw_only=True)
class Missed:
    """Firings that are too late to be run. `count` is the least number where `or_more`."""

    newest: datetime
    count: int
    or_more: bool = False


@dataclass(frozen=True, kw_only=True)
class Tick:
    """The clock side of one look: from where it counts, and the newest firing that may start.

    `look_at` is when the next one may.
    """

    trigger: ClockTrigger
    since: datetime
    newest: datetime | None
    look_at: datetime | None
    armed_at: datetime

    @property
    def most_jitter(self) -> float:
        """How many seconds after a due time its firing may start at the latest."""
        return getattr(self.trigger, "jitter_seconds", 0.0)

    def between(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        return self.trigger.due_between(after, until, armed_at=self.armed_at, limit=limit)


async def on_clock(
    firing: Firing, trigger: ClockTrigger, state: ScheduleState, open_run: Run | None
) -> Dispatched:
    """Fire what came due since the last firing, as far as `catch_up` lets it count."""
    tick = _tick(trigger, state, firing.schedule.name, firing.now)
    result = await _on_tick(firing, tick, state, open_run)
    return replace(result, look_at=tick.look_at)


def _tick(trigger: ClockTrigger, state: ScheduleState, name: str, now: datetime) -> Tick:
    since = counts_since(trigger, state)
    newest = _newest_started(trigger, state.armed_at, name, since, now)
    following = trigger.next_after(newest or since, armed_at=state.armed_at)
    return Tick(
        trigger=trigger,
        since=since,
        newest=newest,
        look_at=following and following + trigger.jitter_for(following, name),
        armed_at=state.armed_at,
    )


def counts_since(trigger: ClockTrigger, state: ScheduleState) -> datetime:
    """Return the moment after which a due time was neither fired, missed nor passed over.

    A one-shot whose time passed before it was first seen is late, not forgotten.
    """
    if state.last_due_at is not None:
        return state.last_due_at
    return state.armed_at if trigger.is_recurring else state.armed_at - FIRST_SEEN_LATE


def _newest_started(
    trigger: ClockTrigger, armed_at: datetime, name: str, since: datetime, now: datetime
) -> datetime | None:
    """Return the newest due time that may start; none overtakes another by its jitter."""
    most = timedelta(seconds=getattr(trigger, "jitter_seconds", 0))
    newest = trigger.latest_due(since, now - most, armed_at=armed_at)
    if most:
        while (
            following := trigger.next_after(newest or since, armed_at=armed_at)
        ) is not None and following + trigger.jitter_for(following, name) <= now:
            newest = following
    return newest


async def _on_tick(
    firing: Firing, tick: Tick, state: ScheduleState, open_run: Run | None
) -> Dispatched:
    plan = firing.schedule
    stopped = open_run is not None and open_run.status is RunStatus.BLOCKED
    if open_run is not None and (stopped or plan.skip_if_running):
        reason = f"run {open_run.id} is {open_run.status}"
        # With `all` nothing is passed over: it follows when the run has ended.
        if tick.newest is not None and plan.catch_up_policy != "all":
            await _passed_over(firing, tick, state, reason)
        elif tick.newest is None and not stopped:
            return _idle(plan, state, skip_reason=state.skip_reason)
        return replace(blocked(open_run) if stopped else busy(open_run), skip_reason=reason)
    if tick.newest is None:
        return _idle(plan, state)
    wanted, late = _caught_up(plan, tick, tick.newest, firing.now)
    if not wanted:
        return await _missed(firing, state, late)
    if tick.trigger.only_if_changed and not await _has_changed(firing, state):
        reason = "nothing changed since the last run"
        await _passed_over(firing, tick, state, reason)
        return Dispatched(schedule=plan.name, action="skip", status="pending", skip_reason=reason)
    return await _fire(firing, state, wanted, late)


def _idle(plan: Schedule, state: ScheduleState, *, skip_reason: str | None = None) -> Dispatched:
    word = "missed" if state.missed_due_at else "pending"
    return Dispatched(
        schedule=plan.name,
        action="missed" if state.missed_due_at else "idle",
        status=word,
        skip_reason=skip_reason,
    )


def _caught_up(
    plan: Schedule, tick: Tick, newest: datetime, now: datetime
) -> tuple[list[datetime], Missed | None]:
    """Return the due times to run now, and what is missed: too old for `catch_up`.

    On-time ones always run; of late ones `once` takes the newest for all, `all` every one, both
    as far back as the window goes.
    """
    window = plan.catch_up_window
    if plan.catch_up_policy == "none":
        window = timedelta(seconds=plan.grace_seconds + tick.most_jitter)
    edge = tick.since if window is None else max(tick.since, now - window)
    # A window counts its own edge: what is just so old is not older.
    edge = edge if edge == tick.since else edge - timedelta(microseconds=1)
    if newest <= edge:
        return [], _count(tick, newest)
    if plan.catch_up_policy == "all":
        return tick.between(edge, newest, MAX_CAUGHT_UP), _count(tick, edge)
    return [newest], _count(tick, edge) if plan.catch_up_policy == "none" else None


def _count(tick: Tick, until: datetime) -> Missed | None:
    """Count what came due and is not to be run any more."""
    ticks = tick.between(tick.since, until, MAX_COUNTED) if until > tick.since else []
    if not ticks:
        return None
    newest = tick.trigger.latest_due(tick.since, until, armed_at=tick.armed_at)
    return Missed(newest=newest or ticks[-1], count=len(ticks), or_more=len(ticks) == MAX_COUNTED)


async def _has_changed(firing: Firing, state: ScheduleState) -> bool:
    newest = await firing.source.newest()
    if newest is None or state.watermark is None:
        return True
    found = await pending(firing.source, state, scope=state.scope, kinds=None, end=newest.number)
    return found.mark is not None


async def _passed_over(firing: Firing, tick: Tick, state: ScheduleState, reason: str) -> None:
    """Record each firing that came due while a run was open or nothing had changed, once."""
    newest = tick.newest
    assert newest is not None
    ticks = tick.between(tick.since, newest, MAX_TOLD + 1)
    told = ticks if len(ticks) <= MAX_TOLD else [newest]

    def work(tx: Tx) -> None:
        current = tx.schedules.get(state.name) or state
        if current.last_due_at != state.last_due_at:
            return  # another process was quicker
        tx.schedules.put(replace(current, last_due_at=newest, skip_reason=reason))
        for due in told:
            tx.events.add(
                "schedule_passed_over",
                at=firing.now,
                schedule=state.name,
                due_at=due.isoformat(),
                reason=reason,
                more=told is not ticks,
            )

    await firing.source.ledger.write(work)


def _tell_missed(tx: Tx, name: str, late: Missed, now: datetime) -> None:
    tx.events.add(
        "schedule_missed",
        at=now,
        schedule=name,
        due_at=late.newest.isoformat(),
        count=late.count,
        or_more=late.or_more,
    )


async def _missed(firing: Firing, state: ScheduleState, late: Missed | None) -> Dispatched:
    if late is not None:

        def work(tx: Tx) -> None:
            current = tx.schedules.get(state.name) or state
            if current.last_due_at != state.last_due_at:
                return  # another process was quicker
            tx.schedules.put(replace(current, last_due_at=late.newest, missed_due_at=late.newest))
            _tell_missed(tx, state.name, late, firing.now)

        await firing.source.ledger.write(work)
    return Dispatched(schedule=state.name, action="missed", status="missed")


async def _fire(
    firing: Firing, state: ScheduleState, wanted: list[datetime], late: Missed | None
) -> Dispatched:
    if firing.schedule.continuous.enabled:
        return await begin_due(firing, state, wanted[-1])
    runs = [
        firing.run(
            RunTrigger.SCHEDULE,
            due_at=due,
            unique_key=unique_key(state.name, due),
            queued_at=in_turn(firing.now, place),
        )
        for place, due in enumerate(wanted)
    ]

    def work(tx: Tx) -> list[Run]:
        current = tx.schedules.get(state.name) or state
        if _is_overtaken(tx, firing.schedule, current, state):
            return []
        new = [run for run in runs if put(tx, run, firing.now)]
        if late is not None and current.last_due_at == state.last_due_at:
            _tell_missed(tx, state.name, late, firing.now)
        if new:
            current = replace(
                current,
                last_fired_at=firing.now,
                last_run_id=new[-1].id,
                last_run_status=RunStatus.QUEUED,
            )
        served = max(wanted[-1], current.last_due_at or wanted[-1])
        tx.schedules.put(replace(current, last_due_at=served, missed_due_at=None, skip_reason=None))
        return new

    made = await firing.source.ledger.write(work)
    if not made:
        return Dispatched(
            schedule=state.name, action="skip", skip_reason="another process was quicker"
        )
    return Dispatched(
        schedule=state.name, action="fire", run_id=made[-1].id, status=RunStatus.QUEUED
    )


def _is_overtaken(tx: Tx, plan: Schedule, current: ScheduleState, state: ScheduleState) -> bool:
    """Say whether a person, or another process that looked, was quicker; then we look again."""
    if current.armed_at != state.armed_at or current.paused or current.cancelled:
        return True
    stops = OPEN if plan.skip_if_running else frozenset({RunStatus.BLOCKED})
    return bool(tx.runs.list(RunFilter(statuses=stops, schedule=plan.name, limit=1)))


def in_turn(now: datetime, place: int) -> datetime:
    """Return when the run of that place is queued, so that those of one look keep their order."""
    return now + timedelta(microseconds=place)


def unique_key(name: str, due: datetime) -> str:
    """Return what makes a firing happen once, however many processes find it."""
    return f"{name}:{due.isoformat()}"
