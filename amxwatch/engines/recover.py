"""Giving back what dead workers left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Set
from datetime import datetime, timedelta
from functools import partial

import anyio.to_thread

from amxwatch.core.run import Run, RunEvent, RunId, RunStatus
from amxwatch.engines import ending as endings
from amxwatch.engines.execute import Settled
from amxwatch.engines.trail import record, record_ending, record_lost
from amxwatch.ports.clock import Clock
from amxwatch.ports.ledger import Ledger, RunFilter, Tx

log = logging.getLogger(__name__)

REASON = "Recovered stale running run (heartbeat threshold exceeded)"

MAX_RECOVERIES = 3
"""A run whose worker dies once more than this fails: it may be what kills them."""

_OWNED = RunFilter(
    statuses=frozenset({RunStatus.QUEUED, RunStatus.RUNNING}), owned=True, limit=10_000
)

OWNED = "owned runs"
"""Under this they are recalled."""


def owned_runs(tx: Tx) -> list[Run]:
    """Return the runs that somebody holds, or that are reserved for somebody."""
    return tx.runs.list(_OWNED)


FAR = timedelta(minutes=2)
"""No lease ends later than that, but by a clock that has been set back since."""


async def recover(
    ledger: Ledger,
    clock: Clock,
    *,
    is_dead: Callable[[str], bool],
    held: Set[RunId] = frozenset(),
    settled: Settled | None = None,
) -> list[Run]:
    """Queue again each run whose worker is surely dead, or whose lease is over.

    A queued run that was reserved for a dead worker is open to all. `held` are the runs that
    this very process executes: their lease is its own business (a laptop that slept). Returns
    what was moved, as it stands now. May be called by any number of processes, at any time.
    """
    owned = await ledger.recall(OWNED, owned_runs)
    suspects = [run for run in owned if run.id not in held]
    if not suspects:
        return []
    names = {name for run in suspects if (name := _holder(run)) is not None}
    dead = await anyio.to_thread.run_sync(lambda: {name for name in names if is_dead(name)})
    moved = []
    for run in suspects:
        if _holder(run) in dead or _is_over(run, clock.now()):
            work = partial(_give_back, seen=run, at=clock.now(), settled=settled)
            given = await ledger.write(work)
            moved += [] if given is None else [given]
        elif run.lease_until is not None and run.lease_until > clock.now() + FAR:
            await ledger.write(partial(_shorten, seen=run, until=clock.now() + FAR))
    return moved


def _shorten(tx: Tx, *, seen: Run, until: datetime) -> None:
    """End a lease soon that was taken before the clock was set back; its holder renews it."""
    run = tx.runs.get(seen.id)
    if (run.status, run.token, run.lease_until) == (seen.status, seen.token, seen.lease_until):
        tx.runs.update(run.id, run.token, lease_until=until)


def _holder(run: Run) -> str | None:
    return run.owner if run.status is RunStatus.RUNNING else run.reserved_for


def _is_over(run: Run, now: datetime) -> bool:
    return run.lease_until is not None and run.lease_until < now


def _give_back(tx: Tx, *, seen: Run, at: datetime, settled: Settled | None) -> Run | None:
    """Move a run that still stands as it was seen; None where it moved meanwhile."""
    run = tx.runs.get(seen.id)
    if (run.status, run.token, run.lease_until) != (seen.status, seen.token, seen.lease_until):
        return None
    if run.status is RunStatus.QUEUED:
        return tx.runs.move(run.id, RunEvent.RECOVER, token=None, reserved_for=None)
    record_lost(tx, run, at)
    ended = _ending(run, at)
    if ended is None:
        return _queue_again(tx, run, at)
    moved = tx.runs.move(run.id, ended.event, token=None, **ended.values)
    record_ending(tx, moved, ended, at)
    if settled is not None:
        settled(tx, moved)
    return moved


def _ending(run: Run, at: datetime) -> endings.Ending | None:
    """Return the ending of a run that is not to go on."""
    if run.cancel_requested:
        return endings.cancelled(at)
    if run.recovered >= MAX_RECOVERIES:
        return endings.failed(REASON, "interrupted", at)
    return None


def _queue_again(tx: Tx, run: Run, at: datetime) -> Run:
    moved = tx.runs.move(
        run.id, RunEvent.RECOVER, token=None, recovered=run.recovered + 1, reserved_for=None
    )
    record(tx, moved, "run_recovered", at, reason=REASON, owner=run.owner)
    log.warning(
        "a run whose worker died was queued again",
        extra={"action": "run_recovered", "run_id": run.id},
    )
    return moved
