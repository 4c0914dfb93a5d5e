"""Draft descriptions for exactly what a run is about.

What the run works on is fixed when it starts and remembered with it, so that a recovered run
builds the same requests, finds their recorded replies, and pays for none of them again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import anyio

from amxwatch.core.catalog import Catalog
from amxwatch.core.draft import Band, Draft, DraftStatus, NewDraft
from amxwatch.core.errors import ProviderError, RunReleasedError
from amxwatch.core.evidence import surroundings
from amxwatch.core.run import Outcome, Run
from amxwatch.core.selection import TableWork
from amxwatch.flows import apply
from amxwatch.flows.asking import Asker, Asking, wait_for_the_day
from amxwatch.flows.carrying import split
from amxwatch.flows.described import accepted_descriptions, our_texts
from amxwatch.flows.evidence import batches_of
from amxwatch.flows.progress import Progress, ReportProgress, silent
from amxwatch.flows.review import accept, is_automatic
from amxwatch.flows.source import Source
from amxwatch.flows.targets import Targets, choose, fix_end
from amxwatch.ports.clock import Clock
from amxwatch.ports.engine import RunContext
from amxwatch.ports.ledger import DraftFilter, Ledger, Tx
from amxwatch.ports.provider import Provider
from amxwatch.settings.schema import DbProfile, LlmProfile, Schedule, Settings


@dataclass(frozen=True, kw_only=True)
class Drafting:
    """What an analyze run needs of its install. Settings hold from a run's start to its end."""

    settings: Callable[[], Settings]
    source: Callable[[str], Source]
    provider: Callable[[str], Provider]
    ledger: Ledger
    clock: Clock
    owner: str
    report: ReportProgress = silent


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

    @property
    def run(self) -> Run:
        return self.context.run

    def say(self, stage: str, **values: object) -> None:
        """Report one step."""
        self.drafting.report(Progress(run_id=self.run.id, stage=stage, **values))  # type: ignore[arg-type]  # names checked by Progress itself


async def analyze(context: RunContext, drafting: Drafting) -> Outcome:
    """Execute an analyze run.

    Raises: ScopeError, DatabaseUnavailableError, ProviderError, RunBlockedError. What was
    drafted until then is kept, and a later run does not pay for it again.
    """
    job = await _job(context, drafting)
    end = await fix_end(context, job.source)
    catalog = await job.source.as_of(end)
    targets = await _targets(job, catalog)
    job.say(
        "scope",
        objects=sum(len(one.refs) for one in targets.work),
        total=len(targets.work),
        detail=f"snapshot {end}",
    )
    carried = await _carry(job, catalog, targets)
    tally = await _draft_all(job, catalog, targets.work)
    drafts = await _drafts_of(job)
    if job.run.review_strategy == "auto":
        await _apply_by_itself(job, drafts)
    if tally.failed and not tally.answered:
        raise ProviderError(
            f"no object could be drafted: {tally.problems[0] if tally.problems else 'no answer'}"
        )
    return Outcome(
        summary=_summary(drafts, targets, carried, tally.failed),
        objects=targets.objects,
        drafted=len(drafts),
        reused=carried + targets.known,
        to_snapshot=end,
    )


async def _job(context: RunContext, drafting: Drafting) -> Job:
    run, settings = context.run, drafting.settings()
    llm_profile = settings.llm_profile(run.llm_profile)
    provider = drafting.provider(llm_profile.name)
    plan = settings.schedules.get(run.schedule or "")
    await wait_for_the_day(run, drafting.ledger, drafting.clock, settings.budget, provider)
    return Job(
        context=context,
        drafting=drafting,
        settings=settings,
        source=drafting.source(run.db_profile),
        provider=provider,
        db_profile=settings.db_profile(run.db_profile),
        llm_profile=llm_profile,
        plan=plan,
        instruction=await _instruction(context, drafting, plan),
    )


async def _instruction(context: RunContext, drafting: Drafting, plan: Schedule | None) -> str:
    """Return the schedule's `input_template`, rendered once for the life of the run."""
    if plan is None or plan.input_template is None:
        return ""
    run = context.run

    async def make() -> str:
        state = await drafting.ledger.read(lambda tx: tx.schedules.get(plan.name))
        return (
            render_input(plan, now=run.queued_at, run_number=(state.runs if state else 0) + 1) or ""
        )

    return await context.remember(f"instruction:{run.id}", make)


