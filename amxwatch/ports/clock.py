"""Time, passed in."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Says what time it is, and waits."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds from some fixed moment; never goes back. For durations."""

    async def sleep(self, seconds: float) -> None:
        """Wait that long; 0 or less still lets others run. Cancellation is honoured at once."""
