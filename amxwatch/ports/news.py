"""What happened while nobody looked, told to a person once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Untold:
    """Runs that were recovered and schedules that missed a firing since a person was last told.

    `upto` is the id of the newest event among them, to be marked as told. `held` says that some
    run is in a worker's hands; whether that worker is alive is for the engine to find out.
    """

    recovered: Sequence[str]
    missed: Sequence[str]
    upto: int
    held: bool


class News(Protocol):
    """Remembers up to which event a person was told."""

    def untold(self) -> Untold:
        """Return what is new. A missed firing that was dismissed or run meanwhile is not."""

    def mark(self, upto: int) -> bool:
        """Note that all up to this event was told; False where another process was quicker."""
