"""What a handler is given: its run, fenced."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

from amxwatch.core.errors import AmxwatchError, FencedError, RunCancelledError
from amxwatch.core.run import Paid, Run, RunStatus
from amxwatch.ports.clock import Clock
from amxwatch.ports.ledger import Ledger, Tx

T = TypeVar("T")

COMMIT_SECONDS = 35.0
"""How long a paid reply may take to be committed while the run is being cancelled.

Longer than the ledger's own patience, so that it is the ledger which gives up, and says why.
"""


class HeldRun:
    """Implements `ports.engine.RunContext` for one claim of a run."""

    def __init__(
        self, run: Run, *, ledger: Ledger, clock: Clock, stopping: Callable[[], bool]
    ) -> None:
        self._run = run
        self._ledger = ledger
        self._clock = clock
        self._stopping = stopping
        self._asked: dict[str, anyio.Lock] = {}
        self.has_asked = False
        """Whether a request may be in flight, of which the end of the run has to tell."""

    @property
    def run(self) -> Run:
        return self._run

    @property
    def stopping(self) -> bool:
        return self._stopping()

    async def once(self, key: str, pay: Callable[[], Awaitable[Paid]]) -> str:
        self.has_asked = True
        # Two tasks of one run that ask the same share one payment.
        async with self._asked.setdefault(key, anyio.Lock()):
            recorded = await self.write(lambda tx: self._begin(tx, key))
            self._raise_if_cancelled()
            return await self._pay(key, pay) if recorded is None else recorded

    async def remember(self, key: str, make: Callable[[], Awaitable[str]]) -> str:
        recorded = await self._ledger.read(lambda tx: tx.steps.recorded(key))
        if recorded is not None:
            return recorded
        text, at = await make(), self._clock.now()
        await self.write(lambda tx: tx.steps.keep(key, self._run.id, text, at))
        return text

    async def check(self) -> None:
        self.see(await self._ledger.read(lambda tx: tx.runs.get(self._run.id)))
        self._raise_if_cancelled()

    async def write(self, work: Callable[[Tx], T]) -> T:
        def fenced(tx: Tx) -> tuple[T, Run]:
            self._fence(tx.runs.get(self._run.id))
            return work(tx), tx.runs.get(self._run.id)

        result, run = await self._ledger.write(fenced)
        self._run = run
        return result

    async def update(self, **values: Any) -> None:
        await self.write(lambda tx: tx.runs.update(self._run.id, self._run.token, **values))

    def _begin(self, tx: Tx, key: str) -> str | None:
        run = tx.runs.get(self._run.id)
        if run.cancel_requested:
            return None  # nothing is begun any more
        return tx.steps.begin(key, run.id, run.token, self._clock.now())

    async def _pay(self, key: str, pay: Callable[[], Awaitable[Paid]]) -> str:
        try:
            paid = await pay()
        except AmxwatchError:
            await self._ledger.write(lambda tx: tx.steps.forget(key, self._run.id))
            raise
        # From here the money is spent: the reply is kept even while we are being cancelled,
        # and even where the run is another's by now.
        with anyio.fail_after(COMMIT_SECONDS, shield=True):
            at = self._clock.now()
            self.see(
                await self._ledger.write(lambda tx: tx.steps.finish(key, self._run.id, paid, at))
            )
        return paid.reply

    def see(self, run: Run) -> None:
        """Take note of the run as the ledger has it. Raises: FencedError."""
        self._fence(run)
        self._run = run

    def start(self) -> None:
        """Begin nothing that was asked to stop before it was claimed. Raises: RunCancelledError."""
        self._raise_if_cancelled()

    def _fence(self, run: Run) -> None:
        if run.token != self._run.token or run.status is not RunStatus.RUNNING:
            raise FencedError(
                f"run {run.id} is {run.status} and no longer this worker's; nothing was written"
            )

    def _raise_if_cancelled(self) -> None:
        if self._run.cancel_requested:
            raise RunCancelledError(f"run {self._run.id} was asked to stop")
