"""What a simulated process opens, and what it does there: daemon, `run-due`, a person's command."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from filelock import Timeout

from amxwatch.cli.firing import run_what_is_due
from amxwatch.core.catalog import Catalog
from amxwatch.core.errors import (
    AmxwatchError,
    DatabaseUnavailableError,
    ProviderRefusedError,
    ProviderUnavailableError,
    RunBlockedError,
    RunReleasedError,
)
from amxwatch.core.run import Outcome, Paid, RunKind, RunTrigger
from amxwatch.daemon import service, standby
from amxwatch.daemon.service import LEAVE_SECONDS, Service
from amxwatch.daemon.wiring import Install
from amxwatch.engines.local import LocalEngine
from amxwatch.flows import manual
from amxwatch.flows.settling import settled
from amxwatch.flows.source import Source
from amxwatch.flows.spending import wait_for_the_day
from amxwatch.flows.targets import Targets, choose, fix_end
from amxwatch.flows.work import refresh
from amxwatch.ports.engine import Handler, RunContext
from amxwatch.settings.file import Loaded
from amxwatch.settings.folder import Folder
from tests.simulation.cache import MemorySnapshots
from tests.simulation.loop import current
from tests.simulation.process import Process, ProcessDatabase

QUEUE_POLL = 20.0
"""Seconds between two looks at the queue; a daemon is woken for what it queued itself."""

FOLDER = Path("/simulated")
"""Each process has a folder of its own name in it, by which a file's asker is known."""

PAID_MODEL: Any = SimpleNamespace(is_free=False)


class SimulatedInstall(Install):
    """The real wiring over a process's proxies; the model is a script."""

    def __init__(self, process: Process) -> None:
        self.process = process
        super().__init__(
            folder=Folder(path=FOLDER / process.name),
            clock=process.clock,
            ledger=process.ledger,
            owner=process.owner,  # type: ignore[arg-type]  # what is asked of an Owner
            loaded=process.world.loaded,
            config_error=None,
        )
        self.engine = LocalEngine(
            ledger=process.ledger,
            clock=process.clock,
            owner=process.owner,  # type: ignore[arg-type]
            settled=settled,
            poll_seconds=QUEUE_POLL,
        )
        self._open: dict[str, Source] = {}

    async def apply(self, loaded: Loaded) -> None:
        self.loaded = loaded

    async def remember_config(self) -> None:
        """No config is ever wrong here."""

    def source(self, name: str | None = None) -> Source:
        profile = self.settings.db_profile(name)
        if profile.name not in self._open:
            process = self.process
            self._open[profile.name] = Source(
                profile=profile.name,
                database=ProcessDatabase(process, profile.name),
                snapshots=MemorySnapshots(process.world.caches[profile.name], process.pause),
                ledger=self.ledger,
                clock=self.clock,
                refresh=timedelta(minutes=profile.refresh_minutes),
            )
        return self._open[profile.name]

    async def files_mark(self, paths: Sequence[str]) -> str:
        await self.process.pause()
        return self.process.world.files_mark

    def handler(self, report: Any = None) -> Handler:
        return lambda context: Script(self, context).play()


class Script:
    """What a run comes to, in place of the model: drawn from the seed for each attempt."""

    def __init__(self, install: SimulatedInstall, context: RunContext) -> None:
        self.install = install
        self.context = context
        self.process = install.process
        self.world = install.process.world
        self.chance = random.Random(f"{self.world.seed}/{context.run.id}/{context.run.attempt}")

    async def play(self) -> Outcome:
        try:
            return await self._played()
        except AmxwatchError as error:
            self.world.oracle.failing(self.context.run, transient=error.transient)
            raise

    async def _played(self) -> Outcome:
        run = self.context.run
        if run.kind is RunKind.CACHE_REFRESH:
            return await refresh(self.context, SimpleNamespace(source=self.install.source))  # type: ignore[arg-type]
        await self._wait_for_the_day()
        source = self.install.source(run.db_profile)
        end = await fix_end(self.context, source)
        served: frozenset[tuple[str, str]] = frozenset()
        if run.trigger is RunTrigger.CHANGE:
            served = await self._chosen(source, await source.as_of(end), end)
        seconds = self.chance.choice([0.5, 4.0, 8.0, 8.0, 45.0])
        fate = self.chance.random() if self.world.faults.on and self.world.faults.bad_runs else 1.0
        if fate < 0.06:
            seconds = self.chance.choice([100.0, 300.0])
        for step in range(3):
            await self._pay(step, seconds / 3)
        self._fail(fate)
        self.world.handled(run, self.process, served)
        return Outcome(summary="scripted", objects=len(served), to_snapshot=end)

    async def _wait_for_the_day(self) -> None:
        """Ask as a run does before its model is asked. Raises: RunReleasedError."""
        run, budget, oracle = self.context.run, self.install.settings.budget, self.world.oracle
        before = oracle.spent_today(budget.timezone)
        install = self.install
        await wait_for_the_day(run, install.ledger, install.clock, budget, PAID_MODEL)
        oracle.begins(run, budget, before)

    async def _chosen(
        self, source: Source, catalog: Catalog, end: Any
    ) -> frozenset[tuple[str, str]]:
        run, settings = self.context.run, self.install.settings

        async def make() -> str:
            return (await choose(run, source, end, settings, catalog)).dump()

        text = await self.context.remember(f"targets:{run.id}", make)
        return described(Targets.restore(text, catalog), catalog)

    async def _pay(self, step: int, seconds: float) -> None:
        if self.context.stopping:
            raise RunReleasedError("the worker leaves")
        run = self.context.run

        async def pay() -> Paid:
            await self.process.clock.sleep(seconds)
            if self.process.burns():
                self.process.die("while a model was asked")
            return Paid(reply="said", cost_usd=Decimal("0.01"))

        await self.context.once(f"{run.id}:{step}", pay)
        self.world.paid(run, step)

    def _fail(self, fate: float) -> None:
        if 0.06 <= fate < 0.14:
            raise DatabaseUnavailableError("the database went away (simulated)")
        if 0.14 <= fate < 0.18:
            raise ProviderUnavailableError("the model is overloaded (simulated)")
        if 0.18 <= fate < 0.22:
            raise ProviderRefusedError("no such model (simulated)")
        if 0.22 <= fate < 0.28:
            action = "raise per_run_usd, then: amxwatch unblock RUN"
            raise RunBlockedError("spent (simulated)", category="budget", recovery_action=action)
        if 0.28 <= fate < 0.3:
            raise ZeroDivisionError("a fault of the program (simulated)")


