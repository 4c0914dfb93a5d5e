"""`run --continuous`: a session that this process owns, and what is said of sessions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from amxwatch.cli.documents import Document, session_document
from amxwatch.cli.output import dollars, shown
from amxwatch.cli.running import ended_badly, follow
from amxwatch.cli.scoping import Order, scope_of_order
from amxwatch.core.continuous import Session, SessionStatus
from amxwatch.core.run import Run, RunKind, RunStatus, RunTrigger
from amxwatch.core.scope import Scope
from amxwatch.flows.continuous import Advanced, advance
from amxwatch.flows.firing import new_run_id
from amxwatch.flows.goals import Assessed, Measures
from amxwatch.flows.session_life import BY_PROCESS, new_session, start, stop
from amxwatch.flows.source import Source
from amxwatch.flows.surveying import Charter
from amxwatch.flows.watch import look
from amxwatch.settings.continuous import Continuous, IdleExpansion
from amxwatch.settings.goals_file import read_goals

if TYPE_CHECKING:
    from amxwatch.cli.session import Desk

MAX_UNREAD = 10
"""How many pieces of a goals file are shown as not understood."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a person asked of `run --continuous`; None is the setting's default."""

    order: Order
    vision: str
    max_runs: int | None = None
    max_idle_cycles: int | None = None
    max_usd: Decimal | None = None
    poll_seconds: float | None = None

    @property
    def settings(self) -> Continuous:
        told: dict[str, Any] = {
            "enabled": True,
            "vision_path": self.vision,
            "max_runs": self.max_runs,
            "max_idle_cycles": self.max_idle_cycles,
            "per_session_max_usd": self.max_usd,
            "idle_expansion": IdleExpansion(sources=()),
        }
        return Continuous(**{key: value for key, value in told.items() if value is not None})


@dataclass(frozen=True, kw_only=True)
class Pilot:
    """Takes the steps of one session in this process, at its own cadence."""

    wish: Wish
    desk: Desk
    source: Source
    limit: Scope
    llm_profile: str
    measures: Measures = field(default_factory=Measures)

    async def fly(self, session: Session) -> Session:
        """Go on until the session has ended, and return it."""
        clock, told = self.desk.install.clock, Told()
        polls = self.wish.poll_seconds or self.desk.install.settings.daemon.poll_seconds
        is_poll, blocked = True, 0
        while True:
            made = await advance(await self._charter(), session, is_poll=is_poll)
            session = made.session
            told.tell(self.desk, made)
            if not session.is_open:
                return session
            if made.run is not None and made.run.status is not RunStatus.BLOCKED:
                run = await follow(made.run.id, self.desk)
                if run.status is not RunStatus.COMPLETED:
                    self.desk.out.warn(ended_badly(run))
                is_poll = False
                continue
            blocked = blocked + 1 if session.status is SessionStatus.BLOCKED else 0
            if blocked > self.wish.settings.max_idle_cycles:
                return await self._stop(session, "its run is blocked, and nobody unblocked it")
            await clock.sleep(polls)
            is_poll = True

    async def _charter(self) -> Charter:
        """Look at the source, and return what a step is given."""
        install = self.desk.install
        await install.engine.recover()
        found = await look(self.source)
        if found.error is not None:
            self.desk.out.warn(f"warning: {found.error}")
        return Charter(
            source=self.source,
            settings=self.wish.settings,
            limit=self.limit,
            read=read_here,
            make_run=self._run,
            now=install.clock.now(),
            measures=self.measures,
            others=frozenset(install.settings.db_profiles) - {self.source.profile},
        )

    def _run(self, trigger: RunTrigger, **values: object) -> Run:
        now: datetime = self.desk.install.clock.now()
        fields: dict[str, object] = {
            "id": new_run_id(now),
            "kind": RunKind.ANALYZE,
            "status": RunStatus.QUEUED,
            "trigger": trigger,
            "db_profile": self.source.profile,
            "llm_profile": self.llm_profile,
            "review_strategy": self.wish.order.strategy,
            "reserved_for": self.desk.install.owner.name,
            "queued_at": now,
            "not_before": now,
        }
        return Run(**{**fields, **values})  # type: ignore[arg-type]  # names checked by Run itself

    async def _stop(self, session: Session, reason: str) -> Session:
        install = self.desk.install
        work = partial(stop, session=session, reason=reason, now=install.clock.now())
        return await install.ledger.write(work)


async def read_here(file: str) -> str:
    """Read a goals file, as seen from where the command was called. Raises: UsageError."""
    return await anyio.to_thread.run_sync(read_goals, Path(), file)


