"""A schedule's record: how its runs of late went, why some failed, and how long they took."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from amxwatch.core.run import Run, RunStatus


class Failure(enum.StrEnum):
    """What kind of thing went wrong, as people count it."""

    TIMEOUT = "timeout"
    DATABASE = "database"
    MODEL = "model"
    BUDGET = "budget"
    CREDENTIALS = "credentials"
    CAPACITY = "capacity"
    CRASH = "crash"
    OTHER = "other"


FAILURES: dict[str, Failure] = {
    "timeout": Failure.TIMEOUT,
    "database": Failure.DATABASE,
    "flood": Failure.DATABASE,
    "provider": Failure.MODEL,
    "budget": Failure.BUDGET,
    "limit": Failure.BUDGET,
    "unpriced": Failure.BUDGET,
    "credentials": Failure.CREDENTIALS,
    "store": Failure.CAPACITY,
    "interrupted": Failure.CRASH,
    "internal": Failure.CRASH,
    "usage": Failure.OTHER,
}
"""A run's `failure_category` and what it is counted as; any other is `other`."""


def failure_of(category: str | None) -> Failure:
    """Return what a run's `failure_category` is counted as."""
    return FAILURES.get(category or "", Failure.OTHER)


def success_rate(completed: int, failed: int) -> float | None:
    """Return the share of ended runs that completed; None where none ended.

    A cancelled run is a person's decision: it counts on neither side.
    """
    ended = completed + failed
    return round(completed / ended, 4) if ended else None


@dataclass(frozen=True, kw_only=True)
class Durations:
    """How long completed and failed runs took, from start to end, in seconds."""

    count: int
    p50: float
    p95: float
    longest: float


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the runs of one schedule came to since a moment.

    `failures` counts failed runs, and blocked ones that still wait, by kind; a kind that did
    not occur is absent. `durations` is None where no run ended.
    """

    since: datetime
    completed: int
    failed: int
    cancelled: int
    blocked: int
    failures: Mapping[Failure, int]
    durations: Durations | None

    @property
    def runs(self) -> int:
        return self.completed + self.failed + self.cancelled + self.blocked

    @property
    def success_rate(self) -> float | None:
        return success_rate(self.completed, self.failed)


def record(runs: Iterable[Run], *, since: datetime) -> Record:
    """Return the record of those of a schedule's runs that were queued since, and are not open.

    A blocked run counts too: it came to a halt, and will not go on by itself.
    """
    counted = [run for run in runs if run.queued_at >= since]
    statuses = Counter(run.status for run in counted)
    went_wrong = (RunStatus.FAILED, RunStatus.BLOCKED)
    return Record(
        since=since,
        completed=statuses[RunStatus.COMPLETED],
        failed=statuses[RunStatus.FAILED],
        cancelled=statuses[RunStatus.CANCELLED],
        blocked=statuses[RunStatus.BLOCKED],
        failures=Counter(
            failure_of(run.failure_category) for run in counted if run.status in went_wrong
        ),
        durations=_durations(counted),
    )


def _durations(runs: Iterable[Run]) -> Durations | None:
    seconds = sorted(
        max((run.finished_at - run.started_at).total_seconds(), 0.0)
        for run in runs
        if run.status in (RunStatus.COMPLETED, RunStatus.FAILED)
        and run.started_at is not None
        and run.finished_at is not None
    )
    if not seconds:
        return None
    return Durations(
        count=len(seconds),
        p50=percentile(seconds, 50),
        p95=percentile(seconds, 95),
        longest=seconds[-1],
    )


def percentile(ascending: Sequence[float], percent: int) -> float:
    """Return the smallest value that at least so many percent do not exceed (nearest rank)."""
    rank = -(-len(ascending) * percent // 100)
    return ascending[max(rank, 1) - 1]


UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def in_words(distance: timedelta) -> str:
    """Return a time still to come for people, in its two largest units: `in 3 hours 12 minutes`.

    What is due or past is `now`.
    """
    left = int(distance.total_seconds())
    if left <= 0:
        return "now"
    for place, (unit, size) in enumerate(UNITS):
        if left >= size:
            words = [_counted(left // size, unit)]
            if place + 1 < len(UNITS) and (rest := left % size // UNITS[place + 1][1]):
                words.append(_counted(rest, UNITS[place + 1][0]))
            return "in " + " ".join(words)
    return "now"


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
