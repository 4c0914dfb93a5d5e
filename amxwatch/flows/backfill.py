"""Past ticks of a clock schedule, queued on purpose."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from amxwatch.core.errors import UsageError
from amxwatch.core.intake import Priority
from amxwatch.core.run import Run, RunTrigger
from amxwatch.core.schedule import ScheduleState
from amxwatch.flows.arming import TOLERANCE
from amxwatch.flows.clocked import in_turn, unique_key
from amxwatch.flows.firing import Firing, put
from amxwatch.ports.ledger import Ledger, Tx
from amxwatch.triggers import ClockTrigger, Every

_MOMENT = timedelta(microseconds=1)

MAX_TICKS = 1000
"""How many past ticks may be asked for at once."""

LAST = Priority.P3.of_run
"""What is due now goes before what was due once."""


@dataclass(frozen=True, kw_only=True)
class PastTick:
    """One due time that has passed; `run_id` is the run that served it, None for none."""

    due: datetime
    run_id: str | None


async def past_ticks(
    ledger: Ledger,
    name: str,
    trigger: ClockTrigger,
    state: ScheduleState | None,
    *,
    start: datetime,
    end: datetime,
) -> list[PastTick]:
    """Return the due times from `start` to `end`, both included, oldest first.

    Raises: UsageError where there are more than can be meant.
    """
    armed_at = _grid(trigger, state.armed_at if state else end, start)
    due = trigger.due_between(start - _MOMENT, end, armed_at=armed_at, limit=MAX_TICKS + 1)
    if len(due) > MAX_TICKS:
        raise UsageError(
            f"--from, --to: {name!r} was due more than {MAX_TICKS} times in between; ask for less"
        )

    # A run is queued when its tick is due, or later.
    runs = await ledger.read(lambda tx: tx.history.of(name, start - TOLERANCE))
    served = {run.unique_key: run.id for run in runs}
    return [PastTick(due=moment, run_id=served.get(unique_key(name, moment))) for moment in due]


def _grid(trigger: ClockTrigger, armed_at: datetime, start: datetime) -> datetime:
    """Return where the grid of `every` begins; it goes back as far as it is asked for."""
    if not isinstance(trigger, Every) or armed_at <= start - trigger.interval:
        return armed_at
    steps = math.ceil((armed_at - start) / trigger.interval) + 1
    return armed_at - steps * trigger.interval


async def queue(firing: Firing, ticks: list[PastTick], *, again: bool) -> list[Run]:
    """Queue a run for each tick, and return those that are new.

    A tick that has a run already is not run again, unless `again`; then under a key of its own.
    """
    name, now = firing.schedule.name, firing.now
    runs = []
    for place, tick in enumerate(ticks):
        run = firing.run(
            RunTrigger.SCHEDULE,
            due_at=tick.due,
            unique_key=unique_key(name, tick.due),
            priority=LAST,
            queued_at=in_turn(now, place),
            trigger_reason=f"backfill of {tick.due:%Y-%m-%d %H:%M} UTC",
        )
        if again and tick.run_id is not None:
            run = replace(run, unique_key=f"{run.unique_key}:{run.id}")
        runs.append(run)

    def work(tx: Tx) -> list[Run]:
        made = [run for run in runs if put(tx, run, now)]
        if made:
            tx.events.add(
                "schedule_backfilled",
                at=now,
                schedule=name,
                runs=len(made),
                first=ticks[0].due.isoformat(),
                last=ticks[-1].due.isoformat(),
            )
        return made

    return await firing.source.ledger.write(work)
