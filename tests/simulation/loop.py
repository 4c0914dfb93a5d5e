"""Time that costs nothing: a small loop of tasks whose waits are over at once.

It stands in for a back end of anyio while a seed is played, with its rules: cancel scopes that go
on cancelling until they are left, shields, deadlines, task groups that gather what their tasks
raise. Which of the tasks that could run goes first is drawn from the seed.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from heapq import heappop, heappush
from types import TracebackType, coroutine
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from anyio._core import _eventloop

T = TypeVar("T")
Timer = list[Any]
"""When, a number that keeps the order, what is called then (None: no more), and with what."""


class StuckError(BaseException):
    """Everything waits for something that nobody will do."""


class Cancelled(BaseException):
    """What a task meets at its next wait once a scope that it is in was cancelled."""


class Task:
    """A coroutine on its way. `forget` ends what it waits for; None: it waits for nothing."""

    __slots__ = ("coro", "forget", "group", "scope")

    def __init__(self, coro: Coroutine[Any, Any, Any], group: TaskGroup | None) -> None:
        self.coro = coro
        self.group = group
        self.forget: Callable[[], Any] | None = None
        self.scope: Scope = Scope()
        self.scope.task = self


class Scope:
    """Stands for `anyio.CancelScope`. `is_cancelled` counts the scopes around it, too."""

    __slots__ = (
        "_deadline",
        "_timer",
        "cancel_called",
        "cancelled_caught",
        "children",
        "is_cancelled",
        "parent",
        "shield",
        "task",
    )

    def __init__(self, *, deadline: float = math.inf, shield: bool = False) -> None:
        self.cancel_called = self.cancelled_caught = self.is_cancelled = False
        self.shield = shield
        self.children: dict[Scope, None] = {}
        self.parent: Scope | None = None
        self.task: Task | None = None
        self._deadline = deadline
        self._timer: Timer | None = None

    @property
    def deadline(self) -> float:
        return self._deadline

    def __enter__(self) -> Scope:
        task = _loop.task
        self.task = task
        self.enter_under(task.scope)
        task.scope = self
        if self._deadline != math.inf:
            self._timer = _loop.call_at(self._deadline, self.cancel)
        return self

    def enter_under(self, parent: Scope) -> None:
        self.parent = parent
        parent.children[self] = None
        if parent.is_cancelled and not self.shield:
            self.is_cancelled = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        parent, task = self.parent, self.task
        assert parent is not None
        assert task is not None
        if self._timer is not None:
            self._timer[2] = None
        del parent.children[self]
        task.scope = parent
        if not self.cancel_called or not isinstance(error, Cancelled):
            return False
        if parent.is_cancelled and not self.shield:
            return False
        self.cancelled_caught = True
        return True

    def cancel(self, reason: str | None = None) -> None:
        self.cancel_called = True
        if not self.is_cancelled:
            self._spread()

    def _spread(self) -> None:
        self.is_cancelled = True
        task = self.task
        if task is not None and task.scope is self and task.forget is not None:
            task.forget()
            task.forget = None
            _loop.ready.append((task, Cancelled()))
        for child in tuple(self.children):
            if not child.is_cancelled and not child.shield:
                child._spread()


class TaskGroup:
    """Stands for `anyio.abc.TaskGroup`."""

    def __init__(self) -> None:
        self.cancel_scope = Scope()
        self._tasks: dict[Task, None] = {}
        self._errors: list[BaseException] = []
        self._host: Task | None = None

    def start_soon(
        self, make: Callable[..., Coroutine[Any, Any, Any]], *args: Any, name: object = None
    ) -> None:
        task = Task(make(*args), self)
        task.scope.enter_under(self.cancel_scope)
        self._tasks[task] = None
        _loop.ready.append((task, None))

    def ended(self, task: Task, error: BaseException | None) -> None:
        del self._tasks[task]
        del self.cancel_scope.children[task.scope]
        if error is not None:
            if not isinstance(error, Cancelled):
                self._errors.append(error)
            if not self.cancel_scope.is_cancelled:
                self.cancel_scope.cancel()
        if self._host is not None and not self._tasks:
            _loop.resume(self._host)
            self._host = None

    async def __aenter__(self) -> TaskGroup:
        self.cancel_scope.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is not None:
            self.cancel_scope.cancel()
            if not isinstance(error, Cancelled):
                self._errors.append(error)
        met: BaseException | None = None
        if self._tasks:
            met = await self._all_ended()
        if self._errors:
            together = BaseExceptionGroup("unhandled errors in a TaskGroup", self._errors)
            self.cancel_scope.__exit__(type(together), together, None)
            raise together
        if error is None and met is not None:
            if not self.cancel_scope.__exit__(Cancelled, met, None):
                raise met
            return False
        return self.cancel_scope.__exit__(kind, error, trace)

    async def _all_ended(self) -> Cancelled | None:
        """Wait for the tasks, whatever happens; return what it met meanwhile."""
        met = None
        try:
            self._host = _loop.task
            await parked(self._leave)
        except Cancelled as cancelled:
            met = cancelled
            self.cancel_scope.cancel()
            if self._tasks:
                self._host = _loop.task
                await _held()
        return met

    def _leave(self) -> None:
        self._host = None


class Event:
    """Stands for `anyio.Event`."""

    __slots__ = ("_is_set", "_waiting")

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: dict[Task, None] = {}

    def set(self) -> None:
        self._is_set = True
        for task in self._waiting:
            _loop.resume(task)
        self._waiting.clear()

    def is_set(self) -> bool:
        return self._is_set

    async def wait(self) -> None:
        if self._is_set:
            await checkpoint()
        else:
            task = _loop.task
            self._waiting[task] = None
            await parked(partial(self._waiting.pop, task))


class Limiter:
    """Stands for `anyio.CapacityLimiter`, and with one token for `anyio.Lock`."""

    def __init__(self, tokens: float = 1, *, fast_acquire: bool = False) -> None:
        self._free = tokens
        self._waiting: deque[Task] = deque()

    async def __aenter__(self) -> None:
        if _loop.task.scope.is_cancelled:
            raise Cancelled
        if self._free > 0:
            self._free -= 1
            return
        task = _loop.task
        self._waiting.append(task)
        await parked(partial(self._waiting.remove, task))

    async def __aexit__(self, *_: object) -> None:
        if self._waiting:
            _loop.resume(self._waiting.popleft())  # and the token is its own
        else:
            self._free += 1

    def locked(self) -> bool:
        return self._free <= 0


@coroutine
def parked(forget: Callable[[], Any]) -> Generator[None, None, None]:
    """Wait until resumed, or until a scope is cancelled: then `forget` is called first."""
    task = _loop.task
    if task.scope.is_cancelled:
        forget()
        raise Cancelled
    task.forget = forget
    yield


@coroutine
def _held() -> Generator[None, None, None]:
    """Wait until resumed, and for nothing else."""
    yield


@coroutine
def checkpoint() -> Generator[None, None, None]:
    """Let others go first."""
    task = _loop.task
    if task.scope.is_cancelled:
        raise Cancelled
    _loop.ready.append((task, None))
    yield


async def sleep(seconds: float) -> None:
    if seconds <= 0:
        await checkpoint()
        return
    timer = _loop.call_at(_loop.now + seconds, _loop.resume, _loop.task)
    await parked(partial(timer.__setitem__, 2, None))


class VirtualLoop:
    """Runs what is ready; where nothing is, the clock goes on to the next timer."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.ready: list[tuple[Task, BaseException | None]] = []
        self.task: Task
        self.world: Any = None
        self.switches = 0
        self._timers: list[Timer] = []
        self._number = 0
        self._draw = random.Random(f"{seed}/order").random

    def time(self) -> float:
        return self.now

    def skip(self, seconds: float) -> None:
        """Let time pass at a stroke: what was due meanwhile is late."""
        self.now += seconds

    def call_at(self, when: float, work: Callable[..., Any], *args: Any) -> Timer:
        self._number += 1
        timer: Timer = [when, self._number, work, args]
        heappush(self._timers, timer)
        return timer

    def call_later(self, seconds: float, work: Callable[..., Any], *args: Any) -> Timer:
        return self.call_at(self.now + seconds, work, *args)

    def resume(self, task: Task) -> None:
        task.forget = None
        self.ready.append((task, None))

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Live until `main` has ended. Raises: StuckError, and whatever it raises."""
        global _loop  # noqa: PLW0603 one at a time, and asked for at every wait
        _loop = self
        first = Task(main, None)
        ready, draw = self.ready, self._draw
        ready.append((first, None))
        while True:
            if not ready:
                self._next_timers()
                continue
            if (count := len(ready)) > 1:
                place = int(draw() * count)
                ready[place], ready[-1] = ready[-1], ready[place]
            task, error = ready.pop()
            raised: BaseException | None = None
            self.switches += 1
            self.task = task
            try:
                if error is None:
                    task.coro.send(None)
                else:
                    task.coro.throw(error)
                continue
            except StopIteration:
                pass
            except Exception as caught:  # noqa: BLE001 it is its group's
                raised = caught
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as caught:  # noqa: BLE001
                raised = caught
            if task.group is not None:
                task.group.ended(task, raised)
            elif raised is not None:
                raise raised
            else:
                return

    def _next_timers(self) -> None:
        timers = self._timers
        while timers and timers[0][2] is None:
            heappop(timers)
        if not timers:
            raise StuckError("every task waits, and no timer is set")
        self.now = max(self.now, timers[0][0])
        while timers and timers[0][0] <= self.now:
            _, _, work, args = heappop(timers)
            if work is not None:
                work(*args)


_loop: VirtualLoop


def current() -> VirtualLoop:
    """Return the loop of the seed that is being played."""
    return _loop


class WallClock:
    """What the clock on the wall shows; it can be set. All processes see the same one."""

    def __init__(self, loop: VirtualLoop, start: datetime) -> None:
        self._loop = loop
        self._start = start
        self.offset = timedelta(0)
        self._at = -1.0
        self._shown = start

    def now(self) -> datetime:
        at = self._loop.now
        if at != self._at:
            self._at = at
            self._shown = self._start + self.offset + timedelta(microseconds=int(at * 1e6))
        return self._shown

    def set(self, by: timedelta) -> None:
        self.offset += by
        self._at = -1.0


class Backend:
    """What anyio asks of a back end, as far as the scheduler goes."""

    create_cancel_scope = Scope
    create_event = Event
    create_lock = Limiter
    create_capacity_limiter = Limiter

    @staticmethod
    async def checkpoint() -> None:
        await checkpoint()

    @staticmethod
    def cancelled_exception_class() -> type[BaseException]:
        return Cancelled


class _FailAfter(Scope):
    """Stands for `anyio.fail_after`."""

    __slots__ = ()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        caught = super().__exit__(kind, error, trace)
        if caught and _loop.now >= self.deadline:
            raise TimeoutError
        return caught


def _move_on_after(seconds: float, shield: bool = False) -> Scope:
    return Scope(deadline=_loop.now + seconds, shield=shield)


def _fail_after(seconds: float, shield: bool = False) -> Scope:
    return _FailAfter(deadline=_loop.now + seconds, shield=shield)


async def _in_thread(work: Callable[..., T], *args: Any, **_: Any) -> T:
    """A thread's work takes no time; others go first."""
    await checkpoint()
    return work(*args)


SHORT: dict[str, Any] = {
    "CancelScope": Scope,
    "Event": Event,
    "Lock": Limiter,
    "CapacityLimiter": Limiter,
    "create_task_group": TaskGroup,
    "fail_after": _fail_after,
    "move_on_after": _move_on_after,
    "sleep": sleep,
    "get_cancelled_exc_class": lambda: Cancelled,
}
"""Names of anyio that are ours at once, without the way over its choice of a back end."""


@contextmanager
def as_back_end() -> Iterator[None]:
    """Let anyio run on this loop for as long as it is open."""
    asked, in_thread = _eventloop.current_async_library, anyio.to_thread.run_sync
    known = {name: getattr(anyio, name) for name in SHORT}
    _eventloop.loaded_backends["virtual"] = Backend  # type: ignore[assignment]  # a part of one
    _eventloop.current_async_library = lambda: "virtual"
    anyio.to_thread.run_sync = _in_thread  # type: ignore[assignment]  # the same, at once
    vars(anyio).update(SHORT)
    try:
        yield
    finally:
        vars(anyio).update(known)
        anyio.to_thread.run_sync = in_thread
        _eventloop.current_async_library = asked
