"""Letting a database announce its changes. Optional: a database has it as `ddl_watch`, or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class DdlWatchPlan:
    """What stands now, and the statements that would change it; none where nothing is to be done.

    `installed` says that the database announces every change of its schemas at this moment.
    `obstacle` says why it cannot, and how to mend that, or is None.
    """

    installed: bool
    statements: tuple[str, ...] = ()
    obstacle: str | None = None


class DdlWatch(Protocol):
    """Installs what announces changes to `Hints`, and takes it away again without a trace.

    What it installs must never be the reason why somebody's statement fails.
    """

    async def plan(self, *, install: bool) -> DdlWatchPlan:
        """Say what stands, and what installing (else removing) would run. Changes nothing.

        Raises: DatabaseError.
        """

    async def execute(self, plan: DdlWatchPlan) -> None:
        """Run a plan's statements, all or none.

        Raises: StatementRefusedError where a right is missing: it says which; DatabaseError.
        """
