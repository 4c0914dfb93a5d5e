"""Look at one source: gate, read, compare, number the snapshot.

What is pending for a schedule is not decided here; a look only makes the newest snapshot true.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from amxwatch.core.catalog import Catalog, ObjectId, ObjectRef, SnapshotNumber
from amxwatch.core.change import Change, ChangeKind, Delta, former_ref
from amxwatch.core.draft import TRANSITIONS, DraftEvent, DraftStatus
from amxwatch.core.errors import DatabaseError, StoreBusyError
from amxwatch.core.retry import CAP, backoff
from amxwatch.core.scope import filter_catalog
from amxwatch.flows.source import Source
from amxwatch.ports.ledger import DraftFilter, SourceState, Tx

APPEND_TRIES = 5
"""How often another process may number a snapshot before ours in one look."""

WITHDRAWABLE = frozenset(status for status, event in TRANSITIONS if event is DraftEvent.WITHDRAW)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look found. `error` is set when the source could not be read."""

    profile: str
    snapshot: SnapshotNumber | None
    changes: tuple[Change, ...] = ()
    read: bool = False
    error: str | None = None


async def look(source: Source, *, exact: bool = False) -> Look:
    """Run the cheap gate and, when it moved, take a snapshot of what is there now.

    `exact` reads whatever the gate says (a hint, a refresh by hand, the start of a run). A
    source that is down keeps its last snapshot and is tried again with backoff; an exact look
    does not wait for that.
    """
    now = source.clock.now()
    state = await source.ledger.read(lambda tx: tx.sources.get(source.profile))
    if not exact and state.retry_at is not None and now < state.retry_at <= now + CAP:
        return Look(profile=source.profile, snapshot=await _number(source), error=state.error)
    try:
        gate = await source.database.reader.gate()
        if not exact and _stands_still(state, gate, now, source.refresh):
            return Look(profile=source.profile, snapshot=await _number(source))
        gate, catalog = await _read(source, gate)
    except DatabaseError as error:
        await _note_failure(source, state, str(error), now)
        return Look(profile=source.profile, snapshot=await _number(source), error=str(error))
    number, changes = await _record(source, catalog)
    await _note_success(source, state, gate, catalog, now)
    return Look(profile=source.profile, snapshot=number, changes=changes, read=True)


async def _read(source: Source, gate: str) -> tuple[str, Catalog]:
    """Read the catalog; once more where a newer snapshot was taken meanwhile.

    An older read that is numbered after a newer one would undo it.
    """
    for _ in range(APPEND_TRIES):
        before = await _number(source)
        catalog = filter_catalog(await source.read(), source.ignore)
        if await _number(source) == before:
            return gate, catalog
        gate = await source.database.reader.gate()
    raise StoreBusyError(
        f"other processes kept taking snapshots of {source.profile}; this look gave way to them"
    )


async def _number(source: Source) -> SnapshotNumber | None:
    newest = await source.newest()
    return newest.number if newest else None


def _stands_still(state: SourceState, gate: str, now: datetime, refresh: timedelta) -> bool:
    return (
        state.failing_since is None
        and state.gate == gate
        and state.read_at is not None
        and now - state.read_at < refresh
    )


async def _record(
    source: Source, catalog: Catalog
) -> tuple[SnapshotNumber | None, tuple[Change, ...]]:
    """Number what differs from the newest snapshot, if anything does, and replay it."""
    for _ in range(APPEND_TRIES):
        previous = await source.catch_up()
        delta, moved = await source.snapshots.compare(catalog, ignore=source.ignore)
        if previous is not None and not delta:
            return previous, ()
        changes = () if delta.baseline else source.explain(moved)
        number = await _append(source, catalog, delta, changes, previous)
        if number is not None:
            await source.catch_up()
            return number, changes
    raise StoreBusyError(
        f"other processes kept taking snapshots of {source.profile}; this look gave way to them"
    )


async def _append(
    source: Source,
    catalog: Catalog,
    delta: Delta,
    changes: tuple[Change, ...],
    previous: SnapshotNumber | None,
) -> SnapshotNumber | None:
    now = source.clock.now()
    tables = len(catalog.tables)
    columns = sum(len(table.columns) for table in catalog.tables)

    def work(tx: Tx) -> SnapshotNumber | None:
        number = tx.snapshots.append(
            source.profile,
            delta,
            at=now,
            after=previous,
            tables=tables,
            columns=columns,
            changes=len(changes),
        )
        if number is None:
            return None
        if previous is not None:
            follow(tx, source.profile, changes, now)
        tx.events.add(
            "baseline_taken" if delta.baseline else "snapshot_taken",
            at=now,
            db_profile=source.profile,
            snapshot=number,
            tables=tables,
            columns=columns,
            changes=len(changes),
        )
        return number

    return await source.ledger.write(work)


def follow(tx: Tx, profile: str, changes: tuple[Change, ...], now: datetime) -> None:
    """Let ids follow renames, and withdraw the open drafts of what was removed."""
    renames = [
        (former_ref(change), change.ref) for change in changes if change.kind is ChangeKind.RENAMED
    ]
    removed = {change.ref for change in changes if change.kind is ChangeKind.REMOVED}
    if removed:
        _withdraw(tx, profile, removed, now)
    if renames:
        tx.objects.rename(profile, renames)


def _withdraw(tx: Tx, profile: str, removed: set[ObjectRef], now: datetime) -> None:
    gone: dict[ObjectId, ObjectRef] = {
        object_id: ref
        for object_id, ref in tx.objects.names(profile).items()
        if ref in removed or ref.owner in removed or ObjectRef(schema=ref.schema) in removed
    }
    if not gone:
        return
    which = DraftFilter(
        statuses=frozenset(WITHDRAWABLE - {DraftStatus.WRITING}),
        db_profile=profile,
        objects=frozenset(gone),
    )
    for draft in tx.drafts.list(which):
        tx.drafts.move(draft.id, DraftEvent.WITHDRAW)
        tx.events.add(
            "draft_withdrawn",
            at=now,
            db_profile=profile,
            run_id=draft.run_id,
            draft=draft.id,
            object=str(draft.ref),
        )


async def _note_failure(source: Source, state: SourceState, error: str, now: datetime) -> None:
    failures = state.failures + 1
    failed = replace(
        state,
        looked_at=now,
        failures=failures,
        failing_since=state.failing_since or now,
        retry_at=now + backoff(failures, key=source.profile),
        error=error,
    )

    def work(tx: Tx) -> None:
        tx.sources.put(failed)
        if state.failing_since is None:
            tx.events.add("source_down", at=now, db_profile=source.profile, error=error)

    await source.ledger.write(work)


async def _note_success(
    source: Source, state: SourceState, gate: str, catalog: Catalog, now: datetime
) -> None:
    well = SourceState(
        profile=source.profile,
        gate=gate,
        looked_at=now,
        read_at=now,
        problems=catalog.problems,
    )

    def work(tx: Tx) -> None:
        tx.sources.put(well)
        if state.failing_since is not None:
            tx.events.add(
                "source_up",
                at=now,
                db_profile=source.profile,
                down_since=state.failing_since.isoformat(),
            )
        for problem in catalog.problems:
            if problem not in state.problems:
                tx.events.add(
                    "source_problem",
                    at=now,
                    db_profile=source.profile,
                    file=problem.file,
                    line=problem.line,
                    column=problem.column,
                    error=problem.message,
                )

    await source.ledger.write(work)