def described(targets: Targets, catalog: Catalog) -> frozenset[tuple[str, str]]:
    """Return what is drafted: each object's name and what it looked like."""
    looks = looks_of(catalog)
    refs = [ref for one in targets.work for ref in one.refs]
    return frozenset((str(ref), looks[str(ref)]) for ref in refs if str(ref) in looks)


def looks_of(catalog: Catalog) -> dict[str, str]:
    """Return what each table and column looks like: a column's type moves with each change."""
    found = {}
    for table in catalog.tables:
        found[str(table.ref)] = "table"
        found |= {str(table.column_ref(each.name)): each.type for each in table.columns}
    return found


class Quiet:
    """Stands where a command prints."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: None


class SimulatedService(Service):
    """The service, told to stop by the world and not by a signal."""

    async def _on_signals(self) -> None:
        """Signals are sent by the world: `stop`."""


async def daemon(process: Process) -> None:
    """Serve as `amxwatch daemon` does."""
    world = process.world
    service = SimulatedService(
        SimulatedInstall(process), emit=lambda document: world.oracle.cycled(process, document)
    )
    world.serving[process.name] = service
    try:
        await service.serve()
    finally:
        world.serving.pop(process.name, None)


def stop(service: Service, process: Process) -> None:
    """Do as SIGTERM does."""
    service._stopping = True
    service._waiting.cancel()
    service._looping.cancel()
    process.world.loop.call_later(LEAVE_SECONDS, process.kill, "it leaves without waiting")


class HeartbeatLock:
    """Stands for the lock of `daemon.lock`: it is free when its owner has ended, however."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._process = process_at(path)

    def acquire(self) -> None:
        """Raises: Timeout."""
        world, mine = self._process.world, self._process
        holder = world.heartbeat
        if world.faults.no_locks:
            return
        if holder is not None and holder.alive and holder is not mine:
            raise Timeout(str(FOLDER))
        world.heartbeat, world.heartbeat_free_since = mine, None

    def release(self, *, force: bool) -> None:
        self._process.world.let_go(self._process)


def process_at(path: Path) -> Process:
    """Return the process whose config folder holds this file."""
    found: Process = current().world.processes[path.parent.name]
    return found


async def follow_config(install: SimulatedInstall, hint: Callable[[str | None], None]) -> None:
    """Stand for `keep_config`: an edit is in force within a second, for who serves."""
    process = install.process
    while True:
        edited = process.world.edited.next()
        if install.loaded is not process.world.loaded:
            await install.apply(process.world.loaded)
            hint(None)
        await edited.wait()
        await process.clock.sleep(process.chance.choice([0.1, 0.9]))


async def nothing(*_: Any) -> None:
    """Stand for what the world does itself: hints, and keeping house."""


def reread(path: Path) -> Loaded:
    loaded: Loaded = process_at(path / "amxwatch.toml").world.loaded
    return loaded


@contextmanager
def one_machine() -> Iterator[None]:
    """Put the world where the daemon asks the file system."""
    with (
        patch.object(standby, "FileLock", HeartbeatLock),
        patch.object(service, "keep_config", follow_config),
        patch.object(service, "keep_house", nothing),
        patch.object(service, "listen_to_all", nothing),
        patch.object(service, "load", reread),
    ):
        yield


async def run_due(process: Process) -> None:
    await run_what_is_due(None, True, desk(process))


async def run_now(process: Process, schedule: str) -> None:
    """Do as `schedule run-now` does: queue a run for this very process, and execute it."""
    install = SimulatedInstall(process)
    plan = install.settings.schedules.get(schedule)
    if plan is None:
        return  # it was removed before the person came to it
    run = await manual.put(
        install.ledger,
        install.clock,
        kind=RunKind(plan.kind),
        db_profile=plan.db_profile,
        llm_profile="builtin",
        scope=plan.parsed_scope,
        review_strategy=plan.review_strategy,
        reserved_for=install.owner.name,
        schedule=schedule,
        timeout_seconds=plan.timeout_seconds,
    )
    await install.engine.work_one(run.id, install.handler(), install.slots)


def desk(process: Process) -> Any:
    """Return what a command works with."""
    return SimpleNamespace(install=SimulatedInstall(process), out=Quiet())
