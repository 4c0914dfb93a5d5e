"""When a pending change fires: settling, the cap, and the wait after failures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch.core.schedule import ScheduleState
from amxwatch.triggers.cadence import PATIENCE, Action, Decision, decide

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
FRESH = ScheduleState(name="s", armed_at=NOON, trigger_hash="change")


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def look(
    mark: str | None,
    at: float,
    state: ScheduleState = FRESH,
    *,
    cap: float = 0,
    settle: float = 10,
    backoff: float | None = None,
) -> Decision:
    return decide(
        pending_mark=mark,
        state=state,
        now=NOON + seconds(at),
        cadence_cap=seconds(cap),
        settle=seconds(settle),
        backoff_until=None if backoff is None else NOON + seconds(backoff),
    )


def stored(decision: Decision, state: ScheduleState = FRESH) -> ScheduleState:
    return replace(
        state,
        settle_mark=decision.settle_mark,
        settle_since=decision.settle_since,
        settle_first=decision.settle_first,
    )


# -- single looks ----------------------------------------------------------------------------


def test_nothing_pending_is_idle_and_forgets_the_burst() -> None:
    gathering = stored(look("a", 0))
    assert gathering.settle_mark == "a"
    undone = look(None, 5, gathering)
    assert (undone.action, undone.look_at) == (Action.IDLE, None)
    assert stored(undone, gathering) == FRESH


def test_zero_settle_fires_at_the_first_look() -> None:
    assert look("a", 0, settle=0).action is Action.FIRE


def test_settled_is_the_same_mark_at_two_looks_far_enough_apart() -> None:
    first = look("a", 0)
    assert (first.action, first.look_at) == (Action.WAIT, NOON + seconds(10))
    assert first.reason == "settling until 2026-05-04 12:00:10 UTC"
    early = look("a", 9, stored(first))
    assert (early.action, early.reason) == (Action.WAIT, first.reason)
    assert look("a", 10, stored(early)).action is Action.FIRE


def test_each_move_begins_anew_but_not_for_ever() -> None:
    state = FRESH
    for at in range(0, 100, 5):
        decision = look(f"mark {at}", at, state)
        assert decision.action is Action.WAIT
        state = stored(decision, state)
    assert look("still moving", 100, state).action is Action.FIRE


def test_the_cap_counts_from_the_start_of_the_last_change_run() -> None:
    ran = replace(FRESH, last_change_run_at=NOON - seconds(60))
    held = look("a", 0, ran, cap=3600)
    assert (held.action, held.look_at) == (Action.WAIT, NOON + seconds(3540))
    assert held.reason == "cadence cap until 2026-05-04 12:59:00 UTC"
    assert look("a", 3540, stored(held, ran), cap=3600).action is Action.FIRE
    assert look("a", 0, ran, cap=0, settle=0).action is Action.FIRE


def test_a_burst_that_straddles_the_end_of_the_cap_is_still_gathered() -> None:
    ran = replace(FRESH, last_change_run_at=NOON)
    state = stored(look("a", 10, ran, cap=3600), ran)
    straddling = look("b", 3599, state, cap=3600)
    assert (straddling.action, straddling.look_at) == (Action.WAIT, NOON + seconds(3609))
    assert straddling.reason.startswith("settling until")


def test_a_zero_settle_never_waits_beyond_the_cap() -> None:
    ran = replace(FRESH, last_change_run_at=NOON)
    assert look("b", 3600, ran, cap=3600, settle=0).action is Action.FIRE


@pytest.mark.parametrize(
    ("cap", "backoff", "until", "why"),
    [(3600, 60, 3600, "cadence cap"), (60, 3600, 3600, "waiting to try again")],
)
def test_after_a_failure_the_later_of_cap_and_backoff_holds(
    cap: float, backoff: float, until: float, why: str
) -> None:
    failed = replace(FRESH, last_change_run_at=NOON, consecutive_failures=1)
    held = look("a", 5, failed, cap=cap, backoff=backoff)
    assert held.look_at == NOON + seconds(until)
    assert held.reason.startswith(why)
    late = look("a", until, stored(held, failed), cap=cap, backoff=backoff)
    assert late.action is Action.FIRE


def test_a_clock_that_was_set_back_delays_no_longer_than_settling_takes() -> None:
    state = stored(look("a", 7200))
    back = look("a", 0, state)
    assert back.look_at == NOON + seconds(10)


# -- long stories ----------------------------------------------------------------------------


@dataclass
class Story:
    """A catalog whose content is one letter, and a schedule that looks at it."""

    cap: float
    settle: float
    served: str = "a"
    state: ScheduleState = FRESH
    fired_at: list[float] = field(default_factory=list)
    pending_since: float | None = None
    unchanged_since: tuple[str, float] = ("a", 0)

    def look(self, at: float, content: str) -> Decision:
        mark = f"{self.served}->{content}" if content != self.served else None
        self._note(at, mark)
        decision = look(mark, at, self.state, cap=self.cap, settle=self.settle)
        self.state = stored(decision, self.state)
        if decision.action is Action.FIRE:
            self._fire(at, mark)
            self.served = content
        return decision

    def latest(self) -> float:
        """Return when what is pending must fire at the latest, given a look then."""
        assert self.pending_since is not None
        cap_end = self.fired_at[-1] + self.cap if self.fired_at else 0
        return max(self.pending_since, cap_end) + PATIENCE * self.settle

    def _note(self, at: float, mark: str | None) -> None:
        if mark is None:
            self.pending_since = None
        elif self.pending_since is None:
            self.pending_since = at
        if mark is not None and mark != self.unchanged_since[0]:
            self.unchanged_since = (mark, at)
        elif mark is None:
            self.unchanged_since = ("", at)

    def _fire(self, at: float, mark: str | None) -> None:
        assert mark is not None, "an undone change fired"
        if self.fired_at:
            assert at >= self.fired_at[-1] + self.cap, "fired twice inside a cap"
        quiet = at - self.unchanged_since[1] >= self.settle
        assert quiet or at >= self.latest(), "fired before it had settled"
        self.fired_at.append(at)
        self.pending_since = None
        self.unchanged_since = ("", at)
        self.state = replace(self.state, last_change_run_at=NOON + seconds(at))


stories = st.builds(
    Story,
    cap=st.sampled_from([0.0, 30.0, 36.0, 3600.0]),
    settle=st.sampled_from([0.0, 1.0, 5.0, 10.0]),
)
contents = st.sampled_from("aaabcd")


@given(stories, st.lists(st.tuples(st.integers(0, 40), contents), max_size=60))
def test_looks_at_any_times_keep_the_rules(story: Story, looks: list[tuple[int, str]]) -> None:
    at = 0.0
    for after, content in looks:
        at += after
        decision = story.look(at, content)
        if decision.action is Action.WAIT:
            assert decision.look_at is not None
            assert NOON + seconds(at) < decision.look_at <= NOON + seconds(story.latest())
        if story.pending_since is not None:
            assert at < story.latest(), "a standing change did not fire"


@given(stories, st.lists(st.tuples(st.integers(0, 40), contents), max_size=30), st.data())
def test_what_stands_fires_when_the_decision_said(
    story: Story, looks: list[tuple[int, str]], data: st.DataObject
) -> None:
    at = 0.0
    for after, content in looks:
        at += after
        story.look(at, content)
    content = data.draw(contents.filter(lambda one: one != story.served))
    decision = story.look(at, content)
    if decision.action is Action.WAIT:
        assert decision.look_at is not None
        then = (decision.look_at - NOON).total_seconds()
        assert story.look(then, content).action is Action.FIRE
    assert story.served == content
    assert story.look(at + 1e6, content).action is Action.IDLE
