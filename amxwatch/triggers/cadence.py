"""When what is pending may run: the cap, the settling of bursts, and the wait after failures.

Level-triggered: each look is told what is pending now, and nothing is remembered of it but a
fingerprint. So looking twice, late or after a crash decides the same, and what was undone is
simply not there.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from amxwatch.core.schedule import ScheduleState

PATIENCE = 10
"""A burst that does not end is served after so many times `settle`."""


class Action(enum.StrEnum):
    """What to do at this look."""

    IDLE = "idle"
    WAIT = "wait"
    FIRE = "fire"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a look came to.

    `look_at` is when waiting ends if nothing moves until then; None except while waiting.
    `reason` is for people and stays the same from look to look. The `settle_*` fields are to be
    stored for the next look.
    """

    action: Action
    reason: str
    look_at: datetime | None = None
    settle_mark: str | None = None
    settle_since: datetime | None = None
    settle_first: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class _Burst:
    """A gathering: the newest mark, since when it stands, and when the first one was seen."""

    mark: str
    since: datetime
    first: datetime


def decide(
    *,
    pending_mark: str | None,
    state: ScheduleState,
    now: datetime,
    cadence_cap: timedelta,
    settle: timedelta,
    backoff_until: datetime | None,
) -> Decision:
    """Decide whether what is pending fires now.

    `pending_mark` is a fingerprint of what is pending, None for nothing. It fires once it has
    settled and no cap or backoff holds it. Settled means: seen unchanged for `settle`, or
    gathered for ten times that. The cap counts from the start of the last change run; while it
    or the backoff holds, settling goes on, but a burst that outlasts it may still be gathered
    for ten times `settle` from its end. Zero durations are none.
    """
    if pending_mark is None:
        return Decision(action=Action.IDLE, reason="nothing is pending")
    burst = _gathered(pending_mark, state, now)
    held_until, why = _hold(state, cadence_cap, backoff_until)
    patience_ends = max(burst.first, held_until or burst.first) + PATIENCE * settle
    settled_at = min(burst.since + settle, patience_ends)
    if held_until is None or held_until < settled_at:
        ready_at, why = settled_at, "settling"
    else:
        ready_at = held_until
    if ready_at <= now:
        return Decision(action=Action.FIRE, reason="settled, and nothing holds it")
    return Decision(
        action=Action.WAIT,
        reason=f"{why} until {_moment(ready_at)}",
        look_at=ready_at,
        settle_mark=burst.mark,
        settle_since=burst.since,
        settle_first=burst.first,
    )


def _gathered(mark: str, state: ScheduleState, now: datetime) -> _Burst:
    if state.settle_mark is None or state.settle_since is None:
        return _Burst(mark=mark, since=now, first=now)
    # A clock that was set back must not make a burst wait for the time it had shown.
    first = min(state.settle_first or state.settle_since, now)
    since = min(state.settle_since, now) if state.settle_mark == mark else now
    return _Burst(mark=mark, since=since, first=first)


def _hold(
    state: ScheduleState, cap: timedelta, backoff_until: datetime | None
) -> tuple[datetime | None, str]:
    """Return the later of the cap's and the backoff's end, and which it is."""
    cap_end = state.last_change_run_at + cap if state.last_change_run_at and cap else None
    if backoff_until is not None and (cap_end is None or backoff_until > cap_end):
        return backoff_until, "waiting to try again"
    return cap_end, "cadence cap"


def _moment(instant: datetime) -> str:
    """Write an instant briefly and the same at each look."""
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def in_words(cap_hours: float, settle_seconds: float) -> str:
    """Say the pace of a trigger, with a comma before; nothing where there is none."""
    cap = f", at most every {cap_hours:g} h" if cap_hours else ""
    settle = f", once it is quiet for {settle_seconds:g} s" if settle_seconds else ""
    return cap + settle
