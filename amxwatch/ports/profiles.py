"""How tables looked when they were sampled last: a rerun need not ask again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from amxwatch.core.catalog import ObjectRef


@dataclass(frozen=True, kw_only=True)
class KeptProfile:
    """One table's statistics as text, and when they were made from how many rows.

    `key` stands for the table's structure and for how it was looked at: where either has moved,
    the statistics are of something else.
    """

    ref: ObjectRef
    key: str
    at: datetime
    rows: int
    statistics: str


class Profiles(Protocol):
    """The newest profile of each table, by db profile."""

    def get(self, db_profile: str, table_ref: ObjectRef) -> KeptProfile | None:
        """Return what was kept of this table last."""

    def keep(self, db_profile: str, profile: KeptProfile) -> None:
        """Remember how a table looked; the look before it is forgotten."""

    def forget(self, db_profile: str) -> int:
        """Drop all profiles of a db profile, and say how many there were."""
