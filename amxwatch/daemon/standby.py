"""Who owns the heartbeat: one daemon of an install serves it, the others stand by.

The operating system frees the lock when its owner ends, however it ends, so the first one that
asks then takes over; nothing is asked of clocks or of a heartbeat's age.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from filelock import FileLock, Timeout

from amxwatch.core.errors import StoreBusyError, StoreError
from amxwatch.ports.clock import Clock
from amxwatch.ports.ledger import Ledger
from amxwatch.settings.folder import Folder

LOOK_SECONDS = 1.0
"""How often the lock is asked for, where the polls are not more frequent."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The daemon that owns the heartbeat, as far as its record tells."""

    pid: int | None = None
    host: str | None = None
    since: datetime | None = None

    def document(self) -> dict[str, object]:
        """Return what a line of `daemon --json` says under `standby`."""
        since = None if self.since is None else self.since.isoformat()
        return {"pid": self.pid, "host": self.host, "since": since}

    def __str__(self) -> str:
        if self.pid is None or self.since is None:
            return "another daemon"
        since = f"{self.since:%Y-%m-%d %H:%M} UTC"
        return f"another daemon (pid {self.pid} on {self.host}, since {since})"


@dataclass(frozen=True, kw_only=True)
class Standby:
    """Waits for the heartbeat of one install. `told` is called for each other owner that is met.

    `max_cycles` polls are waited at most; `alive` is called at each look.
    """

    folder: Folder
    ledger: Ledger
    clock: Clock
    poll_seconds: Callable[[], float]
    max_cycles: int | None
    told: Callable[[Holder], None]
    alive: Callable[[], object]

    async def own(self) -> FileLock:
        """Return the lock once it is ours. Raises: StoreBusyError after `max_cycles` polls."""
        lock = FileLock(self.folder.path / "daemon.lock", timeout=0)
        known: Holder | None = None
        cycle, next_poll = 0, self.clock.monotonic()
        while not _acquired(lock):
            holder = await self._holder()
            if holder != known:
                self.told(holder)
                known = holder
            if self.clock.monotonic() >= next_poll:
                cycle, next_poll = cycle + 1, next_poll + self.poll_seconds()
                if self.max_cycles is not None and cycle >= self.max_cycles:
                    raise StoreBusyError(
                        f"{holder} already runs for {self.folder.path}; see it with:"
                        " amxwatch status"
                    )
            self.alive()
            await self.clock.sleep(min(LOOK_SECONDS, self.poll_seconds()))
        return lock

    async def _holder(self) -> Holder:
        try:
            state = await self.ledger.read(lambda tx: tx.installation.daemon())
        except StoreError:
            return Holder()
        if state is None or state.stopped_at is not None:
            return Holder()
        host = state.owner.split("/", 1)[0]
        return Holder(pid=state.pid, host=host, since=state.started_at)


def _acquired(lock: FileLock) -> bool:
    try:
        lock.acquire()
    except Timeout:
        return False
    return True
