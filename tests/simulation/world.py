"""One seed: its world, what happens in it, and its end."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import anyio

from amxwatch.cli import steering
from amxwatch.core.errors import AmxwatchError
from amxwatch.core.run import Run, RunId
from amxwatch.daemon.service import Service
from amxwatch.flows import manual
from amxwatch.settings.file import Loaded
from amxwatch.settings.schema import Settings
from tests.simulation import scenario
from tests.simulation.cache import CacheFile
from tests.simulation.faults import Faults
from tests.simulation.install import SimulatedInstall, daemon, desk, run_due, run_now, stop
from tests.simulation.loop import VirtualLoop, WallClock
from tests.simulation.oracle import Oracle
from tests.simulation.process import Killed, Process
from tests.simulation.scenario import HORIZONS, Site
from tests.simulation.store import Store, Touched
from tests.simulation.violation import Violation

T = TypeVar("T")

CALM_STEP = 15.0
CALM_STEPS = 300
"""After the faults everything must come to rest within so many steps of so many seconds."""


class Edited:
    """Wakes whoever follows the config."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def next(self) -> anyio.Event:
        """Return what is set by the next edit from now on."""
        return self._event

    def announce(self) -> None:
        self._event.set()
        self._event = anyio.Event()


class World:
    """Everything that outlives a process, and the hands that move it."""

    def __init__(
        self, seed: int, store: Store, loop: VirtualLoop, say: Callable[[str], None] | None = None
    ) -> None:
        self.seed = seed
        self.store = store
        self.loop = loop
        self.say = say
        self.chance = random.Random(f"{seed}/world")
        start, zone = scenario.start_of(self.chance)
        self.wall = WallClock(loop, start)
        self.faults = Faults.drawn(random.Random(f"{seed}/faults"))
        self.config = scenario.settings_of(self.chance, start, zone)
        self.edits = 0
        self.loaded = self._load()
        self.removed: dict[str, dict[str, Any]] = {}
        self.heartbeat: Process | None = None
        self.heartbeat_free_since: float | None = None
        self.sites = {name: Site(self.chance) for name in self.config["db_profiles"]}
        self.caches = {name: CacheFile() for name in self.sites}
        self.files_mark = "files 0"
        self.edited = Edited()
        self.serving: dict[str, Service] = {}
        self.processes: dict[str, Process] = {}
        self.counts: Counter[str] = Counter()
        self.oracle = Oracle(self)
        self.actor: Process | None = None
        self._numbers: Counter[str] = Counter()
        self._scope = anyio.CancelScope()
        self._group: Any = None

    # -- what processes ask of the world -------------------------------------------------------

    def new_process_name(self, kind: str) -> str:
        self._numbers[kind] += 1
        return f"{kind}-{self._numbers[kind]}"

    def lives(self, name: str) -> bool | None:
        process = self.processes.get(name)
        return None if process is None else process.alive

    def let_go(self, process: Process) -> None:
        """Free what a process held that has ended."""
        if self.heartbeat is process:
            self.heartbeat, self.heartbeat_free_since = None, self.loop.time()

    def commit(self, process: Process, work: Callable[[Any], T], *, twice: bool) -> T:
        self.actor = process
        return self.store.write(work, twice=twice)

    def committed(self, touched: Touched) -> None:
        assert self.actor is not None
        try:
            self.oracle.judge(self.actor, touched)
        except Violation as violation:
            self.end_with(violation)

    def handled(self, run: Run, process: Process, served: frozenset[tuple[str, str]]) -> None:
        self.oracle.handled(run, process, served)

    def paid(self, run: Run, step: int) -> None:
        self.counts["steps"] += 1

    def note_failure(self, process: Process, error: BaseException) -> None:
        """A process that was not killed raised something that no command catches."""
        leaves = _leaves(error)
        if any(not isinstance(leaf, AmxwatchError) for leaf in leaves if not _ends(leaf)):
            self.end_with(Violation(f"{process.name} broke down: {leaves!r}"), error)

    def end_with(self, violation: Violation, cause: BaseException | None = None) -> None:
        if self.oracle.violation is None:
            violation.__cause__ = cause
            self.oracle.violation = violation
            self.trace(None, f"VIOLATION {violation}")
            self._scope.cancel()

    def trace(self, process: Process | None, what: str) -> None:
        if self.say is not None:
            who = process.name if process else "world"
            self.say(f"{self.loop.time():9.3f} {self.wall.now():%m-%d %H:%M:%S} {who:12} {what}")

    # -- its course ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live through the seed. Raises: Violation."""
        self.store.on_commit = self.committed
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                with self._scope:
                    await self._course()
                self._kill_all()
                group.cancel_scope.cancel()
        except BaseExceptionGroup:
            if self.oracle.violation is None:
                raise
        if self.oracle.violation is not None:
            raise self.oracle.violation

    async def _course(self) -> None:
        faults = self.faults
        self.start(daemon, "daemon", again=True)
        if faults.second_daemon:
            self.start(daemon, "second", again=True)
        happenings: list[tuple[bool, float, Callable[[], Any]]] = [
            (True, 70, self._alter),
            (True, 150, self._move_files),
            (True, 90, self._hint),
            (faults.run_due, 90, self._run_due),
            (faults.people, 70, self._person),
            (faults.edits, 180, self._edit),
            (faults.crashes, 150, self._kill_one),
            (faults.stops, 200, self._stop_one),
            (faults.crashes, 300, self._terminate_one),
            (faults.outages, 300, self._outage),
            (faults.clock_jumps, 250, self._jump),
            (faults.far_jumps, 400, self._jump_far),
            (faults.suspends, 300, self._suspend),
            (faults.lost_caches, 300, self._lose_cache),
        ]
        async with anyio.create_task_group() as group:
            for is_on, mean, act in happenings:
                if is_on:
                    group.start_soon(self._now_and_then, mean, act)
            await anyio.sleep(60 * self.chance.choice(HORIZONS))
            group.cancel_scope.cancel()
        await self._calm_down()

    async def _now_and_then(self, mean: float, act: Callable[[], Any]) -> None:
        chance = random.Random(f"{self.seed}/{act.__name__}")
        self.hands = getattr(self, "hands", {})
        self.hands[act.__name__] = chance
        while True:
            await anyio.sleep(chance.expovariate(1 / mean))
            act()

    def start(
        self, main: Callable[[Process], Awaitable[None]], kind: str, *, again: bool = False
    ) -> Process:
        process = Process(self, kind, fuse=self.faults.fuse(self.chance))
        self.processes[process.name] = process
        self._group.start_soon(self._live, process, main, kind, again)
        return process

    async def _live(
        self, process: Process, main: Callable[[Process], Awaitable[None]], kind: str, again: bool
    ) -> None:
        try:
            await process.run(main)
        except (Killed, anyio.get_cancelled_exc_class()):
            raise
        except BaseException as error:
            if any(_ends(leaf) for leaf in _leaves(error)):
                raise
        self.counts[f"deaths of {kind}"] += 1
        if again:
            waits = [0.5, 5.0, 40.0, 200.0] if self.faults.on else [1.0]
            await anyio.sleep(self.chance.choice(waits))
            self.start(main, kind, again=True)

    def _kill_all(self) -> None:
        for process in self.processes.values():
            process.kill("the end")

    # -- what happens ----------------------------------------------------------------------------

    def _alter(self) -> None:
        name = self.chance.choice(sorted(self.sites))
        self.trace(None, f"{name}: {self.sites[name].alter()}")
        if self.chance.random() < 0.5:
            self._hint(name)

    def _move_files(self) -> None:
        self._numbers["files"] += 1
        self.files_mark = f"files {self._numbers['files'] % 5}"
        self.trace(None, f"the files are now {self.files_mark}")

    def _hint(self, name: str | None = None) -> None:
        for service in self.serving.values():
            service._wakes.hint(name or self.chance.choice(sorted(self.sites)))

    def _run_due(self) -> None:
        self.start(run_due, "rundue")

    def _person(self) -> None:
        schedule = self.chance.choice(sorted(self.config["schedules"]))
        act = self.chance.choice(
            [
                partial(_steer, steering.pause_schedule, schedule),
                partial(_steer, steering.resume_schedule, schedule),
                partial(_steer, steering.resume_schedule, schedule),
                partial(_steer, steering.skip_missed, schedule),
                partial(_steer, steering.cancel_schedule, schedule),
                partial(run_now, schedule=schedule),
                partial(_cancel_one, self.chance.random()),
                partial(_unblock_one, self.chance.random()),
                partial(_unblock_one, self.chance.random()),
            ]
        )
        self.trace(None, f"a person: {getattr(act.func, '__name__', '')} {act.args} {schedule}")
        self.start(act, "person")

    def _edit(self) -> None:
        if self.chance.random() < 0.25:
            self._remove_or_put_back()
            return
        name = self.chance.choice(sorted(self.config["schedules"]))
        plan = self.config["schedules"][name]
        self.trace(None, f"edits {name}: {edit(plan, self.chance)}")
        self.put_config()

    def _remove_or_put_back(self) -> None:
        plans = self.config["schedules"]
        if self.removed:
            name = self.chance.choice(sorted(self.removed))
            plans[name] = self.removed.pop(name)
            self.trace(None, f"puts {name} back")
        elif len(plans) > 1:
            name = self.chance.choice(sorted(plans))
            self.removed[name] = plans.pop(name)
            self.trace(None, f"removes {name}")
        self.put_config()

    def _load(self) -> Loaded:
        self.edits += 1
        return Loaded(settings=Settings.model_validate(self.config), digest=str(self.edits))

    def put_config(self) -> None:
        """Let the config be in force: within a second with those who serve, at once with others."""
        self.loaded = self._load()
        self.oracle.planned()
        self.edited.announce()

    def _someone(self) -> Process | None:
        alive = [process for process in self.processes.values() if process.alive]
        return self.chance.choice(alive) if alive else None

    def _kill_one(self) -> None:
        process = self._someone()
        if process is not None:
            process.kill("kill -9")

    def _stop_one(self) -> None:
        process = self._someone()
        if process is not None:
            process.stop(self.chance.choice([5.0, 60.0, 300.0]))

    def _terminate_one(self) -> None:
        if self.serving:
            name = self.chance.choice(sorted(self.serving))
            self.trace(self.processes[name], "is told to stop")
            stop(self.serving[name], self.processes[name])

    def _outage(self) -> None:
        site = self.sites[self.chance.choice(sorted(self.sites))]
        seconds = self.chance.choice([3.0, 60.0, 200.0])
        site.down = True
        self.trace(None, f"a database is down for {seconds:.0f} s")
        self.loop.call_later(seconds, setattr, site, "down", False)

    def _jump(self) -> None:
        self._set_clock(self.chance.choice([-3600, -600, -40, -2, 3, 45, 700, 5000]))

    def _jump_far(self) -> None:
        self._set_clock(self.chance.choice([-86400, 86400, 366 * 86400]))

    def _set_clock(self, seconds: float) -> None:
        self.wall.set(timedelta(seconds=seconds))
        self.oracle.clock_was_set_back()
        self.trace(None, f"the clock is set by {seconds:.0f} s")

    def _suspend(self) -> None:
        """The machine sleeps: the wall clock goes on; timers do so on some machines only."""
        seconds = self.chance.choice([20.0, 300.0, 4000.0])
        self.trace(None, f"the machine sleeps for {seconds:.0f} s")
        if self.chance.random() < 0.5:
            self.wall.set(timedelta(seconds=seconds))
        else:
            self.loop.skip(seconds)

    def _lose_cache(self) -> None:
        name = self.chance.choice(sorted(self.caches))
        self.trace(None, f"the cache of {name} is lost")
        self.caches[name].held.clear()

    # -- its end ---------------------------------------------------------------------------------

    async def _calm_down(self) -> None:
        """Stop the faults, let a person tidy up, and wait until all is served."""
        self.trace(None, "the faults are over")
        self.faults.on = False
        if self.wall.offset < timedelta(0):
            self._set_clock(-self.wall.offset.total_seconds())  # a time server puts it right
        for site in self.sites.values():
            site.down = False
        self.config["schedules"] |= self.removed
        self.removed = {}
        for plan in self.config["schedules"].values():
            plan["enabled"] = True
        self.put_config()
        for process in self.processes.values():
            process.fuse, process.stopped_until = None, 0.0
            if process.kind == "person":
                process.kill("a person leaves")
        for name in sorted(self.config["schedules"]):
            self.start(partial(_steer, steering.resume_schedule, name), "person")
        self.oracle.calm = True
        for _ in range(CALM_STEPS):
            await anyio.sleep(CALM_STEP)
            for run_id in self.oracle.blocked():
                self.start(partial(_unblock, run_id), "person")
            for name in self.oracle.halted():
                self.start(partial(_steer, steering.resume_schedule, name), "person")
            if self.oracle.is_at_rest():
                break
        try:
            self.oracle.judge_the_end()
        except Violation as violation:
            self.end_with(violation)


