"""What a session decides, over every course that work, people and runs can take."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amxwatch.core.continuous import (
    OPEN,
    TRANSITIONS,
    Decision,
    Session,
    SessionEvent,
    SessionId,
    SessionStatus,
    Step,
    Terms,
    Work,
    after,
    next_step,
)
from amxwatch.core.errors import TransitionError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
RUNS = frozenset({Step.RUN_GOAL, Step.RUN_INTAKE})

WORK = st.builds(
    Work,
    run=st.sampled_from([None, None, None, "open", "blocked"]),
    paused=st.sampled_from([False, False, False, True]),
    intake=st.booleans(),
    goal=st.booleans(),
    proposed=st.booleans(),
    review=st.booleans(),
    further=st.booleans(),
    met=st.booleans(),
)
TERMS = st.builds(
    Terms,
    max_runs=st.integers(1, 4),
    max_idle_cycles=st.integers(1, 4),
    on_idle=st.sampled_from(["exit", "perpetual", "human_review"]),
    triage_approval=st.sampled_from(["auto", "human"]),
    max_usd=st.one_of(st.none(), st.decimals("0.01", 5, places=2)),
)


def a_session(**values: object) -> Session:
    given_: dict[str, object] = {
        "id": SessionId("cont-1"),
        "owner_type": "schedule",
        "owner_id": "pilot",
        "db_profile": "shop",
        "vision_path": "VISION.md",
        "started_at": NOW,
        "moved_at": NOW,
        "max_runs": 50,
    }
    return Session(**{**given_, **values})  # type: ignore[arg-type]


def done(session: Session, decision: Decision) -> Session:
    """Return the session as the flow would leave it."""
    is_run = decision.step in RUNS
    return replace(
        session,
        status=after(session.status, decision.event),
        idle_cycles=decision.idle_cycles,
        runs_started=session.runs_started + is_run,
    )


@given(TERMS, st.lists(st.tuples(WORK, st.booleans()), max_size=40))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_a_session_keeps_its_bounds(
    terms: Terms, course: list[tuple[Work, bool]]
) -> None:
    """Each run costs 40 cents. Never over max_runs, never two at once, nothing after a limit."""
    session, going = a_session(), False
    for work, is_poll in course:
        spent = Decimal("0.4") * session.runs_started
        now = replace(work, run=work.run or "open") if going and work.run else work
        decision = next_step(session, terms, now, spent=spent, is_poll=is_poll)
        if decision.step in RUNS or decision.step is Step.PROPOSE:
            assert now.run is None
            assert not now.paused
            assert session.runs_started < terms.max_runs
            assert terms.max_usd is None or spent < terms.max_usd
        if now.paused:
            assert decision.event is SessionEvent.PAUSE
        if decision.step is Step.RUN_GOAL:
            assert terms.triage_approval == "auto"
            assert not now.intake
        going = decision.step in RUNS or now.run is not None
        session = done(session, decision)
        assert session.idle_cycles <= terms.max_idle_cycles
        assert session.runs_started <= terms.max_runs
        if decision.step is Step.END:
            assert not session.is_open
            return
        assert session.is_open


@given(TERMS, st.lists(WORK, min_size=1, max_size=6))
@settings(max_examples=300, deadline=None)
def test_with_on_idle_exit_every_session_terminates(terms: Terms, course: list[Work]) -> None:
    """Nobody has to help: its runs end, and nothing waits for an approval."""
    terms = replace(terms, on_idle="exit", triage_approval="auto")
    session, polls = a_session(), 0
    while session.is_open:
        work = replace(
            course[polls % len(course)], run=None, paused=False, proposed=False, further=False
        )
        session = done(session, next_step(session, terms, work, spent=Decimal(0)))
        polls += 1
        assert polls <= terms.max_runs * (terms.max_idle_cycles + 1) + terms.max_idle_cycles + 1


@given(TERMS, WORK)
def test_goals_that_are_met_complete_it_whatever_ends_it(terms: Terms, work: Work) -> None:
    met = replace(work, met=True, goal=False)
    session = a_session(runs_started=terms.max_runs)
    decision = next_step(session, terms, met, spent=Decimal(0))
    if decision.step is Step.END:
        assert decision.event is SessionEvent.COMPLETE


@given(TERMS, WORK)
def test_only_a_poll_counts_as_an_idle_cycle(terms: Terms, work: Work) -> None:
    session = a_session(idle_cycles=0)
    hinted = next_step(session, terms, work, spent=Decimal(0), is_poll=False)
    assert hinted.idle_cycles == 0


@given(WORK)
def test_a_perpetual_session_never_ends_by_idling(work: Work) -> None:
    terms = Terms(max_runs=99, max_idle_cycles=1, on_idle="perpetual")
    session = a_session(idle_cycles=1)
    for _ in range(5):
        decision = next_step(session, terms, replace(work, run=None), spent=Decimal(0))
        assert decision.step is not Step.END
        session = done(session, decision)


def test_its_run_is_waited_for_before_all_and_intake_comes_before_goals() -> None:
    terms, session = Terms(max_runs=9, max_idle_cycles=9), a_session()
    everything = Work(run="open", intake=True, goal=True, further=True)

    def step(work: Work) -> Step:
        return next_step(session, terms, work, spent=Decimal(0)).step

    assert step(everything) is Step.AWAIT_RUN
    assert step(replace(everything, run=None)) is Step.RUN_INTAKE
    assert step(replace(everything, run=None, intake=False)) is Step.RUN_GOAL
    assert step(Work(further=True, proposed=True)) is Step.EXPAND
    assert step(Work(proposed=True)) is Step.WAIT
    assert step(Work(met=True)) is Step.END


def test_the_table_leads_from_every_open_status_and_from_no_ended_one() -> None:
    assert {status for status, _ in TRANSITIONS} == OPEN
    assert {event for _, event in TRANSITIONS} == set(SessionEvent)
    with pytest.raises(TransitionError, match="a completed session cannot work"):
        after(SessionStatus.COMPLETED, SessionEvent.WORK)
