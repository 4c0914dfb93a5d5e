"""How a schedule's runs went: counting, kinds of failure, percentiles, times in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from amxwatch.core.record import (
    FAILURES,
    Failure,
    failure_of,
    in_words,
    percentile,
    record,
    success_rate,
)
from amxwatch.core.run import Run, RunId, RunKind, RunStatus, RunTrigger
from amxwatch.engines.ending import CATEGORIES

SINCE = datetime(2026, 11, 1, tzinfo=UTC)


def a_run(
    status: RunStatus, *, seconds: float = 1, category: str | None = None, day: float = 1
) -> Run:
    at = SINCE + timedelta(days=day)
    ended = status in (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)
    return Run(
        id=RunId("run"),
        kind=RunKind.ANALYZE,
        status=status,
        trigger=RunTrigger.SCHEDULE,
        trigger_reason="schedule:s",
        db_profile="prod",
        queued_at=at,
        not_before=at,
        started_at=at,
        finished_at=at + timedelta(seconds=seconds) if ended else None,
        failure_category=category,
    )


def test_every_ending_of_the_engine_has_a_kind() -> None:
    told = {category for _, category in CATEGORIES}
    told |= {
        "timeout",
        "interrupted",
        "internal",
        "budget",
        "limit",
        "unpriced",
        "flood",
        "credentials",
    }
    assert told <= FAILURES.keys()


def test_failures_are_counted_by_kind_and_what_is_unknown_is_other() -> None:
    went = [
        a_run(RunStatus.FAILED, category="timeout"),
        a_run(RunStatus.FAILED, category="provider"),
        a_run(RunStatus.FAILED, category="interrupted"),
        a_run(RunStatus.FAILED, category="internal"),
        a_run(RunStatus.FAILED, category="store"),
        a_run(RunStatus.FAILED, category="something newer"),
        a_run(RunStatus.BLOCKED, category="budget"),
        a_run(RunStatus.CANCELLED, category="database"),
    ]
    found = record(went, since=SINCE)
    assert found.failures == {
        Failure.TIMEOUT: 1,
        Failure.MODEL: 1,
        Failure.CRASH: 2,
        Failure.CAPACITY: 1,
        Failure.OTHER: 1,
        Failure.BUDGET: 1,
    }
    assert failure_of(None) is Failure.OTHER


def test_the_rate_is_over_what_ended_in_the_window() -> None:
    went = [
        a_run(RunStatus.COMPLETED),
        a_run(RunStatus.COMPLETED),
        a_run(RunStatus.FAILED),
        a_run(RunStatus.CANCELLED),
        a_run(RunStatus.BLOCKED),
        a_run(RunStatus.RUNNING),
        a_run(RunStatus.QUEUED),
        a_run(RunStatus.FAILED, day=-1),
    ]
    found = record(went, since=SINCE)
    assert (found.completed, found.failed, found.cancelled, found.blocked) == (2, 1, 1, 1)
    assert found.runs == 5
    assert found.success_rate == 0.6667
    assert success_rate(0, 0) is None


def test_durations_are_of_completed_and_failed_runs() -> None:
    went = [a_run(RunStatus.COMPLETED, seconds=second) for second in range(1, 101)]
    went += [a_run(RunStatus.CANCELLED, seconds=9999), a_run(RunStatus.RUNNING)]
    took = record(went, since=SINCE).durations
    assert took is not None
    assert (took.count, took.p50, took.p95, took.longest) == (100, 50, 95, 100)
    assert record([a_run(RunStatus.RUNNING)], since=SINCE).durations is None


def test_a_clock_that_was_set_back_makes_no_negative_duration() -> None:
    took = record([a_run(RunStatus.COMPLETED, seconds=-5)], since=SINCE).durations
    assert took is not None
    assert took.longest == 0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(
    values: list[float], percent: int
) -> None:
    ascending = sorted(values)
    found = percentile(ascending, percent)
    enough = sum(value <= found for value in ascending) * 100 >= percent * len(ascending)
    fewer = sum(value < found for value in ascending) * 100 < percent * len(ascending)
    assert enough
    assert fewer


def test_a_countdown_in_words() -> None:
    said = {
        timedelta(0): "now",
        timedelta(seconds=-5): "now",
        timedelta(seconds=0.5): "now",
        timedelta(seconds=1): "in 1 second",
        timedelta(seconds=61): "in 1 minute 1 second",
        timedelta(hours=3, minutes=12, seconds=59): "in 3 hours 12 minutes",
        timedelta(days=1): "in 1 day",
        timedelta(days=40, hours=1, minutes=59): "in 40 days 1 hour",
    }
    assert {distance: in_words(distance) for distance in said} == said
