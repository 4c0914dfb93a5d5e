"""What a run has paid for."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from amxwatch.core.run import Paid, Run, RunId


class Steps(Protocol):
    """Paid replies, by key, for ever."""

    def begin(self, key: str, run_id: RunId, token: int, at: datetime) -> str | None:
        """Return the recorded reply; else note that a request is in flight and return None.

        Raises: FencedError.
        """

    def finish(self, key: str, run_id: RunId, paid: Paid, at: datetime) -> Run:
        """Record the reply, add its cost to the run's totals, and return the run.

        A reply that is already there stays, and this is not an error. Not fenced: what was
        paid is kept and counted, whoever holds the run by now.
        """

    def recorded(self, key: str) -> str | None: ...

    def keep(self, key: str, run_id: RunId, text: str, at: datetime) -> None:
        """Record a text that cost nothing. One that is already there stays."""

    def forget(self, key: str, run_id: RunId) -> None:
        """Drop the in-flight note of a request that surely was not answered."""

    def lost(self, run_id: RunId) -> list[str]:
        """Return, sorted, and clear the keys that were in flight when the worker left or died."""
