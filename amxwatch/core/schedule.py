"""What the ledger remembers of a schedule between looks. The plan itself is in TOML."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from amxwatch.core.catalog import SnapshotNumber


class ScheduleStatus(enum.StrEnum):
    """As shown to people. A recurring schedule returns to `pending` after each run."""

    PENDING = "pending"
    PAUSED = "paused"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    MISSED = "missed"
    CANCELLED = "cancelled"
    BLOCKED = "blocked"


@dataclass(frozen=True, kw_only=True)
class ScheduleState:
    """The runtime state of one schedule, by name. Times are aware UTC.

    `trigger_hash` stands for the trigger as it was armed: when it moves, the schedule is armed
    again from then. `watermark` is the snapshot that the last completed run served;
    `files_mark` the digest of the watched files likewise, and `fired_mark` the one that the open
    run serves. `scope` is the scope as last seen; after an edit, until the watermark has passed
    `scope_since`, `former_scope` is what it was before, so that widening it makes nothing old
    pending. The `settle_*` fields remember the burst that is being gathered.
    """

    name: str
    armed_at: datetime
    trigger_hash: str
    scope: str = "all"
    watermark: SnapshotNumber | None = None
    former_scope: str | None = None
    scope_since: SnapshotNumber | None = None
    files_mark: str | None = None
    fired_mark: str | None = None
    paused: bool = False
    cancelled: bool = False
    missed_due_at: datetime | None = None
    last_due_at: datetime | None = None
    """The due time that was last fired, missed or skipped: later ones are still to come."""
    last_fired_at: datetime | None = None
    last_change_run_at: datetime | None = None
    """The start of the last change or files run; the cadence cap counts from it."""
    settle_mark: str | None = None
    settle_since: datetime | None = None
    settle_first: datetime | None = None
    skip_reason: str | None = None
    last_run_id: str | None = None
    last_run_status: str | None = None
    last_error: str | None = None
    consecutive_failures: int = 0
    runs: int = 0
    runs_completed: int = 0
    declined_mark: str | None = None
    """What was pending when a person cancelled its run: it waits until more moves."""
    enabled: bool = True
    """Whether the plan was enabled at the last look; when it is again, it is armed anew."""
