"""Many answers of a reviewer at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from amxwatch.core.draft import Draft, DraftEvent, DraftId


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One draft and what was answered; of an accepted one the text, and which one it was."""

    draft: Draft
    event: DraftEvent
    text: str | None = None
    choice: int | None = None


class Answers(Protocol):
    """The moves of reviewers, some thousands in one statement."""

    def give(self, answers: Sequence[Answer], action: str, at: datetime) -> list[DraftId]:
        """Make each move and write one event of `action` for it; returns the drafts that moved.

        A draft that does not stand any more as `Answer.draft` says is left as it is. Where an
        answer accepts a text, what was accepted for the same object before and not yet written
        is superseded.
        """
