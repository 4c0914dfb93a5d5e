"""A continuous session: runs that follow one another until the goals are met.

`next_step` is the whole of what a session decides. The flow gives it what there is to do, does
what it says, and comes back at the next poll.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NewType

from amxwatch.core.errors import TransitionError
from amxwatch.core.run import Run, RunTrigger

if TYPE_CHECKING:
    from amxwatch.core.goal import GoalKey

SessionId = NewType("SessionId", str)
"""`cont-` and eight hexadecimal digits. Its runs have the unique keys `SESSION:1`, `SESSION:2` …"""

MAX_TRIES = 2
"""How many runs of one session work on the very same objects for the same goal.

What they left is then a person's, until something about it moves, or until `TRIED_AGAIN` later:
a perpetual session must not give up for good because of an outage.
"""

TRIED_AGAIN = timedelta(days=1)


class SessionStatus(enum.StrEnum):
    """Where a session stands."""

    RUNNING = "running"
    IDLE = "idle"
    WAITING_REVIEW = "waiting_review"
    BLOCKED = "blocked"
    PAUSED = "paused"
    COMPLETED = "completed"
    STOPPED = "stopped"


class SessionEvent(enum.StrEnum):
    """What can happen to a session."""

    WORK = "work"
    """One of its runs waits, goes on, or was put."""
    REST = "rest"
    """There is nothing to do just now."""
    ASK = "ask"
    """What is left is a person's: a review, an approval, a decision."""
    BLOCK = "block"
    PAUSE = "pause"
    COMPLETE = "complete"
    STOP = "stop"


OPEN = frozenset(
    {
        SessionStatus.RUNNING,
        SessionStatus.IDLE,
        SessionStatus.WAITING_REVIEW,
        SessionStatus.BLOCKED,
        SessionStatus.PAUSED,
    }
)

_LEADS_TO = {
    SessionEvent.WORK: SessionStatus.RUNNING,
    SessionEvent.REST: SessionStatus.IDLE,
    SessionEvent.ASK: SessionStatus.WAITING_REVIEW,
    SessionEvent.BLOCK: SessionStatus.BLOCKED,
    SessionEvent.PAUSE: SessionStatus.PAUSED,
    SessionEvent.COMPLETE: SessionStatus.COMPLETED,
    SessionEvent.STOP: SessionStatus.STOPPED,
}

TRANSITIONS: dict[tuple[SessionStatus, SessionEvent], SessionStatus] = {
    (status, event): target for status in sorted(OPEN) for event, target in _LEADS_TO.items()
}
"""From every open status to each; from an ended one nowhere."""


def after(status: SessionStatus, event: SessionEvent) -> SessionStatus:
    """Return the status that `event` leads to.

    Raises: TransitionError where the table has no such move.
    """
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise TransitionError(f"a {status} session cannot {event}") from None


@dataclass(frozen=True, kw_only=True)
class Try:
    """How many runs of this session worked on one goal while its work was `mark`.

    `at` is when the last one was put; None says that this work is not begun again, as a person
    decided.
    """

    goal: GoalKey
    mark: str
    runs: int
    at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """A file in which the session looked for further goals: how often, and how many it found."""

    file: str
    looks: int
    goals: int


@dataclass(frozen=True, kw_only=True)
class Session:
    """One row for each session. Times are aware UTC.

    The owner is a schedule, by name, or a process of the command line. `due_key` makes a due
    time start one session. `run_id` is its run while that is open or not booked yet, `goal` or
    `intake_id` what that run serves. `runs_started` counts what `max_runs` bounds; the run's
    unique key is made of it. `met` are the goals that were met at the last measure, None before
    the first. `max_usd` bounds what its runs may cost together. `reason` says why it ended, or
    what it waits for.
    """

    id: SessionId
    owner_type: str
    owner_id: str
    db_profile: str
    vision_path: str
    status: SessionStatus = SessionStatus.RUNNING
    started_at: datetime
    moved_at: datetime
    ended_at: datetime | None = None
    due_key: str | None = None
    max_runs: int
    max_usd: Decimal | None = None
    runs_started: int = 0
    runs_completed: int = 0
    idle_cycles: int = 0
    run_id: str | None = None
    goal: GoalKey | None = None
    intake_id: str | None = None
    objective: str | None = None
    met: tuple[GoalKey, ...] | None = None
    tries: tuple[Try, ...] = ()
    expansions: tuple[Expansion, ...] = ()
    reason: str | None = None
    category: str | None = None
    recovery_action: str | None = None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def next_key(self) -> str:
        """The unique key of its next run: whoever puts it twice puts it once."""
        return f"{self.id}:{self.runs_started + 1}"

    def tried(self, goal: GoalKey, mark: str, now: datetime) -> int:
        """Return how many of its runs worked lately on this goal with this very work."""
        for each in self.tries:
            if (each.goal, each.mark) == (goal, mark):
                is_over = each.at is not None and not each.at <= now < each.at + TRIED_AGAIN
                return 0 if is_over else each.runs
        return 0

    def looks(self) -> int:
        """Return how often it looked for further goals."""
        return sum(expansion.looks for expansion in self.expansions)


