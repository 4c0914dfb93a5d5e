"""A person's word on a draft: accept an alternative, write their own text, skip, or reject."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from amxwatch.core import draft as drafts
from amxwatch.core.comment import inspect
from amxwatch.core.draft import Band, Draft, DraftEvent, DraftId, DraftStatus
from amxwatch.core.errors import NotFoundError, TransitionError, UsageError
from amxwatch.ports.clock import Clock
from amxwatch.ports.ledger import DraftFilter, Ledger, Tx


class Strategy(enum.StrEnum):
    """How a whole queue is answered at once."""

    ONE_BY_ONE = "one-by-one"
    ACCEPT_ALL_HIGH = "accept-all-high"
    ACCEPT_ALL = "accept-all"
    REJECT_ALL = "reject-all"


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What a strategy did. `left` stay in the queue."""

    accepted: int = 0
    rejected: int = 0
    left: int = 0


async def queue(ledger: Ledger, *, profile: str | None, run_id: str | None) -> list[Draft]:
    """Return what waits for review, in the order of the catalog."""
    which = DraftFilter(
        statuses=drafts.REVIEWABLE,
        db_profile=profile,
        run_id=run_id,  # type: ignore[arg-type]  # a RunId as typed by a person
    )
    return await ledger.read(lambda tx: tx.drafts.list(which))


async def accept(ledger: Ledger, clock: Clock, draft_id: DraftId, *, choice: int = 1) -> Draft:
    """Accept the alternative number `choice`, counted from 1.

    Raises: UsageError for a number that is not there; TransitionError for a settled draft.
    """
    now = clock.now()

    def work(tx: Tx) -> Draft:
        found = tx.drafts.get(draft_id)
        if not 1 <= choice <= len(found.alternatives):
            raise UsageError(
                f"draft {draft_id} has no alternative {choice}; choose 1 to "
                f"{len(found.alternatives)}, or give your own --text"
            )
        text = found.alternatives[choice - 1]
        return _decide(tx, found, DraftEvent.ACCEPT, now, text=text, choice=choice)

    return await ledger.write(work)


async def edit(ledger: Ledger, clock: Clock, draft_id: DraftId, text: str) -> Draft:
    """Accept the reviewer's own text.

    Raises: UsageError for text that no database could hold.
    """
    now = clock.now()
    clean = own_text(text)
    return await ledger.write(
        lambda tx: _decide(tx, tx.drafts.get(draft_id), DraftEvent.EDIT, now, text=clean)
    )


def own_text(text: str) -> str:
    """Return a reviewer's text, trimmed. Raises: UsageError where it is empty or unholdable."""
    stripped = text.strip()
    if not stripped:
        raise UsageError('the text is empty; to turn a draft down, reject it ("r" or --reject)')
    try:
        inspect(stripped)
    except ValueError as error:
        raise UsageError(f"this text cannot be a comment: {error}") from None
    return stripped


async def reject(ledger: Ledger, clock: Clock, draft_id: DraftId) -> Draft:
    """Turn a draft down; it is not made again until its input changes."""
    now = clock.now()
    return await ledger.write(
        lambda tx: _decide(tx, tx.drafts.get(draft_id), DraftEvent.REJECT, now)
    )


async def reopen(ledger: Ledger, clock: Clock, draft_id: DraftId) -> Draft:
    """Take an answer back, as long as it was not written: the draft waits again."""
    now = clock.now()
    return await ledger.write(
        lambda tx: _decide(tx, tx.drafts.get(draft_id), DraftEvent.REOPEN, now)
    )


async def skip(ledger: Ledger, clock: Clock, draft_id: DraftId) -> None:
    """Leave a draft pending; only the audit trail remembers."""
    now = clock.now()

    def work(tx: Tx) -> None:
        found = tx.drafts.get(draft_id)
        _note(tx, found, "draft_skipped", now)

    await ledger.write(work)


async def by_strategy(
    ledger: Ledger, clock: Clock, strategy: Strategy, waiting: Sequence[Draft]
) -> Tally:
    """Answer every waiting draft by a rule, each in its own transaction.

    Bulk acceptance leaves drafts that are flagged (a person's comment stands there, or the
    words are suspect): those are answered one by one. `accept-all-high` takes only `high`.
    """
    accepted = rejected = left = 0
    for draft in waiting:
        event = _answer(strategy, draft)
        try:
            if event is DraftEvent.ACCEPT:
                await accept(ledger, clock, draft.id)
                accepted += 1
            elif event is DraftEvent.REJECT:
                await reject(ledger, clock, draft.id)
                rejected += 1
            else:
                left += 1
        except (TransitionError, NotFoundError):
            left += 1  # someone else answered it meanwhile; their word stands
    return Tally(accepted=accepted, rejected=rejected, left=left)


def _answer(strategy: Strategy, draft: Draft) -> DraftEvent | None:
    if strategy is Strategy.REJECT_ALL:
        return DraftEvent.REJECT
    if draft.flags or draft.status is DraftStatus.CONFLICT:
        return None
    if strategy is Strategy.ACCEPT_ALL:
        return DraftEvent.ACCEPT
    if strategy is Strategy.ACCEPT_ALL_HIGH and draft.band is Band.HIGH:
        return DraftEvent.ACCEPT
    return None


def is_automatic(draft: Draft) -> bool:
    """Claim that `review_strategy = "auto"` may accept this draft: not `low`, not flagged."""
    return draft.band is not Band.LOW and not draft.flags


_ACTIONS = {
    DraftEvent.ACCEPT: "draft_accepted",
    DraftEvent.EDIT: "draft_edited",
    DraftEvent.REJECT: "draft_rejected",
    DraftEvent.REOPEN: "draft_reopened",
}


def _decide(
    tx: Tx,
    found: Draft,
    event: DraftEvent,
    now: datetime,
    *,
    text: str | None = None,
    choice: int | None = None,
) -> Draft:
    moved = tx.drafts.move(found.id, event, text=text, choice=choice, reviewed_at=now, error=None)
    _note(tx, moved, _ACTIONS[event], now)
    return moved


def _note(tx: Tx, draft: Draft, action: str, now: datetime) -> None:
    tx.events.add(
        action,
        at=now,
        run_id=draft.run_id,
        db_profile=draft.db_profile,
        draft=draft.id,
        object=str(draft.ref),
        choice=draft.choice,
    )
