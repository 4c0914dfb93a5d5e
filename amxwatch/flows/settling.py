"""What the end of a run means for its schedule."""

from __future__ import annotations

from dataclasses import replace

from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.run import Run, RunStatus, RunTrigger
from amxwatch.core.schedule import ScheduleState
from amxwatch.flows.intake_planning import follow
from amxwatch.ports.ledger import Tx


def settled(tx: Tx, run: Run) -> None:
    """Move the schedule on, inside the transaction that settles its run.

    Only a completed run moves the watermark.
    """
    follow(tx, run)
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
    if run.trigger in (RunTrigger.CHANGE, RunTrigger.FILES):
        changed = _paced(changed, run)
    if completed:
        changed = _passed(changed, run)
    tx.schedules.put(changed)


def _paced(state: ScheduleState, run: Run) -> ScheduleState:
    if run.started_at is not None:
        state = replace(state, last_change_run_at=run.started_at)
    if run.status is RunStatus.CANCELLED:
        # Pending is computed: without this the very same run would be queued again at once.
        return replace(state, declined_mark=state.fired_mark)
    return state


def _failures(state: ScheduleState, status: RunStatus) -> int:
    """A cancelled run is a person's decision, and no failure."""
    if status is RunStatus.COMPLETED:
        return 0
    return state.consecutive_failures + (status is RunStatus.FAILED)


def _passed(state: ScheduleState, run: Run) -> ScheduleState:
    if run.trigger is RunTrigger.FILES:
        state = replace(state, files_mark=state.fired_mark)
    if run.to_snapshot is None or (state.watermark or 0) > run.to_snapshot:
        return state
    if run.trigger is RunTrigger.MANUAL:
        return state
    if state.trigger_hash.rpartition("\n")[2] != run.db_profile:
        return state  # the schedule watches another database by now
    if run.scope != state.scope:
        # The scope was edited meanwhile: what only the new one covers is still to be served.
        return replace(state, watermark=run.to_snapshot)
    return served(state, run.to_snapshot)


def served(state: ScheduleState, number: SnapshotNumber) -> ScheduleState:
    """Move the watermark, and forget a scope edit that it has passed."""
    return replace(state, watermark=number, former_scope=None, scope_since=None, skip_reason=None)
