"""Forget old snapshots: the ledger first, then the cache.

The oldest snapshot that is kept becomes whole, so that everything from it on is told as before.
A kill in between leaves a cache that still holds the pruned ones; the next look drops them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.change import Delta
from amxwatch.core.draft import APPLICABLE, REVIEWABLE, DraftStatus
from amxwatch.core.errors import NotFoundError, StoreBusyError
from amxwatch.core.run import OPEN, RunId
from amxwatch.flows.source import Source
from amxwatch.ports.ledger import DraftFilter, RunFilter, SnapshotRecord, Tx

PLAN_TRIES = 5
"""How often something may begin to need an older snapshot while we prepare."""

ALL_RUNS = 2**31

UNSETTLED = APPLICABLE | REVIEWABLE | {DraftStatus.WRITING}
"""Drafts that somebody still has to answer or to write."""


@dataclass(frozen=True, kw_only=True, order=True)
class Hold:
    """Who still needs a snapshot that is older than what was asked to be kept."""

    snapshot: SnapshotNumber
    kind: str
    """`schedule`, `run` or `draft`."""
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What a prune came to, or would. `bytes_*` count the log of deltas and the cache file.

    `kept_from` is None where there is no snapshot at all.
    """

    profile: str
    kept_from: SnapshotNumber | None
    pruned: int
    held_back_by: tuple[Hold, ...]
    passed: tuple[Hold, ...]
    """Schedules that are not in the config any more: one that comes back finds its snapshot gone,
    and goes on from the oldest."""
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True, kw_only=True)
class _Plan:
    kept: SnapshotRecord
    """The oldest one that stays."""
    pruned: int
    holds: tuple[Hold, ...]
    passed: tuple[Hold, ...]


async def prune(
    source: Source, keep: timedelta, *, owners: Mapping[str, str], dry_run: bool = False
) -> Pruned:
    """Forget the snapshots that nobody needs to know how things stood up to `keep` ago.

    Kept are the one that stood then and all later ones; never the newest is forgotten, nor one
    that a schedule's watermark, an open run or an open draft starts from. `owners` tells the db
    profile of each schedule of the config. Raises: StoreError.
    """
    since = source.clock.now() - keep
    await source.catch_up()
    before = await _size(source)
    for _ in range(PLAN_TRIES):
        plan = await source.ledger.read(lambda tx: _planned(tx, source.profile, since, owners))
        if plan is None or plan.pruned == 0 or dry_run:
            break
        if await _compact(source, plan, since, owners):
            await source.catch_up()
            break
    else:
        raise StoreBusyError(
            f"runs of {source.profile} kept starting from old snapshots; nothing was forgotten,"
            " try again in a moment"
        )
    return Pruned(
        profile=source.profile,
        kept_from=plan.kept.number if plan else None,
        pruned=plan.pruned if plan else 0,
        held_back_by=plan.holds if plan else (),
        passed=plan.passed if plan else (),
        bytes_before=before,
        bytes_after=await _size(source),
    )


def _planned(tx: Tx, profile: str, since: datetime, owners: Mapping[str, str]) -> _Plan | None:
    records = tx.snapshots.list(profile)
    if not records:
        return None
    stood = tx.snapshots.at(profile, since) or records[0]
    holds = tuple(
        sorted(hold for hold in _holds(tx, profile, owners) if hold.snapshot < stood.number)
    )
    needed = min([stood.number, *(hold.snapshot for hold in holds)])
    kept = next(record for record in records if record.number >= needed)
    return _Plan(
        kept=kept,
        pruned=sum(1 for record in records if record.number < kept.number),
        holds=holds,
        passed=tuple(
            sorted(hold for hold in _vanished(tx, profile, owners) if hold.snapshot < kept.number)
        ),
    )


def _holds(tx: Tx, profile: str, owners: Mapping[str, str]) -> Iterable[Hold]:
    """Yield who needs which snapshot, the newest ones too."""
    for state in tx.schedules.list():
        is_ours = owners.get(state.name) == profile
        if is_ours and not state.cancelled and state.watermark is not None:
            yield Hold(kind="schedule", name=state.name, snapshot=state.watermark)
    for run in tx.runs.list(RunFilter(statuses=OPEN, db_profile=profile, limit=ALL_RUNS)):
        for number in (run.from_snapshot, run.to_snapshot):
            if number is not None:
                yield Hold(kind="run", name=run.id, snapshot=number)
    made_from: dict[RunId, SnapshotNumber | None] = {}
    for draft in tx.drafts.list(DraftFilter(statuses=UNSETTLED, db_profile=profile)):
        if draft.run_id not in made_from:
            made_from[draft.run_id] = tx.runs.get(draft.run_id).to_snapshot
            # One draft of each run is told: they stand and fall together.
            number = made_from[draft.run_id]
            if number is not None:
                yield Hold(kind="draft", name=str(draft.id), snapshot=number)


def _vanished(tx: Tx, profile: str, owners: Mapping[str, str]) -> Iterable[Hold]:
    """Yield the watermarks of schedules that left the config, as far as they may be of ours."""
    for state in tx.schedules.list():
        if state.name in owners or state.cancelled or state.watermark is None:
            continue
        # Only its runs know what it was a schedule of.
        last = tx.runs.list(RunFilter(schedule=state.name, limit=1))
        if not last or last[0].db_profile == profile:
            yield Hold(kind="schedule", name=state.name, snapshot=state.watermark)


async def _compact(source: Source, plan: _Plan, since: datetime, owners: Mapping[str, str]) -> bool:
    """Carry a plan out in one transaction; False where it no longer holds."""
    profile, kept = source.profile, plan.kept
    # Read from the cache, which checks what it reads: so a delta that is damaged in the ledger
    # can be pruned away as well.
    try:
        catalog = await source.as_of(kept.number)
    except NotFoundError:
        # Another prune went further since the plan was made: plan anew.
        return False
    whole = Delta(
        reader=kept.reader,
        source=kept.source,
        ignore=kept.ignore,
        baseline=kept.baseline,
        whole=True,
        put_schemas=catalog.schemas,
        put_tables=catalog.tables,
    )

    def work(tx: Tx) -> bool:
        if _planned(tx, profile, since, owners) != plan:
            return False
        tx.keeping.compact(profile, kept.number, whole)
        tx.events.add(
            "snapshots_pruned",
            at=source.clock.now(),
            db_profile=profile,
            kept_from=kept.number,
            pruned=plan.pruned,
        )
        return True

    return await source.ledger.write(work)


async def _size(source: Source) -> int:
    log = await source.ledger.read(lambda tx: tx.keeping.size(source.profile))
    return log + await source.snapshots.size()
