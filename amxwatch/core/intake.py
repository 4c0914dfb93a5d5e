"""Intake: signals from outside that become work, and the moves that such an item can make."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NewType

from amxwatch.core.errors import TransitionError
from amxwatch.core.retry import backoff
from amxwatch.core.run import Run, RunStatus

IntakeId = NewType("IntakeId", str)
"""`int_YYYY-MM-DD_HH-MM-SS-xxxx` in UTC, so that ids sort by time."""

MAX_TRIES = 3
"""An item whose run failed so many times is rejected; a person may approve it again."""

MAX_TITLE = 200
MAX_DETAIL = 64 * 1024
"""Characters that are kept of a title and of a detail."""


class IntakeSource(enum.StrEnum):
    """Where a signal came from."""

    MANUAL = "manual"
    FOLDER = "folder"
    GIT = "git"
    CI = "ci"
    WEBHOOK = "webhook"
    VISION = "vision"


class Priority(enum.StrEnum):
    """How soon: p0 pre-empts the next piece of work in the queue, never a running one."""

    P0 = "p0"
    P1 = "p1"
    P2 = "p2"
    P3 = "p3"

    @property
    def of_run(self) -> int:
        """The `priority` of its run: 3 for p0 down to 0 for p3."""
        return 3 - int(self[1])


class IntakeState(enum.StrEnum):
    """Where an item stands."""

    NEW = "new"
    APPROVED = "approved"
    PLANNED = "planned"
    RUNNING = "running"
    RESOLVED = "resolved"
    REJECTED = "rejected"


class IntakeEvent(enum.StrEnum):
    """What can happen to an item."""

    APPROVE = "approve"
    REJECT = "reject"
    HOLD = "hold"
    """It waits for a person; `reason` says why."""
    RAISE = "raise"
    """The same signal came again with a higher priority."""
    RESERVE = "reserve"
    """A session will take it; the daemon's planner leaves it alone."""
    FREE = "free"
    """Its session does not take it after all."""
    PLAN = "plan"
    START = "start"
    RESOLVE = "resolve"
    PUT_BACK = "put_back"
    """Its run failed; it waits for another one."""


OPEN = frozenset({IntakeState.NEW, IntakeState.APPROVED, IntakeState.PLANNED, IntakeState.RUNNING})

BUSY = OPEN - {IntakeState.NEW}
"""What counts against `max_open`."""

TRANSITIONS: dict[tuple[IntakeState, IntakeEvent], IntakeState] = {
    (IntakeState.NEW, IntakeEvent.APPROVE): IntakeState.APPROVED,
    (IntakeState.NEW, IntakeEvent.REJECT): IntakeState.REJECTED,
    (IntakeState.NEW, IntakeEvent.HOLD): IntakeState.NEW,
    (IntakeState.NEW, IntakeEvent.RAISE): IntakeState.NEW,
    (IntakeState.APPROVED, IntakeEvent.REJECT): IntakeState.REJECTED,
    # What it needs has gone since (its db profile, say).
    (IntakeState.APPROVED, IntakeEvent.HOLD): IntakeState.NEW,
    (IntakeState.APPROVED, IntakeEvent.RAISE): IntakeState.APPROVED,
    (IntakeState.APPROVED, IntakeEvent.RESERVE): IntakeState.APPROVED,
    (IntakeState.APPROVED, IntakeEvent.FREE): IntakeState.APPROVED,
    (IntakeState.APPROVED, IntakeEvent.PLAN): IntakeState.PLANNED,
    (IntakeState.PLANNED, IntakeEvent.START): IntakeState.RUNNING,
    (IntakeState.PLANNED, IntakeEvent.RESOLVE): IntakeState.RESOLVED,
    (IntakeState.PLANNED, IntakeEvent.PUT_BACK): IntakeState.APPROVED,
    (IntakeState.PLANNED, IntakeEvent.REJECT): IntakeState.REJECTED,
    # Its run was given back or recovered, and is claimed again.
    (IntakeState.RUNNING, IntakeEvent.START): IntakeState.RUNNING,
    (IntakeState.RUNNING, IntakeEvent.RESOLVE): IntakeState.RESOLVED,
    (IntakeState.RUNNING, IntakeEvent.PUT_BACK): IntakeState.APPROVED,
    (IntakeState.RUNNING, IntakeEvent.REJECT): IntakeState.REJECTED,
    (IntakeState.REJECTED, IntakeEvent.APPROVE): IntakeState.APPROVED,
}


