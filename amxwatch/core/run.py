"""A run: one execution of `analyze` or `cache_refresh`, and the moves it can make."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NewType

from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.errors import TransitionError
from amxwatch.core.manner import UNASKED, Manner

RunId = NewType("RunId", str)
"""`run_YYYY-MM-DD_HH-MM-SS-xxxx` in UTC, so that ids sort by time."""


class RunKind(enum.StrEnum):
    """What a run does."""

    ANALYZE = "analyze"
    CACHE_REFRESH = "cache_refresh"


class RunTrigger(enum.StrEnum):
    """Who or what made a run."""

    SCHEDULE = "schedule"
    CHANGE = "change"
    FILES = "files"
    MANUAL = "manual"
    INTAKE = "intake"
    RERUN = "rerun"
    CONTINUOUS = "continuous"


class RunStatus(enum.StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    BLOCKED = "blocked"
    MISSED = "missed"


class RunEvent(enum.StrEnum):
    """What can happen to a run."""

    CLAIM = "claim"
    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"
    BLOCK = "block"
    UNBLOCK = "unblock"
    RELEASE = "release"
    """Its worker leaves in good order; the run waits for the next one."""
    RECOVER = "recover"
    """Its worker died; the run goes on from its last recorded step."""
    RETRY = "retry"
    """It failed in a way that passes by itself: it is tried again after a pause."""
    MISS = "miss"


OPEN = frozenset({RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.BLOCKED})

TRANSITIONS: dict[tuple[RunStatus, RunEvent], RunStatus] = {
    (RunStatus.QUEUED, RunEvent.CLAIM): RunStatus.RUNNING,
    (RunStatus.QUEUED, RunEvent.CANCEL): RunStatus.CANCELLED,
    (RunStatus.QUEUED, RunEvent.BLOCK): RunStatus.BLOCKED,
    (RunStatus.QUEUED, RunEvent.MISS): RunStatus.MISSED,
    # The owner it was reserved for died: any other worker may take it.
    (RunStatus.QUEUED, RunEvent.RECOVER): RunStatus.QUEUED,
    (RunStatus.RUNNING, RunEvent.COMPLETE): RunStatus.COMPLETED,
    (RunStatus.RUNNING, RunEvent.FAIL): RunStatus.FAILED,
    (RunStatus.RUNNING, RunEvent.CANCEL): RunStatus.CANCELLED,
    (RunStatus.RUNNING, RunEvent.BLOCK): RunStatus.BLOCKED,
    (RunStatus.RUNNING, RunEvent.RELEASE): RunStatus.QUEUED,
    (RunStatus.RUNNING, RunEvent.RECOVER): RunStatus.QUEUED,
    (RunStatus.RUNNING, RunEvent.RETRY): RunStatus.QUEUED,
    (RunStatus.BLOCKED, RunEvent.UNBLOCK): RunStatus.QUEUED,
    (RunStatus.BLOCKED, RunEvent.CANCEL): RunStatus.CANCELLED,
    (RunStatus.MISSED, RunEvent.UNBLOCK): RunStatus.QUEUED,
    (RunStatus.MISSED, RunEvent.CANCEL): RunStatus.CANCELLED,
}


def after(status: RunStatus, event: RunEvent) -> RunStatus:
    """Return the status that `event` leads to.

    Raises: TransitionError where the table has no such move.
    """
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise TransitionError(f"a {status} run cannot {event}") from None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One row of the run history. Times are aware UTC.

    `unique_key` makes a firing happen once: `schedule:due` for clock runs. `from_snapshot` is
    the watermark that a change run starts from; `to_snapshot` is fixed when the run is claimed.
    `token` grows with each claim: a writer with an older one is refused. `reserved_for` names
    the only owner that may claim it (a run by hand, executed by the command itself).
    `cost_usd` is None while nothing was asked, or while no price is known; `unpriced` counts the
    requests without a known price, `price_version` names the table and rates of the others.
    `retries` counts how often it was tried again after a failure that passes by itself, at most
    `max_retries` times.
    `manner` is what was asked of it beyond its scope.
    """

    id: RunId
    kind: RunKind
    status: RunStatus
    trigger: RunTrigger
    trigger_reason: str
    db_profile: str
    llm_profile: str | None = None
    schedule: str | None = None
    database: str | None = None
    scope: str = "all"
    review_strategy: str = "manual"
    priority: int = 0
    unique_key: str | None = None
    due_at: datetime | None = None
    from_snapshot: SnapshotNumber | None = None
    to_snapshot: SnapshotNumber | None = None
    queued_at: datetime
    not_before: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    timeout_seconds: float | None = None
    attempt: int = 0
    recovered: int = 0
    token: int = 0
    owner: str | None = None
    reserved_for: str | None = None
    lease_until: datetime | None = None
    cancel_requested: bool = False
    objects: int = 0
    drafted: int = 0
    reused: int = 0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = None
    unpriced: int = 0
    price_version: str | None = None
    summary: str | None = None
    failure_category: str | None = None
    error: str | None = None
    recovery_action: str | None = None
    retries: int = 0
    max_retries: int = 0
    manner: Manner = UNASKED

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    def is_put_off(self, now: datetime, patience: timedelta) -> bool:
        """Claim that it is queued and may not start for longer than `patience`."""
        return self.status is RunStatus.QUEUED and self.not_before > now + patience


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a finished handler reports of its run."""

    summary: str
    objects: int = 0
    drafted: int = 0
    reused: int = 0
    to_snapshot: SnapshotNumber | None = None


@dataclass(frozen=True, kw_only=True)
class Paid:
    """A model's answer and what it took. `cost_usd` is None where no price is known.

    `calls` counts the calls that it took: several samples may take one each.
    """

    reply: str
    cost_usd: Decimal | None
    price_version: str | None = None
    calls: int = 1
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Slots:
    """How many runs may go on at once: in all, and for each profile and schedule by name.

    A name that is absent from a mapping has `each_profile` or `each_schedule` slots, which are
    at least 1.
    """

    total: int = 4
    profiles: dict[str, int]
    schedules: dict[str, int]
    each_profile: int = 1
    each_schedule: int = 1
