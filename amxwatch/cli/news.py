"""What happened while nothing ran, in one line at the next start of anything in a terminal."""

from __future__ import annotations

from contextlib import suppress

from amxwatch.cli.session import Desk
from amxwatch.core.errors import AmxwatchError, StoreError
from amxwatch.core.schedule import ScheduleState
from amxwatch.ports.ledger import Tx
from amxwatch.ports.news import Untold
from amxwatch.settings.plans import of_trigger
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import At

MAX_ASKED = 200
"""How many one-shots are looked at here; a daemon or `run-due` looks at any number."""


async def tell_news(desk: Desk) -> None:
    """Print what a person was not told yet, once. What cannot be known now is told later."""
    with suppress(StoreError):
        # This stands before every command in a terminal, so one small read must do as a rule.
        found = await desk.install.ledger.read(lambda tx: tx.news.untold())
        if found.held:
            await desk.install.engine.recover()
        if await _miss_overdue(desk) or found.held:
            found = await desk.install.ledger.read(lambda tx: tx.news.untold())
        line = await news_line(desk, found)
        if line:
            desk.out.warn(line)


async def news_line(desk: Desk, found: Untold) -> str:
    """Return the line and mark it as told; empty where there is nothing new."""
    if not found.upto or not await desk.install.ledger.write(lambda tx: tx.news.mark(found.upto)):
        return ""
    return words(found)


def words(found: Untold) -> str:
    """Say how many runs were recovered and schedules missed, and where to look."""
    parts = []
    if found.recovered:
        parts.append(f"{_counted(len(found.recovered), 'interrupted run')} recovered")
    if found.missed:
        missed = _counted(len(found.missed), "schedule")
        parts.append(f"{missed} missed while amxwatch was not running")
    return f"{'; '.join(parts)}. See: amxwatch schedule list" if parts else ""


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


async def _miss_overdue(desk: Desk) -> bool:
    """Note which one-shots came due while nothing looked; no daemon may have run since.

    Say whether there were any.
    """
    schedules = desk.install.settings.schedules
    names = of_trigger(schedules, "at")[:MAX_ASKED]
    plans = [plan for plan in map(schedules.__getitem__, names) if plan.enabled]
    if not plans:
        return False

    def read(tx: Tx) -> list[Schedule]:
        return [plan for plan in plans if _is_overdue(desk, plan, tx.schedules.get(plan.name))]

    overdue = await desk.install.ledger.read(read)
    for plan in overdue:
        with suppress(AmxwatchError):  # what is wrong with it is told where it is looked at
            await _look_at(plan, desk)
    return bool(overdue)


def _is_overdue(desk: Desk, plan: Schedule, state: ScheduleState | None) -> bool:
    """Say whether its time has passed for good, and nobody has noted that."""
    if state is None or state.last_due_at is not None or state.paused or state.cancelled:
        return False
    if plan.catch_up_policy != "none":
        return False  # a daemon or `run-due` runs it yet
    assert isinstance(plan.trigger, At)
    late = (desk.install.clock.now() - plan.trigger.instant).total_seconds()
    return state.trigger_hash == plan.armed_mark and late > plan.grace_seconds


async def _look_at(plan: Schedule, desk: Desk) -> None:
    from amxwatch.flows.dispatch import dispatch
    from amxwatch.flows.firing import Firing

    install = desk.install
    firing = Firing(
        schedule=plan,
        source=install.source(plan.db_profile),
        llm_profile=install.settings.llm_profile(plan.llm_profile).name,
        now=install.clock.now(),
    )
    await dispatch(firing)
