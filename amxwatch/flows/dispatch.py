"""Decide for one schedule whether it fires now, and put its run.

Decisions are made by the triggers; the flows read what they need, and write what they decided
in one transaction. Evaluating twice, or in two processes, fires once: a clock run has the
unique key `schedule:due`, a change schedule at most one open run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from amxwatch.core.run import OPEN, Run, RunStatus
from amxwatch.core.schedule import ScheduleState
from amxwatch.flows.arming import FIRST_SEEN, arm
from amxwatch.flows.cadenced import on_change, on_files
from amxwatch.flows.clocked import on_clock
from amxwatch.flows.firing import Dispatched, Firing, blocked
from amxwatch.ports.ledger import RunFilter, Tx
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import CatalogChange, Files

MANY_OPEN = 50
"""More open runs of one schedule than that are not looked at."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the ledger holds of a schedule: its state, if it was ever seen, and its open runs."""

    state: ScheduleState | None
    open_runs: tuple[Run, ...]


def known_of(tx: Tx, names: Iterable[str]) -> dict[str, Known]:
    """Return what an evaluation of each of these begins with, in one look."""
    names = list(names)
    states = tx.schedules.some(names)
    return {
        name: Known(state=states.get(name), open_runs=tuple(tx.runs.list(_open_runs(name))))
        for name in names
    }


def _open_runs(name: str) -> RunFilter:
    return RunFilter(statuses=OPEN, schedule=name, limit=MANY_OPEN)


async def dispatch(
    firing: Firing, *, files_mark: str | None = None, known: Known | None = None
) -> Dispatched:
    """Evaluate one schedule. `files_mark` is the digest that a files trigger compares.

    `known` is what was read of it a moment ago, with that of others: it decides, and what is
    written is checked again.
    """
    plan = firing.schedule
    if known is None:
        known = (await firing.source.ledger.read(lambda tx: known_of(tx, [plan.name])))[plan.name]
    arming = await arm(firing, known.state, files_mark=files_mark)
    if arming is None:
        return Dispatched(
            schedule=plan.name, action="wait", skip_reason=f"no snapshot of {plan.db_profile} yet"
        )
    open_run = _in_the_way(plan, known.open_runs)
    result = await _evaluated(firing, arming.state, open_run, files_mark)
    return replace(result, armed=None if arming.reason == FIRST_SEEN else arming.reason)


async def _evaluated(
    firing: Firing, state: ScheduleState, open_run: Run | None, files_mark: str | None
) -> Dispatched:
    plan = firing.schedule
    if not plan.enabled or state.paused:
        return Dispatched(
            schedule=plan.name, action="paused", status="paused", skip_reason=state.skip_reason
        )
    if state.cancelled:
        return Dispatched(schedule=plan.name, action="cancelled", status="cancelled")
    if plan.pause_after_failures and state.consecutive_failures >= plan.pause_after_failures:
        return await _pause(firing, state)
    if not isinstance(plan.trigger, CatalogChange | Files):
        return await on_clock(firing, plan.trigger, state, open_run)
    if open_run is not None and open_run.status is RunStatus.BLOCKED:
        return blocked(open_run)
    if isinstance(plan.trigger, CatalogChange):
        return await on_change(firing, plan.trigger, state, open_run)
    return await on_files(firing, plan.trigger, state, open_run, files_mark or "")


async def _pause(firing: Firing, state: ScheduleState) -> Dispatched:
    """Pause a schedule that failed too often in a row; a person resumes it."""
    count = state.consecutive_failures
    reason = f"paused after {count} failures in a row; the last: {state.last_error or 'unknown'}"

    def work(tx: Tx) -> None:
        current = tx.schedules.get(state.name)
        if current is None or current.paused or current.consecutive_failures < count:
            return  # another process, or a person, was quicker
        tx.schedules.put(replace(current, paused=True, skip_reason=reason))
        tx.events.add("schedule_paused", at=firing.now, schedule=state.name, reason=reason)

    await firing.source.ledger.write(work)
    return Dispatched(schedule=state.name, action="paused", status="paused", skip_reason=reason)


def _in_the_way(plan: Schedule, runs: Sequence[Run]) -> Run | None:
    """Return the run that keeps another one from starting, if there is one; newest first."""
    for run in runs:
        if run.status is RunStatus.BLOCKED:
            return run
    allowed = 1 if plan.skip_if_running else plan.max_concurrent
    return runs[0] if len(runs) >= allowed else None
