"""One analyze run at work: its settings as they were at its start, and what it draws on."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from amxwatch.context.library import Library
from amxwatch.core.manner import SETTINGS
from amxwatch.core.memory import Lesson
from amxwatch.core.run import Run
from amxwatch.flows.books import Books
from amxwatch.flows.memory import learned
from amxwatch.flows.progress import Progress, ReportProgress, silent
from amxwatch.flows.source import Source
from amxwatch.flows.spending import wait_for_the_day
from amxwatch.ports.clock import Clock
from amxwatch.ports.engine import RunContext
from amxwatch.ports.ledger import Ledger
from amxwatch.ports.provider import Provider
from amxwatch.settings.schema import DbProfile, LlmProfile, Schedule, Settings
from amxwatch.triggers.zones import zone

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, kw_only=True)
class Drafting:
    """What an analyze run needs of its install. Settings hold from a run's start to its end.

    `is_dead` says of an owner's name whether that process is surely gone.
    """

    settings: Callable[[], Settings]
    source: Callable[[str], Source]
    provider: Callable[[str], Provider]
    ledger: Ledger
    clock: Clock
    owner: str
    is_dead: Callable[[str], bool]
    report: ReportProgress = silent
    library: Library | None = None
    """Where documents and code are indexed; without one there are none."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run at work: its settings as they were at its start, and what it draws on."""

    context: RunContext
    drafting: Drafting
    settings: Settings
    source: Source
    provider: Provider
    db_profile: DbProfile
    llm_profile: LlmProfile
    plan: Schedule | None
    instruction: str = ""
    lessons: tuple[Lesson, ...] = ()
    books: Books | None = None

    @property
    def run(self) -> Run:
        return self.context.run

    @property
    def provider_is_model(self) -> bool:
        """Whether words come from a model, which costs, and can be talked into something."""
        return not self.provider.is_free

    def say(self, stage: str, **values: object) -> None:
        """Report one step."""
        self.drafting.report(Progress(run_id=self.run.id, stage=stage, **values))  # type: ignore[arg-type]  # names checked by Progress itself


async def begin(context: RunContext, drafting: Drafting) -> Job:
    """Gather what the run needs. Raises: UsageError, RunReleasedError (the day is spent)."""
    settings = drafting.settings()
    llm_profile = await _as_noted(context, settings.llm_profile(context.run.llm_profile))
    run = context.run
    provider = drafting.provider(llm_profile.name)
    plan = settings.schedules.get(run.schedule or "")
    await wait_for_the_day(run, drafting.ledger, drafting.clock, settings.budget, provider)
    source, db_profile = drafting.source(run.db_profile), settings.db_profile(run.db_profile)
    return Job(
        context=context,
        drafting=drafting,
        settings=settings,
        source=source,
        provider=provider,
        db_profile=db_profile,
        books=Books(
            drafting.library,
            settings,
            db_profile,
            dialect=lambda: source.database.capabilities.dialect,
            clock=drafting.clock,
        ),
        llm_profile=llm_profile,
        plan=plan,
        instruction=await _instruction(context, drafting, plan),
        lessons=await learned(context, drafting.ledger, plan),
    )


async def _as_noted(context: RunContext, profile: LlmProfile) -> LlmProfile:
    """Return the profile with the settings that the run drafts by, noted at its first start."""
    noted = context.run.manner.settings
    if not noted:
        own = {name: getattr(profile, name) for name in SETTINGS}
        await context.update(manner=replace(context.run.manner, **own))
    return profile.model_copy(update=noted)


async def _instruction(context: RunContext, drafting: Drafting, plan: Schedule | None) -> str:
    """Return the schedule's `input_template`, rendered once for the life of the run."""
    if plan is None or plan.input_template is None:
        return ""
    run = context.run

    async def make() -> str:
        state = await drafting.ledger.read(lambda tx: tx.schedules.get(plan.name))
        return (
            render_input(
                plan,
                now=run.due_at or run.queued_at,
                run_number=(state.runs if state else 0) + 1,
            )
            or ""
        )

    return await context.remember(f"instruction:{run.id}", make)


def render_input(plan: Schedule, *, now: datetime, run_number: int) -> str | None:
    """Fill in the names of the schedule's `input_template`; None where it has none.

    `{{date}}` and `{{day_of_week}}` in the schedule's zone, `{{timestamp}}` (seconds since 1970,
    UTC), `{{run_number}}`. `now` is the due time where the run has one.
    """
    template = plan.input_template
    if template is None:
        return None
    local = now.astimezone(zone(plan.timezone))
    values = {
        "date": f"{local:%Y-%m-%d}",
        "day_of_week": DAYS[local.weekday()],
        "timestamp": str(int(now.timestamp())),
        "run_number": str(run_number),
    }
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: values[found.group(1)], template)
