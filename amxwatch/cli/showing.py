"""One schedule whole: when it is due, how its runs of late went, and why some did not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from amxwatch.cli.documents import Document, duration, run_document
from amxwatch.cli.output import Column, cut, local_text, moment, shown
from amxwatch.cli.scheduling import View, plan_of, views, window_start
from amxwatch.cli.session import Desk
from amxwatch.core.event import Event
from amxwatch.core.record import Durations, Failure, Record, in_words, record
from amxwatch.core.run import Run
from amxwatch.ports.ledger import RunFilter, Tx

LAST = 10
"""How many of the last runs, and of the last firings without a run, are shown."""

SKIPPED = frozenset({"schedule_passed_over", "schedule_missed"})
"""Events that tell of a firing that made no run."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What is known of one schedule at one moment."""

    view: View
    now: datetime
    window_days: int
    record: Record
    last_runs: Sequence[Run]
    skips: Sequence[Event]

    def monitoring(self) -> Document:
        """Return the part of the document that says how it goes."""
        return {
            "next": self._next(),
            "record": self._record(),
            "skips": [_skip(event) for event in self.skips],
            "last_runs": [run_document(run) for run in self.last_runs],
        }

    def _next(self) -> Document | None:
        at = self.view.next_fire_at(self.now)
        if at is None:
            return None
        return {
            "at": moment(at),
            "local": at.astimezone(ZoneInfo(self.view.timezone)).isoformat(),
            "timezone": self.view.timezone,
            "in_seconds": max(round((at - self.now).total_seconds(), 3), 0.0),
            "in_words": in_words(at - self.now),
        }

    def _record(self) -> Document:
        record, state = self.record, self.view.state
        return {
            "window_days": self.window_days,
            "since": moment(record.since),
            "runs": record.runs,
            "completed": record.completed,
            "failed": record.failed,
            "cancelled": record.cancelled,
            "blocked": record.blocked,
            "success_rate": record.success_rate,
            "consecutive_failures": state.consecutive_failures if state else 0,
            "failures": {kind.value: record.failures.get(kind, 0) for kind in Failure},
            "durations": _durations(record.durations),
        }


def _durations(found: Durations | None) -> Document | None:
    if found is None:
        return None
    return {
        "runs": found.count,
        "p50_seconds": round(found.p50, 3),
        "p95_seconds": round(found.p95, 3),
        "longest_seconds": round(found.longest, 3),
    }


def _skip(event: Event) -> Document:
    missed = event.action == "schedule_missed"
    return {
        "at": moment(event.at),
        "due_at": event.detail.get("due_at"),
        "count": event.detail.get("count", 1),
        "reason": "missed: nothing ran when it was due" if missed else event.detail.get("reason"),
    }


async def show_schedule(name: str, desk: Desk) -> None:
    """Print one schedule whole."""
    plan = plan_of(desk, name)
    view = (await views(desk, [plan]))[0]
    found = await _look(view, desk)
    file = desk.install.loaded.schedule_files.get(name)
    about = {
        **view.document(found.now),
        "file": str(file) if file else None,
        "catch_up": plan.catch_up_policy,
        "watermark": view.state.watermark if view.state else None,
    }
    monitoring = found.monitoring()
    desk.out.document(
        {**about, "plan": plan.model_dump(mode="json", exclude_none=True), **monitoring}
    )
    desk.out.say(f"{shown(name)}: {shown(plan.trigger.describe())}", colour="cyan")
    for key, value in about.items():
        if key not in ("name", "trigger") and value is not None:
            desk.out.say(f"{key:>22}  {shown(value)}")
    _say_how_it_goes(found, monitoring, desk)
    _say_runs(found.last_runs, desk)


async def _look(view: View, desk: Desk) -> Shown:
    name, since = view.plan.name, window_start(desk)

    def read(tx: Tx) -> tuple[list[Run], list[Run], list[Event]]:
        return (
            tx.history.of(name, since),
            tx.runs.list(RunFilter(schedule=name, limit=LAST)),
            tx.history.trail(name, SKIPPED, LAST),
        )

    runs, last, skips = await desk.install.ledger.read(read)
    return Shown(
        view=view,
        now=desk.install.clock.now(),
        window_days=desk.install.settings.alerts.window_days,
        record=record(runs, since=since),
        last_runs=last,
        skips=skips,
    )


def _say_how_it_goes(found: Shown, monitoring: Document, desk: Desk) -> None:
    upcoming, how = monitoring["next"], found.record
    if isinstance(upcoming, dict):
        due = f"{upcoming['in_words']} ({upcoming['local']} {upcoming['timezone']})"
        desk.out.say(f"{'next run':>22}  {shown(due)}")
    rate = "-" if how.success_rate is None else f"{how.success_rate:.0%}"
    counts = f"{how.completed} completed, {how.failed} failed, {how.blocked} blocked"
    desk.out.say(f"{f'last {found.window_days} days':>22}  {rate}: {counts}")
    if how.failures:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(how.failures.items()))
        desk.out.say(f"{'failures by kind':>22}  {kinds}")
    if how.durations is not None:
        took = how.durations
        times = f"median {took.p50:.1f} s, p95 {took.p95:.1f} s, longest {took.longest:.1f} s"
        desk.out.say(f"{'run time':>22}  {times}")
    for event in found.skips:
        said = _skip(event)
        line = f"{local_text(said['due_at'])}: {shown(said['reason'])}"
        desk.out.say(f"{'no run':>22}  {line}")


def _say_runs(runs: Sequence[Run], desk: Desk) -> None:
    if not runs:
        return
    desk.out.say()
    desk.out.table(
        [
            "run",
            "status",
            "trigger",
            Column("seconds", right=True),
            Column("drafted", right=True),
            "summary",
        ],
        [
            [
                run.id,
                run.status,
                run.trigger,
                duration(run.started_at, run.finished_at),
                run.drafted,
                cut(run.error or run.summary),
            ]
            for run in runs
        ],
    )
