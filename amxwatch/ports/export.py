"""Comments in a form that people take elsewhere. Optional: else `statement` is exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from amxwatch.core.catalog import Catalog
from amxwatch.ports.database import CommentTarget


@dataclass(frozen=True, kw_only=True)
class Export:
    """A whole file's text, and the ending that its name is to have (".yml")."""

    ending: str
    text: str


@runtime_checkable
class Exporter(Protocol):
    """A commenter of a source whose comments people keep in files of another kind than SQL."""

    async def export(self, rows: Sequence[tuple[CommentTarget, str | None]]) -> Export:
        """Return one file with all rows. Raises: DatabaseError."""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """One accepted description. `found` is the comment that stands; `statement` would set it."""

    target: CommentTarget
    text: str
    run_id: str
    found: str | None = None
    statement: str | None = None


@dataclass(frozen=True, kw_only=True)
class Dossier:
    """Everything that is accepted in one db profile, in the order of its catalog."""

    profile: str
    product: str
    at: datetime
    catalog: Catalog
    rows: tuple[Accepted, ...]

    @property
    def differing(self) -> tuple[Accepted, ...]:
        """The rows whose comment does not read like that now."""
        return tuple(row for row in self.rows if row.found != row.text)
