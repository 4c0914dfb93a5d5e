"""Schedules as people and scripts see them: the plan from TOML, the state from the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from amxwatch.cli.documents import Document
from amxwatch.cli.output import Column, local, moment, shown
from amxwatch.cli.session import Desk
from amxwatch.core.errors import NotFoundError, UsageError
from amxwatch.core.record import success_rate
from amxwatch.core.run import Run, RunStatus
from amxwatch.core.schedule import ScheduleState, ScheduleStatus
from amxwatch.ports.ledger import RunFilter, Tx
from amxwatch.settings.plans import few_names, names_after
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import At, CatalogChange, Files

OPEN = frozenset({RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.BLOCKED})

MOST_OPEN = 100_000
"""How many open runs a list goes by."""

PAGE = 500
"""How many schedules are looked up together."""

LISTED = 200
"""How many a table shows where nothing else is asked for."""

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
    ended: tuple[int, int] = (0, 0)
    """How many runs completed and how many failed, within `[alerts] window_days`."""
    fault: str | None = None
    """What the files say wrongly of it, while the last good config stands in."""

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
        last = self._last_status
        if self._is_spent and last is not None:
            return ENDED.get(RunStatus(last), ScheduleStatus.PENDING)
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
            "skip_reason": self.reason,
            "trigger_reason": plan.reason,
            "runs": state.runs if state else 0,
            "success_rate": success_rate(*self.ended),
            "consecutive_failures": state.consecutive_failures if state else 0,
            "missed_due_at": moment(state.missed_due_at) if state else None,
        }

    @property
    def reason(self) -> str | None:
        """Why it did not fire, or what is wrong with it."""
        return self.fault or (self.state.skip_reason if self.state else None)

    @property
    def _last_status(self) -> str | None:
        if self.last_run is not None:
            return self.last_run.status
        for run in self.open_runs:
            if self.state is not None and run.id == self.state.last_run_id:
                return run.status
        return self.state.last_run_status if self.state else None


def plan_of(desk: Desk, name: str) -> Schedule:
    """Return the plan of that name. Raises: UsageError, with the names there are."""
    plans = desk.install.settings.schedules
    if name not in plans:
        known = few_names(plans) or "none yet; add one with: amxwatch schedule add"
        raise UsageError(f"there is no schedule {name!r} (there are: {known})")
    return plans[name]


async def views(desk: Desk, plans: Sequence[Schedule]) -> list[View]:
    """Return these schedules as they stand, by one look at the ledger."""
    only = plans[0].name if len(plans) == 1 else None
    since = window_start(desk)

    def read(tx: Tx) -> list[View]:
        ended = tx.history.outcomes(since, schedule=only)
        states = tx.schedules.some([plan.name for plan in plans])
        open_runs = _open_runs(tx, only)
        return [
            View(
                plan=plan,
                state=states.get(plan.name),
                open_runs=tuple(open_runs.get(plan.name, ())),
                last_run=_last(tx, states.get(plan.name)) if only else None,
                ended=ended.get(plan.name, (0, 0)),
            )
            for plan in plans
        ]

    found = await desk.install.ledger.read(read)
    if desk.install.config_error is None:
        return found
    return [replace(view, fault=desk.install.fault_of(view.plan.name)) for view in found]


def _open_runs(tx: Tx, only: str | None) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in tx.runs.list(RunFilter(statuses=OPEN, schedule=only, limit=MOST_OPEN)):
        found.setdefault(run.schedule or "", []).append(run)
    return found


def window_start(desk: Desk) -> datetime:
    """Return the moment from which runs count in success rates."""
    days = desk.install.settings.alerts.window_days
    return desk.install.clock.now() - timedelta(days=days)


def _last(tx: Tx, state: ScheduleState | None) -> Run | None:
    if state is None or state.last_run_id is None:
        return None
    try:
        return tx.runs.get(state.last_run_id)  # type: ignore[arg-type]  # a RunId, stored as text
    except NotFoundError:
        return None


async def list_schedules(wanted: frozenset[str], limit: int | None, desk: Desk) -> None:
    """Print the schedules whose status is wanted, by name: all as JSON, a page of them as text."""
    now = desk.install.clock.now()
    if desk.out.as_json:
        with desk.out.listing("schedules") as put:
            async for view in _listed(wanted, limit, desk):
                if view.status in wanted:
                    put(view.document(now))
        return
    limit = limit or LISTED
    found: list[View] = []
    hidden = 0
    async for view in _listed(wanted, limit + 1, desk):
        if view.status in wanted:
            found.append(view)
        else:
            hidden += 1
    _print_list(found, limit, hidden, now, desk)


def _print_list(found: list[View], limit: int, hidden: int, now: datetime, desk: Desk) -> None:
    more, found = len(found) > limit, found[:limit]
    if not found:
        others = f" ({hidden} with another status: --all)" if hidden else ""
        desk.out.say(f"No such schedule{others}. Add one with: amxwatch schedule add")
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
    if more:
        total = len(desk.install.settings.schedules)
        desk.out.say(f"There are more than these {limit}, {total} in all: give --limit N.")
    for view in found:
        if view.reason:
            desk.out.say(f"{shown(view.plan.name)}: {shown(view.reason)}", colour="yellow")


async def _listed(wanted: frozenset[str], limit: int | None, desk: Desk) -> AsyncIterator[View]:
    """Yield all by name until `limit` of them were wanted ones, a page at a time."""
    plans = desk.install.settings.schedules
    last, left = "", limit
    # No page is longer than it need be: a short list of very many looks at few.
    while left != 0 and (names := names_after(plans, last, min(PAGE, left or PAGE))):
        for view in await views(desk, [plans[name] for name in names]):
            yield view
            if left is not None and view.status in wanted:
                left -= 1
        last = names[-1]


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
