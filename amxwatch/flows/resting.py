"""Whether evaluating a schedule now would do nothing, told from its state alone.

Evaluating one schedule asks the ledger several times. Where there are very many to look over,
this tells most of them apart first; in doubt it says that one is to be evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.schedule import ScheduleState
from amxwatch.flows.arming import is_armed
from amxwatch.flows.clocked import counts_since
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import CatalogChange, Files


@dataclass(frozen=True, kw_only=True)
class Rest:
    """Nothing is to be done before `until`; None: before something moves."""

    until: datetime | None


def resting(
    plan: Schedule,
    state: ScheduleState | None,
    now: datetime,
    *,
    newest: SnapshotNumber | None,
    files_mark: str | None,
) -> Rest | None:
    """Return how long a schedule rests; None where it must be evaluated to know.

    `newest` is the newest snapshot of its db profile, `files_mark` the digest of what it watches.
    """
    if state is None or not is_armed(state, plan, now):
        return None
    if plan.continuous.enabled:
        return None  # an open session goes on, whether the schedule is due or not
    if not plan.enabled or state.paused or state.cancelled:
        return Rest(until=None)
    if plan.pause_after_failures and state.consecutive_failures >= plan.pause_after_failures:
        return None
    trigger = plan.trigger
    if isinstance(trigger, CatalogChange):
        is_served = newest is not None and state.watermark == newest
        return Rest(until=None) if is_served and _gathers_nothing(state) else None
    if isinstance(trigger, Files):
        is_served = files_mark is not None and state.files_mark == files_mark
        return Rest(until=None) if is_served and _gathers_nothing(state) else None
    due = trigger.next_after(counts_since(trigger, state), armed_at=state.armed_at)
    if due is None:
        return Rest(until=None)
    return Rest(until=due) if due > now else None


def _gathers_nothing(state: ScheduleState) -> bool:
    return state.settle_mark is None and not state.former_scope
