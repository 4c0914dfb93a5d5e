"""One step of a continuous session, shared by the daemon and the command line.

A step reads where the session's run stands, measures the goals, asks `core.continuous` what
comes next, and writes that in one transaction: a run is put together with the session that
counts it, under the key `SESSION:N`, so that a crash at any point loses and doubles nothing.
The step never waits for a run; the next poll sees its end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from amxwatch.core import continuous as sessions
from amxwatch.core.continuous import (
    MAX_TRIES,
    Decision,
    Expansion,
    Session,
    SessionEvent,
    Step,
    Try,
    next_step,
)
from amxwatch.core.intake import IntakeEvent, IntakeState, Move
from amxwatch.core.run import Run, RunStatus, RunTrigger
from amxwatch.core.vision import Unread
from amxwatch.flows.firing import put
from amxwatch.flows.goals import Assessed, read_aims
from amxwatch.flows.intake import moved as move_item
from amxwatch.flows.proposing import propose
from amxwatch.flows.session_life import tell_ended
from amxwatch.flows.surveying import Charter, Seen, survey
from amxwatch.ports.ledger import Tx

MAX_TOLD = 3
"""Of how many goals the reason of a wait tells."""


@dataclass(frozen=True, kw_only=True)
class Advanced:
    """What one step came to.

    `run` is the run that was put (`is_new`) or that goes on, `ended` the one that was found to
    be over. `goals` are empty where nothing was measured. `overtaken` says that another process
    took this step.
    """

    session: Session
    run: Run | None = None
    is_new: bool = False
    ended: Run | None = None
    goals: tuple[Assessed, ...] = ()
    unread: tuple[Unread, ...] = ()
    problems: tuple[str, ...] = ()
    overtaken: bool = False


async def advance(charter: Charter, session: Session, *, is_poll: bool = True) -> Advanced:
    """Take one step of an open session. Only a step at a poll counts as an idle cycle.

    Raises: StoreError, NotFoundError.
    """
    looked: set[str] = set()
    while True:
        seen = await survey(charter, session, again=is_poll, looked=looked)
        decision = next_step(
            seen.session, charter.terms, seen.work, spent=seen.spent, is_poll=is_poll
        )
        made = await _take(charter, seen, decision)
        if decision.step is not Step.EXPAND or made.overtaken:
            return made
        looked.add(seen.source_file or "")
        session = made.session


# -- doing -----------------------------------------------------------------------------------


async def _take(charter: Charter, seen: Seen, decision: Decision) -> Advanced:
    """Write what was decided, if the session still stands as it was seen."""
    run = _planned(charter, seen, decision)
    moved = _moved(charter, seen, decision, run)
    if decision.step is Step.EXPAND:
        moved = await _expanded(charter, seen, moved)

    def work(tx: Tx) -> bool:
        if tx.sessions.get(seen.stored.id) != seen.stored:
            return False
        if run is not None and not _put(tx, charter, seen, decision, run):
            return False
        if decision.step is Step.PROPOSE:
            wanted = [(one.goal, one.scope, one.mark) for one in seen.goals if one.work]
            propose(tx, moved, wanted, now=charter.now)
        if moved != seen.stored:
            tx.sessions.put(moved)
        _tell(tx, charter, seen, decision, moved)
        return True

    done = True
    if moved != seen.stored or run is not None:
        done = await charter.source.ledger.write(work)
    return Advanced(
        session=moved if done else seen.stored,
        run=(run if done else None) or seen.run,
        is_new=run is not None and done,
        ended=seen.ended if done else None,
        goals=seen.goals,
        unread=seen.aims.unread,
        problems=seen.aims.problems,
        overtaken=not done,
    )


def _planned(charter: Charter, seen: Seen, decision: Decision) -> Run | None:
    """Return the run to put, if one is to be put."""
    key = seen.session.next_key
    if decision.step is Step.RUN_INTAKE and seen.item is not None:
        return charter.make_run(
            RunTrigger.INTAKE,
            unique_key=key,
            scope=seen.item.scope,
            priority=seen.item.priority.of_run,
            trigger_reason=f"intake:{seen.item.id}: {seen.item.title}",
        )
    if decision.step is Step.RUN_GOAL and seen.goal is not None:
        return charter.make_run(
            RunTrigger.CONTINUOUS,
            unique_key=key,
            scope=seen.goal.scope,
            trigger_reason=f"session {seen.session.id}: {seen.goal.goal}",
        )
    return None


def _moved(charter: Charter, seen: Seen, decision: Decision, run: Run | None) -> Session:
    """Return the session as the decision leaves it."""
    session = seen.session
    status = sessions.after(session.status, decision.event)
    blocked = seen.run if decision.event is SessionEvent.BLOCK else None
    moved = replace(
        session,
        status=status,
        idle_cycles=decision.idle_cycles,
        max_runs=charter.settings.max_runs,
        max_usd=charter.settings.per_session_max_usd,
        ended_at=charter.now if decision.step is Step.END else None,
        reason=_reason(seen, decision),
        category=blocked.failure_category if blocked else None,
        recovery_action=blocked.recovery_action if blocked else None,
    )
    if seen.goals:
        moved = replace(moved, met=tuple(sorted(one.goal.key for one in seen.goals if one.met)))
    if run is not None:
        moved = _with_run(seen, moved, run)
    if decision.step is Step.PROPOSE:
        proposed = [one for one in seen.goals if one.work]
        moved = _tried(moved, proposed, runs=MAX_TRIES, at=None)
    return moved if moved == seen.stored else replace(moved, moved_at=charter.now)


def _with_run(seen: Seen, session: Session, run: Run) -> Session:
    started = replace(session, run_id=run.id, runs_started=session.runs_started + 1)
    if run.trigger is RunTrigger.INTAKE and seen.item is not None:
        return replace(started, intake_id=seen.item.id, objective=seen.item.title)
    assert seen.goal is not None
    goal = seen.goal.goal
    runs = session.tried(goal.key, seen.goal.mark, run.queued_at) + 1
    tried = _tried(started, [seen.goal], runs=runs, at=run.queued_at)
    return replace(tried, goal=goal.key, objective=f"{goal.file}:{goal.line}: {goal}")


def _tried(session: Session, worked: list[Assessed], *, runs: int, at: datetime | None) -> Session:
    """Note how many runs worked on these goals as they are; what they were before is over."""
    new = {one.goal.key: one.mark for one in worked}
    kept = [each for each in session.tries if each.goal not in new]
    made = [Try(goal=key, mark=mark, runs=runs, at=at) for key, mark in new.items()]
    return replace(session, tries=(*kept, *made))


def _reason(seen: Seen, decision: Decision) -> str | None:
    """Say why the session waits or ends, and where the first unmet goals stand."""
    if decision.reason is None or decision.event in (SessionEvent.PAUSE, SessionEvent.COMPLETE):
        return decision.reason
    words = [decision.reason, *(seen.aims.problems if not seen.goals else ())]
    if not seen.goals and not seen.aims.problems:
        words.append(f"{seen.session.vision_path} states no goal")
    unmet = [one for one in seen.goals if not one.met]
    words += [_words(one) for one in unmet[:MAX_TOLD]]
    if len(unmet) > MAX_TOLD:
        words.append(f"{len(unmet) - MAX_TOLD} more")
    return "; ".join(words)


def _words(one: Assessed) -> str:
    if one.missing:
        return f"{one.goal}: {one.missing[0]}"
    stale = f", {one.standing.stale} stale" if one.standing.stale else ""
    held = f", {one.held} drafts wait" if one.held else ""
    nothing = "" if one.standing.objects else ", nothing is in scope"
    return f"{one.goal} stands at {one.standing.percent:.1f}%{stale}{held}{nothing}"


async def _expanded(charter: Charter, seen: Seen, session: Session) -> Session:
    """Look for further goals in the next file."""
    file = seen.source_file or ""
    found = await read_aims([file], charter.read)
    known = {one.goal.key for one in seen.goals}
    new = sum(goal.key not in known for goal in found.goals)
    before = next((each for each in session.expansions if each.file == file), None)
    after = Expansion(file=file, looks=1 + (before.looks if before else 0), goals=new)
    others = tuple(each for each in session.expansions if each.file != file)
    return replace(session, expansions=(*others, after), moved_at=charter.now)


def _put(tx: Tx, charter: Charter, seen: Seen, decision: Decision, run: Run) -> bool:
    """Queue the run; False where something that it serves was taken meanwhile."""
    if decision.step is Step.RUN_INTAKE:
        assert seen.item is not None
        if tx.intake.get(seen.item.id).state is not IntakeState.APPROVED:
            return False
    if not put(tx, run, charter.now):
        return False
    if decision.step is Step.RUN_INTAKE:
        assert seen.item is not None
        values = {"run_id": run.id, "session": seen.session.id, "schedule": charter.schedule}
        move_item(tx, seen.item, Move(event=IntakeEvent.PLAN, values=values), charter.now)
    _note_firing(tx, charter, run)
    return True


def _note_firing(tx: Tx, charter: Charter, run: Run) -> None:
    state = tx.schedules.get(charter.schedule) if charter.schedule else None
    if state is not None:
        tx.schedules.put(
            replace(
                state,
                last_fired_at=charter.now,
                last_run_id=run.id,
                last_run_status=RunStatus.QUEUED,
                skip_reason=None,
            )
        )


# -- telling ---------------------------------------------------------------------------------


def _tell(tx: Tx, charter: Charter, seen: Seen, decision: Decision, moved: Session) -> None:
    """Write the events of a step; one that changes nothing to tell of has none."""
    before = seen.stored
    told = (before.status, before.run_id, before.expansions)
    about = {"schedule": charter.schedule, "db_profile": moved.db_profile}
    for key in moved.met or ():
        if before.met is not None and key not in before.met:
            tx.events.add("goal_met", at=charter.now, **about, session=moved.id, goal=key)
    if decision.step is Step.END:
        tell_ended(tx, moved)
    elif (moved.status, moved.run_id, moved.expansions) != told:
        tx.events.add(
            "session_step",
            at=charter.now,
            run_id=moved.run_id or (seen.ended.id if seen.ended else None),
            **about,
            session=moved.id,
            step=decision.step,
            status=moved.status,
            objective=moved.objective,
            reason=moved.reason,
        )
