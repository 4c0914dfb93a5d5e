"""Collect what is known of a table, and cut it into the requests of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from amxwatch.core.catalog import ObjectRef, ObjectType, Table
from amxwatch.core.certainty import Signal
from amxwatch.core.completion import CompletionRequest
from amxwatch.core.draft import Draft, NewDraft
from amxwatch.core.evidence import ColumnStatistics, Surroundings, TableEvidence, gather
from amxwatch.core.prompt import build, key_of
from amxwatch.core.selection import TableWork, structure_hash
from amxwatch.core.sharing import NOT_SHARED, Sharing
from amxwatch.core.suspicion import (
    HOSTILE,
    shielded,
    suspects_in,
    suspects_of,
    table_is_suspect,
)
from amxwatch.flows.contexting import with_context
from amxwatch.flows.job import Job
from amxwatch.flows.memory import compared
from amxwatch.flows.origins import Origins
from amxwatch.flows.profiling import statistics_of

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
    has_documents: bool = False


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
    sharing: Sharing = NOT_SHARED,
) -> list[Batch]:
    """Return the requests that draft one table, the table itself in the first of them."""
    statistics = await statistics_of(job, work.table) if work.columns else {}
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
    table = await with_context(job, table, work)
    look = partial(_batch, job, work=work, ours=ours, deviated=deviated, sharing=sharing)
    suspects = suspects_in(table) if job.provider_is_model else frozenset()
    plain = [name for name in work.columns if name not in suspects]
    itself = work.itself and "" not in suspects
    size = job.llm_profile.column_batch_size
    chunks = [plain[at : at + size] for at in range(0, len(plain), size)] or [[]] * itself
    shown = shielded(table) if job.provider_is_model else table
    batches = [
        look(shown, chunk, with_table=itself and number == 0) for number, chunk in enumerate(chunks)
    ]
    # What reads like an order to a model is asked about alone, and waits for a person.
    return batches + [
        look(shielded(table, keep=frozenset({name})), [name] * bool(name), with_table=not name)
        for name in ("", *work.columns)
        if name in suspects and (name or work.itself)
    ]


def _batch(
    job: Job,
    table: TableEvidence,
    names: Sequence[str],
    *,
    work: TableWork,
    ours: dict[ObjectRef, set[str]],
    deviated: Mapping[str, tuple[str, ...]],
    sharing: Sharing,
    with_table: bool,
) -> Batch:
    columns = [
        replace(
            column,
            deviations=deviated.get(column.ref.column, ()),
            also_in=tuple(ref.owner for ref in sharing.members.get(column.ref, ())),
        )
        for column in (table.column(name) for name in names)
    ]
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
        alternatives_mode=profile.alternatives_mode,
        asks_certainty=job.provider_is_model
        and Signal(profile.confidence_signal) is Signal.VERBALIZED,
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
            flags=flags_of(job, column.ref, column.comment, ours) + _doubted(suspects_of(column)),
            has_documents=bool(table.docs or column.docs),
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
            flags=flags_of(job, table.ref, table.comment, ours) + _doubted(table_is_suspect(table)),
            has_documents=bool(table.docs),
        )
    return Batch(table=table.ref, request=request, asked=asked)


def _doubted(is_suspect: bool) -> tuple[str, ...]:
    return (HOSTILE,) if is_suspect else ()


def flags_of(
    job: Job, ref: ObjectRef, comment: str | None, ours: dict[ObjectRef, set[str]]
) -> tuple[str, ...]:
    """Flag an object whose comment is a person's."""
    if not comment or job.db_profile.description_owner == "amxwatch":
        return ()
    return () if comment in ours.get(ref, ()) else (PERSON,)


def taken(
    job: Job, leader: Draft, table: Table, column: str, ours: dict[ObjectRef, set[str]]
) -> NewDraft:
    """Return a draft in the words that the same key was given elsewhere."""
    ref = table.column_ref(column)
    comment = next((each.comment for each in table.columns if each.name == column), None)
    own = flags_of(job, ref, comment, ours)
    return NewDraft(
        object_type=ObjectType.COLUMN,
        ref=ref,
        source=leader.source,
        alternatives=leader.alternatives,
        confidence=leader.confidence,
        band=leader.band,
        flags=tuple(sorted({*(flag for flag in leader.flags if flag != PERSON), *own})),
        base_comment=comment,
        input_hash=structure_hash(table, column),
    )
