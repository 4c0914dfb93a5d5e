"""What the failed runs of a schedule left since one of them completed.

The next run takes their drafts over: nothing is drafted, and no text is put into review, twice.
"""

from __future__ import annotations

from itertools import takewhile

from amxwatch.core.draft import APPLICABLE, Draft, DraftStatus
from amxwatch.core.run import Run, RunId, RunStatus
from amxwatch.ports.ledger import DraftFilter, RunFilter, Tx

MOST = 20
"""How many failed runs in a row are looked at."""

SETTLED = APPLICABLE | {DraftStatus.WRITING, DraftStatus.WRITTEN}
"""Drafts that were answered already."""


def failed_tries(tx: Tx, run: Run) -> list[RunId]:
    """Return the schedule's failed runs, newest first, up to its last one that did not fail."""
    if run.schedule is None:
        return []
    runs = tx.runs.list(RunFilter(schedule=run.schedule, limit=MOST + 1))
    others = [other for other in runs if other.id != run.id and other.db_profile == run.db_profile]
    return [other.id for other in takewhile(lambda other: other.status is RunStatus.FAILED, others)]


def left_behind(tx: Tx, run: Run, statuses: frozenset[DraftStatus]) -> list[Draft]:
    """Return the drafts of those runs that stand in one of `statuses`."""
    return [
        draft
        for run_id in failed_tries(tx, run)
        for draft in tx.drafts.list(DraftFilter(run_id=run_id, statuses=statuses))
    ]
