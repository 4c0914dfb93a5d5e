"""The events that executing leaves in the audit trail."""

from __future__ import annotations

from datetime import datetime

from amxwatch.core.run import Run
from amxwatch.engines.ending import Ending
from amxwatch.ports.ledger import Tx

_SAID = (
    "summary",
    "objects",
    "drafted",
    "reused",
    "error",
    "failure_category",
    "recovery_action",
    "retries",
)


def record(tx: Tx, run: Run, action: str, at: datetime, **detail: object) -> None:
    """Append an event about a run."""
    tx.events.add(
        action,
        at=at,
        schedule=run.schedule,
        run_id=run.id,
        trigger=run.trigger,
        db_profile=run.db_profile,
        **detail,
    )


def record_ending(tx: Tx, run: Run, ended: Ending, at: datetime) -> None:
    """Append the event of an ending, with what it says of the run."""
    said = {name: ended.values[name] for name in _SAID if name in ended.values}
    if "not_before" in ended.values:
        said["not_before"] = ended.values["not_before"].isoformat()
    record(tx, run, ended.action, at, **said)


def record_lost(tx: Tx, run: Run, at: datetime) -> None:
    """Append an event for each request that was in flight, and forget it."""
    for key in tx.steps.lost(run.id):
        record(tx, run, "reply_lost", at, key=key)
