"""What every clock trigger promises, and the outside cases that say when each is due."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch.core.change import ChangeKind
from amxwatch.core.errors import TriggerError
from amxwatch.triggers import (
    At,
    CatalogChange,
    ClockTrigger,
    Cron,
    Every,
    Files,
    parse_trigger,
)
from amxwatch.triggers.zones import from_local, zone

ARMED = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def due(trigger: ClockTrigger, start: str, end: str) -> list[str]:
    found = trigger.due_between(instant(start), instant(end), armed_at=ARMED)
    return [f"{one:%Y-%m-%d %H:%M}" for one in found]


# -- what holds for each ---------------------------------------------------------------------

zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana"]
)
crons = st.builds(
    lambda *fields: " ".join(fields),
    st.sampled_from(["0", "30", "*/20", "5,45", "*"]),
    st.sampled_from(["*", "2", "0-3", "*/3", "1,13"]),
    st.sampled_from(["*", "1", "*/7", "L"]),
    st.sampled_from(["*", "3,10", "*/5"]),
    st.sampled_from(["*", "MON-FRI", "7", "5#2"]),
)
triggers = st.one_of(
    st.builds(Cron, cron=crons, timezone=zones),
    st.builds(Cron, cron=crons, timezone=zones, starts_at=st.just("2026-03-08 02:30")),
    st.builds(Cron, cron=crons, timezone=zones, ends_at=st.just("2026-11-01 01:30")),
    st.builds(Every, minutes=st.sampled_from([1 / 60, 0.5, 7, 60, 1440])),
    st.builds(At, at=st.just("2026-03-08 02:30"), timezone=zones),
)
moments = st.integers(0, 395 * 86400 * 1000).map(
    lambda milliseconds: datetime(2025, 12, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
)


@given(triggers, moments)
def test_due_times_are_utc_and_strictly_increase(trigger: ClockTrigger, moment: datetime) -> None:
    for _ in range(4):
        found = trigger.next_after(moment, armed_at=ARMED)
        if found is None:
            break
        assert found.tzinfo is UTC
        assert found > moment
        moment = found


@given(triggers, moments, st.timedeltas(timedelta(0), timedelta(hours=3)), st.integers(0, 9))
def test_the_ways_to_ask_agree(
    trigger: ClockTrigger, after: datetime, span: timedelta, limit: int
) -> None:
    until = after + span
    found = trigger.due_between(after, until, armed_at=ARMED, limit=20_000)
    assert found == sorted(set(found))
    assert all(after < one <= until for one in found)
    assert trigger.due_between(after, until, armed_at=ARMED, limit=limit) == found[:limit]
    assert trigger.latest_due(after, until, armed_at=ARMED) == (found[-1] if found else None)
    following = trigger.next_after(found[-1] if found else after, armed_at=ARMED)
    assert following is None or following > until


@given(triggers, moments, st.timedeltas(timedelta(0), timedelta(days=2)))
def test_where_one_starts_to_look_changes_nothing(
    trigger: ClockTrigger, after: datetime, span: timedelta
) -> None:
    found = trigger.next_after(after, armed_at=ARMED)
    if found is not None:
        between = min(after + span, found - timedelta(microseconds=1))
        assert trigger.next_after(between, armed_at=ARMED) == found


@given(triggers)
def test_text_about_it(trigger: ClockTrigger) -> None:
    again = parse_trigger(trigger.model_dump(exclude_none=True))
    assert isinstance(again, ClockTrigger)
    assert again == trigger
    assert again.hash() == trigger.hash()
    assert "\n" not in trigger.describe()
    assert trigger.is_recurring is not isinstance(trigger, At)
    assert trigger.zone == trigger.timezone


def test_latest_due_takes_few_steps_over_many_years() -> None:
    trigger = Every(minutes=1 / 60)
    until = ARMED + timedelta(days=3650, microseconds=-1)
    assert trigger.latest_due(ARMED, until, armed_at=ARMED) == ARMED + timedelta(
        days=3650, seconds=-1
    )


# -- at --------------------------------------------------------------------------------------


def test_at_follows_rfc_5545_at_every_offset_change(cases: Path) -> None:
    vectors = json.loads((cases / "b_dst" / "one_shot_local.json").read_text())["vectors"]
    wrong = []
    for vector in vectors:
        trigger = At(at=vector["local"], timezone=vector["zone"])
        expected = instant(vector["expect"]["rfc5545"])
        if trigger.next_after(expected - timedelta(seconds=1), armed_at=ARMED) != expected:
            wrong.append((vector["zone"], vector["local"], str(trigger.instant)))
    assert len(vectors) > 500
    assert wrong == []


def test_at_is_due_once_and_never_again() -> None:
    trigger = At(at="2026-12-31T09:00", timezone="Europe/Istanbul")
    when = instant("2026-12-31T06:00Z")
    assert trigger.at == "2026-12-31 09:00"
    assert trigger.next_after(ARMED, armed_at=ARMED) == when
    assert trigger.next_after(when, armed_at=ARMED) is None
    trigger.ensure_future(when - timedelta(seconds=1))
    with pytest.raises(TriggerError, match=r"has passed \(there it is 2026-12-31 09:00:00\)"):
        trigger.ensure_future(when)


def test_at_takes_seconds_and_what_toml_makes_of_a_bare_time() -> None:
    assert At(at="2026-12-31 09:00:05").at == "2026-12-31 09:00:05"
    bare = parse_trigger({"type": "at", "at": datetime.fromisoformat("2026-12-31 09:00")})
    assert bare == At(at="2026-12-31 09:00")


# -- every -----------------------------------------------------------------------------------


def test_every_keeps_its_grid_from_when_it_was_armed() -> None:
    trigger = Every(minutes=60)
    assert trigger.next_after(ARMED, armed_at=ARMED) == ARMED + timedelta(hours=1)
    before = ARMED - timedelta(days=1)
    assert trigger.next_after(before, armed_at=ARMED) == ARMED + timedelta(hours=1)
    late = ARMED + timedelta(hours=5, minutes=59)
    assert trigger.next_after(late, armed_at=ARMED) == ARMED + timedelta(hours=6)


def test_a_window_leaves_ticks_out_and_moves_none() -> None:
    trigger = Every(minutes=60, starts_at="2026-01-01 14:00:30", ends_at="2026-01-01 16:00")
    assert due(trigger, "2026-01-01T00:00Z", "2026-01-02T00:00Z") == [
        "2026-01-01 14:00",
        "2026-01-01 15:00",
    ]


# -- words, jitter and arming ----------------------------------------------------------------


def test_it_says_in_words() -> None:
    assert Cron(cron="0 3 * * 1-5", timezone="Europe/Istanbul").describe() == (
        "at 03:00 on Monday through Friday (Europe/Istanbul)"
    )
    assert Every(minutes=90).describe() == "every 90 minutes"
    assert At(at="2026-12-31 09:00").describe() == "once, at 2026-12-31 09:00 UTC"
    assert CatalogChange().describe() == (
        "when the catalog changes, at most every 4 h, once it is quiet for 10 s"
    )
    assert Files(paths=["a/*.sql"], cadence_cap_hours=0).describe() == (
        "when a/*.sql change, once it is quiet for 5 s"
    )


@given(moments, st.text(max_size=20))
def test_jitter_is_bounded_and_always_the_same(moment: datetime, name: str) -> None:
    trigger = Cron(cron="0 3 * * *", jitter_seconds=60)
    jitter = trigger.jitter_for(moment, name)
    assert timedelta(0) <= jitter < timedelta(seconds=60)
    assert Cron(cron="0 3 * * *", jitter_seconds=60).jitter_for(moment, name) == jitter
    assert Cron(cron="0 3 * * *").jitter_for(moment, name) == timedelta(0)


def test_jitter_spreads_schedules_and_moves_no_due_time() -> None:
    trigger = Every(minutes=5, jitter_seconds=300)
    assert len({trigger.jitter_for(ARMED, f"s{n}") for n in range(20)}) == 20
    assert trigger.next_after(ARMED, armed_at=ARMED) == ARMED + timedelta(minutes=5)


def test_only_what_moves_due_times_arms_again() -> None:
    cron: dict[str, object] = {"type": "cron", "cron": "0 3 * * *"}
    same: list[dict[str, object]] = [
        {},
        {"jitter_seconds": 9},
        {"only_if_changed": True},
        {"cron": "0  3 * * *"},
    ]
    assert len({parse_trigger({**cron, **more}).hash() for more in same}) == 1
    other: list[dict[str, object]] = [
        {"cron": "1 3 * * *"},
        {"timezone": "Asia/Tokyo"},
        {"ends_at": "2027-01-01 00:00"},
    ]
    assert len({parse_trigger({**cron, **more}).hash() for more in [{}, *other]}) == 4
    assert CatalogChange().hash() == CatalogChange(cadence_cap_hours=1, kinds=["added"]).hash()
    assert Files(paths=["a"]).hash() != Files(paths=["b"]).hash()


# -- what is wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "allowed: at, every, cron, change, files"),
        ({"type": "sometimes"}, "found type 'sometimes'; allowed: at, every"),
        ({"type": "every"}, "minutes is missing"),
        ({"type": "every", "minutes": 0}, "minutes: found 0; "),
        ({"type": "every", "minutes": 0.01}, "allowed: 1/60 (one second) or more"),
        ({"type": "every", "minutes": True}, "found True"),
        ({"type": "every", "minutes": float("inf")}, "found inf"),
        ({"type": "every", "minutes": 1, "jitter_seconds": 61}, "not more than the 60 seconds"),
        ({"type": "every", "minutes": 1, "hours": 1}, "found hours; allowed: ends_at"),
        ({"type": "cron", "cron": "0 0 30 2 *"}, "never fires"),
        ({"type": "cron", "cron": "0 0 31 4,6 *"}, "never fires"),
        ({"type": "cron", "cron": "0 0 0 * * *"}, "6 fields; allowed: 5 fields"),
        ({"type": "cron", "cron": "* * *"}, "3 fields; allowed: 5 fields"),
        ({"type": "cron", "cron": "@reboot"}, "found '@reboot'; allowed: 5 fields"),
        ({"type": "cron", "cron": "0 25 * * *"}, "found '25' as hour"),
        ({"type": "cron", "cron": "0 0 ? * *"}, "found '?' as day of month"),
        ({"type": "cron", "cron": "0 0 * * fri-sun"}, "found 'fri-sun' as day of week"),
        ({"type": "cron", "cron": "*/0 0 * * *"}, "found '*/0' as minute"),
        ({"type": "cron", "cron": "9" * 5000 + " * * * *"}, "allowed: 5 fields"),
        ({"type": "cron", "cron": "0 3 * * *", "timezone": "Europe/Istambul"}, "Europe/Istanbul?"),
        ({"type": "cron", "cron": "0 3 * * *", "timezone": "istanbul"}, "or Europe/Istanbul?"),
        ({"type": "cron", "cron": "0 3 * * *", "timezone": "Europe"}, "allowed: an IANA zone"),
        ({"type": "cron", "cron": "0 3 * * *", "timezone": ""}, "allowed: an IANA zone"),
        ({"type": "cron", "cron": "0 3 * * *", "timezone": "../UTC"}, "allowed: an IANA zone"),
        ({"type": "cron", "cron": "0 3 * * *", "starts_at": "soon"}, "starts_at: found 'soon'"),
        (
            {
                "type": "cron",
                "cron": "0 3 * * *",
                "starts_at": "2026-02-01 00:00",
                "ends_at": "2026-01-31 00:00",
            },
            "ends_at: found 2026-01-31 00:00, before starts_at",
        ),
        ({"type": "at", "at": "tomorrow"}, "allowed: a local time as YYYY-MM-DD HH:MM[:SS]"),
        ({"type": "at", "at": "2026-02-30 09:00"}, "found '2026-02-30 09:00'"),
        ({"type": "at", "at": "2026-1-1 9:00"}, "allowed: a local time"),
        ({"type": "at", "at": "2026-01-01 09:00+03:00"}, "give the zone as timezone"),
        ({"type": "at", "at": datetime(2026, 1, 1, tzinfo=UTC)}, "its zone as timezone"),
        ({"type": "at", "at": "9999-12-31 23:59", "timezone": "America/New_York"}, "9999"),
        ({"type": "change", "kinds": []}, "allowed: a list of one or more of added"),
        ({"type": "change", "kinds": ["grown"]}, "found 'grown'"),
        ({"type": "change", "cadence_cap_hours": -1}, "cadence_cap_hours: found -1"),
        ({"type": "change", "settle_seconds": 1e300}, "settle_seconds: found 1e+300"),
        ({"type": "files", "paths": []}, "allowed: a list of one or more globs"),
        ({"type": "files", "paths": "models/*.sql"}, "allowed: a list of one or more globs"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(fields: dict[str, object], said: str) -> None:
    with pytest.raises(TriggerError) as caught:
        parse_trigger(fields)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_defaults_are_those_of_the_interface() -> None:
    change, files = CatalogChange(), Files(paths=["a"])
    assert (change.cadence_cap_hours, change.settle_seconds, change.kinds) == (4, 10, None)
    assert (change.include_downstream, change.initial_run) == (False, False)
    assert (files.cadence_cap_hours, files.settle_seconds) == (1, 5)
    assert Cron(cron="@daily").timezone == "UTC"
    kinds = CatalogChange(kinds=["type_changed", "added", "added"]).kinds
    assert kinds == (ChangeKind.ADDED, ChangeKind.TYPE_CHANGED)


def test_the_edges_of_the_calendar_are_no_traceback() -> None:
    last = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    for trigger in (Cron(cron="0 0 * * *", timezone="Asia/Tokyo"), Cron(cron="* * 29 2 *")):
        assert trigger.next_after(last - timedelta(days=1), armed_at=ARMED) is None
    assert Every(minutes=60).next_after(last, armed_at=ARMED) is None
    with pytest.raises(TriggerError, match="between the years 1 and 9999"):
        from_local(datetime.fromisoformat("0001-01-01"), zone("Asia/Tokyo"))
