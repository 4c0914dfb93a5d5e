"""Runs and moments that the tests of ledgers and engines share."""

from __future__ import annotations

import functools
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from amxwatch.clocks.system import SystemClock
from amxwatch.core.run import (
    Run,
    RunId,
    RunKind,
    RunStatus,
    RunTrigger,
    Slots,
)
from amxwatch.ports.clock import Clock
from amxwatch.ports.ledger import (
    Tx,
)
from amxwatch.stores.ledger import SqlLedger, open_ledger

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=30)
MANY = Slots(total=99, profiles={}, schedules={}, each_profile=99, each_schedule=99)


@functools.cache
def _made() -> bytes:
    """Return the file of a new ledger; making it anew for each test would take most of the time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        open_ledger(path, SystemClock())
        return path.read_bytes()


def new_ledger(path: Path, clock: Clock) -> SqlLedger:
    path.write_bytes(_made())
    return open_ledger(path, clock)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def a_run(name: str = "run_1", **values: Any) -> Run:
    given: dict[str, Any] = {
        "kind": RunKind.ANALYZE,
        "status": RunStatus.QUEUED,
        "trigger": RunTrigger.MANUAL,
        "trigger_reason": "by hand",
        "db_profile": "prod",
        "queued_at": NOW,
        "not_before": NOW,
    }
    return Run(id=RunId(name), **{**given, **values})


def claim(tx: Tx, *, owner: str = "me", at: datetime = NOW, **values: Any) -> Run | None:
    given = {"lease": LEASE, "slots": MANY, "only": None}
    return tx.runs.claim(now=at, owner=owner, **{**given, **values})


def claimed(tx: Tx, name: str = "run_1", **values: Any) -> Run:
    assert tx.runs.put(a_run(name, **values))
    run = claim(tx, only=RunId(name))
    assert run is not None
    return run
