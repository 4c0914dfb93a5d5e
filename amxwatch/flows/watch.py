"""Look at one source: gate, read, compare, number the snapshot.

What is pending for a schedule is not decided here; a look only makes the newest snapshot true.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from amxwatch.core.catalog import Catalog, ObjectId, ObjectRef, SnapshotNumber, SourceProblem
from amxwatch.core.change import Change, ChangeKind, Delta, Moved, Patch, former_ref
from amxwatch.core.draft import TRANSITIONS, DraftEvent, DraftStatus
from amxwatch.core.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    HeldError,
    LoginRefusedError,
    StoreBusyError,
)
from amxwatch.core.retry import CAP, backoff
from amxwatch.core.scope import filter_catalog, filter_patch
from amxwatch.core.sight import Unseen, elsewhere, keep_unseen, unseen_now
from amxwatch.flows.source import Source
from amxwatch.ports.ledger import DraftFilter, SnapshotRecord, SourceState, Tx

APPEND_TRIES = 5
"""How often another process may number a snapshot before ours in one look."""

ELSEWHERE_SHARE = 0.5
"""A source that calls itself another one and lacks this share of the tables is not believed."""

WITHDRAWABLE = frozenset(status for status, event in TRANSITIONS if event is DraftEvent.WITHDRAW)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look found. `error` is set when the source could not be read, or is held.

    `login_refused` says that it is the user or the password that was turned down.
    """

    profile: str
    snapshot: SnapshotNumber | None
    changes: tuple[Change, ...] = ()
    read: bool = False
    error: str | None = None
    login_refused: bool = False

    def fault(self) -> DatabaseUnavailableError:
        """Return `error` as what a caller that needs the source raises."""
        kind = LoginRefusedError if self.login_refused else DatabaseUnavailableError
        return kind(self.error or f"{self.profile} cannot be read")


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """What a read came to, beside the newest snapshot `before` it (None: it is the first)."""

    before: SnapshotRecord | None
    reading: Catalog | Patch
    delta: Delta
    moved: Moved
    unseen: tuple[Unseen, ...]


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """A read that is recorded: its snapshot's number, what moved, what was not seen."""

    gate: str
    number: SnapshotNumber
    changes: tuple[Change, ...]
    problems: tuple[SourceProblem, ...]
    unseen: tuple[Unseen, ...]
    grants: str | None


async def look(source: Source, *, exact: bool = False, accept: bool = False) -> Look:
    """Run the cheap gate and, when it moved, take a snapshot of what is there now.

    `exact` reads whatever the gate says (a hint, a refresh by hand, the start of a run). A
    source that is down keeps its last snapshot and is tried again with backoff; an exact look
    does not wait for that. A source that seems to be another database is held: nothing is
    recorded until the URL is put right, or a person looks with `accept`, which takes what is
    there as true; what is out of sight then counts as dropped.
    """
    async with source.looking:
        return await _look(source, exact=exact or accept, accept=accept)


async def _look(source: Source, *, exact: bool, accept: bool) -> Look:
    now = source.clock.now()
    state = await source.ledger.recall(("source", source.profile), source.state_in)
    if not exact and state.retry_at is not None and now < state.retry_at <= now + CAP:
        return Look(profile=source.profile, snapshot=await _number(source), error=state.error)
    try:
        gate = await source.database.reader.gate()
        if not exact and _stands_still(state, gate, now, source.refresh):
            return Look(profile=source.profile, snapshot=await _number(source))
        taken = await _take(source, gate, state, accept=accept)
    except DatabaseError as error:
        await _note_failure(source, state, error, now)
        return Look(
            profile=source.profile,
            snapshot=await _number(source),
            error=str(error),
            login_refused=isinstance(error, LoginRefusedError),
        )
    await _note_success(source, state, taken, now)
    return Look(profile=source.profile, snapshot=taken.number, changes=taken.changes, read=True)


async def _take(source: Source, gate: str, state: SourceState, *, accept: bool) -> _Taken:
    """Read, compare, number; all again where another process took a snapshot meanwhile.

    A read that is numbered after a newer one would undo it. Raises: StoreBusyError,
    DatabaseError.
    """
    for _ in range(APPEND_TRIES):
        before = await source.newest()
        reading = await source.read_since(before.number if before else None)
        compared = await _compare(source, before, reading, state, accept=accept)
        taken = await _record(source, compared, gate)
        if taken is not None:
            # What is out of sight stands in the snapshot and not in the reader's memory.
            if not taken.unseen:
                source.recorded(taken.number)
            return taken
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


