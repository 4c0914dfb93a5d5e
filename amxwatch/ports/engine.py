"""When and where a queued run is executed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from amxwatch.core.run import Outcome, Paid, Run, RunId, Slots
from amxwatch.ports.ledger import Tx

T = TypeVar("T")


class RunContext(Protocol):
    """What a handler is given: its run, and the only ways to write on its behalf.

    Everything written goes through the fencing token; a worker that was taken over gets
    FencedError from its next call.
    """

    @property
    def run(self) -> Run:
        """The run as last seen; its totals move with each reply."""

    @property
    def stopping(self) -> bool:
        """True once the worker was asked to leave: finish what is in flight, start nothing."""

    async def once(self, key: str, pay: Callable[[], Awaitable[Paid]]) -> str:
        """Return the recorded reply for `key`, else await `pay`, commit its reply, return it.

        A recorded reply is never paid again, whichever process asks; its cost is committed in
        the same transaction. That a request is in flight is recorded first, so that a kill is
        known afterwards (event `reply_lost`). `pay` says by an AmxwatchError that no answer
        came. Raises: RunCancelledError, FencedError (what was paid is kept even then).
        """

    async def remember(self, key: str, make: Callable[[], Awaitable[str]]) -> str:
        """Return the text that is remembered under `key`, else make it and remember it.

        For what costs nothing but must be the same after a recovery. Raises: FencedError.
        """

    async def check(self) -> None:
        """Raise RunCancelledError or FencedError when that is so."""

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in one transaction of the ledger, if the run is still ours.

        Raises: FencedError, and nothing is written; whatever `work` raises.
        """

    async def update(self, **values: Any) -> None:
        """Set fields of the run (`to_snapshot`, counters). Raises: FencedError."""


Handler = Callable[[RunContext], Awaitable[Outcome]]
"""Executes one run. Raising RunBlockedError blocks it, any AmxwatchError fails it.

The word RUN in the recovery action of a RunBlockedError stands for the run's id.
"""


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
