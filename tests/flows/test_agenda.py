"""The agenda: what is due costs what is due, and nothing that is due is ever left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from amxwatch.core.schedule import ScheduleState
from amxwatch.daemon.agenda import RECHECKED, Agenda
from amxwatch.flows.resting import resting
from amxwatch.settings.schema import Schedule
from tests.flows.conftest import NOON

MINUTE = timedelta(minutes=1)
TRIGGERS: dict[str, dict[str, Any]] = {
    "every": {"type": "every", "minutes": 5},
    "cron": {"type": "cron", "cron": "*/7 3-22 * * *", "timezone": "Europe/Istanbul"},
    "at": {"type": "at", "at": "2026-11-21 15:30", "timezone": "Europe/Istanbul"},
    "jitter": {"type": "cron", "cron": "*/5 * * * *", "jitter_seconds": 400},
    "change": {"type": "change", "cadence_cap_hours": 0, "settle_seconds": 0},
    "files": {"type": "files", "paths": ["models/*.sql"]},
}


def plan(name: str, kind: str = "every", **values: Any) -> Schedule:
    given = {"name": name, "db_profile": "shop", "trigger": TRIGGERS[kind], **values}
    return Schedule.model_validate(given)


def agenda_of(*plans: Schedule) -> Agenda:
    """Return an agenda in which everything was evaluated at noon, and waits for nothing."""
    made = Agenda()
    made.adopt({each.name: each for each in plans})
    made.snapshot("shop", None)
    for paths in made.watched():
        made.files(paths, "mark")
    made.tick(NOON)
    for each in plans:
        made.settle(each.name, None)
    return made


def test_at_first_everything_is_due() -> None:
    made = Agenda()
    made.adopt({name: plan(name, name) for name in TRIGGERS})
    assert made.pending(99) == list(TRIGGERS)
    assert made.pending(2) == list(TRIGGERS)[:2]


def test_what_is_due_comes_in_time_and_once() -> None:
    made = agenda_of(plan("a"), plan("b"), plan("c"))
    made.settle("a", NOON + 2 * MINUTE)
    made.settle("b", NOON + 1 * MINUTE)
    made.settle("b", NOON + 3 * MINUTE)  # evaluated again meanwhile
    assert made.look_at == NOON + 2 * MINUTE
    assert made.tick(NOON + 1 * MINUTE) == []
    assert made.tick(NOON + 5 * MINUTE) == ["a", "b"]
    assert made.pending(9) == ["a", "b"]
    made.settle("a", None)
    assert made.pending(9) == ["b"]
    assert made.look_at == NOON + 5 * MINUTE
    made.settle("b", None)
    assert made.pending(9) == []
    assert not made.look_at


def test_edits_come_at_once_and_only_they() -> None:
    a, b, c = plan("a"), plan("b"), plan("c", "change")
    made = agenda_of(a, b, c)
    made.adopt({"a": a, "b": plan("b", scope="schema:x"), "d": plan("d", "change")})
    assert made.pending(9) == ["b", "d"]
    made.settle("b", None)
    made.settle("d", None)
    made.snapshot("shop", None)
    assert made.pending(9) == []
    made.touch(["c", "a"])  # c is gone
    assert made.pending(9) == ["a"]


def test_snapshots_and_files_wake_those_who_watch_them() -> None:
    made = agenda_of(plan("a"), plan("b", "change"), plan("c", "files"))
    made.snapshot("shop", None)
    made.files(("models/*.sql",), "mark")
    assert made.pending(9) == []
    made.snapshot("shop", 1)  # type: ignore[arg-type]  # a number
    assert made.pending(9) == ["b"]
    made.files(("models/*.sql",), "moved")
    assert made.pending(9) == ["b", "c"]
    assert made.mark("c") == "moved"
    assert (made.watched(["other"]), made.watched(["shop"])) == ([], [("models/*.sql",)])


def test_polls_recheck_what_waits_in_turn_and_all_that_failed() -> None:
    names = [f"s{number:03d}" for number in range(RECHECKED + 30)]
    made = agenda_of(*(plan(name) for name in names))
    for name in names:
        made.settle(name, None, waits=True)
    made.fail("s000")
    seen: set[str] = set()
    for _ in range(2):
        made.recheck()
        looked = made.pending(999)
        assert len(looked) <= RECHECKED + 1
        seen |= set(looked)
        for name in looked:
            made.settle(name, None, waits=True)
    assert seen == set(names)


def test_a_clock_that_is_set_back_makes_everything_due() -> None:
    made = agenda_of(plan("a"), plan("b"))
    made.settle("a", NOON + MINUTE)
    made.tick(NOON - timedelta(seconds=5))
    assert made.pending(9) == []
    made.tick(NOON - timedelta(days=1))
    assert made.pending(9) == ["a", "b"]


def test_a_slow_round_comes_to_everything() -> None:
    names = [f"s{number:03d}" for number in range(70)]
    made = agenda_of(*(plan(name) for name in names))
    seen: set[str] = set()
    for number in range(9):
        made.tick(NOON + number * MINUTE)
        looked = made.round(20, MINUTE)
        assert made.round(20, MINUTE) == []
        seen |= set(looked)
    assert seen == set(names)


MOMENTS = st.integers(-600, 600).map(lambda minutes: NOON + timedelta(minutes=minutes))


@settings(max_examples=400, deadline=None)
@given(
    kind=st.sampled_from(sorted(TRIGGERS)),
    armed_at=MOMENTS.filter(lambda moment: moment <= NOON),
    last_due_at=st.none() | MOMENTS.filter(lambda moment: moment <= NOON),
    after=st.integers(0, 500),
    flags=st.fixed_dictionaries(
        {},
        optional={
            "paused": st.booleans(),
            "cancelled": st.booleans(),
            "watermark": st.sampled_from([None, 1, 2]),
            "files_mark": st.sampled_from([None, "m", "n"]),
            "settle_mark": st.sampled_from([None, "s"]),
            "enabled": st.booleans(),
            "trigger_hash": st.just("edited"),
            "scope": st.just("schema:former"),
        },
    ),
)
def test_nothing_that_is_due_rests(
    kind: str,
    armed_at: datetime,
    last_due_at: datetime | None,
    after: int,
    flags: dict[str, Any],
) -> None:
    """What rests has no due time between what was handled and the end of its rest."""
    made = plan("p", kind)
    state = ScheduleState(
        name="p", armed_at=armed_at, trigger_hash=made.armed_mark, last_due_at=last_due_at
    )
    state = replace(state, **flags)
    rest = resting(made, state, NOON, newest=2, files_mark="m")  # type: ignore[arg-type]  # a number
    if rest is None:
        return
    assert (state.trigger_hash, state.scope) == (made.armed_mark, made.scope)
    assert state.enabled == made.enabled
    if state.paused or state.cancelled:
        return
    if kind == "change":
        assert (state.watermark, state.settle_mark) == (2, None)
    elif kind == "files":
        assert (state.files_mark, state.settle_mark) == ("m", None)
    else:
        until = rest.until or datetime(2099, 1, 1, tzinfo=UTC)
        since = last_due_at or armed_at
        moment = min(NOON + timedelta(minutes=after), until - timedelta(microseconds=1))
        assert made.trigger.latest_due(since, moment, armed_at=armed_at) is None  # type: ignore[union-attr]  # a clock
