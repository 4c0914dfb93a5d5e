"""What is worth telling: which conditions hold, which are news, and who wants to know."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch.core.alert import (
    MAX_CHANGES,
    Alert,
    AlertKind,
    Condition,
    DownSource,
    Facts,
    Severity,
    Wanted,
    conditions,
    news,
    of_changes,
)
from amxwatch.core.catalog import ObjectRef, ObjectType, SnapshotNumber
from amxwatch.core.change import Change, ChangeKind
from amxwatch.core.message import Delivery, Message, Phase, tellable
from amxwatch.core.run import Run, RunId, RunKind, RunStatus, RunTrigger
from amxwatch.core.schedule import ScheduleState

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ALL = frozenset(AlertKind) - {AlertKind.CHANGE}


def a_state(name: str = "nightly", **values: object) -> ScheduleState:
    return replace(
        ScheduleState(name=name, armed_at=NOW, trigger_hash=""),
        **values,  # type: ignore[arg-type]  # fields of the state
    )


def keys(facts: Facts) -> list[str]:
    return [condition.key for condition in conditions(facts)]


def a_condition(key: str = "k", **values: object) -> Condition:
    made = Condition(key=key, kind=AlertKind.BLOCKED, severity=Severity.WARNING, title="blocked")
    return replace(made, **values)  # type: ignore[arg-type]  # fields of the condition


def an_alert(condition: Condition, name: str = "alert_1") -> Alert:
    return Alert(id=name, condition=condition, opened_at=NOW)


# -- what holds ------------------------------------------------------------------------------


def test_a_streak_begins_at_the_number_that_was_set() -> None:
    two = Facts(now=NOW, schedules=[a_state(consecutive_failures=2)], consecutive_failures=3)
    assert keys(two) == []
    three = replace(two, schedules=[a_state(consecutive_failures=3, last_error="no\nroute")])
    (found,) = conditions(three)
    assert found.key == "failure_streak:nightly"
    assert found.severity is Severity.ERROR
    assert "3 times in a row: no route" in found.title  # one line
    # As the streak grows it is the same condition.
    assert keys(replace(two, schedules=[a_state(consecutive_failures=9)])) == [found.key]


def test_a_cancelled_schedule_is_nobodys_trouble() -> None:
    gone = a_state(consecutive_failures=9, missed_due_at=NOW, cancelled=True)
    assert keys(Facts(now=NOW, schedules=[gone])) == []


def test_each_missed_firing_is_a_condition_of_its_own() -> None:
    first = keys(Facts(now=NOW, schedules=[a_state(missed_due_at=NOW)]))
    later = keys(Facts(now=NOW, schedules=[a_state(missed_due_at=NOW + timedelta(days=1))]))
    assert len(first) == len(later) == 1
    assert first != later


def test_a_blocked_run_says_how_to_go_on() -> None:
    run = Run(
        id=RunId("run_1"),
        kind=RunKind.ANALYZE,
        status=RunStatus.BLOCKED,
        trigger=RunTrigger.SCHEDULE,
        trigger_reason="schedule:nightly",
        db_profile="prod",
        schedule="nightly",
        queued_at=NOW,
        not_before=NOW,
        failure_category="budget",
        error="the day has spent $5",
        recovery_action="amxwatch unblock run_1",
    )
    (found,) = conditions(Facts(now=NOW, blocked=[run]))
    assert (found.schedule, found.run_id) == ("nightly", "run_1")
    assert found.recovery_action == "amxwatch unblock run_1"


def test_a_source_is_told_of_once_it_is_down_for_long_and_a_held_one_at_once() -> None:
    down = DownSource(profile="prod", since=NOW - timedelta(minutes=14), held=False, error="x")
    assert keys(Facts(now=NOW, down=[down])) == []
    assert keys(Facts(now=NOW + timedelta(minutes=1), down=[down])) == ["source_down:prod"]
    assert keys(Facts(now=NOW, down=[replace(down, held=True)])) == ["blocked:source:prod"]


def test_names_in_recovery_commands_are_quoted_for_a_shell() -> None:
    wild = a_state("it's; rm -rf ~", consecutive_failures=3)
    (found,) = conditions(Facts(now=NOW, schedules=[wild]))
    assert found.recovery_action == "amxwatch schedule show 'it'\"'\"'s; rm -rf ~'"


# -- what is news ----------------------------------------------------------------------------


@given(st.lists(st.frozensets(st.sampled_from("abcd"))))
def test_each_stretch_of_a_condition_is_told_once_and_its_end_once(
    history: list[frozenset[str]],
) -> None:
    open_alerts: list[Alert] = []
    told: list[tuple[str, str]] = []
    for holding in history:
        for _ in range(2):  # a second look at the same finds nothing
            found = news([a_condition(key) for key in sorted(holding)], open_alerts)
            told += [("open", condition.key) for condition in found.opens]
            told += [("over", alert.condition.key) for alert in found.recovers]
            open_alerts = [one for one in open_alerts if one not in found.recovers]
            open_alerts += [an_alert(condition) for condition in found.opens]
    for key in "abcd":
        held = [key in holding for holding in history]
        stretches = sum(now and not before for before, now in pairwise([False, *held]))
        ends = sum(before and not now for before, now in pairwise(held))
        assert told.count(("open", key)) == stretches
        assert told.count(("over", key)) == ends


# -- who wants to know -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "takes"),
    [
        (Wanted(target="ops", on=ALL), True),
        (Wanted(target="ops", on=frozenset({AlertKind.MISSED})), False),
        (Wanted(target="ops", on=ALL, severity=Severity.WARNING), True),
        (Wanted(target="ops", on=ALL, severity=Severity.ERROR), False),
        (Wanted(target="ops", on=ALL, schedules=("night*",)), True),
        (Wanted(target="ops", on=ALL, schedules=("Night*",)), False),
        (Wanted(target="ops", on=ALL, ignore=("nightly",)), False),
        (Wanted(target="ops", on=ALL, ignore=("pro?",)), False),
        (Wanted(target="ops", on=ALL, ignore=("weekly", "dev")), True),
    ],
)
def test_filters_of_a_condition(wanted: Wanted, takes: bool) -> None:
    assert wanted.takes(a_condition(schedule="nightly", db_profile="prod")) is takes


def test_what_belongs_to_no_schedule_passes_the_filter_of_schedules() -> None:
    assert Wanted(target="ops", on=ALL, schedules=("sales*",)).takes(a_condition())


def a_change(kind: ChangeKind, name: str, column: str = "") -> Change:
    type_ = ObjectType.COLUMN if column else ObjectType.TABLE
    ref = ObjectRef(schema="sales", table=name, column=column)
    return Change(kind=kind, object_type=type_, ref=ref)


def told_of(changes: list[Change], **filters: object) -> Condition | None:
    wanted = Wanted(target="ops", on=frozenset(), **filters)  # type: ignore[arg-type]
    return of_changes(changes, profile="prod", number=SnapshotNumber(7), wanted=wanted)


def test_changes_are_told_by_kind_severity_and_ignore_list() -> None:
    changes = [
        a_change(ChangeKind.ADDED, "orders"),
        a_change(ChangeKind.REMOVED, "tmp_1"),
        a_change(ChangeKind.TYPE_CHANGED, "orders", "total"),
    ]
    every = frozenset(ChangeKind)
    assert told_of(changes) is None
    found = told_of(changes, kinds=every)
    assert found is not None
    assert found.severity is Severity.WARNING
    assert found.changes == (
        "added table sales.orders",
        "removed table sales.tmp_1",
        "type_changed column sales.orders.total",
    )
    only = told_of(changes, kinds=every, severity=Severity.WARNING, ignore=("*.tmp_*",))
    assert only is not None
    assert only.changes == ("type_changed column sales.orders.total",)
    assert told_of(changes, kinds=every, ignore=("prod",)) is None
    mild = told_of(changes, kinds=frozenset({ChangeKind.ADDED}))
    assert mild is not None
    assert mild.severity is Severity.INFO


def test_a_flood_of_changes_is_cut_and_counted() -> None:
    found = told_of(
        [a_change(ChangeKind.ADDED, f"t{number}") for number in range(MAX_CHANGES + 3)],
        kinds=frozenset(ChangeKind),
    )
    assert found is not None
    assert (len(found.changes), found.more_changes) == (MAX_CHANGES, 3)


def test_a_change_has_no_end() -> None:
    found = told_of([a_change(ChangeKind.ADDED, "orders")], kinds=frozenset(ChangeKind))
    assert found is not None
    assert replace(an_alert(found), recovered_at=NOW).status == "noted"


# -- what is told ----------------------------------------------------------------------------


def test_a_message_is_the_same_at_each_try_and_differs_by_phase() -> None:
    alert = replace(an_alert(a_condition(recovery_action="do it")), recovered_at=NOW)
    one = Delivery(alert_id=alert.id, target="ops", phase=Phase.OPENED, not_before=NOW)
    again = replace(one, tries=5, error="down", not_before=NOW + timedelta(hours=1))
    assert one.id == again.id != replace(one, phase=Phase.RECOVERED).id
    over = Message(
        id="x", phase=Phase.RECOVERED, at=NOW + timedelta(hours=2, minutes=3), alert=alert
    )
    assert over.subject.startswith("[amxwatch recovered]")
    assert "It is over, after 2 h 3 min." in over.lines()
    assert over.document()["type"] == "alert.recovered"


def test_an_end_is_told_only_after_its_beginning() -> None:
    begin = Delivery(alert_id="a", target="ops", phase=Phase.OPENED, not_before=NOW)
    end = replace(begin, phase=Phase.RECOVERED)
    other = replace(end, target="mail")
    assert tellable([begin, end, other]) == [begin, other]
    assert tellable([end]) == [end]
