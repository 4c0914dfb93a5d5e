"""Intake's rules, and what files and reports are read as."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch.core.errors import SignalError, TransitionError
from amxwatch.core.intake import (
    MAX_DETAIL,
    MAX_TITLE,
    MAX_TRIES,
    OPEN,
    TRANSITIONS,
    IntakeEvent,
    IntakeId,
    IntakeItem,
    IntakeSource,
    IntakeState,
    Priority,
    after,
    following,
    triage,
)
from amxwatch.core.report import MAX_TOLD, file_signal, report_signal
from amxwatch.core.run import Run, RunId, RunKind, RunStatus, RunTrigger
from amxwatch.core.scope import Scope
from amxwatch.core.signal import Signal

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

ITEM = IntakeItem(
    id=IntakeId("int_1"),
    source=IntakeSource.MANUAL,
    title="describe orders",
    db_profile="shop",
    dedupe_key="k",
    added_at=NOW,
    not_before=NOW,
)


def a_run(status: RunStatus) -> Run:
    return Run(
        id=RunId("run_1"),
        kind=RunKind.ANALYZE,
        status=status,
        trigger=RunTrigger.INTAKE,
        trigger_reason="intake",
        db_profile="shop",
        queued_at=NOW,
        not_before=NOW,
        error="no such table",
        failure_category="database",
    )


@pytest.mark.parametrize(("state", "event"), list(product(IntakeState, IntakeEvent)))
def test_an_item_makes_the_moves_of_the_table_and_no_other(
    state: IntakeState, event: IntakeEvent
) -> None:
    if (state, event) in TRANSITIONS:
        assert after(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(TransitionError, match=f"is {state} cannot"):
            after(state, event)


def test_every_state_can_be_reached_and_left_until_it_is_resolved() -> None:
    assert set(TRANSITIONS.values()) == set(IntakeState)
    assert {state for state, _ in TRANSITIONS} == set(IntakeState) - {IntakeState.RESOLVED}
    assert {event for _, event in TRANSITIONS} == set(IntakeEvent)


def test_a_more_urgent_item_gives_its_run_a_higher_priority() -> None:
    assert [priority.of_run for priority in Priority] == [3, 2, 1, 0]


# -- triage ----------------------------------------------------------------------------------


def decide(**values: object) -> IntakeState | None:
    given = {"knows_profile": True, "missing": [], "busy": 0, "max_open": 10, "now": NOW}
    move = triage(ITEM, **{**given, **values})  # type: ignore[arg-type]  # checked by triage
    return None if move is None else after(ITEM.state, move.event)


def test_what_is_known_and_has_room_is_let_through() -> None:
    assert decide() is IntakeState.APPROVED


def test_what_names_nothing_waits_for_a_person() -> None:
    move = triage(ITEM, knows_profile=True, missing=["no table a.b"], busy=0, max_open=1, now=NOW)
    assert move is not None
    assert move.event is IntakeEvent.HOLD
    assert move.values["reason"] == "no table a.b"
    assert decide(knows_profile=False) is IntakeState.NEW


def test_what_cannot_be_decided_yet_is_left_for_a_later_look() -> None:
    assert decide(missing=None) is None
    assert decide(busy=10) is None
    assert decide(busy=9) is IntakeState.APPROVED


# -- following its run -----------------------------------------------------------------------


@given(st.sampled_from([IntakeState.PLANNED, IntakeState.RUNNING]), st.sampled_from(RunStatus))
def test_whatever_becomes_of_its_run_the_item_has_a_move_for_it(
    state: IntakeState, status: RunStatus
) -> None:
    move = following(replace(ITEM, state=state), a_run(status), NOW)
    if move is None:
        assert status in (RunStatus.QUEUED, RunStatus.BLOCKED, RunStatus.MISSED)
    else:
        then = after(state, move.event)
        assert (then in OPEN) is (status in (RunStatus.RUNNING, RunStatus.FAILED))


def test_a_failing_item_is_tried_again_after_growing_pauses_and_then_given_up() -> None:
    item, pauses = replace(ITEM, state=IntakeState.RUNNING), []
    for _ in range(MAX_TRIES - 1):
        move = following(item, a_run(RunStatus.FAILED), NOW)
        assert move is not None
        assert move.event is IntakeEvent.PUT_BACK
        pauses.append(move.values["not_before"] - NOW)
        item = replace(item, tries=move.values["tries"])
    assert timedelta(seconds=30) <= pauses[0] <= pauses[1]
    last = following(item, a_run(RunStatus.FAILED), NOW)
    assert last is not None
    assert last.event is IntakeEvent.REJECT
    assert "no such table" in last.values["reason"]
    assert last.values["tries"] == MAX_TRIES


# -- dropped files ---------------------------------------------------------------------------


def test_prose_has_its_first_line_as_title() -> None:
    found = file_signal("note.md", b"\n\n# Describe  orders\n\nWith care.\n")
    assert found is not None
    assert (found.title, found.detail) == ("Describe orders", "# Describe  orders\n\nWith care.")
    assert (found.scope, found.priority, found.source) == (None, None, IntakeSource.FOLDER)


def test_a_markdown_file_may_begin_with_toml() -> None:
    text = '+++\nscope = ["schema:a", "table:s.t"]\npriority = "p0"\n+++\n# Orders\nNow.\n'
    found = file_signal("note.md", text.encode())
    assert found is not None
    assert (found.title, found.scope) == ("Orders", "schema:a;table:s.t")
    assert (found.priority, found.detail) == (Priority.P0, "# Orders\nNow.")


@pytest.mark.parametrize("ending", ["json", "toml"])
def test_a_structured_file_says_each_part(ending: str) -> None:
    fields = {
        "title": "Orders",
        "detail": "d",
        "db_profile": "shop",
        "scope": "schema:sales",
        "priority": "p1",
        "key": "k",
    }
    toml = "\n".join(f'{key} = "{value}"' for key, value in fields.items())
    content = (json.dumps(fields) if ending == "json" else toml).encode()
    assert file_signal(f"a.{ending}", content) == Signal(
        source=IntakeSource.FOLDER,
        title="Orders",
        detail="d",
        db_profile="shop",
        scope="schema:sales",
        priority=Priority.P1,
        key="k",
    )


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", b"[1]", "allowed: an object"),
        ("a.json", b'{"title": 1}', "title: found a number; allowed: text"),
        ("a.json", b'{"titel": "x"}', "found the key 'titel'; allowed: title, detail"),
        ("a.json", b'{"title": "x", "scope": "tabel:a.b"}', "scope"),
        ("a.json", b'{"title": "x", "scope": [1]}', "scope: found a list"),
        ("a.json", b'{"title": "x", "priority": "high"}', "allowed: p0, p1, p2, p3"),
        ("a.json", b'{"detail": "x"}', "needs a title"),
        ("a.json", b"[" * 100_000, "no JSON"),
        ("a.toml", b"title = ", "no TOML"),
        ("a.toml", b"a=" + b"[" * 100_000, "no TOML"),
        ("a.md", b"+++\ntitle = 'x'\n", "no closing +++"),
        ("a.txt", b"  \n\t ", "empty"),
        ("a.txt", b"", "empty"),
        ("a.txt", b"\x89PNG\0\0", "binary"),
        ("a.txt", b"caf\xe9", "byte 3 is no UTF-8"),
        ("a.xml", b"<html/>", "the root is <html>"),
        ("a.xml", b"<testsuite>", "no XML"),
        ("a.xml", b"<testsuite>" + b"<a>" * 200, "nested more than"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(name: str, content: bytes, says: str) -> None:
    with pytest.raises(SignalError) as caught:
        file_signal(name, content)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def words_of(read: Callable[[str, bytes], Signal | None], name: str, content: bytes) -> str:
    """Return the title that a file is read as, or why it is refused."""
    try:
        found = read(name, content)
    except SignalError as error:
        return str(error)
    return "nothing failed" if found is None else found.title


@given(st.sampled_from(["a.md", "a.json", "a.toml", "a.xml", "b"]), st.binary() | st.text())
def test_no_content_does_worse_than_to_be_refused(name: str, content: bytes | str) -> None:
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
    for read in (file_signal, report_signal):
        said = words_of(read, name, raw)
        assert said
        assert "\n" not in said


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["ok", "gates", "undescribed", "profile", "title"]), JSON))
def test_no_shape_of_a_report_does_worse_either(fields: dict[str, object]) -> None:
    assert words_of(file_signal, "a.json", json.dumps(fields).encode())


def test_long_words_are_cut_and_say_so() -> None:
    found = file_signal("a.txt", b"x" * (MAX_DETAIL + 7))
    assert found is not None
    assert len(found.title) == MAX_TITLE
    assert found.detail.endswith("… 7 more characters are left out")


# -- reports of CI ---------------------------------------------------------------------------

JUNIT = """<?xml version="1.0"?>
<testsuites><testsuite name="dbt" tests="3" timestamp="2026-11-21T12:00:00">
  <testcase classname="models.orders" name="total_not_null"><failure message="12 nulls">
     select * from orders</failure></testcase>
  <testcase classname="models.orders" name="ok"/>
  <testcase name="unique"><error message="boom">trace</error></testcase>
  <testcase name="later"><skipped message="no"/></testcase>
