"""Run a blocking driver in a worker thread so that a cancelled caller stops the driver too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")

INTERRUPT_EVERY = 0.1
"""Seconds between two requests to give up: one that meets no running statement is lost."""


class BlockingLane:
    """One driver's calls, one at a time, each in a worker thread.

    On cancellation `interrupt` (called from another thread, and it must not raise) asks the
    driver to give up, and the thread is waited for: no lock or statement outlives the call.
    """

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self._interrupt = interrupt
        self._turn = anyio.Lock()
        self._limiter = anyio.CapacityLimiter(1)

    async def run(self, work: Callable[[], T], *, seconds: float | None = None) -> T:
        """Return what `work` returns; raise what it raises.

        Raises: TimeoutError where it took longer than `seconds`; it was interrupted then.
        """
        call = _Call(work)
        async with self._turn:
            with anyio.fail_after(seconds):
                try:
                    return await anyio.to_thread.run_sync(
                        call, abandon_on_cancel=True, limiter=self._limiter
                    )
                except anyio.get_cancelled_exc_class():
                    with anyio.CancelScope(shield=True):
                        await anyio.to_thread.run_sync(call.stop, self._interrupt)
                    raise


class _Call(Generic[T]):
    """One piece of work, which a cancellation either prevents or interrupts."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._claim = threading.Lock()
        self._done = threading.Event()

    def __call__(self) -> T:
        if not self._claim.acquire(blocking=False):
            self._done.set()
            raise RuntimeError("cancelled before it began; nobody waits for this")
        try:
            return self._work()
        finally:
            self._done.set()

    def stop(self, interrupt: Callable[[], None]) -> None:
        if self._claim.acquire(blocking=False):
            return
        while not self._done.wait(INTERRUPT_EVERY):
            interrupt()
