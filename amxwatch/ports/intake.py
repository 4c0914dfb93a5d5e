"""The intake queue: items of work, and the git refs that were seen."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from amxwatch.core.intake import IntakeEvent, IntakeId, IntakeItem, IntakeState


@dataclass(frozen=True, kw_only=True)
class IntakeFilter:
    """Which items to list: the most urgent first, then the oldest.

    `untriaged` asks for new items that nobody has looked at yet (they have no `reason`).
    """

    states: frozenset[IntakeState] | None = None
    untriaged: bool = False
    db_profile: str | None = None
    run_id: str | None = None
    session: str | None = None
    limit: int = 100


class Intake(Protocol):
    """Every signal that ever became work."""

    def add(self, item: IntakeItem) -> IntakeItem:
        """Store an item, or return the one that the same signal made already.

        That is the item with its `signal`, open or ended, or else the open one with its
        `dedupe_key`. The caller knows by the id. Raises: nothing else.
        """

    def get(self, item_id: IntakeId) -> IntakeItem:
        """Raises: NotFoundError."""

    def list(self, which: IntakeFilter) -> list[IntakeItem]: ...

    def move(self, item_id: IntakeId, event: IntakeEvent, **values: Any) -> IntakeItem:
        """Make a move of `core.intake.TRANSITIONS` and set fields with it.

        A rejected item does not come back while an open one has its `dedupe_key`.
        Raises: TransitionError, NotFoundError; nothing is changed then.
        """

    def next_approved(
        self,
        *,
        now: datetime,
        session: str | None = None,
        leave: frozenset[str] = frozenset(),
        limit: int = 1,
    ) -> builtins.list[IntakeItem]:
        """Return the approved items that may be planned now: most urgent first, then oldest.

        Those that are reserved for another session than `session`, and those of the db profiles
        in `leave`, are passed over. To take one, make the move PLAN (with `run_id`, and
        `session` and `schedule` where a session takes it) in the same transaction that puts the
        run; to keep one for a session, RESERVE it with `session=…` and FREE it with
        `session=None`.
        """

    def count(self) -> dict[IntakeState, int]:
        """Return how many items are in each open state; a state without any is absent."""


class GitRefs(Protocol):
    """The commit of each watched git ref that the last item, or the first look, went up to."""

    def get(self, watch: str) -> str | None:
        """Return the commit; None before the first look."""

    def advance(self, watch: str, before: str | None, after: str) -> bool:
        """Remember `after` where `before` still stands, and say whether it did."""
