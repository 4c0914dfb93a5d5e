"""Draft descriptions for exactly what a run is about.

What the run works on is fixed when it starts and remembered with it, so that a recovered run
builds the same requests, finds their recorded replies, and pays for none of them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import anyio

from amxwatch.core.catalog import Catalog
from amxwatch.core.draft import APPLICABLE, Band, Draft, DraftStatus, NewDraft
from amxwatch.core.errors import ProviderError, RunReleasedError, TransitionError
from amxwatch.core.evidence import surroundings
from amxwatch.core.run import Outcome
from amxwatch.core.selection import TableWork
from amxwatch.flows import apply
from amxwatch.flows.asking import Asker, Asking
from amxwatch.flows.carrying import split
from amxwatch.flows.described import accepted_descriptions, our_texts
from amxwatch.flows.evidence import batches_of, count_batches
from amxwatch.flows.interrupted import settle_interrupted
from amxwatch.flows.job import Drafting, Job, begin
from amxwatch.flows.origins import Origins
from amxwatch.flows.plan import Verdict, make_plan
from amxwatch.flows.review import accept, is_automatic
from amxwatch.flows.targets import Targets, choose, fix_end
from amxwatch.flows.tries import left_behind
from amxwatch.ports.engine import RunContext
from amxwatch.ports.ledger import DraftFilter, Tx


async def analyze(context: RunContext, drafting: Drafting) -> Outcome:
    """Execute an analyze run.

    Raises: ScopeError, DatabaseUnavailableError, ProviderError, RunBlockedError. What was
    drafted until then is kept, and a later run does not pay for it again.
    """
    job = await begin(context, drafting)
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
        summary=_summary(drafts, targets, carried, tally),
        objects=targets.objects,
        drafted=len(drafts),
        reused=carried + targets.known,
        to_snapshot=end,
    )


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
        total=sum(count_batches(job, one) for one in work if one.refs),
    )
    ours = await our_texts(job.source)
    origins = Origins(catalog, job.source.database.capabilities.dialect)
    tables = anyio.CapacityLimiter(max(2, job.llm_profile.max_concurrency))

    async def one(table: TableWork) -> None:
        async with tables:
            for batch in await batches_of(job, around, origins, ours, table):
                await job.context.check()
                answered = await asker.ask(batch, report=job.say)
                if answered:
                    await put(job, answered)

    async with anyio.create_task_group() as group:
        for table in work:
            if table.refs:
                group.start_soon(one, table)
    if asker.tally.stopped is not None:
        raise asker.tally.stopped
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
    ledger, run = job.drafting.ledger, job.run
    # What a try of this work that failed had not come to is ours to finish.
    unfinished = APPLICABLE | {DraftStatus.PENDING}
    left = await ledger.read(lambda tx: left_behind(tx, run, unfinished))
    for draft in (*drafts, *left):
        if draft.status is DraftStatus.PENDING and is_automatic(draft):
            with suppress(TransitionError):  # a person was quicker; their word stands
                await accept(ledger, job.drafting.clock, draft.id)
    await job.context.check()
    # What an earlier life of this run was writing when it was killed is settled first.
    await settle_interrupted(job.source, job.drafting.is_dead, owner=job.drafting.owner)
    tries = dict.fromkeys((run.id, *(draft.run_id for draft in left)))
    rows = [row for run_id in tries for row in await make_plan(job.source, run_id=run_id)]
    writable = [row for row in rows if row.verdict is not Verdict.UNSUPPORTED]
    done = await apply.execute(job.source, writable, owner=job.drafting.owner)
    job.say(
        "apply",
        done=done.written,
        total=len(rows),
        detail=f"{done.written} written, {len(done.failed)} failed, "
        f"{len(done.conflicts)} in conflict, {len(rows) - len(writable)} without comments",
    )


def _summary(drafts: Sequence[Draft], targets: Targets, carried: int, tally: Asking) -> str:
    bands = ", ".join(f"{band} {sum(draft.band is band for draft in drafts)}" for band in Band)
    parts = [f"{len(drafts)} drafted ({bands})"]
    if carried:
        parts.append(f"{carried} taken along by a rename")
    if targets.known:
        parts.append(f"{targets.known} unchanged since their last draft")
    if tally.failed:
        parts.append(f"{tally.failed} not drafted (see events)")
    if tally.spent:
        parts.append("not all was asked: the session has spent its per_session_max_usd")
    return "; ".join(parts)
