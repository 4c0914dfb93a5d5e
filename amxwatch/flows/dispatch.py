"""Decide for one schedule whether it fires now, and put its run.

Decisions are made by the triggers; the flows read what they need, and write what they decided
in one transaction. Evaluating twice, or in two processes, fires once: a clock run has the
unique key `schedule:due`, a change schedule at most one open run.
"""

from __future__ import annotations

from amxwatch.core.run import Run, RunStatus
from amxwatch.flows.arming import armed
from amxwatch.flows.cadenced import on_change, on_files
from amxwatch.flows.clocked import on_clock
from amxwatch.flows.firing import Dispatched, Firing, blocked
from amxwatch.ports.ledger import RunFilter
from amxwatch.triggers import CatalogChange, Files


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
        return blocked(open_run)
    if isinstance(plan.trigger, CatalogChange):
        return await on_change(firing, plan.trigger, state, open_run)
    if isinstance(plan.trigger, Files):
        return await on_files(firing, plan.trigger, state, open_run, files_mark or "")
    return await on_clock(firing, plan.trigger, state, open_run)


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
