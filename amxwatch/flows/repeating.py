"""Which objects of a run are drafted once more, and two runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amxwatch.core.catalog import ObjectRef
from amxwatch.core.draft import Draft
from amxwatch.core.errors import ScopeError, UsageError
from amxwatch.core.run import Run, RunKind
from amxwatch.core.scope import Scope
from amxwatch.flows.source import Source
from amxwatch.flows.watch import look
from amxwatch.ports.ledger import DraftFilter, Ledger, Tx


async def repeated_scope(source: Source, run: Run, names: Sequence[str]) -> Scope:
    """Return the objects of a run that are meant, checked against what is there now.

    Without names those are all that it drafted. Raises: UsageError, ScopeError for what was
    not in its scope, or is no more.
    """
    if run.kind is not RunKind.ANALYZE:
        raise UsageError(f"{run.id} refreshed the cache: it drafted nothing that could be repeated")
    found = await look(source)
    if found.error is not None and found.snapshot is None:
        raise found.fault()
    catalog = await source.catalog()
    if not names:
        drafts = await source.ledger.read(lambda tx: tx.drafts.list(DraftFilter(run_id=run.id)))
        if not drafts:
            raise UsageError(f"{run.id} drafted nothing; name the objects to draft")
        return Scope.of(draft.ref for draft in drafts)
    wanted = Scope.parse([str(Scope.parse_bare(name)) for name in names])
    missing = wanted.missing(catalog)
    if missing:
        raise ScopeError("; ".join(missing))
    limit = Scope.parse(run.scope)
    outside = [
        str(table.ref)
        for table in catalog.tables
        if wanted.touches_table(table.ref) and not limit.touches_table(table.ref)
    ]
    if outside:
        raise ScopeError(f"{outside[0]} was not in the scope of {run.id}, which is {run.scope}")
    return wanted


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One object in two runs; None where a run did not draft it."""

    ref: ObjectRef
    first: Draft | None
    second: Draft | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs beside each other, object by object, in the order of the catalog."""

    first: Run
    second: Run
    pairs: tuple[Pair, ...]


async def compare(ledger: Ledger, first: Run, second: Run) -> Comparison:
    """Put the drafts of two runs beside each other.

    Raises: UsageError where they are not about the same database.
    """
    if first.db_profile != second.db_profile:
        raise UsageError(
            f"{first.id} is about {first.db_profile} and {second.id} about {second.db_profile}:"
            " only runs over the same db profile can be compared"
        )

    def drafts(tx: Tx) -> tuple[dict[int, Draft], dict[int, Draft]]:
        both = (tx.drafts.list(DraftFilter(run_id=run.id)) for run in (first, second))
        one, other = ({int(draft.object_id): draft for draft in each} for each in both)
        return one, other

    one, other = await ledger.read(drafts)
    every = {**one, **other}
    ordered = sorted(every, key=lambda i: (every[i].ref.owner, every[i].ref.is_column, i))
    return Comparison(
        first=first,
        second=second,
        pairs=tuple(Pair(ref=every[i].ref, first=one.get(i), second=other.get(i)) for i in ordered),
    )
