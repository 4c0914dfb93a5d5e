"""The beginning and the end of continuous sessions."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from amxwatch.core.continuous import Session, SessionEvent, SessionId, after
from amxwatch.core.schedule import ScheduleState
from amxwatch.flows.firing import Dispatched, Firing
from amxwatch.ports.clock import Clock
from amxwatch.ports.ledger import Ledger, Tx
from amxwatch.settings.continuous import Continuous

BY_SCHEDULE = "schedule"
BY_PROCESS = "cli"


def new_session(
    settings: Continuous, *, owner_type: str, owner_id: str, db_profile: str, now: datetime
) -> Session:
    """Return a session that has done nothing yet."""
    return Session(
        id=SessionId(f"cont-{secrets.token_hex(4)}"),
        owner_type=owner_type,
        owner_id=owner_id,
        db_profile=db_profile,
        vision_path=settings.vision_path or "",
        started_at=now,
        moved_at=now,
        max_runs=settings.max_runs,
        max_usd=settings.per_session_max_usd,
    )


def start(tx: Tx, session: Session) -> bool:
    """Store a new session and say so in the trail; False where there is one already."""
    if not tx.sessions.start(session):
        return False
    tx.events.add("session_started", at=session.started_at, **_about(session))
    return True


async def begin_due(firing: Firing, state: ScheduleState, due: datetime) -> Dispatched:
    """Let a due time start a session, once; while one is open, it only passes."""
    plan = firing.schedule
    session = new_session(
        plan.continuous,
        owner_type=BY_SCHEDULE,
        owner_id=plan.name,
        db_profile=plan.db_profile,
        now=firing.now,
    )
    session = replace(session, due_key=f"{plan.name}:{due.isoformat()}")

    def work(tx: Tx) -> bool:
        current = tx.schedules.get(plan.name) or state
        if current.armed_at != state.armed_at or current.paused or current.cancelled:
            return False  # a person, or another process, was quicker: we look again
        made = start(tx, session)
        served = max(due, current.last_due_at or due)
        tx.schedules.put(replace(current, last_due_at=served, missed_due_at=None, skip_reason=None))
        return made

    made = await firing.source.ledger.write(work)
    return Dispatched(schedule=plan.name, action="session" if made else "idle", status="pending")


def stop(tx: Tx, session: Session, reason: str, now: datetime) -> Session:
    """End a session from outside; one that has ended stays as it is."""
    stored = tx.sessions.get(session.id)
    if not stored.is_open:
        return stored
    ended = replace(
        stored,
        status=after(stored.status, SessionEvent.STOP),
        reason=reason,
        ended_at=now,
        moved_at=now,
    )
    tx.sessions.put(ended)
    tell_ended(tx, ended)
    return ended


def tell_ended(tx: Tx, session: Session) -> None:
    """Write the event of a session's end."""
    tx.events.add(
        "session_ended",
        at=session.moved_at,
        **_about(session),
        status=session.status,
        reason=session.reason,
        runs_started=session.runs_started,
        runs_completed=session.runs_completed,
    )


def _about(session: Session) -> dict[str, str | None]:
    return {
        "schedule": session.owner_id if session.owner_type == BY_SCHEDULE else None,
        "db_profile": session.db_profile,
        "session": session.id,
        "vision_path": session.vision_path,
    }


OPEN = "open sessions"
"""Under this they are recalled."""


def open_sessions(tx: Tx) -> list[Session]:
    """Return the sessions that have not ended."""
    return tx.sessions.open()


async def settle_orphans(
    ledger: Ledger,
    clock: Clock,
    *,
    is_continuous: Callable[[str], bool],
    is_dead: Callable[[str], bool],
) -> list[Session]:
    """End the sessions that nobody goes on with, and return the ones that are open.

    `is_continuous` says of a schedule whether it is there and continuous now, `is_dead` of a
    process whether it is surely gone. Their runs are recovered like any other.
    """
    found = await ledger.recall(OPEN, open_sessions)
    kept = []
    for session in found:
        why = _orphaned(session, is_continuous, is_dead)
        if why is None:
            kept.append(session)
        else:
            await ledger.write(partial(stop, session=session, reason=why, now=clock.now()))
    return kept


def _orphaned(
    session: Session, is_continuous: Callable[[str], bool], is_dead: Callable[[str], bool]
) -> str | None:
    if session.owner_type == BY_SCHEDULE:
        goes_on = is_continuous(session.owner_id)
        return None if goes_on else "its schedule is gone, or is not continuous any more"
    return "the process that ran it died" if is_dead(session.owner_id) else None
