"""A draft: proposed descriptions for one object, and the moves from draft to comment."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from amxwatch.core.catalog import ObjectId, ObjectRef, ObjectType
from amxwatch.core.errors import TransitionError
from amxwatch.core.run import RunId

DraftId = NewType("DraftId", int)


class Band(enum.StrEnum):
    """How far a draft can be trusted, in one word."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class DraftSource(enum.StrEnum):
    """Where the words come from."""

    MODEL = "model"
    RULES = "rules"
    """The builtin drafter, which has no model."""
    CARRIED = "carried"
    """The accepted description of the object's former name."""
    INHERITED = "inherited"
    """The description of the one column that a view hands through."""


class DraftStatus(enum.StrEnum):
    """Where a draft stands between its making and its comment."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    EDITED = "edited"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    CONFLICT = "conflict"
    """Someone else changed the comment since the draft; a person decides."""
    WRITING = "writing"
    """The intent to write is recorded; whether the database took it is not yet known."""
    WRITTEN = "written"
    UNDONE = "undone"


class DraftEvent(enum.StrEnum):
    """What can happen to a draft."""

    ACCEPT = "accept"
    EDIT = "edit"
    REJECT = "reject"
    SUPERSEDE = "supersede"
    """A newer draft took the place of one that waits."""
    REPLACE = "replace"
    """A newer text was accepted before the one that was accepted earlier was written."""
    WITHDRAW = "withdraw"
    INTEND = "intend"
    RESTORE = "restore"
    """Its comment went missing since: it is to be written once more."""
    WRITE = "write"
    FAIL = "fail"
    CONFLICT = "conflict"
    UNDO = "undo"
    REOPEN = "reopen"


APPLICABLE = frozenset({DraftStatus.ACCEPTED, DraftStatus.EDITED})
"""What `apply` takes."""

REVIEWABLE = frozenset({DraftStatus.PENDING, DraftStatus.CONFLICT})
"""What `review` shows."""

TRANSITIONS: dict[tuple[DraftStatus, DraftEvent], DraftStatus] = {
    (DraftStatus.PENDING, DraftEvent.ACCEPT): DraftStatus.ACCEPTED,
    (DraftStatus.PENDING, DraftEvent.EDIT): DraftStatus.EDITED,
    (DraftStatus.PENDING, DraftEvent.REJECT): DraftStatus.REJECTED,
    (DraftStatus.PENDING, DraftEvent.SUPERSEDE): DraftStatus.SUPERSEDED,
    (DraftStatus.PENDING, DraftEvent.WITHDRAW): DraftStatus.WITHDRAWN,
    (DraftStatus.CONFLICT, DraftEvent.ACCEPT): DraftStatus.ACCEPTED,
    (DraftStatus.CONFLICT, DraftEvent.EDIT): DraftStatus.EDITED,
    (DraftStatus.CONFLICT, DraftEvent.REJECT): DraftStatus.REJECTED,
    (DraftStatus.CONFLICT, DraftEvent.SUPERSEDE): DraftStatus.SUPERSEDED,
    (DraftStatus.CONFLICT, DraftEvent.WITHDRAW): DraftStatus.WITHDRAWN,
    (DraftStatus.ACCEPTED, DraftEvent.REPLACE): DraftStatus.SUPERSEDED,
    (DraftStatus.EDITED, DraftEvent.REPLACE): DraftStatus.SUPERSEDED,
    (DraftStatus.ACCEPTED, DraftEvent.WITHDRAW): DraftStatus.WITHDRAWN,
    (DraftStatus.EDITED, DraftEvent.WITHDRAW): DraftStatus.WITHDRAWN,
    (DraftStatus.ACCEPTED, DraftEvent.REOPEN): DraftStatus.PENDING,
    (DraftStatus.EDITED, DraftEvent.REOPEN): DraftStatus.PENDING,
    (DraftStatus.REJECTED, DraftEvent.REOPEN): DraftStatus.PENDING,
    (DraftStatus.ACCEPTED, DraftEvent.CONFLICT): DraftStatus.CONFLICT,
    (DraftStatus.EDITED, DraftEvent.CONFLICT): DraftStatus.CONFLICT,
    (DraftStatus.ACCEPTED, DraftEvent.INTEND): DraftStatus.WRITING,
    (DraftStatus.EDITED, DraftEvent.INTEND): DraftStatus.WRITING,
    (DraftStatus.WRITING, DraftEvent.WRITE): DraftStatus.WRITTEN,
    (DraftStatus.WRITING, DraftEvent.FAIL): DraftStatus.ACCEPTED,
    (DraftStatus.WRITING, DraftEvent.CONFLICT): DraftStatus.CONFLICT,
    (DraftStatus.WRITING, DraftEvent.WITHDRAW): DraftStatus.WITHDRAWN,
    (DraftStatus.WRITTEN, DraftEvent.RESTORE): DraftStatus.WRITING,
    (DraftStatus.WRITTEN, DraftEvent.UNDO): DraftStatus.UNDONE,
}


def after(status: DraftStatus, event: DraftEvent) -> DraftStatus:
    """Return the status that `event` leads to.

    Raises: TransitionError where the table has no such move.
    """
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise TransitionError(f"a draft that is {status} cannot {event}") from None


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Proposed descriptions for one object.

    `alternatives` are best first. `base_comment` is the comment that stood when the draft was
    made: apply overwrites that one and no other. `input_hash` stands for everything the words
    depend on, so that a rejected draft stays rejected until it moves. `text` is what a reviewer
    chose. `written_text` is what was read back from the database after the write; `undone_at`
    says when what stood before was put back, since when that is remembered.
    """

    id: DraftId
    run_id: RunId
    db_profile: str
    object_id: ObjectId
    object_type: ObjectType
    ref: ObjectRef
    status: DraftStatus
    source: DraftSource
    alternatives: tuple[str, ...]
    confidence: float
    band: Band
    flags: tuple[str, ...] = ()
    base_comment: str | None = None
    input_hash: str
    created_at: datetime
    text: str | None = None
    choice: int | None = None
    reviewed_at: datetime | None = None
    written_at: datetime | None = None
    written_text: str | None = None
    undone_at: datetime | None = None
    owner: str | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class NewDraft:
    """A draft before the ledger has given it an id."""

    object_type: ObjectType
    ref: ObjectRef
    source: DraftSource
    alternatives: tuple[str, ...]
    confidence: float
    band: Band
    flags: tuple[str, ...] = ()
    base_comment: str | None = None
    input_hash: str
