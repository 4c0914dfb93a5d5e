"""When and where a queued run is executed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from amxwatch.core.run import Outcome, Run, RunId, Slots


class RunContext(Protocol):
    """What a handler is given: its run, and the only ways to write on its behalf.

    Everything written goes through the fencing token; a worker that was taken over gets
    FencedError from its next call.
    """

    @property
    def run(self) -> Run: ...

    @property
    def stopping(self) -> bool:
        """True once the worker was asked to leave: finish what is in flight, start nothing."""

    async def once(self, key: str, pay: Callable[[], Awaitable[str]]) -> str:
        """Return the recorded reply for `key`, else await `pay`, commit its reply, return it.

        A recorded reply is never paid again, whichever process asks. That a request is in
        flight is recorded first, so that a kill is known afterwards (event `reply_lost`).
        """

    async def spend(
        self, *, cost_usd: str | None, input_tokens: int, output_tokens: int
    ) -> None:
        """Add one request to the run's totals. `cost_usd` is a decimal, None where unknown."""

    async def check(self) -> None:
        """Raise RunCancelledError or FencedError when that is so."""


Handler = Callable[[RunContext], Awaitable[Outcome]]
"""Executes one run. Raising RunBlockedError blocks it, any AmxwatchError fails it."""


class Engine(Protocol):
    """Claims queued runs and executes them, each under a lease, at most `slots` at a time."""

    async def work(self, handler: Handler, slots: Callable[[], Slots]) -> None:
        """Serve until cancelled or told to stop; wakes at once on `wake`."""

    async def work_one(self, run_id: RunId, handler: Handler, slots: Callable[[], Slots]) -> Run:
        """Execute this one run in the calling process, waiting for a slot; return it settled."""

    def wake(self) -> None:
        """Say that something was queued."""

    async def stop(self, within_seconds: float) -> None:
        """Let runs finish or release them, within that time; claims nothing more."""