def after(state: IntakeState, event: IntakeEvent) -> IntakeState:
    """Return the state that `event` leads to.

    Raises: TransitionError where the table has no such move.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise TransitionError(
            f"an intake item that is {state} cannot {event.replace('_', ' ')}"
        ) from None


@dataclass(frozen=True, kw_only=True)
class IntakeItem:
    """One signal that became work. Times are aware UTC.

    `dedupe_key` stands for what it says: one open item each. `signal` stands for the very
    occurrence (a file, a delivery): one item ever; None where occurrences cannot be told apart.
    `scope` is in canonical spelling. `not_before` is when it may be planned. `session` and
    `schedule` name the continuous session that reserved or took it. `tries` counts its failed
    runs. `reason` says why it waits for a person, was put back or was rejected; `outcome` is the
    status that its last run ended in.
    """

    id: IntakeId
    source: IntakeSource
    title: str
    detail: str = ""
    db_profile: str
    scope: str = "all"
    priority: Priority = Priority.P2
    state: IntakeState = IntakeState.NEW
    dedupe_key: str
    signal: str | None = None
    added_at: datetime
    not_before: datetime
    approved_at: datetime | None = None
    ended_at: datetime | None = None
    run_id: str | None = None
    session: str | None = None
    schedule: str | None = None
    tries: int = 0
    outcome: str | None = None
    reason: str | None = None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


@dataclass(frozen=True, kw_only=True)
class Move:
    """A move to make, and the fields that are set with it."""

    event: IntakeEvent
    values: dict[str, Any]


def triage(
    item: IntakeItem,
    *,
    knows_profile: bool,
    missing: Sequence[str] | None,
    busy: int,
    max_open: int,
    now: datetime,
) -> Move | None:
    """Decide about a new item without a person; None leaves it for a later look.

    `missing` says what the scope names and the catalog lacks (None: no snapshot yet); `busy`
    counts the items that are approved and not ended.
    """
    if not knows_profile:
        return hold(f"there is no db profile {item.db_profile!r}")
    if missing is None:
        return None
    if missing:
        return hold("; ".join(missing[:5]))
    if busy >= max_open:
        return None
    return approval(now)


def hold(reason: str) -> Move:
    """Leave an item to a person."""
    return Move(event=IntakeEvent.HOLD, values={"reason": reason, "session": None})


def approval(now: datetime) -> Move:
    """Let an item be planned, with all its tries before it."""
    values = {
        "approved_at": now,
        "not_before": now,
        "ended_at": None,
        "run_id": None,
        "session": None,
        "schedule": None,
        "tries": 0,
        "reason": None,
    }
    return Move(event=IntakeEvent.APPROVE, values=values)


def rejection(reason: str, now: datetime, **values: object) -> Move:
    """End an item without its work being done."""
    return Move(
        event=IntakeEvent.REJECT,
        values={"reason": reason, "ended_at": now, "session": None} | values,
    )


def following(item: IntakeItem, run: Run, now: datetime) -> Move | None:
    """Return what the state of its run means for an item; None where that is nothing.

    A failed run puts the item back, to be tried after a growing pause, `MAX_TRIES` times in
    all. A run that a person cancelled rejects it: that was a decision.
    """
    match run.status:
        case RunStatus.RUNNING:
            return Move(event=IntakeEvent.START, values={})
        case RunStatus.COMPLETED:
            values = {"outcome": str(run.status), "ended_at": now, "reason": None}
            return Move(event=IntakeEvent.RESOLVE, values=values)
        case RunStatus.CANCELLED:
            return rejection(f"run {run.id} was cancelled", now, outcome=str(run.status))
        case RunStatus.FAILED:
            return _failed(item, run, now)
    return None


def _failed(item: IntakeItem, run: Run, now: datetime) -> Move:
    tries = item.tries + 1
    said = {"outcome": str(run.status), "tries": tries}
    why = f"run {run.id} failed ({run.failure_category}): {run.error}"
    if tries >= MAX_TRIES:
        return rejection(f"{why}; it failed {tries} times", now, **said)
    pause = backoff(tries, first=timedelta(minutes=1), key=item.id)
    values = {**said, "reason": why, "not_before": now + pause, "session": None}
    return Move(event=IntakeEvent.PUT_BACK, values=values)
