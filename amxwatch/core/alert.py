"""What people are told of: conditions that hold, which of them is news, and who wants to know.

A condition has a `key`. While it holds, one alert with that key is open: it is told once when
it opens and once more when the condition is over. A change of the catalog is no condition: it
is told once and has no end.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.change import Change, ChangeKind
from amxwatch.core.run import Run
from amxwatch.core.schedule import ScheduleState

MAX_CHANGES = 50
"""How many changes one alert lists; the rest are counted."""


MAX_TITLE = 500


class AlertKind(enum.StrEnum):
    """What an alert is about; the spelling is the one of TOML and JSON."""

    FAILURE_STREAK = "failure_streak"
    BLOCKED = "blocked"
    MISSED = "missed"
    DAEMON_STALE = "daemon_stale"
    SOURCE_DOWN = "source_down"
    CHANGE = "change"
    TEST = "test"
    """Sent by hand to try a target; never recorded."""


class Severity(enum.StrEnum):
    """How much it matters, mildest first."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


SEVERITIES: dict[AlertKind, Severity] = {
    AlertKind.FAILURE_STREAK: Severity.ERROR,
    AlertKind.BLOCKED: Severity.WARNING,
    AlertKind.MISSED: Severity.WARNING,
    AlertKind.DAEMON_STALE: Severity.CRITICAL,
    AlertKind.SOURCE_DOWN: Severity.ERROR,
    AlertKind.CHANGE: Severity.INFO,
    AlertKind.TEST: Severity.INFO,
}

BREAKING = frozenset({ChangeKind.REMOVED, ChangeKind.RENAMED, ChangeKind.TYPE_CHANGED})
"""Changes that break who reads the object: their alert is a warning."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Something that people may want to know. `key` is the same for as long as it holds.

    `recovery_action` is a command. `target` is set where it is meant for one target alone, and
    `changes` are then its lines: `removed sales.orders`.
    """

    key: str
    kind: AlertKind
    severity: Severity
    title: str
    schedule: str | None = None
    db_profile: str | None = None
    run_id: str | None = None
    recovery_action: str | None = None
    target: str | None = None
    changes: tuple[str, ...] = ()
    more_changes: int = 0

    @property
    def is_momentary(self) -> bool:
        return self.kind is AlertKind.CHANGE


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A condition that was found to hold. `recovered_at` of a momentary one is its opening."""

    id: str
    condition: Condition
    opened_at: datetime
    recovered_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.recovered_at is None

    @property
    def status(self) -> str:
        """Say `open`, `recovered`, or `noted` of what has no end."""
        if self.condition.is_momentary:
            return "noted"
        return "open" if self.is_open else "recovered"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Who wants what: one target's filters. Globs as in fnmatch(3), case counts.

    `on` are kinds of condition, `kinds` of change. `schedules` filters what belongs to a
    schedule; what belongs to none (the daemon, a source) passes. `ignore` names schedules, db
    profiles, and objects as `schema.table.column`.
    """

    target: str
    on: frozenset[AlertKind]
    kinds: frozenset[ChangeKind] = frozenset()
    severity: Severity = Severity.INFO
    schedules: tuple[str, ...] = ("*",)
    ignore: tuple[str, ...] = ()

    def takes(self, condition: Condition) -> bool:
        """Claim that this target is told of a condition."""
        if condition.target is not None:
            return condition.target == self.target
        if condition.kind not in self.on or condition.severity.rank < self.severity.rank:
            return False
        if condition.schedule is not None and not _matches(self.schedules, condition.schedule):
            return False
        names = (condition.schedule, condition.db_profile)
        return not any(name is not None and _matches(self.ignore, name) for name in names)

    def counts(self, change: Change, profile: str) -> bool:
        """Claim that this target is told of a change."""
        if change.kind not in self.kinds or severity_of(change).rank < self.severity.rank:
            return False
        return not (_matches(self.ignore, profile) or _matches(self.ignore, str(change.ref)))

    def follows(self, schedule: str) -> bool:
        """Claim that what is in this schedule's scope is this target's business."""
        return _matches(self.schedules, schedule) and not _matches(self.ignore, schedule)


def _matches(globs: Iterable[str], name: str) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def severity_of(change: Change) -> Severity:
    """Return how much a change matters to who reads the object."""
    return Severity.WARNING if change.kind in BREAKING else Severity.INFO


