"""Change and files triggers: what is pending, whether it has settled, whether the cap is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from amxwatch.core.retry import backoff
from amxwatch.core.run import Run, RunEvent, RunStatus, RunTrigger
from amxwatch.core.schedule import ScheduleState
from amxwatch.flows.firing import Dispatched, Firing, blocked, busy, put
from amxwatch.flows.pending import Pending, pending
from amxwatch.flows.settling import served
from amxwatch.ports.ledger import Tx
from amxwatch.triggers import CatalogChange, Files
from amxwatch.triggers.cadence import Action, decide

DECLINED = "its run was cancelled; it waits for another change, or for: amxwatch schedule resume"


async def on_change(
    firing: Firing, trigger: CatalogChange, state: ScheduleState, open_run: Run | None
) -> Dispatched:
    """Fire when the diff from the watermark has settled and nothing holds it back."""
    newest = await firing.source.newest()
    is_served = state.watermark == newest.number if newest else True
    if newest is None or (is_served and not state.settle_mark and not state.former_scope):
        return Dispatched(schedule=state.name, action="idle", status="pending")
    if open_run is not None:
        return busy(open_run)
    found = await pending(
        firing.source, state, scope=state.scope, kinds=trigger.kinds, end=newest.number
    )
    return await _by_cadence(firing, state, found.mark, RunTrigger.CHANGE, trigger, found=found)


async def on_files(
    firing: Firing, trigger: Files, state: ScheduleState, open_run: Run | None, mark: str
) -> Dispatched:
    """Fire when the watched files differ from those that the last completed run served."""
    moved = mark if mark != state.files_mark else None
    if moved is None and state.settle_mark is None:
        return Dispatched(schedule=state.name, action="idle", status="pending")
    if open_run is not None:
        return busy(open_run)
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
    if mark is not None and mark == state.declined_mark:
        await _keep(firing, state, state, DECLINED)
        return Dispatched(
            schedule=state.name, action="wait", status="pending", skip_reason=DECLINED
        )
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
    look_at = decision.look_at
    if decision.action is Action.IDLE and found is not None:
        look_at = await _stands_from(firing, found, timedelta(seconds=trigger.settle_seconds))
        settling = settling if look_at else served(settling, found.end)
    await _keep(firing, state, settling, decision.reason if mark else None)
    return Dispatched(
        schedule=state.name,
        action="wait" if mark else "idle",
        status="pending",
        skip_reason=decision.reason if mark else None,
        look_at=look_at,
    )


async def _stands_from(firing: Firing, found: Pending, settle: timedelta) -> datetime | None:
    """Return when what does not count has stood long enough to be passed over; None for now.

    A table that is gone for a moment only (dropped and made again, a file that is being saved)
    would be `added` otherwise.
    """
    newest = await firing.source.newest()
    if newest is None or not found.passed_over:
        return None
    stands = newest.at + settle
    return stands if firing.now < stands else None


def _backoff_until(state: ScheduleState) -> datetime | None:
    if not state.consecutive_failures or state.last_change_run_at is None:
        return None
    return state.last_change_run_at + backoff(state.consecutive_failures, key=state.name)


async def _keep(firing: Firing, old: ScheduleState, new: ScheduleState, reason: str | None) -> None:
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
            tx.events.add("schedule_waiting", at=firing.now, schedule=old.name, reason=reason)
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
        current = tx.schedules.get(state.name) or state
        if _position(current) != _position(state):
            return None  # another process, or the end of a run, was quicker
        if not put(tx, run, firing.now):
            return None
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

    made = await firing.source.ledger.write(work)
    if made is None:
        return Dispatched(
            schedule=state.name, action="skip", skip_reason="another run is already open"
        )
    if made.status is RunStatus.BLOCKED:
        return blocked(made)
    return Dispatched(schedule=state.name, action="fire", run_id=made.id, status=made.status)


def _position(state: ScheduleState) -> tuple[object, ...]:
    """Return what a firing was decided from."""
    return (
        state.watermark,
        state.files_mark,
        state.last_run_id,
        state.paused,
        state.cancelled,
    )


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
