"""The daemon's alerts: found after each turn, told beside it.

They have tasks of their own, so that no poll and no run ever waits for a slow or dead target.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup

from amxwatch.core.errors import StoreError
from amxwatch.daemon.wiring import Install
from amxwatch.flows.alerting import evaluate
from amxwatch.flows.telling import next_due, targets_waiting, tell, tell_all

log = logging.getLogger(__name__)

LAST_SECONDS = 10.0
"""How long a daemon that ends by itself tells what its last runs came to."""

LONGEST_SECONDS = 300.0
"""Even where nothing is due and no turn says so, the outbox is looked at so often."""


class AlertKeeper:
    """Looks for news when told that a turn was taken, and tells each target in its own task.

    Serves once. `is_daemon` says that this process is the one that beats; a standby looks
    whether that one still does.
    """

    def __init__(self, install: Install, *, is_daemon: bool) -> None:
        self._install = install
        self._teller = install.teller(is_daemon=is_daemon)
        self._event = anyio.Event()
        self._busy: set[str] = set()
        self._watching = anyio.CancelScope()
        self._looking = anyio.CancelScope()
        self._served = anyio.Event()

    def look(self) -> None:
        """Say that something may have moved. Returns at once."""
        self._event.set()

    async def serve(self) -> None:
        """Serve until cancelled. What is being told then is told again by the next process."""
        async with anyio.create_task_group() as group:
            with self._looking:
                while True:
                    seconds = await self._once(group)
                    await self._rest(seconds)
        self._served.set()

    async def watch(self, seconds: Callable[[], float]) -> None:
        """Serve and look again and again, until `leave`: a standby takes no turns."""
        with self._watching:
            async with anyio.create_task_group() as group:
                group.start_soon(self.serve)
                while True:
                    self.look()
                    await self._install.clock.sleep(seconds())

    def leave(self) -> None:
        """End `watch`, or let it not begin."""
        self._watching.cancel()

    async def finish(self) -> None:
        """End `serve`, and tell what is left, within a bound."""
        with anyio.move_on_after(LAST_SECONDS):
            self._looking.cancel()
            await self._served.wait()
            await tell_all(self._teller, within=LAST_SECONDS)

    async def _once(self, group: TaskGroup) -> float:
        """Return how many seconds there are until the next delivery is due."""
        self._event = anyio.Event()
        try:
            await evaluate(self._teller)
            for target in await targets_waiting(self._teller):
                if target not in self._busy:
                    self._busy.add(target)
                    group.start_soon(self._tell, target)
            due = await next_due(self._teller)
        except StoreError as error:  # busy, or a full disk: the next look tries again
            log.warning(str(error), extra={"action": "store_failed"})
            return LONGEST_SECONDS
        now = self._install.clock.now()
        if due is None or due <= now:  # what is due is being told; its end wakes us
            return LONGEST_SECONDS
        return min((due - now).total_seconds(), LONGEST_SECONDS)

    async def _tell(self, target: str) -> None:
        told = await tell(self._teller, target)
        self._busy.discard(target)
        if told:
            self._event.set()

    async def _rest(self, seconds: float) -> None:
        async def until_due(scope: anyio.CancelScope) -> None:
            await self._install.clock.sleep(seconds)
            scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(until_due, group.cancel_scope)
            await self._event.wait()
            group.cancel_scope.cancel()
