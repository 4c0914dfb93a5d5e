"""Comments in a form that people take elsewhere. Optional: else `statement` is exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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
