"""Time that costs nothing: an event loop whose waits are over at once."""

from __future__ import annotations

import asyncio
from asyncio import base_events
from datetime import datetime, timedelta
from typing import Any


class StuckError(BaseException):
    """Everything waits for something that nobody will do."""


class _Nothing:
    """Stands where the loop asks the operating system to wait."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise StuckError("every task waits, and no timer is set")
        self._loop.skip(timeout)
        return []


class VirtualLoop(base_events.BaseEventLoop):
    """Runs what is ready; where nothing is, the clock goes on to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Nothing(self)
        self._virtual = 0.0

    def time(self) -> float:
        return self._virtual

    def skip(self, seconds: float) -> None:
        """Let time pass at a stroke: what was due meanwhile is late."""
        self._virtual += seconds

    def _process_events(self, events: list[Any]) -> None:
        """There are none: nothing outside of the loop exists."""

    def _write_to_self(self) -> None:
        """Nobody sleeps, so nobody is woken."""


class WallClock:
    """What the clock on the wall shows; it can be set. All processes see the same one."""

    def __init__(self, loop: VirtualLoop, start: datetime) -> None:
        self._loop = loop
        self._start = start
        self.offset = timedelta(0)

    def now(self) -> datetime:
        return self._start + self.offset + timedelta(microseconds=int(self._loop.time() * 1e6))

    def set(self, by: timedelta) -> None:
        self.offset += by


def virtual() -> VirtualLoop:
    """Return the running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop
