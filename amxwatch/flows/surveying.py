"""What a step of a continuous session is decided from.

Cheap things first: where its run stands, and whether it is paused. Only a session that could do
something reads its files and measures its goals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from amxwatch.core.continuous import MAX_TRIES, Session, Terms, Work
from amxwatch.core.errors import NotFoundError
from amxwatch.core.intake import IntakeItem, IntakeSource, IntakeState
from amxwatch.core.run import OPEN, Run, RunId, RunStatus
from amxwatch.core.scope import Scope
from amxwatch.flows.goals import Aims, Assessed, Measures, ReadText, assess, read_aims
from amxwatch.flows.source import Source
from amxwatch.ports.intake import IntakeFilter
from amxwatch.ports.ledger import RunFilter, Tx
from amxwatch.settings.continuous import Continuous


@dataclass(frozen=True, kw_only=True)
class Charter:
    """What a session is given by whoever owns it: the settings are those of now.

    `limit` is the scope that its work stays within, `others` are the db profiles whose intake
    is none of its business. `make_run` takes a trigger and fields of the run.
    """

    source: Source
    settings: Continuous
    limit: Scope
    read: ReadText
    make_run: Callable[..., Run]
    now: datetime
    schedule: str | None = None
    paused: bool = False
    others: frozenset[str] = frozenset()
    measures: Measures = field(default_factory=Measures)

    @property
    def terms(self) -> Terms:
        told = self.settings
        return Terms(
            max_runs=told.max_runs,
            max_idle_cycles=told.max_idle_cycles,
            on_idle=told.on_idle,
            triage_approval=told.triage_approval,
            max_usd=told.per_session_max_usd,
        )


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a step is decided from.

    `stored` is the session as the ledger has it, `session` the same with its ended run booked;
    `run` is one that is open, its own or another of its schedule. `source_file` is the next file
    to look for goals in.
    """

    stored: Session
    session: Session
    work: Work
    run: Run | None = None
    ended: Run | None = None
    spent: Decimal = Decimal(0)
    item: IntakeItem | None = None
    aims: Aims = field(default_factory=Aims)
    goals: tuple[Assessed, ...] = ()
    source_file: str | None = None

    @property
    def goal(self) -> Assessed | None:
        return next((one for one in self.goals if one.work), None)


async def survey(charter: Charter, session: Session, *, again: bool, looked: set[str]) -> Seen:
    """Look at everything that the next step depends on.

    `again` lets a file that had no goals be looked at once more, except those in `looked`.
    """
    seen = await charter.source.ledger.read(lambda tx: _stand(tx, charter, session))
    if seen.work.run is not None or seen.work.paused:
        return seen
    known = seen.session
    files = [known.vision_path, *(e.file for e in known.expansions if e.goals)]
    aims = await read_aims(files, charter.read)
    goals = await _measured(charter, known, aims)
    source_file = _next_file(charter, known, looked, again=again)
    return replace(
        seen,
        aims=aims,
        goals=goals,
        source_file=source_file,
        work=replace(
            seen.work,
            goal=any(one.work for one in goals),
            review=any(not one.met and one.held for one in goals),
            met=bool(goals) and all(one.met for one in goals),
            further=source_file is not None,
        ),
    )


async def _measured(charter: Charter, session: Session, aims: Aims) -> tuple[Assessed, ...]:
    """Measure the goals; at a poll at which nothing moved, the last measure stands."""
    every = charter.settings.triage_approval == "human"
    profile = session.db_profile

    def moved(tx: Tx) -> tuple[object, ...]:
        newest, last = tx.snapshots.latest(profile), tx.events.recent(1)
        return newest and newest.number, [event.id for event in last]

    tried = {
        (each.goal, each.mark): session.tried(each.goal, each.mark, charter.now)
        for each in session.tries
    }
    ledger = await charter.source.ledger.read(moved)
    depends = (ledger, aims.goals, str(charter.limit), every, tried)
    return await charter.measures.get(
        session.id,
        depends,
        lambda: assess(
            charter.source,
            aims.goals,
            limit=charter.limit,
            is_new=lambda one: tried.get((one.goal.key, one.mark), 0) < MAX_TRIES,
            every=every,
        ),
    )


def _stand(tx: Tx, charter: Charter, session: Session) -> Seen:
    """Read where the session, its run and the intake stand."""
    stored = tx.sessions.get(session.id)
    own = _own_run(tx, stored)
    booked = stored if own is not None and own.is_open else _booked(stored, own)
    run = own if own is not None and own.is_open else _other_run(tx, charter)
    which = IntakeFilter(states=frozenset({IntakeState.NEW}), db_profile=stored.db_profile)
    waiting = [item for item in tx.intake.list(which) if item.source is IntakeSource.VISION]
    found = tx.intake.next_approved(now=charter.now, session=stored.id, leave=charter.others)
    item = next((each for each in found if each.db_profile == stored.db_profile), None)
    return Seen(
        stored=stored,
        session=booked,
        run=run,
        ended=own if own is not None and not own.is_open else None,
        spent=tx.sessions.spent(stored),
        item=item,
        work=Work(
            run=None if run is None else "blocked" if run.status is RunStatus.BLOCKED else "open",
            paused=charter.paused,
            intake=item is not None,
            proposed=bool(waiting),
        ),
    )


def _own_run(tx: Tx, session: Session) -> Run | None:
    if session.run_id is None:
        return None
    try:
        return tx.runs.get(RunId(session.run_id))
    except NotFoundError:  # an old run, forgotten meanwhile
        return None


def _other_run(tx: Tx, charter: Charter) -> Run | None:
    """Return an open run of the same schedule: one by hand, or of an earlier session."""
    if charter.schedule is None:
        return None
    runs = tx.runs.list(RunFilter(statuses=OPEN, schedule=charter.schedule, limit=20))
    blocked = [run for run in runs if run.status is RunStatus.BLOCKED]
    return next(iter(blocked or runs), None)


def _booked(session: Session, run: Run | None) -> Session:
    """Return the session after the end of its run."""
    completed = run is not None and run.status is RunStatus.COMPLETED
    tries = session.tries
    if run is not None and run.status is RunStatus.CANCELLED and session.goal is not None:
        # A person's decision: this very work is not begun again.
        tries = tuple(
            replace(each, runs=MAX_TRIES, at=None) if each.goal == session.goal else each
            for each in tries
        )
    return replace(
        session,
        run_id=None,
        goal=None,
        intake_id=None,
        objective=None,
        tries=tries,
        runs_completed=session.runs_completed + completed,
    )


def _next_file(charter: Charter, session: Session, looked: set[str], *, again: bool) -> str | None:
    """Return the file to look for further goals in; None where the session looked enough."""
    expansion = charter.settings.idle_expansion
    if session.looks() >= expansion.max_expansions:
        return None
    known = {each.file: each for each in session.expansions}
    files = [file for file in expansion.sources if file != session.vision_path]
    fresh = [file for file in files if file not in known]
    stale = [
        file
        for file in files
        if again
        and file not in looked
        and file in known
        and not known[file].goals
        and known[file].looks <= expansion.max_retries
    ]
    return next(iter([*fresh, *stale]), None)
