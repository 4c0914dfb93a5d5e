"""Decide which objects a run drafts, at the moment its worker starts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import anyio.to_thread

from amxwatch.core.catalog import Catalog, ObjectRef, SnapshotNumber, Table
from amxwatch.core.coverage import Author
from amxwatch.core.draft import DraftStatus
from amxwatch.core.errors import NotFoundError, ScopeError
from amxwatch.core.manner import Only
from amxwatch.core.run import Run, RunId, RunTrigger
from amxwatch.core.scope import Scope
from amxwatch.core.selection import (
    Carry,
    TableWork,
    exactly,
    from_changes,
    objects_in_scope,
    structure_hash,
    without_description,
)
from amxwatch.flows.carrying import split
from amxwatch.flows.described import commented, stale_of, words_of
from amxwatch.flows.downstream import downstream
from amxwatch.flows.locking import unlocked
from amxwatch.flows.pending import pending
from amxwatch.flows.source import Source
from amxwatch.flows.tries import SETTLED, left_behind
from amxwatch.flows.watch import look
from amxwatch.ports.engine import RunContext
from amxwatch.ports.ledger import DraftFilter, Tx
from amxwatch.settings.schema import Settings
from amxwatch.triggers import CatalogChange

KNOWN = frozenset({DraftStatus.PENDING, DraftStatus.REJECTED})


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What a run drafts. `known` objects have an open or rejected draft of the same input.

    `objects` counts what the run is about: the changed objects, or all that are in scope.
    """

    work: tuple[TableWork, ...]
    objects: int
    known: int = 0

    def dump(self) -> str:
        """Return the names as text, to be remembered with the run."""
        return json.dumps(
            {
                "refs": [_parts(ref) for one in self.work for ref in one.refs],
                "carried": [
                    [_parts(carry.ref), _parts(carry.former), carry.confidence]
                    for one in self.work
                    for carry in one.carried
                ],
                "objects": self.objects,
                "known": self.known,
            },
            ensure_ascii=False,
        )

    @classmethod
    def restore(cls, text: str, catalog: Catalog) -> Targets:
        """Return what `dump` wrote, over the catalog that it was chosen from."""
        document = json.loads(text)
        carried = [
            Carry(ref=_ref(new), former=_ref(old), confidence=confidence)
            for new, old, confidence in document["carried"]
        ]
        refs = {_ref(parts) for parts in document["refs"]}
        return cls(
            work=exactly(catalog, refs, carried),
            objects=document["objects"],
            known=document["known"],
        )


def _parts(ref: ObjectRef) -> list[str]:
    return [ref.schema, ref.table, ref.column]


def _ref(parts: list[str]) -> ObjectRef:
    schema, table, column = parts
    return ObjectRef(schema=schema, table=table, column=column)


async def fix_end(context: RunContext, source: Source) -> SnapshotNumber:
    """Fix the snapshot that the run serves, once; a recovered run keeps it.

    A change run serves what the daemon saw; any other looks for itself first, so that its
    scope is resolved live. Raises: DatabaseUnavailableError, NotFoundError.
    """
    run = context.run
    if run.to_snapshot is not None:
        return run.to_snapshot
    if run.trigger is RunTrigger.CHANGE:
        newest = await source.newest()
        number = newest.number if newest else None
    else:
        found = await look(source, exact=True)
        if found.error is not None:
            raise found.fault()
        number = found.snapshot
    if number is None:
        raise NotFoundError(f"there is no snapshot of {source.profile} to work on")
    await context.update(to_snapshot=number)
    return number


async def choose(
    run: Run, source: Source, end: SnapshotNumber, settings: Settings, catalog: Catalog
) -> Targets:
    """Return what the run drafts between its watermark and `end`, whose catalog is given.

    What is locked is never among it. Raises: ScopeError where the scope names what does not
    exist.
    """
    scope = Scope.parse(run.scope)
    if run.trigger is RunTrigger.CHANGE and run.from_snapshot is not None:
        work, objects = await _changed(run, source, end, settings, catalog)
    else:
        missing = scope.missing(catalog)
        if missing:
            raise ScopeError(f"{source.profile}: {'; '.join(missing)}")
        covered = objects_in_scope(catalog, scope)
        objects = len(covered)
        if run.manner.rerun_of is not None:
            again = await _drafted_before(source, run.manner.rerun_of, covered)
            work = exactly(catalog, again, [])
            return Targets(work=await unlocked(source, work), objects=objects)
        work = await _undescribed(source, catalog, scope, run.manner.only)
    return await _without_known(source, catalog, await unlocked(source, work), objects, run)


async def _drafted_before(
    source: Source, run_id: str, covered: Sequence[ObjectRef]
) -> frozenset[ObjectRef]:
    """Return what in scope a run drafted; all of it where that is nothing of it."""
    which = DraftFilter(run_id=RunId(run_id))
    drafted = {draft.ref for draft in await source.ledger.read(lambda tx: tx.drafts.list(which))}
    return frozenset(covered) & drafted or frozenset(covered)


async def workable(source: Source, catalog: Catalog, scope: Scope) -> tuple[TableWork, ...]:
    """Return what a run over this scope would draft now; it need not all exist."""
    work = await unlocked(source, await _undescribed(source, catalog, scope))
    return (await _without_known(source, catalog, work, 0, None)).work


