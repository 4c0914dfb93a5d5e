"""Continuous sessions: the open ones and those that have ended."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from amxwatch.core.continuous import Session, SessionId


class Sessions(Protocol):
    """Every session there ever was."""

    def start(self, session: Session) -> bool:
        """Store a new session, and say whether it is new.

        False, and nothing is written, where its owner has an open one, or where its `due_key`
        started one already.
        """

    def get(self, session_id: SessionId) -> Session:
        """Raises: NotFoundError."""

    def put(self, session: Session) -> None:
        """Store what a session came to. Raises: NotFoundError."""

    def open(self) -> list[Session]:
        """Return the open ones, the newest first."""

    def open_of(self, owner_type: str, owner_id: str) -> Session | None: ...

    def spent(self, session: Session) -> Decimal:
        """Return the known cost in USD of all its runs so far."""