async def _compare(
    source: Source,
    before: SnapshotRecord | None,
    reading: Catalog | Patch,
    state: SourceState,
    *,
    accept: bool,
) -> _Compared:
    """Return what the read differs in from the newest snapshot, all that is out of sight kept.

    Raises: HeldError where the source seems to be another database than before.
    """
    if isinstance(reading, Patch):
        patch = filter_patch(reading, source.ignore)
        delta, moved = await source.ask(
            lambda cache: cache.compare_patch(patch, ignore=source.ignore)
        )
        return _Compared(
            before=before, reading=patch, delta=delta, moved=moved, unseen=state.unseen
        )
    catalog = filter_catalog(reading, source.ignore)
    delta, moved = await source.ask(lambda cache: cache.compare(catalog, ignore=source.ignore))
    unseen: tuple[Unseen, ...] = ()
    if not accept:
        _refuse_another(source, before, catalog, moved)
        unseen = unseen_now(catalog, delta.gone_tables, before=state.unseen, grants=state.grants)
        delta, moved = keep_unseen(delta, moved, unseen, catalog)
    return _Compared(before=before, reading=catalog, delta=delta, moved=moved, unseen=unseen)


def _refuse_another(
    source: Source, before: SnapshotRecord | None, catalog: Catalog, moved: Moved
) -> None:
    """Raise HeldError where the source says it is another one, and looks like it."""
    if before is None or before.source == catalog.source:
        return
    gone = sum(1 for old, new in moved.tables if old is not None and new is None)
    if elsewhere(before.tables, gone, share=ELSEWHERE_SHARE):
        raise HeldError(
            f"{source.profile} leads to another database than before: {gone} of"
            f" {before.tables} tables are not in it, so nothing was recorded; put its url right,"
            f" or accept what is there: amxwatch catalog refresh {source.profile} --accept"
        )


async def _record(source: Source, compared: _Compared, gate: str) -> _Taken | None:
    """Number what differs from the newest snapshot, if anything does, and replay it.

    None where another process numbered one since the read.
    """
    before, delta = compared.before, compared.delta
    number = before.number if before else None
    changes: tuple[Change, ...] = ()
    if number is None or delta:
        # Against nothing there is nothing to explain: the first snapshot is where we begin.
        if before is not None and not delta.baseline:
            changes = source.explain(compared.moved)
        number = await _append(source, compared, changes)
        if number is None:
            return None
        await source.catch_up((number, delta))
    elif await _number(source) != number:
        return None
    return _Taken(
        gate=gate,
        number=number,
        changes=changes,
        problems=compared.reading.problems,
        unseen=compared.unseen,
        grants=compared.reading.grants if isinstance(compared.reading, Catalog) else None,
    )


async def _append(
    source: Source, compared: _Compared, changes: tuple[Change, ...]
) -> SnapshotNumber | None:
    now = source.clock.now()
    before, delta = compared.before, compared.delta
    tables, columns = _counted(compared)

    def work(tx: Tx) -> SnapshotNumber | None:
        number = tx.snapshots.append(
            source.profile,
            delta,
            at=now,
            after=before.number if before else None,
            tables=tables,
            columns=columns,
            changes=len(changes),
        )
        if number is None:
            return None
        if before is not None:
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


def _counted(compared: _Compared) -> tuple[int, int]:
    """Return how many tables and columns the new snapshot holds."""
    before = compared.before
    tables = before.tables if before else 0
    columns = before.columns if before else 0
    for old, new in compared.moved.tables:
        tables += (new is not None) - (old is not None)
        columns += len(new.columns if new else ()) - len(old.columns if old else ())
    return tables, columns


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


async def _note_failure(
    source: Source, state: SourceState, error: DatabaseError, now: datetime
) -> None:
    failures = state.failures + 1
    held = isinstance(error, HeldError)
    failed = replace(
        state,
        looked_at=now,
        failures=failures,
        failing_since=state.failing_since or now,
        retry_at=now + backoff(failures, key=source.profile),
        error=str(error),
        held=held,
    )

    def work(tx: Tx) -> None:
        tx.sources.put(failed)
        if state.failing_since is None or held != state.held:
            action = "source_held" if held else "source_down"
            tx.events.add(action, at=now, db_profile=source.profile, error=str(error))

    await source.ledger.write(work)


async def _note_success(source: Source, state: SourceState, taken: _Taken, now: datetime) -> None:
    well = SourceState(
        profile=source.profile,
        gate=taken.gate,
        looked_at=now,
        read_at=now,
        problems=taken.problems,
        grants=taken.grants if taken.grants is not None else state.grants,
        unseen=taken.unseen,
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
        _note_problems(tx, source.profile, state, taken, now)

    await source.ledger.write(work)


def _note_problems(tx: Tx, profile: str, state: SourceState, taken: _Taken, now: datetime) -> None:
    """Tell of each problem once, and of what went out of sight."""
    for problem in taken.problems:
        if problem not in state.problems:
            tx.events.add(
                "source_problem",
                at=now,
                db_profile=profile,
                file=problem.file,
                line=problem.line,
                column=problem.column,
                error=problem.message,
            )
    fresh = sorted({each.ref for each in taken.unseen} - {each.ref for each in state.unseen})
    if fresh:
        tx.events.add(
            "objects_unseen", at=now, db_profile=profile, objects=[str(ref) for ref in fresh]
        )