async def _changed(
    run: Run, source: Source, end: SnapshotNumber, settings: Settings, catalog: Catalog
) -> tuple[tuple[TableWork, ...], int]:
    plan = settings.schedules.get(run.schedule or "")
    trigger = plan.trigger if plan and isinstance(plan.trigger, CatalogChange) else CatalogChange()
    state = await source.ledger.read(lambda tx: tx.schedules.get(run.schedule or ""))
    if state is None:
        raise NotFoundError(f"the schedule {run.schedule!r} of this run was removed")
    found = await pending(
        source,
        replace(state, watermark=run.from_snapshot),
        scope=run.scope,
        kinds=trigger.kinds,
        end=end,
    )
    scope = Scope.parse(run.scope)
    work = from_changes(found.changes, catalog, scope)
    # A renamed object that had no description is drafted like any other.
    _, _, bare = await split(source, catalog, work)
    refs = {ref for one in work for ref in one.refs} | bare
    carried = [carry for one in work for carry in one.carried if carry.ref not in bare]
    more = (
        await downstream(source, found.changes, catalog, scope)
        if trigger.include_downstream
        else ()
    )
    refs |= {one.ref for one in more}
    return exactly(catalog, refs, carried), len(found.changes) + len(more)


async def _undescribed(
    source: Source, catalog: Catalog, scope: Scope, only: Only | None = None
) -> tuple[TableWork, ...]:
    """Return what in scope has no description, or one of ours that went stale; or `only` these.

    Words that were accepted and wait to be written stand for the comment that they will be.
    """
    words = await words_of(source, catalog)
    comments, ours = commented(catalog), words.ours
    waiting = {
        ref: each
        for ref, each in words.waiting.items()
        # Where a comment of a person stands, nothing that waits will replace it by itself.
        if each.author is Author.AMXWATCH and (ref in ours or ref not in comments)
    }
    meant = [
        waiting.get(ref) or words.written[ref]
        for ref in objects_in_scope(catalog, scope)
        if ref in waiting or (ref in ours and ref not in words.waiting)
    ]
    stale = {each.ref for each in await stale_of(source, meant)}
    if only is Only.STALE:
        return exactly(catalog, stale, [])
    described = comments.keys() | words.waiting.keys()
    return without_description(catalog, scope, described, set() if only else stale)


def hashes_of(catalog: Catalog, refs: Iterable[ObjectRef]) -> dict[ObjectRef, str]:
    """Return what each object is, as a hash; objects that are gone are absent."""
    return {
        ref: structure_hash(table, ref.column or None)
        for ref, table in _named(catalog, frozenset(refs))
    }


def inputs_of(
    catalog: Catalog, refs: Iterable[ObjectRef], dialect: str
) -> dict[ObjectRef, frozenset[str]]:
    """Return the hashes that a draft of each object may have of its input.

    A column that a view computes has two: drafts from before the expression was a part of it
    have the one without. Blocks: views are parsed.
    """
    found = {}
    for ref, table in _named(catalog, frozenset(refs)):
        both = (None, _expressions(table, dialect).get(ref.column))
        found[ref] = frozenset(structure_hash(table, ref.column or None, each) for each in both)
    return found


def _named(catalog: Catalog, refs: frozenset[ObjectRef]) -> Iterator[tuple[ObjectRef, Table]]:
    """Yield the objects that stand, each with its table."""
    owners = {ref.owner for ref in refs}
    for table in catalog.tables:
        if table.ref in owners:
            every = (table.ref, *(table.column_ref(column.name) for column in table.columns))
            yield from ((ref, table) for ref in every if ref in refs)


def _expressions(table: Table, dialect: str) -> Mapping[str, str]:
    if not table.definition:
        return {}
    from amxwatch.context.expressions import expressions_of

    return expressions_of(table, dialect)


async def _without_known(
    source: Source,
    catalog: Catalog,
    work: tuple[TableWork, ...],
    objects: int,
    run: Run | None,
) -> Targets:
    """Leave out what waits for review, or was rejected, with the very same input.

    And what an earlier try of the same work was answered for already.
    """
    refs = [ref for one in work for ref in one.refs]
    dialect = source.database.capabilities.dialect
    hashes = await anyio.to_thread.run_sync(inputs_of, catalog, refs, dialect)

    def held(tx: Tx) -> set[ObjectRef]:
        drafts = tx.drafts.list(DraftFilter(statuses=KNOWN, db_profile=source.profile))
        drafts += left_behind(tx, run, SETTLED) if run is not None else []
        return {
            draft.ref
            for draft in drafts
            if draft.input_hash in hashes.get(draft.ref, ())
            and (run is None or draft.run_id != run.id)
        }

    known = await source.ledger.read(held) if refs else set()
    kept = [
        replace(
            one,
            itself=one.itself and one.table.ref not in known,
            columns=tuple(c for c in one.columns if one.table.column_ref(c) not in known),
        )
        for one in work
    ]
    return Targets(
        work=tuple(one for one in kept if one.refs or one.carried),
        objects=objects,
        known=len(known.intersection(refs)),
    )
