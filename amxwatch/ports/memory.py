"""What persistent schedules carry from run to run."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from amxwatch.core.catalog import ObjectRef
from amxwatch.core.draft import Draft


class Memory(Protocol):
    """By schedule: how its drafts were answered, and how each table looked last."""

    def reviewed(self, schedule: str, *, limit: int) -> list[Draft]:
        """Return the drafts of its runs that were reviewed last, newest first.

        What `review_strategy = "auto"` accepted was no person's answer and is left out.
        """

    def statistics(self, schedule: str, table_ref: ObjectRef) -> str | None:
        """Return what `keep` was given last for this table."""

    def keep(self, schedule: str, table_ref: ObjectRef, text: str, at: datetime) -> None:
        """Remember how a table looked; the look before it is forgotten."""

    def forget(self, schedule: str) -> None:
        """Drop what is remembered of how tables looked."""
