"""When cron lines are due: outside cases, and Debian's rules where the clock is moved."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amxwatch.core.errors import TriggerError
from amxwatch.triggers import ClockTrigger, Cron
from amxwatch.triggers.cron import MACROS, parse_cron

ARMED = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def due(trigger: ClockTrigger, start: str, end: str) -> list[str]:
    found = trigger.due_between(instant(start), instant(end), armed_at=ARMED)
    return [f"{one:%Y-%m-%d %H:%M}" for one in found]


def test_cron_agrees_with_the_vectors_that_implementations_agree_on(cases: Path) -> None:
    """Every vector that all implementations agree on, and those of extensions that we take.

    Left out: what we refuse in one clear line (`?`, `15W`, ranges that wrap, `friday`, `1-L`),
    `0-0` (Sunday alone, as in Debian, not every day), `*,sat#3` (a star is every day), and a
    day field that begins with a star and a step: Debian wants both days to match then.
    """
    vectors = json.loads((cases / "a_cron" / "cron_next.json").read_text())["vectors"]
    must = [v for v in vectors if v["tier"] == "must"]
    wanted = must + [v for v in vectors if v["tier"] == "must-extended" and _is_taken(v["expr"])]
    wrong = []
    for vector in wanted:
        trigger = Cron(cron=vector["expr"], timezone=vector["tz"])
        moment: datetime | None = instant(vector["start"])
        for expected in vector["expected_next"]:
            moment = trigger.next_after(moment or ARMED, armed_at=ARMED)
            if moment != (instant(expected) if expected else None):
                wrong.append((vector["id"], expected, str(moment)))
    assert (len(must), len(wanted)) == (124, 141)
    assert wrong == []


def _is_taken(line: str) -> bool:
    try:
        parse_cron(line)
    except TriggerError:
        return False
    return True


def test_cron_follows_debian_over_the_measured_offset_changes(cases: Path) -> None:
    """All 90 cases by cronsim's answer, which stands for Debian's cron, but for one.

    When Lord Howe turns its clock back from 02:00 to 01:30, the clock shows 02:00 half an hour
    later, and `0 */2` names that minute. Debian's cron.c runs lines with a star at what the
    clock shows, also after it was set back; cronsim 2.8 steps over it (croniter and croner do
    not). Our policy is Debian's.
    """
    document = json.loads((cases / "a_cron" / "dst_policy_matrix.json").read_text())
    wrong = []
    for case in document["cases"]:
        trigger = Cron(cron=case["expr"], timezone=case["tz"])
        fires = trigger.due_between(instant(case["start"]), instant(case["end"]), armed_at=ARMED)
        debian = next(a for a in case["answers"] if any("Debian" in by for by in a["by"]))
        surplus = set(fires) ^ {instant(fire) for fire in debian["fires"]}
        if surplus:
            wrong.append((case["expr"], case["tz"], [str(one) for one in surplus]))
    assert len(document["cases"]) == 90
    assert wrong == [("0 */2 * * *", "Australia/Lord_Howe", ["2026-04-04 15:30:00+00:00"])]


CLOCK_CHANGES = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("America/Havana", "2026-03-08"),
    ("America/Havana", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Pacific/Chatham", "2026-09-27"),
    ("Antarctica/Troll", "2026-03-29"),
]
minute_lists = st.sets(st.integers(0, 59), min_size=1, max_size=4)
hour_lists = st.sets(st.integers(0, 5), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CLOCK_CHANGES), minute_lists, st.integers(1, 3))
def test_a_star_goes_by_what_the_clock_shows(
    change: tuple[str, str], minutes: set[int], step: int
) -> None:
    place = ZoneInfo(change[0])
    start = instant(f"{change[1]}T12:00Z") - timedelta(hours=36)
    trigger = Cron(cron=f"{','.join(map(str, minutes))} */{step} * * *", timezone=change[0])
    shown = [start + timedelta(minutes=n) for n in range(1, 72 * 60)]
    named = [
        one
        for one in shown
        if one.astimezone(place).minute in minutes and one.astimezone(place).hour % step == 0
    ]
    assert trigger.due_between(start, shown[-1], armed_at=ARMED, limit=9999) == named


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CLOCK_CHANGES), minute_lists, hour_lists)
def test_fixed_times_fire_once_each_day(
    change: tuple[str, str], minutes: set[int], hours: set[int]
) -> None:
    place = ZoneInfo(change[0])
    day = datetime.fromisoformat(change[1]) - timedelta(days=1)
    trigger = Cron(cron=f"{_listed(minutes)} {_listed(hours)} * * *", timezone=change[0])
    times = [
        day + timedelta(days=n, hours=hour, minutes=minute)
        for n in range(3)
        for hour in hours
        for minute in minutes
    ]
    named = {_first_shown(local, place) for local in times}
    start, end = min(named) - timedelta(seconds=1), max(named)
    assert trigger.due_between(start, end, armed_at=ARMED, limit=9999) == sorted(named)


def _first_shown(local: datetime, place: ZoneInfo) -> datetime:
    """Return the first instant at which the clock shows that time, or else the next minute."""
    when = local.replace(tzinfo=place).astimezone(UTC)
    if when.astimezone(place).replace(tzinfo=None) == local:
        return when
    return _first_shown(local + timedelta(minutes=1), place)


def _listed(values: set[int]) -> str:
    return ",".join(map(str, sorted(values)))


def test_a_minute_with_a_star_skips_what_the_clock_skips() -> None:
    day = ("2026-03-29T00:00Z", "2026-03-29T20:00Z")
    assert due(Cron(cron="*/30 2 * * *", timezone="Europe/Berlin"), *day) == []
    assert due(Cron(cron="0,30 2 * * *", timezone="Europe/Berlin"), *day) == ["2026-03-29 01:00"]


def test_a_cron_window_counts_its_ends() -> None:
    trigger = Cron(
        cron="0 9 * * *",
        timezone="Europe/Istanbul",
        starts_at="2026-02-02 09:00",
        ends_at="2026-02-03 09:00",
    )
    assert due(trigger, "2026-01-01T00:00Z", "2027-01-01T00:00Z") == [
        "2026-02-02 06:00",
        "2026-02-03 06:00",
    ]
    assert trigger.next_after(instant("2026-02-03T06:00Z"), armed_at=ARMED) is None


@pytest.mark.parametrize("macro", MACROS)
def test_macros_mean_their_lines(macro: str) -> None:
    line = Cron(cron=MACROS[macro])
    for text in (macro, macro.upper()):
        trigger = Cron(cron=text)
        assert trigger.hash() == line.hash()
        assert trigger.next_after(ARMED, armed_at=ARMED) == line.next_after(ARMED, armed_at=ARMED)