# -- what holds ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DownSource:
    """A source that cannot be read since a moment; `held`: it seems to be another database."""

    profile: str
    since: datetime
    held: bool
    error: str | None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is, as far as alerts look at it. `silent_since` is a stale daemon's last heartbeat.

    `schedules` and `down` are in the config; `blocked` are all blocked runs.
    """

    now: datetime
    schedules: Sequence[ScheduleState] = ()
    blocked: Sequence[Run] = ()
    down: Sequence[DownSource] = ()
    silent_since: datetime | None = None
    consecutive_failures: int = 3
    down_for: timedelta = timedelta(minutes=15)


def conditions(facts: Facts) -> list[Condition]:
    """Return every condition that holds, in a fixed order."""
    found = [each for state in facts.schedules for each in _of_schedule(state, facts)]
    found += [_of_blocked(run) for run in facts.blocked]
    found += [each for source in facts.down for each in _of_source(source, facts)]
    if facts.silent_since is not None:
        found.append(
            _condition(
                AlertKind.DAEMON_STALE,
                f"the daemon has not been heard since {facts.silent_since:%Y-%m-%d %H:%M} UTC",
                recovery_action="amxwatch daemon",
            )
        )
    return found


def _condition(kind: AlertKind, title: str, *, about: str = "", **values: str | None) -> Condition:
    return Condition(
        key=f"{kind}:{about}",
        kind=kind,
        severity=SEVERITIES[kind],
        title=_cut(title),
        **values,  # type: ignore[arg-type]  # names and references only
    )


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_TITLE else line[: MAX_TITLE - 1] + "…"


def _of_schedule(state: ScheduleState, facts: Facts) -> Iterable[Condition]:
    name = state.name
    if state.cancelled:
        return
    if state.consecutive_failures >= facts.consecutive_failures:
        yield _condition(
            AlertKind.FAILURE_STREAK,
            f"schedule {name} failed {state.consecutive_failures} times in a row:"
            f" {state.last_error or 'no reason was given'}",
            about=name,
            schedule=name,
            run_id=state.last_run_id,
            recovery_action=f"amxwatch schedule show {_quoted(name)}",
        )
    if state.missed_due_at is not None:
        yield _condition(
            AlertKind.MISSED,
            f"schedule {name} missed its firing of {state.missed_due_at:%Y-%m-%d %H:%M} UTC",
            about=f"{name}:{state.missed_due_at.isoformat()}",
            schedule=name,
            recovery_action=f"amxwatch schedule run-now {_quoted(name)}",
        )


def _of_blocked(run: Run) -> Condition:
    whose = f" of schedule {run.schedule}" if run.schedule else ""
    return _condition(
        AlertKind.BLOCKED,
        f"run {run.id}{whose} waits for a person ({run.failure_category}): {run.error}",
        about=run.id,
        schedule=run.schedule,
        db_profile=run.db_profile,
        run_id=run.id,
        recovery_action=run.recovery_action,
    )


def _of_source(source: DownSource, facts: Facts) -> Iterable[Condition]:
    name = source.profile
    if source.held:
        yield _condition(
            AlertKind.BLOCKED,
            f"{name} seems to be another database than before: {source.error}",
            about=f"source:{name}",
            db_profile=name,
            recovery_action=f"amxwatch catalog refresh {_quoted(name)} --accept",
        )
    elif facts.now - source.since >= facts.down_for:
        yield _condition(
            AlertKind.SOURCE_DOWN,
            f"{name} cannot be read since {source.since:%Y-%m-%d %H:%M} UTC: {source.error}",
            about=name,
            db_profile=name,
            recovery_action=f"amxwatch db test {_quoted(name)}",
        )


def _quoted(name: str) -> str:
    """Return a name as a POSIX shell takes it."""
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    if plain.isascii() and plain.isalnum() and not name.startswith("-"):
        return name
    return "'" + name.replace("'", "'\"'\"'") + "'"


def of_changes(
    changes: Iterable[Change], *, profile: str, number: SnapshotNumber, wanted: Wanted
) -> Condition | None:
    """Return what one target is told of one snapshot's changes, or None for nothing."""
    counted = [change for change in changes if wanted.counts(change, profile)]
    if not counted:
        return None
    worst = max((severity_of(change) for change in counted), key=lambda each: each.rank)
    many = f"{len(counted)} changes" if len(counted) > 1 else "1 change"
    return replace(
        _condition(
            AlertKind.CHANGE,
            f"{many} in {profile}, snapshot {number}: {_line(counted[0])}"
            + (" …" if len(counted) > 1 else ""),
            about=f"{wanted.target}:{profile}:{number}",
            db_profile=profile,
            recovery_action=f"amxwatch catalog diff {_quoted(profile)} --to {number}",
        ),
        severity=worst,
        target=wanted.target,
        changes=tuple(_line(change) for change in counted[:MAX_CHANGES]),
        more_changes=max(len(counted) - MAX_CHANGES, 0),
    )


def _line(change: Change) -> str:
    return f"{change.kind} {change.object_type} {change.ref}"


def of_test(target: str) -> Condition:
    """Return what a target is told to try it."""
    return _condition(AlertKind.TEST, f"amxwatch can tell {target}", about=target)


# -- what is news ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class News:
    """Which alerts open, and which are over."""

    opens: tuple[Condition, ...] = field(default=())
    recovers: tuple[Alert, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.opens or self.recovers)


def news(holding: Sequence[Condition], open_alerts: Sequence[Alert]) -> News:
    """Compare what holds with what is open: what has no alert opens, what holds no more is over.

    Asking twice gives the same; asking after it was recorded gives nothing.
    """
    known = {alert.condition.key for alert in open_alerts}
    still = {condition.key for condition in holding}
    return News(
        opens=tuple(condition for condition in holding if condition.key not in known),
        recovers=tuple(alert for alert in open_alerts if alert.condition.key not in still),
    )
