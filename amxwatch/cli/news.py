"""What happened while nothing ran, in one line at the next start of anything in a terminal."""

from __future__ import annotations

from contextlib import suppress

from amxwatch.cli.session import Desk
from amxwatch.core.errors import AmxwatchError, StoreError
from amxwatch.core.schedule import ScheduleState
from amxwatch.ports.ledger import Tx
from amxwatch.ports.news import Untold
from amxwatch.settings.plans import outlines
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import At

MAX_ASKED = 200
"""How many one-shots are looked at here; a daemon or `run-due` looks at any number."""


async def tell_news(desk: Desk) -> None:
    """Print what a person was not told yet, once. What cannot be known now is told later."""
    with suppress(StoreError):
        await desk.install.engine.recover()
        await _miss_overdue(desk)
        line = await news_line(desk)
        if line:
            desk.out.warn(line)


async def news_line(desk: Desk) -> str:
    """Return the line and mark it as told; empty where there is nothing new."""
    ledger = desk.install.ledger
    found = await ledger.read(lambda tx: tx.news.untold())
    if not found.upto or not await ledger.write(lambda tx: tx.news.mark(found.upto)):
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


async def _miss_overdue(desk: Desk) -> None:
    """Note which one-shots came due while nothing looked; no daemon may have run since."""
    schedules = desk.install.settings.schedules
    names = [name for name, outline in outlines(schedules) if outline.trigger == "at"][:MAX_ASKED]
    plans = [plan for plan in map(schedules.__getitem__, names) if plan.enabled]
    if not plans:
        return

    def read(tx: Tx) -> list[Schedule]:
        return [plan for plan in plans if _is_overdue(desk, plan, tx.schedules.get(plan.name))]

    for plan in await desk.install.ledger.read(read):
        with suppress(AmxwatchError):  # what is wrong with it is told where it is looked at
            await _look_at(plan, desk)


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