def session_of(run: Run) -> SessionId | None:
    """Return the session that put a run; None for a run of anything else."""
    if run.unique_key is None or run.trigger not in (RunTrigger.CONTINUOUS, RunTrigger.INTAKE):
        return None
    return SessionId(run.unique_key.rpartition(":")[0])


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a session was told; the settings of its schedule, as they are now."""

    max_runs: int
    max_idle_cycles: int
    on_idle: str = "exit"
    triage_approval: str = "auto"
    max_usd: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Work:
    """What there is to do.

    `run` says of the run that goes on (`open` or `blocked`). `goal` claims that a run could now
    draft something for an unmet goal, `proposed` that such goals wait for a person's approval,
    `review` that unmet goals wait for drafts to be answered or written, `further` that there is
    a file left to look for goals in. `met` claims that there are goals and that all are met.
    """

    run: str | None = None
    paused: bool = False
    intake: bool = False
    goal: bool = False
    proposed: bool = False
    review: bool = False
    further: bool = False
    met: bool = False


class Step(enum.StrEnum):
    """What a session does next."""

    AWAIT_RUN = "await_run"
    RUN_INTAKE = "run_intake"
    RUN_GOAL = "run_goal"
    PROPOSE = "propose"
    EXPAND = "expand"
    WAIT = "wait"
    END = "end"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The step, the move of the session, and why. `idle_cycles` is what it counts from now."""

    step: Step
    event: SessionEvent
    reason: str | None = None
    idle_cycles: int = 0


def next_step(
    session: Session, terms: Terms, work: Work, *, spent: Decimal, is_poll: bool = True
) -> Decision:
    """Decide what an open session does now.

    Order: its own run, a pause, the limits, intake, goals, further files, waiting. Only a poll
    counts as an idle cycle; a look that a hint caused does not.
    """
    if work.paused:
        return _wait(session, SessionEvent.PAUSE, "its schedule is paused")
    if work.run is not None:
        is_blocked = work.run == "blocked"
        event = SessionEvent.BLOCK if is_blocked else SessionEvent.WORK
        return Decision(step=Step.AWAIT_RUN, event=event)
    if (limit := _limit(session, terms, spent)) is not None:
        return _end(work, limit)
    return _work(session, terms, work) or _idle(session, terms, work, is_poll=is_poll)


def _work(session: Session, terms: Terms, work: Work) -> Decision | None:
    """Return what can be done now; None where there is nothing."""
    if work.intake:
        return Decision(step=Step.RUN_INTAKE, event=SessionEvent.WORK)
    if work.goal and terms.triage_approval == "human":
        return Decision(step=Step.PROPOSE, event=SessionEvent.ASK)
    if work.goal:
        return Decision(step=Step.RUN_GOAL, event=SessionEvent.WORK)
    if work.further:
        return Decision(step=Step.EXPAND, event=SessionEvent.WORK, idle_cycles=session.idle_cycles)
    if work.proposed:
        return _wait(session, SessionEvent.ASK, "goals wait for approval: amxwatch intake list")
    return None


def _limit(session: Session, terms: Terms, spent: Decimal) -> str | None:
    if session.runs_started >= terms.max_runs:
        return f"it has made its {terms.max_runs} runs (max_runs)"
    if terms.max_usd is not None and spent >= terms.max_usd:
        return f"it has spent ${spent} of its ${terms.max_usd} (per_session_max_usd)"
    return None


def _end(work: Work, reason: str) -> Decision:
    if work.met:
        return Decision(step=Step.END, event=SessionEvent.COMPLETE, reason="every goal is met")
    return Decision(step=Step.END, event=SessionEvent.STOP, reason=reason)


def _wait(session: Session, event: SessionEvent, reason: str) -> Decision:
    return Decision(step=Step.WAIT, event=event, reason=reason, idle_cycles=session.idle_cycles)


def _idle(session: Session, terms: Terms, work: Work, *, is_poll: bool) -> Decision:
    """Nothing can be done just now: count, and at the limit do as `on_idle` says."""
    if work.met and terms.on_idle != "perpetual":
        return _end(work, "")
    idle = min(session.idle_cycles + is_poll, terms.max_idle_cycles)
    event = SessionEvent.ASK if work.review else SessionEvent.REST
    reason = _idle_reason(work)
    if idle >= terms.max_idle_cycles and terms.on_idle == "exit":
        return _end(work, f"{reason}, for {idle} cycles (max_idle_cycles)")
    if idle >= terms.max_idle_cycles and terms.on_idle == "human_review":
        event = SessionEvent.ASK
    return Decision(step=Step.WAIT, event=event, reason=reason, idle_cycles=idle)


def _idle_reason(work: Work) -> str:
    if work.met:
        return "every goal is met"
    if work.review:
        return "what is left waits for a person: amxwatch review, amxwatch apply"
    return "there is nothing that a run could do"
