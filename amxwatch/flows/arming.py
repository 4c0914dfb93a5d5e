"""Give a schedule its runtime state: at first sight, and again after its trigger was edited."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.schedule import ScheduleState
from amxwatch.flows.firing import Firing
from amxwatch.ports.ledger import Tx
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import CatalogChange, Files


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
    scope = plan.scope

    def work(tx: Tx) -> ScheduleState:
        state = tx.schedules.get(plan.name)
        if state is None:
            start = None if on_change and plan.trigger.initial_run else number  # type: ignore[union-attr]
            fresh = ScheduleState(
                name=plan.name,
                armed_at=now,
                trigger_hash=plan.armed_mark,
                scope=scope,
                watermark=start,
                files_mark=files_mark,
            )
            return _arm(tx, fresh, now, reason="first seen")
        edited = _rescoped(state, scope, number)
        if edited.trigger_hash != plan.armed_mark:
            again = _rearmed(edited, plan, now, files_mark)
            if edited.trigger_hash.rpartition("\n")[2] != plan.db_profile:
                again = _elsewhere(again, plan, number)
            return _arm(tx, again, now, reason="edited")
        if edited != state:
            tx.schedules.put(edited)
        return edited

    known = await firing.source.ledger.read(lambda tx: tx.schedules.get(plan.name))
    if known is not None and known.scope == scope and known.trigger_hash == plan.armed_mark:
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
        trigger_hash=plan.armed_mark,
        last_due_at=None,
        missed_due_at=None,
        cancelled=False,
        files_mark=files_mark if isinstance(plan.trigger, Files) else state.files_mark,
        settle_mark=None,
        settle_since=None,
        settle_first=None,
    )


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
