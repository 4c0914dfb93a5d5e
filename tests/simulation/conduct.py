"""What must hold of failures, budgets, removed schedules and the heartbeat; a part of the oracle.

It counts for itself: failures in a row from the ends of runs, money from what runs paid, and who
may serve from who lives.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from amxwatch.core.run import Run, RunId
from amxwatch.ports.ledger import DaemonState
from amxwatch.settings.schema import Budget, Schedule
from tests.simulation.store import Row
from tests.simulation.violation import moment, must, text_of

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=30)
"""What docs/scheduling.md says of the pauses between two tries."""

AT_ONCE = 5.0
"""Seconds within which a turn goes by the config and the state that are in force."""

LONG = 1000.0
"""The same where databases, disks or processes stand still now and then."""

ENDLESS = 40
"""More attempts than all recoveries, retries, stops and days of a seed come to."""

TAKEN_OVER = 10.0
"""Within this a standby takes over; it asks every second."""

SILENT = 60.0
"""A heartbeat comes every 10 s."""


@dataclass(frozen=True)
class Failure:
    """What a worker met in one try of a run."""

    transient: bool
    at: datetime


class Conduct:
    """Judges one seed, beside `Oracle`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.failures: Counter[str] = Counter()
        """Failures in a row of each schedule."""
        self._too_many_since: dict[str, tuple[int, float]] = {}
        self._removed: dict[str, float] = {}
        self._met: dict[tuple[RunId, int], Failure] = {}
        self._put_off: set[str] = set()
        self._paid: list[tuple[datetime, Decimal]] = []

    @property
    def slack(self) -> float:
        return LONG if self.world.faults.is_slow else AT_ONCE

    # -- tries -----------------------------------------------------------------------------------

    def failing(self, run: Run, *, transient: bool) -> None:
        """Note what a worker is about to raise."""
        self._met[run.id, run.attempt] = Failure(transient, self.world.wall.now())

    def moved(self, old: Row, new: Row, said: str) -> None:
        """Judge the retries of a run that moved from `running`. Raises: Violation."""
        met = self._met.get((old["id"], old["attempt"]))
        if new["retries"] != old["retries"]:
            must(met is not None and met.transient, f"{said} is tried again for no passing reason")
            assert met is not None
            self._tried_again(old, new, met, said)
        elif new["status"] == "failed" and met is not None and met.transient:
            left = old["max_retries"] - old["retries"]
            met_it = new["failure_category"] in ("database", "provider")
            must(left <= 0 or not met_it, f"{said} is given up with {left} tries left")

    def _tried_again(self, old: Row, new: Row, met: Failure, said: str) -> None:
        count, most = new["retries"], new["max_retries"]
        self.world.counts["retried"] += 1
        must(count == old["retries"] + 1 <= most, f"{said} is tried {count} times again of {most}")
        must(new["status"] == "queued", f"{said} is tried again, and {new['status']}")
        if self.world.faults.moves_the_clock:
            return
        whole = min(FIRST_PAUSE * 2 ** (count - 1), LONGEST_PAUSE)
        begins, now = moment(new["not_before"]), self.world.wall.now()
        must(
            met.at + whole / 2 <= begins <= now + whole,
            f"{said} failed at {met.at}, is tried for the {count}. time at {begins}",
        )

    def claimed(self, old: Row, said: str) -> None:
        """Judge that nothing starts before its time, or again and again. Raises: Violation."""
        must(old["attempt"] < ENDLESS, f"{said} is begun for the {old['attempt']}. time")
        if self.world.faults.moves_the_clock or self.world.oracle.calm:
            return
        begins = moment(old["not_before"])
        must(begins <= self.world.wall.now(), f"{said} starts before {begins}, until when it waits")

    # -- failures in a row -----------------------------------------------------------------------

    def ended(self, row: Row) -> None:
        """Count the end of a run."""
        name = row["schedule"]
        if name is None or name not in self.world.oracle.schedules:
            return
        if row["status"] == "completed":
            self.failures[name] = 0
        elif row["status"] == "failed":
            self.failures[name] += 1
        self.note(name)

    def scheduled(self, old: Row | None, new: Row) -> None:
        """Compare what is counted with what is written. Raises: Violation."""
        name = new["name"]
        resumed = old is not None and (
            (old["paused"] and not new["paused"]) or (old["cancelled"] and not new["cancelled"])
        )
        if resumed and new["consecutive_failures"] == 0:
            self.failures[name] = 0
            self.note(name)
        counted, written = self.failures[name], new["consecutive_failures"]
        must(counted == written, f"{name} failed {counted} times in a row, and not {written}")
        if old is not None and new["paused"] and not old["paused"] and self._most(name):
            self.world.counts["paused"] += 1

    def note(self, name: str) -> None:
        """Note since when a schedule has failed too often in a row, if it has."""
        count = self.failures[name]
        if count == 0:
            self._too_many_since.pop(name, None)
        elif name not in self._too_many_since or self._too_many_since[name][0] != count:
            self._too_many_since[name] = (count, self.world.loop.time())

    def _most(self, name: str) -> int | None:
        plan = self.world.loaded.settings.schedules.get(name)
        return None if plan is None else plan.pause_after_failures

    # -- what may be born ------------------------------------------------------------------------

    def planned(self, former: dict[str, Schedule], plans: dict[str, Schedule]) -> None:
        """Note what an edit removed and put back."""
        for name in former.keys() - plans.keys():
            self._removed[name] = self.world.loop.time()
        for name in plans:
            self._removed.pop(name, None)

    def born(self, row: Row, plans: list[Schedule], said: str) -> None:
        """Judge that a run may be: its schedule is there, and did not fail too often."""
        name, now = row["schedule"], self.world.loop.time()
        gone = now - self._removed.get(name, now)
        must(gone <= self.slack, f"{said} is queued {gone:.0f} s after its schedule was removed")
        mosts = [plan.pause_after_failures for plan in plans]
        count, since = self._too_many_since.get(name, (0, now))
        if all(most is not None and count >= most for most in mosts) and mosts:
            must(now - since <= self.slack, f"{said} is queued after {count} failures in a row")

    # -- money -----------------------------------------------------------------------------------

    def paid(self, old: Row, new: Row) -> None:
        """Count what a run has paid since it was last written."""
        if new["cost_usd"] != old["cost_usd"]:
            cost = Decimal(new["cost_usd"]) - Decimal(old["cost_usd"] or 0)
            self._paid.append((self.world.wall.now(), cost))

    def spent_today(self, timezone: str) -> tuple[datetime, Decimal]:
        """Return when this day began in a zone, and what it has cost so far."""
        day = self._midnight(timezone, 0)
        return day, sum((cost for at, cost in self._paid if at >= day), Decimal(0))

    def begins(self, run: Run, budget: Budget, before: tuple[datetime, Decimal]) -> None:
        """Judge that a run may begin. Raises: Violation."""
        day, spent = before
        if budget.per_day_usd is None or run.requests or self.world.faults.moves_the_clock:
            return
        if self._midnight(budget.timezone, 0) == day:
            said = f"run {run.id} begins though the day has spent ${spent}"
            must(spent < budget.per_day_usd, f"{said} of ${budget.per_day_usd}")

    def put_off(self, old: Row, new: Row, said: str) -> None:
        """Judge until when a run is put off that gave itself back."""
        if new["retries"] != old["retries"] or new["recovered"] != old["recovered"]:
            return
        if new["not_before"] == old["not_before"]:
            return
        self._put_off.add(new["id"])
        if self.world.faults.moves_the_clock:
            return
        zone = self.world.loaded.settings.budget.timezone
        # It may be that midnight passed between its look at the clock and the commit.
        mornings = {text_of(self._midnight(zone, days)) for days in (0, 1)}
        self.world.counts["waits for the next day"] += 1
        must(new["not_before"] in mornings, f"{said} is put off until {new['not_before']}")

    def _midnight(self, timezone: str, days: int) -> datetime:
        local = self.world.wall.now().astimezone(ZoneInfo(timezone))
        then = local.date() + timedelta(days=days)
        return datetime(then.year, then.month, then.day, tzinfo=local.tzinfo)

    def waits_for_another_day(self, row: Row) -> bool:
        is_put_off = row["status"] == "queued" and row["id"] in self._put_off
        return is_put_off and moment(row["not_before"]) > self.world.wall.now()

    # -- the heartbeat ---------------------------------------------------------------------------

    def cycled(self, process: Process, document: dict[str, Any]) -> None:
        """Judge that a daemon may say that it took a turn. Raises: Violation."""
        if "standby" in document:
            self.world.counts["stands by"] += 1
            return
        self.world.counts["turns"] += 1
        holder = self.world.heartbeat
        if not self.world.faults.no_locks:
            must(holder is process, f"{process.name} serves, and {holder and holder.name} does too")

    def owned(self) -> None:
        """Judge that a standby does not leave the heartbeat lying. Raises: Violation."""
        free, now, world = self.world.heartbeat_free_since, self.world.loop.time(), self.world
        if free is None or now - free <= TAKEN_OVER or world.faults.is_slow:
            return
        waiting = [name for name in world.serving if world.processes[name].began <= free]
        must(not waiting, f"{waiting} stood by for {now - free:.0f} s after the daemon had ended")

    @property
    def is_served(self) -> bool:
        """Claim that a daemon beats that has not stopped."""
        state = self.world.store.read(lambda tx: tx.installation.daemon())
        return state is not None and state.stopped_at is None and self._silent(state) < SILENT

    def _silent(self, state: DaemonState) -> float:
        return (self.world.wall.now() - state.heartbeat_at).total_seconds()

    def judge_the_end(self) -> None:
        """Judge that a daemon serves, and beats. Raises: Violation."""
        state = self.world.store.read(lambda tx: tx.installation.daemon())
        must(state is not None, "no daemon has ever beaten")
        assert state is not None
        silent = self._silent(state)
        must(silent < SILENT, f"the heartbeat of {state.owner} is {silent:.0f} s old")
        must(state.stopped_at is None, f"{state.owner} has stopped, and nobody took over")
        if not self.world.faults.no_locks:
            holder = self.world.heartbeat
            must(holder is not None and holder.name == state.owner, f"{state.owner} beats")
