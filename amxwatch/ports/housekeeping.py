"""Forgetting what is old in the ledger, a little at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Room:
    """What the ledger takes on the disk; `free` of it holds nothing and can be given back."""

    taken: int
    free: int

    @property
    def used(self) -> int:
        return self.taken - self.free


class Housekeeping(Protocol):
    """Each call forgets at most `limit` rows, the oldest first, and returns how many.

    Whatever the age, all that is open is kept, and what a review, an apply, an undo or the
    coverage goes by: drafts but for superseded and withdrawn ones, and the runs that made them.
    """

    def replies(self, before: datetime, limit: int) -> int:
        """Forget texts of models, but of runs that are open or have a draft still to be settled.

        A request that is made again after that is asked, and paid, again.
        """

    def events(self, before: datetime, limit: int) -> int:
        """Forget lines of the trail, but those of open runs."""

    def history(self, before: datetime, limit: int) -> int:
        """Forget ended runs but each schedule's last, spent drafts, and alerts that are over."""

    def room(self) -> Room: ...

    def give_back(self, size: int) -> None:
        """Give about so many free bytes back to the disk."""
