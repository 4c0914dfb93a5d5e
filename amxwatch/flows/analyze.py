"""Draft descriptions for exactly what a run is about.

What the run works on is fixed when it starts and remembered with it, so that a recovered run
builds the same requests, finds their recorded replies, and pays for none of them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import anyio

from amxwatch.core.catalog import Catalog, ObjectRef
from amxwatch.core.draft import APPLICABLE, Band, Draft, DraftSource, DraftStatus, NewDraft
from amxwatch.core.errors import ProviderError, RunReleasedError, TransitionError
from amxwatch.core.evidence import surroundings
from amxwatch.core.run import Outcome
from amxwatch.core.selection import TableWork
from amxwatch.core.sharing import Sharing, share
from amxwatch.flows import apply
from amxwatch.flows.asking import Asker, Asking, DeferredError
from amxwatch.flows.batching import desk_for
from amxwatch.flows.carrying import split
from amxwatch.flows.described import accepted_descriptions, house_glossary, our_texts
from amxwatch.flows.evidence import Batch, batches_of, count_batches, taken
from amxwatch.flows.inheriting import inherited
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
    work, handed_on = await inherited(job, catalog, targets.work)
    if handed_on:
        await put(job, handed_on)
    tally = await _draft_all(job, catalog, work)
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
        reused=carried + targets.known + tally.reused,
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
    if job.books is not None:
        job.books.say_absent(job.say)
    around = surroundings(
        catalog,
        await accepted_descriptions(job.source, catalog, job.run),
        await house_glossary(job.source, job.run),
    )
    asker = Asker(
        context=job.context,
        provider=job.provider,
        llm_profile=job.llm_profile,
        ledger=job.drafting.ledger,
        clock=job.drafting.clock,
        budget=job.settings.budget,
        plan=job.plan,
        total=sum(count_batches(job, one) for one in work if one.refs),
        local_only=job.db_profile.local_only,
    )
    desk = desk_for(job, asker)
    if desk is not None:
        asker = desk.asker
        await desk.look()
    sharing = share(catalog, work) if job.provider_is_model else Sharing()
    ours = await our_texts(job.source)
    origins = Origins(catalog, job.source.database.capabilities.dialect)
    # Twice as many tables as requests: while one half is looked at, the other is asked about.
    tables = anyio.CapacityLimiter(2 * max(2, job.llm_profile.max_concurrency))

    async def one(asker: Asker, table: TableWork) -> None:
        async with tables:
            batches = await batches_of(job, around, origins, ours, table, sharing)
            async with anyio.create_task_group() as group:
                for batch in batches:
                    group.start_soon(_draft_one, job, asker, batch)

    async def every(asker: Asker, tables: Sequence[TableWork]) -> None:
        async with anyio.create_task_group() as group:
            for table in tables:
                if table.refs:
                    group.start_soon(one, asker, table)

    if desk is not None:
        await every(desk.noting, sharing.asked(work))
        await desk.send()
    await every(asker, sharing.asked(work))
    if sharing.members:
        left, shared = await _share(job, sharing, work, ours)
        asker.tally.reused += shared
        await every(asker, left)
    return _finished(job, asker.tally)


def _finished(job: Job, tally: Asking) -> Asking:
    """Return what came of asking. Raises: what it was stopped by, RunReleasedError."""
    if tally.stopped is not None:
        raise tally.stopped
    if job.context.stopping and tally.held_back:
        raise RunReleasedError("the worker is leaving; another one goes on with this run")
    return tally


async def _draft_one(job: Job, asker: Asker, batch: Batch) -> None:
    await job.context.check()
    with suppress(DeferredError):  # its answer comes with a batch
        answered = await asker.ask(batch, report=job.say)
        if answered:
            await put(job, answered)


async def _share(
    job: Job, sharing: Sharing, work: Sequence[TableWork], ours: dict[ObjectRef, set[str]]
) -> tuple[tuple[TableWork, ...], int]:
    """Give the same words to the same key in other tables.

    Returns the columns whose words did not come, and how many took another's.
    """
    made = {draft.ref: draft for draft in await _drafts_of(job)}
    tables = {one.table.ref: one.table for one in work}
    drafts = []
    for leader, refs in sharing.members.items():
        if leader in made:
            drafts += [
                taken(job, made[leader], tables[ref.owner], ref.column, ours) for ref in refs
            ]
    put_now = await put(job, drafts) if drafts else []
    return sharing.left(work, set(made)), len(put_now)


async def put(job: Job, drafts: Sequence[NewDraft]) -> list[Draft]:
    """Put drafts in the review queue, each object once a run, however often it is recovered."""
    now = job.drafting.clock.now()
    run_id = job.run.id

    def work(tx: Tx) -> list[Draft]:
        mine = {draft.ref for draft in tx.drafts.list(DraftFilter(run_id=run_id))}
        new = [draft for draft in drafts if draft.ref not in mine]
        again = job.run.manner.rerun_of is not None
        made = tx.drafts.put(job.source.profile, run_id, new, now, again=again)
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
    handed_on = sum(draft.source is DraftSource.INHERITED for draft in drafts)
    if handed_on:
        parts.append(f"{handed_on} of them inherited from the column that a view hands through")
    if carried:
        parts.append(f"{carried} taken along by a rename")
    if tally.reused:
        parts.append(f"{tally.reused} of them from answers that were there already")
    if targets.known:
        parts.append(f"{targets.known} unchanged since their last draft")
    if tally.failed:
        parts.append(f"{tally.failed} not drafted (see events)")
    if tally.spent:
        parts.append("not all was asked: the session has spent its per_session_max_usd")
    return "; ".join(parts)
