"""A clock that stands still until it is turned."""

from __future__ import annotations

import heapq
from datetime import datetime, timedelta
from itertools import count

import anyio
import anyio.lowlevel


class ManualClock:
    """Implements `ports.clock.Clock`; `advance` moves it and wakes who was waiting, in order."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._start = start
        self._order = count()
        self._waiting: list[tuple[datetime, int, anyio.Event]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start).total_seconds()

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        woken = anyio.Event()
        until = self._now + timedelta(seconds=seconds)
        heapq.heappush(self._waiting, (until, next(self._order), woken))
        await woken.wait()

    def advance(self, by: timedelta) -> None:
        """Move the clock forward and wake every sleeper whose time has come, earliest first."""
        self._now += by
        while self._waiting and self._waiting[0][0] <= self._now:
            heapq.heappop(self._waiting)[2].set()
