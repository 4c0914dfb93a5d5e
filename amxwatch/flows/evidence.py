"""Collect what is known of a table, and cut it into the requests of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from amxwatch.context.profile import profile as profile_of
from amxwatch.core.catalog import ObjectRef, ObjectType
from amxwatch.core.completion import CompletionRequest
from amxwatch.core.errors import DatabaseError
from amxwatch.core.evidence import ColumnStatistics, Surroundings, TableEvidence, gather
from amxwatch.core.prompt import build, key_of
from amxwatch.core.selection import TableWork, structure_hash
from amxwatch.flows.job import Job
from amxwatch.flows.memory import STATISTICS, compared
from amxwatch.flows.origins import Origins

PERSON = "person_comment"
"""Flags a draft over a comment that a person wrote: only an explicit choice may replace it."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One object of a request, and what its answer is judged by."""

    ref: ObjectRef
    object_type: ObjectType
    input_hash: str
    comment: str | None
    has_key: bool
    has_neighbours: bool
    statistics: ColumnStatistics | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One request about one table. `asked` is by the key that the reply must use."""

    table: ObjectRef
    request: CompletionRequest
    asked: dict[str, Asked] = field(default_factory=dict)


def count_batches(job: Job, work: TableWork) -> int:
    """Return how many requests draft one table."""
    return max(1, -(-len(work.columns) // job.llm_profile.column_batch_size))


async def batches_of(
    job: Job,
    around: Surroundings,
    origins: Origins,
    ours: dict[ObjectRef, set[str]],
    work: TableWork,
) -> list[Batch]:
    """Return the requests that draft one table, the table itself in the first of them."""
    statistics = await _statistics(job, work)
    deviated = await compared(
        job.context,
        job.drafting.ledger,
        job.drafting.clock,
        job.plan,
        table=work.table.ref,
        statistics=statistics,
    )
    derived = await origins.of(work.table)
    table = gather(work.table, around, statistics=statistics, derived=derived)
    size = job.llm_profile.column_batch_size
    chunks = [work.columns[at : at + size] for at in range(0, len(work.columns), size)] or [()]
    return [
        _batch(job, table, work, chunk, ours, deviated, with_table=work.itself and number == 0)
        for number, chunk in enumerate(chunks)
    ]


async def _statistics(job: Job, work: TableWork) -> dict[str, ColumnStatistics]:
    """Look at the rows once a run; a table that cannot be sampled is drafted without."""
    profile = job.db_profile
    wanted = profile.profiling_mode != "none" and profile.samples != "none" and work.columns
    if not wanted or not job.source.database.capabilities.sampling:
        return {}

    async def look() -> str:
        started = job.drafting.clock.monotonic()
        try:
            sample = await job.source.database.sampler.sample(
                work.table,
                rows=profile.profiling_sample_size,
                full=profile.profiling_mode == "full",
            )
        except DatabaseError as error:
            if error.transient:
                raise
            job.say("profile", object=str(work.table.ref), error=str(error))
            return "{}"
        job.say(
            "profile",
            object=str(work.table.ref),
            detail=f"{len(sample.rows):,} rows",
            seconds=job.drafting.clock.monotonic() - started,
        )
        return STATISTICS.dump_json(profile_of(sample, samples=profile.samples)).decode()

    text = await job.context.remember(f"profile:{job.run.id}:{work.table.ref}", look)
    return STATISTICS.validate_json(text)


def _batch(
    job: Job,
    table: TableEvidence,
    work: TableWork,
    names: Sequence[str],
    ours: dict[ObjectRef, set[str]],
    deviated: Mapping[str, tuple[str, ...]],
    *,
    with_table: bool,
) -> Batch:
    columns = [replace(table.column(name), deviations=deviated.get(name, ())) for name in names]
    profile = job.llm_profile
    request = build(
        table,
        columns,
        with_table=with_table,
        n_alternatives=profile.n_alternatives,
        verbosity=profile.verbosity,
        prompt_detail=profile.prompt_detail,
        instruction=job.instruction,
        lessons=job.lessons,
        temperature=profile.temperature,
    )
    asked = {
        key_of(column): Asked(
            ref=column.ref,
            object_type=ObjectType.COLUMN,
            input_hash=structure_hash(work.table, column.ref.column, column.derived.expression),
            comment=column.comment,
            has_key=column.has_key,
            has_neighbours=bool(table.neighbours),
            statistics=column.statistics,
            flags=_flags(job, column.ref, column.comment, ours),
        )
        for column in columns
    }
    if with_table:
        asked[key_of(table)] = Asked(
            ref=table.ref,
            object_type=table.type,
            input_hash=structure_hash(work.table, None),
            comment=table.comment,
            has_key=bool(table.references or table.referenced_by or table.sources),
            has_neighbours=bool(table.neighbours),
            flags=_flags(job, table.ref, table.comment, ours),
        )
    return Batch(table=table.ref, request=request, asked=asked)


def _flags(
    job: Job, ref: ObjectRef, comment: str | None, ours: dict[ObjectRef, set[str]]
) -> tuple[str, ...]:
    if not comment or job.db_profile.description_owner == "amxwatch":
        return ()
    return () if comment in ours.get(ref, ()) else (PERSON,)