def edit(plan: dict[str, Any], chance: random.Random) -> str:
    """Change one thing in a schedule's table; return what."""
    trigger = plan["trigger"]
    choices: list[tuple[dict[str, Any], str, list[Any]]] = [
        (plan, "enabled", [True, False]),
        (plan, "scope", ["all", "schema:a", "schema:b", "schema:a,b"]),
        (plan, "catch_up", ["once", "none", "all"]),
        (plan, "grace_seconds", [0.0, 60.0, 300.0]),
    ]
    if trigger["type"] in ("change", "files"):
        choices.append((trigger, "cadence_cap_hours", [0, 0.02, 0.1]))
        choices.append((trigger, "settle_seconds", [0, 10]))
    elif trigger["type"] == "every":
        choices.append((trigger, "minutes", [1, 4, 9]))
    elif trigger["type"] == "cron":
        choices.append((trigger, "cron", ["*/3 * * * *", "*/2 * * * *", "11 * * * *"]))
    choices.append((plan, "pause_after_failures", [1, 3]))
    table, key, values = chance.choice(choices)
    table[key] = chance.choice(values)
    return f"{key} = {table[key]}"


async def _steer(act: Callable[[str, Any], Awaitable[None]], name: str, process: Process) -> None:
    await act(name, desk(process))


async def _cancel_one(drawn: float, process: Process) -> None:
    found = process.world.oracle.with_status("queued", "running", "blocked")
    if found:
        run_id = found[int(drawn * len(found))]
        install = SimulatedInstall(process)
        await manual.cancel(install.ledger, install.clock, RunId(run_id))


async def _unblock_one(drawn: float, process: Process) -> None:
    found = process.world.oracle.with_status("blocked")
    if found:
        await _unblock(found[int(drawn * len(found))], process)


async def _unblock(run_id: str, process: Process) -> None:
    process.world.oracle.allowed.add(run_id)
    install = SimulatedInstall(process)
    await manual.unblock(install.ledger, install.clock, RunId(run_id))


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


def _ends(error: BaseException) -> bool:
    """Claim that it is only the end of a task."""
    return isinstance(error, Killed | anyio.get_cancelled_exc_class())
