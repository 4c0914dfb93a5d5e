"""A simulated process: all that it knows of the world goes through proxies that can fail.

When it is killed, its proxies raise `Killed` from then on: whatever its tasks still do while they
unwind, nothing of it reaches the world, and its owner is dead. While it is stopped (SIGSTOP), its
proxies let nothing through; it goes on later where it stood.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from amxwatch.core.catalog import Catalog, ObjectRef
from amxwatch.core.change import Patch
from amxwatch.core.errors import DatabaseUnavailableError, StoreBusyError, StoreError
from amxwatch.databases.memory import MemoryDatabase
from amxwatch.ports.database import CommentTarget
from tests.simulation.loop import checkpoint, sleep

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")

YIELDS = 0.5
"""How often a call that takes no time lets others go first: often enough, and half the cost."""


AWAKE_LOOK = 5.0
"""So often a stopped process looks whether it may go on: it can be woken before its time."""


class Killed(BaseException):
    """This process is no more."""


class Process:
    """One process. `fuse` counts the steps into the world that it has left; None is no limit."""

    def __init__(self, world: World, kind: str, *, fuse: int | None = None) -> None:
        self.world = world
        self.name = world.new_process_name(kind)
        self.kind = kind
        self.chance = random.Random(f"{world.seed}/{self.name}")
        self._draw = self.chance.random
        self.fuse = fuse
        self.alive = True
        self.began = world.loop.now
        self.stopped_until = 0.0
        self.clock = ProcessClock(self)
        self.ledger = ProcessLedger(self)
        self.owner = ProcessOwner(self)
        self._scope = anyio.CancelScope()

    async def run(self, main: Callable[[Process], Awaitable[None]]) -> None:
        """Live; returns when the process has ended or was killed."""
        self.world.trace(self, "starts")
        try:
            with self._scope:
                await main(self)
        except BaseException as error:
            if self.alive:
                self.world.note_failure(self, error)
                raise
        finally:
            if self.alive:
                self.world.trace(self, "ends")
            self.alive = False
            self.world.let_go(self)

    def kill(self, why: str) -> None:
        """End it at once, wherever it is."""
        if self.alive:
            self.world.trace(self, f"is killed: {why}")
            self.alive = False
            self._scope.cancel()

    def stop(self, seconds: float) -> None:
        """Let it stand still for a while, as SIGSTOP does."""
        self.stopped_until = max(self.stopped_until, self.world.loop.time() + seconds)
        self.world.trace(self, f"is stopped for {seconds:.0f} s")

    @property
    def is_stopped(self) -> bool:
        return self.stopped_until > self.world.loop.time()

    def burns(self) -> bool:
        """Count a step into the world; True where the process dies of it."""
        if self.fuse is None or not self.world.faults.on:
            return False
        self.fuse -= 1
        return self.fuse <= 0

    async def pause(self, seconds: float = 0.0) -> None:
        """Let others go first, as long as a call takes. Raises: Killed."""
        if not self.alive:
            raise Killed
        if seconds > 0:
            await sleep(seconds)
        elif self._draw() < YIELDS:
            await checkpoint()
        if not self.alive or self.stopped_until > self.world.loop.now:
            await self.awake()

    async def awake(self) -> None:
        """Return when the process is not stopped. Raises: Killed."""
        while self.is_stopped and self.alive:
            await sleep(min(self.stopped_until - self.world.loop.now, AWAKE_LOOK))
        self.check()

    def check(self) -> None:
        if not self.alive:
            raise Killed

    def die(self, where: str) -> None:
        """Raises: Killed."""
        self.kill(where)
        raise Killed


class ProcessClock:
    """Implements `ports.clock.Clock`."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def now(self) -> datetime:
        self._process.check()
        return self._process.world.wall.now()

    def monotonic(self) -> float:
        self._process.check()
        return self._process.world.loop.time()

    async def sleep(self, seconds: float) -> None:
        await self._process.pause(max(seconds, 0.0))


class ProcessOwner:
    """Implements what is asked of `engines.owner.Owner`; the world knows who lives."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.name = process.name

    def is_alive(self, name: str) -> bool | None:
        self._process.check()
        return self._process.world.lives(name)

    def is_dead(self, name: str) -> bool:
        return self.is_alive(name) is False

    def release(self) -> None:
        """The end of the process is the release."""


class ProcessLedger:
    """Implements `ports.ledger.Ledger` on the world's store, with its faults."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._turn = anyio.Lock()
        self._recalled: dict[Hashable, Any] = {}
        self._recalled_at = -1

    async def write(self, work: Callable[[Any], T]) -> T:
        process, faults = self._process, self._process.world.faults
        async with self._turn:
            await process.pause()
            seconds = faults.commit_seconds(process)
            if seconds:
                # A transaction in its thread is not cancelled half way.
                with anyio.CancelScope(shield=True):
                    await process.pause(seconds)
            return self._commit(work, faults.commit_fault(process))

    def _commit(self, work: Callable[[Any], T], fault: str | None) -> T:
        process = self._process
        if fault == "busy":
            raise StoreBusyError("the state database is in use (simulated)")
        burns = process.burns()
        if burns and process.chance.random() < 0.5:
            process.die("before a commit")
        result = process.world.commit(process, work, twice=fault == "twice")
        if burns:
            process.die("after a commit")
        if fault == "lost":
            raise StoreError("the answer to a commit was lost (simulated)")
        return result

    async def read(self, work: Callable[[Any], T]) -> T:
        process = self._process
        await process.pause()
        if process.burns():
            process.die("while reading the ledger")
        return process.world.store.read(work)

    async def recall(self, key: Hashable, work: Callable[[Any], T]) -> T:
        found = self._known()
        if key not in found:
            value = await self.read(work)
            found[key] = value  # thrown away where more was written meanwhile
            return value
        known: T = found[key]
        return known

    async def foresee(self, questions: Mapping[Hashable, Callable[[Any], object]]) -> None:
        known = self._known()
        asked = {key: work for key, work in questions.items() if key not in known}
        if asked:
            known |= await self.read(lambda tx: {key: work(tx) for key, work in asked.items()})

    def _known(self) -> dict[Hashable, Any]:
        store = self._process.world.store
        if store.version != self._recalled_at:
            self._recalled_at, self._recalled = store.version, {}
        return self._recalled

    async def aclose(self) -> None:
        """Nothing is open."""


class ProcessDatabase(MemoryDatabase):
    """One process's connection to a database of the world: what it reads may be old by then."""

    def __init__(self, process: Process, profile: str) -> None:
        self._process = process
        self._profile = profile
        super().__init__()

    @property
    def _site(self) -> Any:
        return self._process.world.sites[self._profile]

    @property
    def _catalog(self) -> Catalog:
        found: Catalog = self._site.catalog
        return found

    @_catalog.setter
    def _catalog(self, catalog: Catalog) -> None:
        """The world's catalog is not set from here."""

    @property
    def _version(self) -> int:
        return int(self._site.version)

    @_version.setter
    def _version(self, version: int) -> None:
        """Nor is its version."""

    async def read(self) -> Catalog:
        found = await super().read()
        await self._answer()
        return found

    async def read_moved(self) -> Patch | None:
        found = await super().read_moved()
        await self._answer()
        return found

    async def current(self, targets: Sequence[CommentTarget]) -> dict[ObjectRef, str | None]:
        await self._answer()
        return {}

    async def _answer(self) -> None:
        process = self._process
        await process.pause(process.world.faults.answer_seconds(process))
        if process.burns():
            process.die("while reading a database")
        if self._site.down:
            self._read_last = None
            raise DatabaseUnavailableError("the database is down (simulated)")
