"""Listing and queueing the past ticks of a schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from amxwatch.cli.output import Column, moment, shown
from amxwatch.cli.scheduling import plan_of
from amxwatch.cli.session import Desk
from amxwatch.cli.terminal import confirm
from amxwatch.core.errors import UsageError
from amxwatch.core.run import Run
from amxwatch.flows.backfill import PastTick, past_ticks, queue
from amxwatch.flows.firing import Firing
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import CatalogChange, ClockTrigger, Files
from amxwatch.triggers.zones import from_local, parse_local_time, zone


@dataclass(frozen=True, kw_only=True)
class Past:
    """What `schedule backfill` was given."""

    start: str
    end: str | None
    dry_run: bool
    again: bool
    yes: bool


async def backfill_schedule(name: str, past: Past, desk: Desk) -> None:
    """List the ticks of a span, and queue those that have not run. Raises: UsageError."""
    plan = plan_of(desk, name)
    trigger = _clock(plan)
    start, end = _span(plan, past, desk)
    state = await desk.install.ledger.read(lambda tx: tx.schedules.get(name))
    ticks = await past_ticks(desk.install.ledger, name, trigger, state, start=start, end=end)
    wanted = [tick for tick in ticks if past.again or tick.run_id is None]
    if past.dry_run or not wanted:
        _show(plan, ticks, wanted, [], past, desk)
        return
    question = f"Queue {len(wanted)} past run(s) of {shown(name)}?"
    if not confirm(question, yes=past.yes, flag="--yes"):
        desk.out.say("Nothing was queued.")
        return
    made = await queue(_firing(plan, desk), wanted, again=past.again)
    _show(plan, ticks, wanted, made, past, desk)


def _clock(plan: Schedule) -> ClockTrigger:
    if isinstance(plan.trigger, CatalogChange | Files):
        raise UsageError(
            f"schedule {plan.name!r} runs {plan.trigger.describe()}: it has no ticks in the past;"
            " what moved is pending until it is served"
        )
    return plan.trigger


def _firing(plan: Schedule, desk: Desk) -> Firing:
    install = desk.install
    return Firing(
        schedule=plan,
        source=install.source(plan.db_profile),
        llm_profile=install.settings.llm_profile(plan.llm_profile).name,
        now=install.clock.now(),
    )


def _span(plan: Schedule, past: Past, desk: Desk) -> tuple[datetime, datetime]:
    """Return the first and the last moment. Raises: UsageError, TriggerError."""
    now = desk.install.clock.now()
    start = _moment(past.start, "--from", plan)
    end = _moment(past.end, "--to", plan) if past.end else now
    if end > now:
        raise UsageError("--to: found a time to come; allowed: a time that has passed")
    if start > end:
        raise UsageError("--from: found a later time than --to; allowed: an earlier one")
    return start, end


def _moment(text: str, flag: str, plan: Schedule) -> datetime:
    """Read a local time of the schedule's zone, a day, or an instant with an offset."""
    text = text.strip()
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return from_local(parse_local_time(text, key=flag), zone(plan.timezone))
    return found if found.tzinfo else from_local(found, zone(plan.timezone))


def _show(
    plan: Schedule,
    ticks: list[PastTick],
    wanted: list[PastTick],
    made: list[Run],
    past: Past,
    desk: Desk,
) -> None:
    place = ZoneInfo(plan.timezone)
    by_due: dict[datetime | None, str] = {run.due_at: run.id for run in made}
    rows = [
        {
            "utc": moment(tick.due),
            "local": tick.due.astimezone(place).isoformat(),
            "run_id": by_due.get(tick.due) or tick.run_id,
            "action": _action(tick, wanted, by_due),
        }
        for tick in ticks
    ]
    desk.out.document(
        {
            "schedule": plan.name,
            "timezone": plan.timezone,
            "dry_run": past.dry_run,
            "queued": len(made),
            "ticks": rows,
        }
    )
    if not ticks:
        desk.out.say(f"{shown(plan.name)} was not due in that time.")
        return
    desk.out.table(
        [Column(plan.timezone, rigid=True), Column("UTC", rigid=True), "what", "run"],
        [
            [
                f"{tick.due.astimezone(place):%a %Y-%m-%d %H:%M:%S}",
                f"{tick.due:%Y-%m-%d %H:%M:%S}",
                row["action"],
                row["run_id"],
            ]
            for tick, row in zip(ticks, rows, strict=True)
        ],
    )
    if made:
        desk.out.say(f"{len(made)} queued; a daemon or `amxwatch schedule run-due` runs them.")


def _action(tick: PastTick, wanted: list[PastTick], made: dict[datetime | None, str]) -> str:
    """Say what becomes of a tick: `queued`, `would_queue`, or `ran` where it has a run already."""
    if tick.due in made:
        return "queued"
    return "would_queue" if tick in wanted else "ran"
