"""What must hold, judged from the rows of the state database after each commit, and at the end.

It knows the promises, not the program: due times are found by `due`, what changed by comparing
the databases themselves, and rows are read with SQL of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from amxwatch.core.catalog import Catalog
from amxwatch.core.run import Run
from amxwatch.core.scope import Scope
from amxwatch.settings.schema import Budget, Schedule
from tests.simulation.cache import applied
from tests.simulation.conduct import Conduct
from tests.simulation.due import DueTimes
from tests.simulation.install import looks_of
from tests.simulation.store import Row, Touched
from tests.simulation.violation import Violation, moment, must, text_of

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

OPEN = {"queued", "running", "blocked"}
HELD = {"blocked"}
ENDED = {"completed", "failed", "cancelled"}
AUTOMATIC = {"schedule", "change", "files"}
BY_CHANGE = {"change", "files"}

MOVES = {
    ("queued", "running"),
    ("queued", "cancelled"),
    ("queued", "blocked"),
    ("running", "completed"),
    ("running", "failed"),
    ("running", "cancelled"),
    ("running", "blocked"),
    ("running", "queued"),
    ("blocked", "queued"),
    ("blocked", "cancelled"),
}

STALE = 1000.0
"""Seconds for which a turn may go on with the config and the state that it began with."""

LONG_AGO = timedelta(days=366)


class Oracle:
    """Judges one seed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.violation: Violation | None = None
        self.runs: dict[str, Row] = {}
        self.schedules: dict[str, Row] = {}
        self.allowed: set[str] = set()
        """Blocked runs that a person let go on."""
        self.calm = False
        self.conduct = Conduct(world)
        self._fired: set[tuple[str, str]] = set()
        self._in_force: dict[str, Schedule] = {}
        self._plans: dict[str, list[tuple[float, Schedule]]] = {}
        self._open_until: dict[str, float] = {}
        self._blocked_until: dict[str, float] = {}
        self._started: dict[str, str] = {}
        self._served: dict[str, set[tuple[str, str]]] = {}
        self._handled: dict[str, frozenset[tuple[str, str]]] = {}
        self._seen: dict[tuple[str, str], dict[str, str]] = {}
        self._numbered: dict[tuple[str, int], Catalog] = {}
        self._highest = world.wall.now()
        self._calm_since: datetime | None = None
        self.planned()

    # -- what it is told -------------------------------------------------------------------------

    def planned(self) -> None:
        """Note the config that is in force from now on."""
        now, plans = self.world.loop.time(), self.world.loaded.settings.schedules
        self.conduct.planned(self._in_force, plans)
        self._in_force = dict(plans)
        for name, plan in plans.items():
            known = self._plans.setdefault(name, [])
            if not known or known[-1][1] != plan:
                known.append((now, plan))

    def handled(self, run: Run, process: Process, served: frozenset[tuple[str, str]]) -> None:
        """Note what a worker did; it counts once the run is completed."""
        self._handled[run.id] = served

    def failing(self, run: Run, *, transient: bool) -> None:
        self.conduct.failing(run, transient=transient)

    def spent_today(self, timezone: str) -> tuple[datetime, Decimal]:
        return self.conduct.spent_today(timezone)

    def begins(self, run: Run, budget: Budget, before: tuple[datetime, Decimal]) -> None:
        self._or_end(partial(self.conduct.begins, run, budget, before))

    def cycled(self, process: Process, document: dict[str, Any]) -> None:
        self._or_end(partial(self.conduct.cycled, process, document))

    def _or_end(self, judge: Callable[[], None]) -> None:
        try:
            judge()
        except Violation as violation:
            self.world.end_with(violation)

    def clock_was_set_back(self) -> None:
        """Count caps from now where they counted from a moment that is still to come."""
        now = text_of(self.world.wall.now())
        for name, started in self._started.items():
            self._started[name] = min(started, now)

    def with_status(self, *statuses: str) -> list[str]:
        return sorted(key for key, row in self.runs.items() if row["status"] in statuses)

    def blocked(self) -> list[str]:
        return self.with_status("blocked")

    def halted(self) -> list[str]:
        """Return the schedules that wait for a person: a run was cancelled, or too many failed."""
        rows = self.schedules.items()
        return sorted(key for key, row in rows if row["declined_mark"] or row["paused"])

    # -- each commit -----------------------------------------------------------------------------

    def judge(self, process: Process, touched: Touched) -> None:
        """Compare the rows that a commit wrote with what they were. Raises: Violation."""
        self._highest = max(self._highest, self.world.wall.now())
        self._say(process, touched)
        self.conduct.owned()
        must(not touched.gone["run"], f"runs vanished: {touched.gone['run']}")
        born, ended = set(), []
        for row in touched.rows["run"]:
            old = self.runs.get(row["id"])
            if old is None:
                self._born(row)
                born.add((row["schedule"], row["due_at"]))
            else:
                self._moved(process, old, row)
                self.conduct.paid(old, row)
                if old["status"] in OPEN and row["status"] in ENDED:
                    ended.append(row)
            self.runs[row["id"]] = row
            for seen in (old or row, row):
                if seen["status"] in OPEN:
                    self._open_until[row["schedule"]] = self.world.loop.time()
                if seen["status"] in HELD:
                    self._blocked_until[row["schedule"]] = self.world.loop.time()
        for row in ended:
            self.conduct.ended(row)
        for row in touched.rows["schedule"]:
            self.conduct.scheduled(self.schedules.get(row["name"]), row)
            self._scheduled(self.schedules.get(row["name"]), row, born, ended)
            self.schedules[row["name"]] = row
        for row in ended:
            self._end(row)

    def _say(self, process: Process, touched: Touched) -> None:
        if self.world.say is None:
            return
        for row in touched.rows["run"]:
            old = self.runs.get(row["id"])
            self.world.trace(process, f"run {row['id']} {_delta(old, row)}")
        for row in touched.rows["schedule"]:
            self.world.trace(
                process, f"{row['name']}: {_delta(self.schedules.get(row['name']), row)}"
            )
        for row in touched.rows["event"]:
            who = row["schedule"] or row["run_id"] or row["db_profile"] or ""
            self.world.trace(process, f"event {row['action']} {who} {str(row['detail'])[:100]}")

    # -- runs ------------------------------------------------------------------------------------

    def _born(self, row: Row) -> None:
        name, said = row["schedule"], f"run {row['id']} of {row['schedule']}"
        self.world.counts[f"{row['trigger']} runs"] += 1
        must(row["status"] in ("queued", "blocked"), f"{said} is born {row['status']}")
        if row["trigger"] not in AUTOMATIC:
            return
        state = self.schedules.get(name)
        if state is not None:
            must(not state["paused"], f"{said} is queued while its schedule is paused")
            must(not state["cancelled"], f"{said} is queued though its schedule is cancelled")
        must(self._was_enabled(name), f"{said} is queued though its schedule is not enabled")
        self.conduct.born(row, self._recent(name), said)
        rivals = [r for r in self.runs.values() if r["schedule"] == name and r["status"] in OPEN]
        blocked = [r["id"] for r in rivals if r["status"] == "blocked"]
        must(not blocked, f"{said} is queued while {blocked} waits for a person")
        if row["trigger"] == "schedule":
            self._born_due(row, said)
        else:
            others = [r["id"] for r in rivals if r["trigger"] in BY_CHANGE]
            must(not others, f"{said} is queued while {others} is open")
            self._paced(row, said)

    def _born_due(self, row: Row, said: str) -> None:
        due = (row["schedule"], row["due_at"])
        must(due not in self._fired, f"{said} fires {row['due_at']} a second time")
        self._fired.add(due)
        must(moment(row["due_at"]) <= self._highest, f"{said} fires {row['due_at']} too early")

    def _paced(self, row: Row, said: str) -> None:
        """Change runs start at least the cap apart, by the clock on the wall."""
        last = self._started.get(row["schedule"])
        if last is None:
            return
        caps = [plan.trigger.cadence_cap_hours for plan in self._recent(row["schedule"])]  # type: ignore[union-attr]
        free = moment(last) + timedelta(hours=min(caps))
        queued = moment(row["queued_at"])
        must(queued >= free, f"{said} is queued at {queued}, the cap holds until {free}")

    def _moved(self, process: Process, old: Row, new: Row) -> None:
        was, now, said = old["status"], new["status"], f"run {new['id']} of {new['schedule']}"
        if was in ENDED:
            must(now == was, f"{said} had {was} and is {now}")
        if was == now:
            if new["token"] != old["token"]:
                self._taken_again(process, old, new, said)
            return
        must((was, now) in MOVES, f"{said} went from {was} to {now}")
        if was == "blocked" and now == "queued":
            must(new["id"] in self.allowed, f"{said} was unblocked by nobody")
            self.allowed.discard(new["id"])
        if now == "running":
            self._claimed(process, old, new, said)
        elif was == "running":
            self._let_go(process, old, said)
            self.conduct.moved(old, new, said)
            if now == "queued":
                self.conduct.put_off(old, new, said)
        if now in ENDED:
            self.world.counts[now] += 1
        if was == "running" and now == "queued" and new["recovered"] > old["recovered"]:
            self.world.counts["recovered"] += 1

    def _taken_again(self, process: Process, old: Row, new: Row, said: str) -> None:
        """A worker may let go of its run and take it again at once, where that is due by then."""
        is_own = old["owner"] == new["owner"] == process.name
        must(is_own, f"{said} changed hands while {new['status']}")
        self.conduct.moved(old, {**new, "status": "queued"}, said)
        self._claimed(process, {**new, "token": old["token"]}, new, said)

    def _claimed(self, process: Process, old: Row, new: Row, said: str) -> None:
        must(new["owner"] == process.name, f"{said} was claimed for {new['owner']}")
        must(new["token"] == old["token"] + 1, f"{said} was claimed without a new token")
        must(old["reserved_for"] in (None, process.name), f"{said} was reserved for another")
        self.conduct.claimed(old, said)
        settings = self.world.loaded.settings
        running = [r for k, r in self.runs.items() if r["status"] == "running" and k != new["id"]]
        running.append(new)
        must(len(running) <= settings.daemon.worker_slots, f"{said} is one more than the slots")
        of_profile = sum(r["db_profile"] == new["db_profile"] for r in running)
        most = settings.db_profiles[new["db_profile"]].max_concurrent_runs
        must(of_profile <= most, f"{said} is number {of_profile} of {new['db_profile']}")
        if new["schedule"]:
            of_schedule = sum(r["schedule"] == new["schedule"] for r in running)
            most = max(plan.max_concurrent for plan in self._recent(new["schedule"]))
            must(of_schedule <= most, f"{said} is number {of_schedule} of its schedule")

    def _let_go(self, process: Process, old: Row, said: str) -> None:
        """Only its owner ends a run, unless the owner is dead or the lease is over."""
        if old["owner"] == process.name or self.world.lives(old["owner"]) is False:
            return
        over = moment(old["lease_until"]) < self._highest
        must(over, f"{said} was taken from {old['owner']}, which is alive, by {process.name}")

    def _end(self, row: Row) -> None:
        if row["schedule"] and row["trigger"] in BY_CHANGE and row["started_at"]:
            now = text_of(self.world.wall.now())
            self._started[row["schedule"]] = min(row["started_at"], now)
        if row["status"] == "completed" and row["schedule"]:
            done = self._handled.get(row["id"])
            if row["kind"] == "analyze":
                must(done is not None, f"run {row['id']} completed, but nobody did it")
            if row["trigger"] == "change":
                self._served.setdefault(row["schedule"], set()).update(done or ())

    # -- schedules -------------------------------------------------------------------------------

    def _scheduled(
        self, old: Row | None, new: Row, born: set[tuple[str, str]], ended: list[Row]
    ) -> None:
        if old is None or old["trigger_hash"] != new["trigger_hash"]:
            must(new["last_due_at"] is None, f"{new['name']} was armed, and not from now")
            if old is None:
                self._first_sight(new)
                return
        elif old["armed_at"] == new["armed_at"]:
            self._due_moved(old, new, born)
        self._watermark_moved(old, new, ended)

    def _first_sight(self, new: Row) -> None:
        """What is there when a schedule is first seen is not news, but for an initial run."""
        plan = self._recent(new["name"])[-1]
        if new["watermark"] is not None:
            self._seen[plan.db_profile, new["name"]] = self._looks(plan, new["watermark"])

    def _due_moved(self, old: Row, new: Row, born: set[tuple[str, str]]) -> None:
        before, after, name = old["last_due_at"], new["last_due_at"], new["name"]
        if before == after:
            return
        must(after is not None, f"{name} forgot its last due time {before}")
        if before is not None and moment(before) > self.world.wall.now():
            return  # the clock was set back: what lies in its future comes again
        must(before is None or after > before, f"{name}: last due went from {before} to {after}")
        due = self._due(new)
        start = moment(before) if before else moment(new["armed_at"])
        if before is None and due.spec["type"] == "at":
            start -= LONG_AGO
        until = moment(after)
        must(until <= self._highest, f"{name} passed {after} before it came")
        passed = list(due.after(max(start, until - timedelta(days=3)), until))
        must(until in passed, f"{name} passed {after}, which is no due time after {before}")
        text = {text_of(each) for each in passed}
        accounts = [self._account(plan, new, text, born) for plan in self._recent(name)]
        must(any(each is None for each in accounts), f"{name} passed {sorted(text)}: {accounts}")

    def _account(
        self, plan: Schedule, new: Row, passed: set[str], born: set[tuple[str, str]]
    ) -> str | None:
        """Say why it is not right that these due times are over; None where it is."""
        name, newest = new["name"], new["last_due_at"]
        fired = {due for due in passed if (name, due) in self._fired}
        window = plan.catch_up_window or LONG_AGO * 10
        if plan.catch_up_policy == "none":
            jitter = getattr(plan.trigger, "jitter_seconds", 0)
            window = timedelta(seconds=plan.grace_seconds + jitter)
        counts = {due for due in passed if moment(due) > self._highest - window}
        if newest in fired:
            if plan.catch_up_policy != "all" or counts <= fired:
                return None
            return f"catch_up = all, but {sorted(counts - fired)} were not fired"
        if new["missed_due_at"] == newest:
            if not counts:
                self.world.counts["missed"] += 1
                return None
            return "it was neither late nor to be missed"
        if not new["skip_reason"]:
            return "neither fired, missed nor skipped"
        if getattr(plan.trigger, "only_if_changed", False):
            return None
        causes = self._open_until if plan.skip_if_running else self._blocked_until
        since = self.world.loop.time() - causes.get(name, -STALE)
        is_open = any(
            row["schedule"] == name and row["status"] in (OPEN if plan.skip_if_running else HELD)
            for row in self.runs.values()
        )
        if plan.catch_up_policy != "all" and (is_open or since < STALE):
            self.world.counts["skipped"] += 1
            return None
        return f"skipped without a cause: {new['skip_reason']}"

    def _watermark_moved(self, old: Row, new: Row, ended: list[Row]) -> None:
        before, after, name = old["watermark"], new["watermark"], new["name"]
        if before == after:
            return
        must(after is not None and after > (before or 0), f"{name}: {before} to {after}")
        for run in ended:
            served = run["schedule"] == name and run["status"] == "completed"
            if served and run["to_snapshot"] == after and run["trigger"] != "manual":
                start = run["from_snapshot"] or 0
                whole = run["trigger"] != "change" or start <= (before or 0)
                must(whole, f"{name}: {run['id']} served from {start}, the watermark was {before}")
                return
        left = self._unserved(old, after)
        must(not left, f"{name}: the watermark passed {before} to {after} over {sorted(left)[:3]}")

    def _unserved(self, old: Row, number: int) -> set[tuple[str, str]]:
        """Return what came or moved in the schedule's scope, by looking at the catalogs."""
        plan = self._recent(old["name"])[-1]
        now = self._catalog(plan, number)
        then = looks_of(self._catalog(plan, old["watermark"]))
        scope = Scope.parse(old["scope"])
        former = Scope.parse(old["former_scope"]) if old["former_scope"] else None
        edited = looks_of(self._catalog(plan, old["scope_since"])) if former else then
        found = set()
        for table in now.tables:
            is_old = former is None or former.touches_table(table.ref)
            if scope.touches_table(table.ref):
                known = then if is_old else edited
                looks = looks_of(Catalog(reader="", source="", tables=(table,)))
                found |= {(ref, look) for ref, look in looks.items() if known.get(ref) != look}
        return found

    # -- the end ---------------------------------------------------------------------------------

    def is_at_rest(self) -> bool:
        """Claim that nothing is left to do at this moment."""
        if self._calm_since is None:
            self._calm_since = self.world.wall.now()
        if self.world.wall.now() - self._calm_since < timedelta(minutes=3) or self._open():
            return False
        return self.conduct.is_served and not self._left()

    def _open(self) -> list[str]:
        """Return the runs that are not over, but for those that wait for another day."""
        waits = self.conduct.waits_for_another_day
        return [key for key in self.with_status(*OPEN) if not waits(self.runs[key])]

    def judge_the_end(self) -> None:
        """Judge what is left after a long while without faults. Raises: Violation."""
        self.conduct.judge_the_end()
        stuck = self._open()
        busy = {row["schedule"] for row in self.runs.values() if row["status"] in OPEN}
        if stuck:
            # Dense schedules always have a run open; one that stays for long is stuck.
            now = self.world.wall.now()
            old = [
                key for key in stuck if now - self._could_start(self.runs[key]) > timedelta(hours=1)
            ]
            must(not old, f"runs are stuck: {[(k, self.runs[k]['status']) for k in old]}")
        left = [each for each in self._left() if each[0] not in busy]
        must(not left, f"never served: {left[:4]}")

    def _could_start(self, row: Row) -> datetime:
        return max(moment(row["queued_at"]), moment(row["not_before"]))

    def _left(self) -> list[tuple[str, object]]:
        left: list[tuple[str, object]] = []
        for name, plan in self.world.loaded.settings.schedules.items():
            row = self.schedules.get(name)
            if row is None:
                left.append((name, "never armed"))
            elif plan.trigger.type == "change" and plan.kind == "analyze":
                left += [(name, each) for each in sorted(self._left_of(name, plan, row))]
            elif plan.trigger.type == "change":
                newest = self.world.caches[plan.db_profile].newest
                if row["watermark"] != newest:
                    left.append((name, f"watermark {row['watermark']} of {newest}"))
            elif plan.trigger.type == "files":
                if row["files_mark"] != self.world.files_mark:
                    left.append((name, row["files_mark"]))
            else:
                left += [(name, each) for each in self._left_due(plan, row)]
        return left

    def _left_due(self, plan: Schedule, row: Row) -> list[str]:
        """Return the newest due time if nothing came of it, though it should have by now."""
        slack = timedelta(seconds=getattr(plan.trigger, "jitter_seconds", 0) + 90)
        until = self.world.wall.now() - slack
        start = moment(row["armed_at"])
        newest = self._due(row).newest(start, until)
        if newest is None or (row["last_due_at"] and row["last_due_at"] == text_of(newest)):
            return []
        passed = row["last_due_at"] is not None and moment(row["last_due_at"]) > newest
        is_ahead = passed and moment(row["last_due_at"]) > self.world.wall.now()
        return [text_of(newest)] if not passed or is_ahead else []

    def _left_of(self, name: str, plan: Schedule, row: Row) -> set[tuple[str, str]]:
        """Return what stands in scope now, differs from first sight, and was never served."""
        seen = self._seen.get((plan.db_profile, name), {})
        catalog = self.world.sites[plan.db_profile].catalog
        scope = Scope.parse(plan.scope)
        edits = [each.scope for _, each in self._plans[name]]
        left: set[tuple[str, str]] = set()
        for table in catalog.tables:
            if not scope.touches_table(table.ref):
                continue
            if not all(Scope.parse(each).touches_table(table.ref) for each in edits):
                continue  # whether a widened scope makes it news depends on when it moved
            looks = looks_of(Catalog(reader="", source="", tables=(table,)))
            left |= {(ref, look) for ref, look in looks.items() if seen.get(ref) != look}
        return left - self._served.get(name, set())

    # -- help ------------------------------------------------------------------------------------

    def _recent(self, name: str) -> list[Schedule]:
        """Return the plans that a turn may still go by, the newest last."""
        known = self._plans[name]
        since = self.world.loop.time() - STALE
        replaced = [begun for begun, _ in known[1:]]
        return [
            plan
            for (_, plan), until in zip(known, [*replaced, since], strict=True)
            if until >= since
        ]

    def _was_enabled(self, name: str) -> bool:
        return any(plan.enabled for plan in self._recent(name))

    def _due(self, row: Row) -> DueTimes:
        for _, plan in reversed(self._plans[row["name"]]):
            if plan.armed_mark == row["trigger_hash"]:
                spec = plan.trigger.model_dump(exclude_none=True)
                return DueTimes(spec, moment(row["armed_at"]))
        raise Violation(f"{row['name']} is armed by a trigger that it never had")

    def _catalog(self, plan: Schedule, number: int | None) -> Catalog:
        if number is None:
            return Catalog(reader="", source="")
        if (plan.db_profile, number) not in self._numbered:
            self._replay(plan.db_profile)
        return self._numbered[plan.db_profile, number]

    def _replay(self, profile: str) -> None:
        catalog: Catalog | None = None
        for number, delta in self.world.store.read(
            lambda tx: list(tx.snapshots.log(profile, None))
        ):
            catalog = self._numbered[profile, number] = applied(catalog, delta)

    def _looks(self, plan: Schedule, number: int) -> dict[str, str]:
        return looks_of(self._catalog(plan, number))

    def summary(self) -> Counter[str]:
        return self.world.counts


def _delta(old: Row | None, new: Row) -> dict[str, Any]:
    return {
        key: value
        for key, value in new.items()
        if (value not in (None, 0, "") and (old is None or old[key] != value))
        or (old is not None and old[key] != value)
    }
