"""Schedules that own a continuous session: due starts one, and each poll takes it a step on."""

from __future__ import annotations

from dataclasses import replace

from amxwatch.core.continuous import Session, SessionStatus
from amxwatch.core.run import RunStatus
from amxwatch.flows.continuous import Advanced, advance
from amxwatch.flows.dispatch import dispatch
from amxwatch.flows.firing import Dispatched, Firing, blocked, busy
from amxwatch.flows.goals import Measures, ReadText
from amxwatch.flows.session_life import BY_SCHEDULE, stop
from amxwatch.flows.surveying import Charter


async def by_schedule(
    firing: Firing,
    *,
    read: ReadText,
    others: frozenset[str] = frozenset(),
    is_poll: bool = True,
    measures: Measures | None = None,
) -> Dispatched:
    """Evaluate a schedule with `continuous.enabled`.

    The clock only starts a session; an open one goes on whether the schedule is due or not.
    Only a look at a poll counts as an idle cycle. `others` are the other db profiles;
    `measures` remembers goals between the steps of one process.
    """
    plan, ledger = firing.schedule, firing.source.ledger
    result = await dispatch(firing)
    session = await ledger.read(lambda tx: tx.sessions.open_of(BY_SCHEDULE, plan.name))
    if session is None:
        return result
    if (why := _over(firing, result, session)) is not None:
        now, ending = firing.now, session
        session = await ledger.write(lambda tx: stop(tx, ending, why, now))
        return replace(_ended(session), look_at=result.look_at)
    charter = Charter(
        source=firing.source,
        settings=plan.continuous,
        limit=plan.parsed_scope,
        read=read,
        make_run=firing.run,
        now=firing.now,
        schedule=plan.name,
        paused=result.action == "paused",
        others=others,
        measures=measures or Measures(),
    )
    made = await advance(charter, session, is_poll=is_poll)
    return replace(_dispatched(result, made), look_at=result.look_at, armed=result.armed)


def _over(firing: Firing, result: Dispatched, session: Session) -> str | None:
    """Say why an open session ends, whatever it does just now."""
    if result.action == "cancelled":
        return "its schedule was cancelled"
    if session.db_profile != firing.schedule.db_profile:
        return "its schedule was given another db profile"
    return None


def _dispatched(result: Dispatched, made: Advanced) -> Dispatched:
    """Return what a step means for the schedule that owns the session."""
    name, session = result.schedule, made.session
    if not session.is_open:
        return _ended(session)
    if session.status is SessionStatus.PAUSED:
        return replace(result, action="paused", status="paused")
    if made.overtaken:
        return Dispatched(schedule=name, action="skip", skip_reason="another process was quicker")
    if made.run is None:
        return Dispatched(
            schedule=name, action="wait", status="pending", skip_reason=session.reason
        )
    if made.is_new:
        return Dispatched(schedule=name, action="fire", run_id=made.run.id, status=made.run.status)
    if made.run.status is RunStatus.BLOCKED:
        return blocked(made.run)
    return busy(made.run)


def _ended(session: Session) -> Dispatched:
    return Dispatched(
        schedule=session.owner_id,
        action="ended",
        status=session.status,
        skip_reason=session.reason,
    )
