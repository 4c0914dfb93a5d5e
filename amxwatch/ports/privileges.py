"""Whether we may write comments. Optional: a database has it as `privileges`, or not at all."""

from __future__ import annotations

from typing import Protocol


class Privileges(Protocol):
    """Says beforehand what a write would be refused for."""

    async def missing(self) -> tuple[str, ...]:
        """Return the statements that an administrator must run so that we may comment on all.

        Empty where nothing is missing. Changes nothing. Raises: DatabaseError.
        """
