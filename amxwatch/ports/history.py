"""Questions about many past runs at once, answered by the ledger without reading each."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from amxwatch.core.event import Event
from amxwatch.core.run import Run


class History(Protocol):
    """The runs and the trail of schedules over a window of time."""

    def of(self, schedule: str, since: datetime) -> list[Run]:
        """Return a schedule's runs that were queued since, newest first, without limit."""

    def outcomes(self, since: datetime, *, schedule: str | None) -> dict[str, tuple[int, int]]:
        """Return, by schedule, how many of the runs queued since completed, and how many failed.

        A schedule without either is absent. `schedule` asks for one alone.
        """

    def trail(self, schedule: str, actions: frozenset[str], limit: int) -> list[Event]:
        """Return the newest events of a schedule with one of these actions, newest first."""