async def order_continuous(wish: Wish, desk: Desk) -> int:
    """Run a session here until it ends; return the exit status: 0 where every goal is met."""
    await read_here(wish.vision)  # a file that is not there is a mistake of the call
    install = desk.install
    source, limit = await scope_of_order(wish.order, desk)
    pilot = Pilot(
        wish=wish,
        desk=desk,
        source=source,
        limit=limit,
        llm_profile=install.settings.llm_profile(wish.order.llm).name,
    )
    session = new_session(
        wish.settings,
        owner_type=BY_PROCESS,
        owner_id=install.owner.name,
        db_profile=source.profile,
        now=install.clock.now(),
    )
    await install.ledger.write(lambda tx: start(tx, session))
    return await _flown(pilot, session)


async def _flown(pilot: Pilot, session: Session) -> int:
    """Fly, and end the session in good order where the person stops it."""
    desk, ended = pilot.desk, None
    try:
        ended = await pilot.fly(session)
    finally:
        if ended is None:
            with anyio.CancelScope(shield=True), anyio.move_on_after(3):
                await _stopped(pilot, session)
    spent = await desk.install.ledger.read(lambda tx: tx.sessions.spent(ended))
    made = f"{ended.runs_completed} of {ended.runs_started} runs completed, {dollars(spent)} spent"
    if ended.status is SessionStatus.COMPLETED:
        desk.out.say(f"✓ {ended.id}: {shown(ended.reason)}; {made}.", colour="green")
        return 0
    desk.out.warn(f"{ended.id} stopped: {ended.reason}; {made}")
    return 1


async def _stopped(pilot: Pilot, session: Session) -> None:
    install, reason = pilot.desk.install, "the process that ran it was stopped"
    work = partial(stop, session=session, reason=reason, now=install.clock.now())
    ended = await install.ledger.write(work)
    line = {"action": "ended", "reason": ended.reason, "session": session_document(ended)}
    pilot.desk.out.line(line)


# -- saying ----------------------------------------------------------------------------------


@dataclass
class Told:
    """What was said already: a wait is told once, not at each poll."""

    reason: str | None = None
    unread: tuple[str, ...] = ()
    goals: tuple[str, ...] = ()

    def tell(self, desk: Desk, made: Advanced) -> None:
        """Print one step: as JSON whole, for people what is news."""
        desk.out.line(step_document(made))
        unread = (*made.problems, *(str(each) for each in made.unread))
        if unread and unread != self.unread:
            for line in unread[:MAX_UNREAD]:
                desk.out.say(shown(line), colour="yellow")
            if len(unread) > MAX_UNREAD:
                desk.out.say(f"… and {len(unread) - MAX_UNREAD} more")
        self.unread = unread or self.unread
        goals = tuple(goal_words(one) for one in made.goals)
        for line in goals:
            if line not in self.goals:
                desk.out.say(f"[Goal] {shown(line)}")
        self.goals = goals or self.goals
        if made.is_new and made.run is not None:
            desk.out.say(f"[Session] run {made.session.runs_started}: {shown(made.run.scope)}")
        elif made.session.is_open and made.session.reason != self.reason:
            desk.out.say(f"[Session] {made.session.status}: {shown(wait_words(made))}")
        self.reason = made.session.reason


def wait_words(made: Advanced) -> str | None:
    """Return what the session waits for."""
    if made.session.recovery_action:
        return f"({made.session.category}) Recovery: {made.session.recovery_action}"
    return made.session.reason


def goal_words(one: Assessed) -> str:
    """Return how far a goal is, in a line."""
    if one.missing:
        return f"{one.goal}: {one.missing[0]}"
    mark = "met" if one.met else f"{one.held} drafts wait" if one.held else "open"
    remarks = f" (not understood: {', '.join(one.goal.remarks)})" if one.goal.remarks else ""
    return f"{one.goal} · {one.standing.percent:.1f}% · {mark}{remarks}"


def step_document(made: Advanced) -> Document:
    """Return one line of `run --continuous --json`."""
    session = made.session
    action = "fire" if made.is_new else "wait" if session.is_open else "ended"
    return {
        "action": action,
        "run_id": made.run.id if made.run is not None else None,
        "reason": session.reason,
        "session": session_document(session),
        "goals": [goal_document(one) for one in made.goals],
        "not_understood": [
            {"file": each.file, "line": each.line, "text": each.text, "why": each.why}
            for each in made.unread
        ],
        "problems": list(made.problems),
    }


def goal_document(one: Assessed) -> Document:
    """Return one goal as JSON."""
    return {
        "goal": str(one.goal),
        "file": one.goal.file,
        "line": one.goal.line,
        "met": one.met,
        "percent": round(one.standing.percent, 2),
        "objects": one.standing.objects,
        "described": one.standing.described,
        "stale": one.standing.stale,
        "waiting": one.held,
        "missing": list(one.missing),
        "remarks": list(one.goal.remarks),
    }
