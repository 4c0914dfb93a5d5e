"""Continuous sessions in a turn of the agent."""

from __future__ import annotations

from collections.abc import Iterable

from amxwatch.core.continuous import Session, SessionStatus
from amxwatch.daemon.wiring import Install
from amxwatch.flows.firing import Dispatched, Firing
from amxwatch.flows.session_life import BY_SCHEDULE, settle_orphans

TAKES_INTAKE = frozenset({SessionStatus.RUNNING, SessionStatus.IDLE, SessionStatus.WAITING_REVIEW})
"""A paused or blocked session leaves intake to the daemon's own planner."""


async def open_sessions(install: Install) -> list[Session]:
    """Return the open sessions; those that nobody goes on with are ended first."""
    plans = install.settings.schedules

    def is_continuous(name: str) -> bool:
        plan = plans.get(name)
        return plan is not None and plan.continuous.enabled

    return await settle_orphans(
        install.ledger, install.clock, is_continuous=is_continuous, is_dead=install.owner.is_dead
    )


def owners(sessions: Iterable[Session]) -> list[str]:
    """Return the schedules whose sessions a poll takes a step on."""
    return [session.owner_id for session in sessions if session.owner_type == BY_SCHEDULE]


def busy_profiles(sessions: Iterable[Session]) -> frozenset[str]:
    """Return the db profiles whose intake a session works on."""
    return frozenset(s.db_profile for s in sessions if s.status in TAKES_INTAKE)


async def step(install: Install, firing: Firing, *, polling: bool) -> Dispatched:
    """Evaluate a continuous schedule, and take its session a step on."""
    from amxwatch.flows.autopilot import by_schedule

    others = frozenset(install.settings.db_profiles) - {firing.schedule.db_profile}
    return await by_schedule(
        firing,
        read=install.read_goals,
        others=others,
        is_poll=polling,
        measures=install.measures,
    )