</testsuite></testsuites>
"""


def test_a_junit_report_tells_its_failures() -> None:
    found = file_signal("r.xml", JUNIT.encode())
    assert found is not None
    assert found.source is IntakeSource.CI
    assert found.title == "2 of 4 tests failed in dbt: models.orders.total_not_null"
    assert found.detail.splitlines() == [
        "models.orders.total_not_null: 12 nulls select * from orders",
        "unique: boom trace",
    ]
    assert found.occurrence == report_signal("other name", JUNIT.encode()).occurrence  # type: ignore[union-attr]  # it has failures
    assert report_signal("-", JUNIT.encode("utf-16")) is not None


def test_a_report_without_a_failure_is_no_signal() -> None:
    good = (
        b'<testsuite name="a"><testcase name="b"><system-out>x</system-out></testcase></testsuite>'
    )
    assert file_signal("r.xml", good) is None
    assert report_signal("r", b'{"gates": [{"ok": true}], "ok": true}') is None


def test_a_flood_of_failures_is_counted_and_cut() -> None:
    many = "".join(f'<testcase name="t{n}"><failure/></testcase>' for n in range(MAX_TOLD + 9))
    found = file_signal("r.xml", f"<testsuite>{many}</testsuite>".encode())
    assert found is not None
    assert found.title.startswith("209 of 209 tests failed")
    assert found.detail.endswith("… and 9 more")


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE a [<!ENTITY b "b"><!ENTITY c "&b;&b;"><!ENTITY d "&c;&c;">]>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x.dtd"> %p;]>',
        "<!DOCTYPE testsuite>",
    ],
)
def test_a_document_type_is_refused_before_it_can_do_anything(head: str) -> None:
    content = f"{head}<testsuite><testcase><failure>&d;</failure></testcase></testsuite>"
    with pytest.raises(SignalError, match="document type"):
        file_signal("r.xml", content.encode())


def test_the_report_of_check_tells_its_gates_and_names_a_scope() -> None:
    report = {
        "profile": "models",
        "ok": False,
        "gates": [
            {"gate": "min", "ok": False, "text": "--min 90: 14% are described"},
            {"gate": "moved", "ok": True, "text": "fine"},
        ],
        "undescribed": [
            {"object_type": "table", "schema": "shop", "table": "orders", "column": None},
            {"object_type": "column", "schema": "shop", "table": "orders", "column": "a"},
            {"object_type": "column", "schema": "shop", "table": "x.y", "column": "b"},
            "nonsense",
        ],
    }
    found = report_signal("r.json", json.dumps(report).encode())
    assert found is not None
    assert found.title == "amxwatch check: --min 90: 14% are described"
    assert found.db_profile == "models"
    assert found.scope == 'table:shop.orders,shop."x.y"'
    assert Scope.parse(found.scope)
    assert "not described: shop.orders.a" in found.detail


def test_another_json_is_no_report() -> None:
    with pytest.raises(SignalError, match="no report"):
        report_signal("r.json", b'{"title": "x"}')


@given(st.text(), st.text(), st.text(), st.text())
def test_different_words_are_different_signals(a: str, b: str, c: str, d: str) -> None:
    one = Signal(source=IntakeSource.MANUAL, title=a, detail=b)
    other = Signal(source=IntakeSource.WEBHOOK, title=c, detail=d)
    same = one.dedupe_key("p", "all") == other.dedupe_key("p", "all")
    assert same is ((a, b) == (c, d))
    assert one.dedupe_key("p", "all") != one.dedupe_key("q", "all")
