"""The state machines of runs and drafts, as tables."""

from __future__ import annotations

from itertools import product

import pytest

from amxwatch.core import draft, run
from amxwatch.core.draft import DraftEvent, DraftStatus
from amxwatch.core.errors import TransitionError
from amxwatch.core.run import RunEvent, RunStatus


def reachable(table: dict, start: object) -> set:
    seen = {start}
    while more := {to for (at, _), to in table.items() if at in seen} - seen:
        seen |= more
    return seen


@pytest.mark.parametrize(("status", "event"), list(product(RunStatus, RunEvent)))
def test_a_run_makes_the_moves_of_the_table_and_no_other(
    status: RunStatus, event: RunEvent
) -> None:
    if (status, event) in run.TRANSITIONS:
        assert run.after(status, event) is run.TRANSITIONS[status, event]
    else:
        with pytest.raises(TransitionError, match=f"{status} run cannot {event}"):
            run.after(status, event)


@pytest.mark.parametrize(("status", "event"), list(product(DraftStatus, DraftEvent)))
def test_a_draft_makes_the_moves_of_the_table_and_no_other(
    status: DraftStatus, event: DraftEvent
) -> None:
    if (status, event) in draft.TRANSITIONS:
        assert draft.after(status, event) is draft.TRANSITIONS[status, event]
    else:
        with pytest.raises(TransitionError, match=f"{status} cannot {event}"):
            draft.after(status, event)


def test_every_status_can_be_reached() -> None:
    assert reachable(run.TRANSITIONS, RunStatus.QUEUED) == set(RunStatus)
    assert reachable(draft.TRANSITIONS, DraftStatus.PENDING) == set(DraftStatus)


def test_every_event_is_used() -> None:
    assert {event for _, event in run.TRANSITIONS} == set(RunEvent)
    assert {event for _, event in draft.TRANSITIONS} == set(DraftEvent)


def test_what_is_over_stays_over() -> None:
    over = {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED}
    assert not [move for move in run.TRANSITIONS if move[0] in over]
    over_drafts = {
        DraftStatus.SUPERSEDED,
        DraftStatus.WITHDRAWN,
        DraftStatus.UNDONE,
    }
    assert not [move for move in draft.TRANSITIONS if move[0] in over_drafts]


def test_from_every_open_run_an_end_can_be_reached() -> None:
    for status in run.OPEN:
        assert RunStatus.COMPLETED in reachable(run.TRANSITIONS, status)
        assert RunStatus.CANCELLED in reachable(run.TRANSITIONS, status)


def test_only_one_move_leads_to_a_running_run() -> None:
    assert [m for m, to in run.TRANSITIONS.items() if to is RunStatus.RUNNING] == [
        (RunStatus.QUEUED, RunEvent.CLAIM)
    ]


def test_an_accepted_draft_is_superseded_by_nothing() -> None:
    assert {at for at, event in draft.TRANSITIONS if event is DraftEvent.SUPERSEDE} == set(
        draft.REVIEWABLE
    )
    assert {at for at, event in draft.TRANSITIONS if event is DraftEvent.INTEND} == set(
        draft.APPLICABLE
    )
