"""Keep objects to people: what is locked is neither drafted nor written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from amxwatch.core.catalog import ObjectRef
from amxwatch.core.errors import ScopeError
from amxwatch.core.scope import Scope
from amxwatch.core.selection import TableWork, objects_in_scope
from amxwatch.flows.source import Source
from amxwatch.ports.ledger import Tx


def is_locked(ref: ObjectRef, locks: Collection[ObjectRef]) -> bool:
    """Claim that an object is locked, be it by the lock of its table or schema."""
    return any(each in locks for each in (ref, ref.owner, ObjectRef(schema=ref.schema)))


async def locks_of(source: Source) -> frozenset[ObjectRef]:
    """Return what is locked in one db profile."""
    return frozenset(await source.ledger.read(lambda tx: tx.locks.list(source.profile)))


async def unlocked(source: Source, work: Sequence[TableWork]) -> tuple[TableWork, ...]:
    """Return the work without what is locked, or what a file of people's describes."""
    locks, owned = await locks_of(source), await source.owned()
    if not locks and not owned:
        return tuple(work)

    def is_free(ref: ObjectRef) -> bool:
        return ref not in owned and not is_locked(ref, locks)

    kept = [
        replace(
            one,
            itself=one.itself and is_free(one.table.ref),
            columns=tuple(name for name in one.columns if is_free(one.table.column_ref(name))),
            carried=tuple(carry for carry in one.carried if is_free(carry.ref)),
        )
        for one in work
    ]
    return tuple(one for one in kept if one.refs or one.carried)


async def lock(source: Source, names: Sequence[str]) -> list[ObjectRef]:
    """Lock objects by name (globs lock what matches now); returns those that were not yet.

    Raises: ScopeError for what does not exist.
    """
    refs = await _named(source, names)
    now = source.clock.now()

    def work(tx: Tx) -> list[ObjectRef]:
        new = tx.locks.put(source.profile, refs, now)
        for ref in new:
            tx.events.add("object_locked", at=now, db_profile=source.profile, object=str(ref))
        return new

    return await source.ledger.write(work)


async def unlock(source: Source, names: Sequence[str]) -> list[ObjectRef]:
    """Unlock objects by name or glob; returns those that were locked.

    Raises: ScopeError for what is not locked.
    """
    now = source.clock.now()
    held = await locks_of(source)
    wanted: list[ObjectRef] = []
    for name in names:
        found = [ref for ref in sorted(held) if _is_meant(ref, name)]
        if not found:
            raise ScopeError(f"{name} is not locked; see what is with: amxwatch lock --list")
        wanted += found

    def work(tx: Tx) -> list[ObjectRef]:
        gone = tx.locks.drop(source.profile, wanted)
        for ref in gone:
            tx.events.add("object_unlocked", at=now, db_profile=source.profile, object=str(ref))
        return gone

    return await source.ledger.write(work)


def _is_meant(ref: ObjectRef, name: str) -> bool:
    """Claim that a name or glob means this very object, and not what it is under."""
    depth = sum(bool(part) for part in (ref.schema, ref.table, ref.column))
    return any(
        len(selector) == depth and Scope(selectors=(selector,)).covers(ref)
        for selector in Scope.parse_bare(name).selectors
    )


async def _named(source: Source, names: Sequence[str]) -> list[ObjectRef]:
    catalog = await source.catalog()
    every = [ObjectRef(schema=schema.name) for schema in catalog.schemas]
    every += objects_in_scope(catalog, Scope.all())
    found: list[ObjectRef] = []
    for name in names:
        missing = Scope.parse_bare(name).missing(catalog)
        if missing:
            raise ScopeError("; ".join(missing))
        meant = [ref for ref in every if _is_meant(ref, name)]
        if not meant:
            raise ScopeError(f"nothing is called {name}; see: amxwatch catalog show")
        found += meant
    return list(dict.fromkeys(found))
