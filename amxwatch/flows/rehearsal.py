"""Go through a run without making it: what it would ask, and what that would cost.

Nothing is sent to a model, nothing is paid, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeVar

from amxwatch.core.catalog import Catalog, ObjectRef
from amxwatch.core.certainty import Signal
from amxwatch.core.completion import CompletionRequest
from amxwatch.core.draft import Draft
from amxwatch.core.evidence import surroundings
from amxwatch.core.prompt import estimate_tokens
from amxwatch.core.run import Paid, Run
from amxwatch.core.second_look import meaning_request
from amxwatch.core.selection import TableWork, exactly
from amxwatch.core.sharing import Sharing, share
from amxwatch.flows.asking import Asker, DeferredError
from amxwatch.flows.described import accepted_descriptions, house_glossary, our_texts
from amxwatch.flows.evidence import Batch, batches_of
from amxwatch.flows.inheriting import inherited
from amxwatch.flows.job import Drafting, Job, begin
from amxwatch.flows.origins import Origins
from amxwatch.flows.spending import TOKENS_AN_OBJECT
from amxwatch.flows.targets import choose, fix_end
from amxwatch.ports.ledger import Ledger, Tx

T = TypeVar("T")


@dataclass(kw_only=True)
class Rehearsal:
    """Implements `ports.engine.RunContext`: what is remembered is found, nothing is kept."""

    run: Run
    ledger: Ledger
    stopping: bool = False

    async def once(self, key: str, pay: Callable[[], Awaitable[Paid]]) -> str:
        recorded = await self.ledger.read(lambda tx: tx.steps.recorded(key))
        return recorded if recorded is not None else (await pay()).reply

    async def remember(self, key: str, make: Callable[[], Awaitable[str]]) -> str:
        recorded = await self.ledger.read(lambda tx: tx.steps.recorded(key))
        return recorded if recorded is not None else await make()

    async def check(self) -> None:
        """Nobody can stop or take over what is only rehearsed."""

    async def write(self, work: Callable[[Tx], T]) -> T:
        return None  # type: ignore[return-value]  # nobody uses what a note to the ledger returns

    async def update(self, **values: Any) -> None:
        self.run = replace(self.run, **values)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run would take. `cost_usd` is None where no price is known.

    `objects` are to be drafted; `reused` of them have an answer that was paid for before, and
    `shared` take the words of the same key in another table, or of what a view hands through.
    """

    objects: int = 0
    reused: int = 0
    shared: int = 0
    requests: tuple[CompletionRequest, ...] = ()
    tables: tuple[ObjectRef, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = None


async def estimate(run: Run, drafting: Drafting) -> Estimate:
    """Say what a run would ask and cost now. Raises: ScopeError, DatabaseUnavailableError."""
    job = await begin(Rehearsal(run=run, ledger=drafting.ledger), drafting)
    end = await fix_end(job.context, job.source)
    catalog = await job.source.as_of(end)
    targets = await choose(job.run, job.source, end, job.settings, catalog)
    work, handed_on = await inherited(job, catalog, targets.work)
    sharing = share(catalog, work) if job.provider_is_model else Sharing()
    later: dict[str, CompletionRequest] = {}
    asker = _asker(job, later)
    material = await material_of(job, catalog)
    tables = []
    for table in sharing.asked(work):
        for batch in await material.batches(job, table, sharing) if table.refs else []:
            before = len(later)
            try:
                await asker.ask(batch, report=_silent)
            except DeferredError:
                tables += [batch.table] * (len(later) - before)
    return _reckoned(
        job,
        later,
        Estimate(
            objects=sum(len(one.refs) for one in targets.work),
            reused=asker.tally.reused,
            shared=sum(len(refs) for refs in sharing.members.values()) + len(handed_on),
            requests=tuple(later.values()),
            tables=tuple(tables),
        ),
    )


def _reckoned(job: Job, later: Mapping[str, CompletionRequest], plain: Estimate) -> Estimate:
    """Add what the requests take, and those that ask how sure the answers are."""
    every = list(later.values())
    profile = job.llm_profile
    signal = Signal(profile.confidence_signal)
    if job.provider_is_model and signal is Signal.SELF_CONSISTENCY:
        samples = profile.confidence_samples
        every += [meaning_request(one, samples) for one in later.values()] if samples else []
    elif job.provider_is_model and signal is Signal.JUDGE:
        every += [replace(one, n_alternatives=1) for one in later.values()]
    read = sum(estimate_tokens(request) for request in every)
    said = sum(
        len(one.subjects) * TOKENS_AN_OBJECT * (1 + one.n_alternatives) * one.samples
        for one in every
    )
    if job.provider.is_free:
        return replace(plain, cost_usd=Decimal(0))
    cost = job.provider.cost_of(input_tokens=read, output_tokens=said)
    return replace(plain, input_tokens=read, output_tokens=said, cost_usd=cost)


def _asker(job: Job, later: dict[str, CompletionRequest]) -> Asker:
    return Asker(
        context=job.context,
        provider=job.provider,
        llm_profile=job.llm_profile,
        ledger=job.drafting.ledger,
        clock=job.drafting.clock,
        budget=job.settings.budget,
        plan=job.plan,
        total=0,
        local_only=job.db_profile.local_only,
        later=later,
    )


def _silent(stage: str, **_: object) -> None:
    """Say nothing of a step that is not made."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """What the requests about one catalog are made from."""

    around: Any
    ours: dict[ObjectRef, set[str]]
    origins: Origins = field(repr=False)

    async def batches(self, job: Job, table: TableWork, sharing: Sharing) -> list[Batch]:
        return await batches_of(job, self.around, self.origins, self.ours, table, sharing)


async def material_of(job: Job, catalog: Catalog) -> Material:
    """Gather what is the same for every table of a run."""
    return Material(
        around=surroundings(
            catalog,
            await accepted_descriptions(job.source, catalog, job.run),
            await house_glossary(job.source, job.run),
        ),
        ours=await our_texts(job.source),
        origins=Origins(catalog, job.source.database.capabilities.dialect),
    )


async def facts_of(draft: Draft, drafting: Drafting) -> dict[str, object]:
    """Return what a draft rests on: the facts that its prompt held, as far as they are kept.

    Statistics that were not kept are not looked up again. Empty where the object is gone.
    """
    run = await drafting.ledger.read(lambda tx: tx.runs.get(draft.run_id))
    job = await begin(Rehearsal(run=run, ledger=drafting.ledger), drafting)
    newest = await job.source.newest()
    number = run.to_snapshot or (newest.number if newest else None)
    if number is None:
        return {}
    catalog = await job.source.as_of(await job.source.kept(number) or number)
    work = exactly(catalog, {draft.ref}, [])
    for one in work:
        material = await material_of(job, catalog)
        for batch in await material.batches(job, one, Sharing()):
            for subject in batch.request.subjects:
                if batch.asked[subject.key].ref == draft.ref:
                    return subject.facts
    return {}
