"""Schedules as people and scripts see them: the plan from TOML, the state from the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from amxwatch.cli.documents import Document, run_document
from amxwatch.cli.output import Column, cut, local, moment, shown
from amxwatch.cli.session import Desk
from amxwatch.core.errors import NotFoundError, UsageError
from amxwatch.core.run import Run, RunStatus
from amxwatch.core.schedule import ScheduleState, ScheduleStatus
from amxwatch.ports.ledger import RunFilter, Tx
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import At, CatalogChange, Files

OPEN = frozenset({RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.BLOCKED})

ENDED = {
    RunStatus.COMPLETED: ScheduleStatus.COMPLETED,
    RunStatus.FAILED: ScheduleStatus.FAILED,
    RunStatus.CANCELLED: ScheduleStatus.CANCELLED,
}
"""How the last run's outcome is a one-shot's own."""


@dataclass(frozen=True, kw_only=True)
class View:
    """One schedule: what was planned, and what the ledger knows of it."""

    plan: Schedule
    state: ScheduleState | None
    open_runs: tuple[Run, ...] = ()
    last_run: Run | None = None

    @property
    def status(self) -> ScheduleStatus:
        """What goes on comes first, then what a person decided, then what is due."""
        if any(run.status is RunStatus.RUNNING for run in self.open_runs):
            return ScheduleStatus.RUNNING
        state = self.state
        if state is not None and state.cancelled:
            return ScheduleStatus.CANCELLED
        if any(run.status is RunStatus.BLOCKED for run in self.open_runs):
            return ScheduleStatus.BLOCKED
        if not self.plan.enabled or (state is not None and state.paused):
            return ScheduleStatus.PAUSED
        if state is not None and state.missed_due_at is not None:
            return ScheduleStatus.MISSED
        if self._is_spent and self.last_run is not None:
            return ENDED.get(self.last_run.status, ScheduleStatus.PENDING)
        return ScheduleStatus.PENDING

    @property
    def _is_spent(self) -> bool:
        """A one-shot has fired, and was not armed again since."""
        state = self.state
        return (
            isinstance(self.plan.trigger, At)
            and state is not None
            and state.last_due_at is not None
            and state.trigger_hash == self.plan.armed_mark
        )

    def next_fire_at(self, now: datetime) -> datetime | None:
        """Return when it is due next; None while that is unknown or it will not fire.

        A due time that has passed without being seen is still the next. What waits for a
        burst or a cap is due at the cap's end.
        """
        if self.status in (ScheduleStatus.PAUSED, ScheduleStatus.CANCELLED):
            return None
        trigger, state = self.plan.trigger, self.state
        if isinstance(trigger, CatalogChange | Files):
            if state is None or state.settle_mark is None:
                return None
            cap = timedelta(hours=trigger.cadence_cap_hours)
            last = state.last_change_run_at
            return max(now, last + cap) if last is not None else now
        if state is None or state.trigger_hash != self.plan.armed_mark:
            return trigger.next_after(now, armed_at=now)
        since = state.last_due_at or state.armed_at
        return trigger.next_after(since, armed_at=state.armed_at)

    @property
    def timezone(self) -> str:
        return getattr(self.plan.trigger, "timezone", "UTC")

    def document(self, now: datetime) -> Document:
        """Return one element of `schedule list --json`."""
        plan, state = self.plan, self.state
        return {
            "name": plan.name,
            "kind": plan.kind,
            "trigger": plan.trigger.model_dump(mode="json", exclude_none=True),
            "db_profile": plan.db_profile,
            "llm_profile": plan.llm_profile,
            "scope": plan.scope,
            "review_strategy": plan.review_strategy,
            "status": self.status,
            "enabled": plan.enabled,
            "database": plan.database,
            "timezone": self.timezone,
            "next_fire_at": moment(self.next_fire_at(now)),
            "last_fired_at": moment(state.last_fired_at) if state else None,
            "last_run_id": state.last_run_id if state else None,
            "last_run_status": self._last_status,
            "last_error": state.last_error if state else None,
            "skip_reason": state.skip_reason if state else None,
            "trigger_reason": plan.reason,
            "runs": state.runs if state else 0,
            "success_rate": _rate(state),
            "consecutive_failures": state.consecutive_failures if state else 0,
            "missed_due_at": moment(state.missed_due_at) if state else None,
        }

    @property
    def _last_status(self) -> str | None:
        if self.last_run is not None:
            return self.last_run.status
        return self.state.last_run_status if self.state else None


def _rate(state: ScheduleState | None) -> float | None:
    if state is None or not state.runs:
        return None
    return round(state.runs_completed / state.runs, 4)


def plan_of(desk: Desk, name: str) -> Schedule:
    """Return the plan of that name. Raises: UsageError, with the names there are."""
    plans = desk.install.settings.schedules
    if name not in plans:
        known = ", ".join(sorted(plans)) or "none yet; add one with: amxwatch schedule add"
        raise UsageError(f"there is no schedule {name!r} (there are: {known})")
    return plans[name]


async def views(desk: Desk, plans: Sequence[Schedule]) -> list[View]:
    """Return these schedules as they stand."""

    def read(tx: Tx) -> list[View]:
        return [_view(tx, plan) for plan in plans]

    return await desk.install.ledger.read(read)


def _view(tx: Tx, plan: Schedule) -> View:
    state = tx.schedules.get(plan.name)
    open_runs = tx.runs.list(RunFilter(statuses=OPEN, schedule=plan.name))
    return View(plan=plan, state=state, open_runs=tuple(open_runs), last_run=_last(tx, state))


def _last(tx: Tx, state: ScheduleState | None) -> Run | None:
    if state is None or state.last_run_id is None:
        return None
    try:
        return tx.runs.get(state.last_run_id)  # type: ignore[arg-type]  # a RunId, stored as text
    except NotFoundError:
        return None


async def list_schedules(wanted: frozenset[str], desk: Desk) -> None:
    """Print the schedules whose status is wanted, by name."""
    plans = [plan for _, plan in sorted(desk.install.settings.schedules.items())]
    every = await views(desk, plans)
    found = [view for view in every if view.status in wanted]
    now = desk.install.clock.now()
    desk.out.document({"schedules": [view.document(now) for view in found]})
    if not found:
        hidden = f" ({len(every)} with another status: --all)" if every else ""
        desk.out.say(f"No such schedule{hidden}. Add one with: amxwatch schedule add")
        return
    desk.out.table(
        ["name", "status", "when", "scope", Column("next", rigid=True), "last run"],
        [
            [
                view.plan.name,
                view.status,
                view.plan.trigger.describe(),
                f"{view.plan.db_profile}: {view.plan.scope}",
                local(view.next_fire_at(now)),
                view.document(now)["last_run_status"],
            ]
            for view in found
        ],
    )


async def show_schedule(name: str, desk: Desk) -> None:
    """Print one schedule whole."""
    plan = plan_of(desk, name)
    view = (await views(desk, [plan]))[0]
    runs = await desk.install.ledger.read(
        lambda tx: tx.runs.list(RunFilter(schedule=name, limit=10))
    )
    now = desk.install.clock.now()
    file = desk.install.loaded.schedule_files.get(name)
    document = {
        **view.document(now),
        "file": str(file) if file else None,
        "catch_up": plan.catch_up_policy,
        "watermark": view.state.watermark if view.state else None,
        "plan": plan.model_dump(mode="json", exclude_none=True),
        "last_runs": [run_document(run) for run in runs],
    }
    desk.out.document(document)
    desk.out.say(f"{shown(name)}: {shown(plan.trigger.describe())}", colour="cyan")
    for key, value in document.items():
        if key not in ("name", "plan", "last_runs", "trigger") and value is not None:
            desk.out.say(f"{key:>22}  {shown(value)}")
    if runs:
        desk.out.say()
        desk.out.table(
            ["run", "status", "trigger", Column("drafted", right=True), "summary"],
            [
                [run.id, run.status, run.trigger, run.drafted, cut(run.error or run.summary)]
                for run in runs
            ],
        )


async def show_next(name: str, count: int, after: str | None, desk: Desk) -> None:
    """Print the next due times of a clock schedule. Raises: UsageError for any other."""
    from amxwatch.cli.catalog_view import moment_of

    plan = plan_of(desk, name)
    trigger = plan.trigger
    if isinstance(trigger, CatalogChange | Files):
        raise UsageError(
            f"schedule {name!r} runs {trigger.describe()}: it has no due times; see: "
            f"amxwatch schedule show"
        )
    view = (await views(desk, [plan]))[0]
    now = desk.install.clock.now()
    start = moment_of(after, "--after") if after else now
    state = view.state
    armed_at = state.armed_at if state and state.trigger_hash == plan.armed_mark else now
    due: list[datetime] = []
    while len(due) < count:
        found = trigger.next_after(due[-1] if due else start, armed_at=armed_at)
        if found is None:
            break
        due.append(found)
    zone = ZoneInfo(view.timezone)
    pairs = [
        {"utc": moment(at.astimezone(UTC)), "local": at.astimezone(zone).isoformat()} for at in due
    ]
    desk.out.document({"schedule": name, "timezone": view.timezone, "next": pairs})
    if not due:
        desk.out.say("It is not due any more.")
        return
    desk.out.table(
        [Column(view.timezone, rigid=True), Column("UTC", rigid=True)],
        [[f"{at.astimezone(zone):%a %Y-%m-%d %H:%M:%S}", f"{at:%Y-%m-%d %H:%M:%S}"] for at in due],
    )
