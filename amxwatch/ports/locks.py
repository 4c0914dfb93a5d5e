"""Objects whose descriptions nobody but a person touches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from amxwatch.core.catalog import ObjectRef


class Locks(Protocol):
    """By db profile. A lock follows its object's renames and goes with it."""

    def put(self, profile: str, refs: Sequence[ObjectRef], at: datetime) -> list[ObjectRef]:
        """Lock objects; returns those that were not locked before."""

    def drop(self, profile: str, refs: Sequence[ObjectRef]) -> list[ObjectRef]:
        """Unlock objects; returns those that were locked."""

    def list(self, profile: str) -> dict[ObjectRef, datetime]:
        """Return what is locked, under its name of today, and since when."""