def render_input(plan: Schedule, *, now: datetime, run_number: int) -> str | None:
    """Fill in the names of the schedule's `input_template`; None where it has none.

    `{{date}}`, `{{day_of_week}}`, `{{timestamp}}` (seconds since 1970, UTC), `{{run_number}}`.
    """
    template = plan.input_template
    if template is None:
        return None
    values = {
        "date": f"{now:%Y-%m-%d}",
        "day_of_week": f"{now:%A}",
        "timestamp": str(int(now.timestamp())),
        "run_number": str(run_number),
    }
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: values[found.group(1)], template)


async def _targets(job: Job, catalog: Catalog) -> Targets:
    end = job.run.to_snapshot
    assert end is not None

    async def make() -> str:
        chosen = await choose(job.run, job.source, end, job.settings, catalog)
        return chosen.dump()

    text = await job.context.remember(f"targets:{job.run.id}", make)
    return Targets.restore(text, catalog)


async def _carry(job: Job, catalog: Catalog, targets: Targets) -> int:
    """Let renamed objects keep their descriptions; returns how many do."""
    kept, drafts, _ = await split(job.source, catalog, targets.work)
    if drafts:
        await put(job, drafts)
    return kept


async def _draft_all(job: Job, catalog: Catalog, work: Sequence[TableWork]) -> Asking:
    """Ask about every table, several requests at a time; returns what could not be drafted."""
    around = surroundings(catalog, await accepted_descriptions(job.source, catalog, job.run))
    asker = Asker(
        context=job.context,
        provider=job.provider,
        llm_profile=job.llm_profile,
        ledger=job.drafting.ledger,
        clock=job.drafting.clock,
        budget=job.settings.budget,
        plan=job.plan,
    )
    ours = await our_texts(job.source)
    tables = anyio.CapacityLimiter(max(2, job.llm_profile.max_concurrency))

    async def one(table: TableWork) -> None:
        async with tables:
            for batch in await batches_of(job, around, ours, table):
                await job.context.check()
                answered = await asker.ask(batch, report=job.say)
                if answered:
                    await put(job, answered)

    async with anyio.create_task_group() as group:
        for table in work:
            if table.refs:
                group.start_soon(one, table)
    if job.context.stopping and asker.tally.held_back:
        raise RunReleasedError("the worker is leaving; another one goes on with this run")
    return asker.tally


async def put(job: Job, drafts: Sequence[NewDraft]) -> list[Draft]:
    """Put drafts in the review queue, each object once a run, however often it is recovered."""
    now = job.drafting.clock.now()
    run_id = job.run.id

    def work(tx: Tx) -> list[Draft]:
        mine = {draft.ref for draft in tx.drafts.list(DraftFilter(run_id=run_id))}
        new = [draft for draft in drafts if draft.ref not in mine]
        made = tx.drafts.put(job.source.profile, run_id, new, now)
        for draft in made:
            tx.events.add(
                "draft_made",
                at=now,
                run_id=run_id,
                schedule=job.run.schedule,
                db_profile=job.source.profile,
                draft=draft.id,
                object=str(draft.ref),
                band=draft.band,
            )
        return made

    return await job.context.write(work)


async def _drafts_of(job: Job) -> list[Draft]:
    which = DraftFilter(run_id=job.run.id)
    return await job.drafting.ledger.read(lambda tx: tx.drafts.list(which))


async def _apply_by_itself(job: Job, drafts: Sequence[Draft]) -> None:
    """Accept what needs no person, and write it back. Flagged and `low` drafts stay queued."""
    for draft in drafts:
        if draft.status is DraftStatus.PENDING and is_automatic(draft):
            await accept(job.drafting.ledger, job.drafting.clock, draft.id)
    await job.context.check()
    rows = await apply.plan(job.source, run_id=job.run.id)
    writable = [row for row in rows if row.verdict is not apply.Verdict.UNSUPPORTED]
    done = await apply.execute(job.source, writable, owner=job.drafting.owner)
    job.say(
        "apply",
        done=done.written,
        total=len(rows),
        detail=f"{done.written} written, {len(done.failed)} failed, "
        f"{len(done.conflicts)} in conflict, {len(rows) - len(writable)} without comments",
    )


def _summary(drafts: Sequence[Draft], targets: Targets, carried: int, failed: int) -> str:
    bands = ", ".join(f"{band} {sum(draft.band is band for draft in drafts)}" for band in Band)
    parts = [f"{len(drafts)} drafted ({bands})"]
    if carried:
        parts.append(f"{carried} taken along by a rename")
    if targets.known:
        parts.append(f"{targets.known} unchanged since their last draft")
    if failed:
        parts.append(f"{failed} not drafted (see events)")
    return "; ".join(parts)
