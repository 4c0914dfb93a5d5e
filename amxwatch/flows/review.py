"""A person's word on a draft: accept an alternative, write their own text, skip, or reject."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from amxwatch.core import draft as drafts
from amxwatch.core.comment import inspect
from amxwatch.core.draft import Band, Draft, DraftEvent, DraftId, DraftStatus
from amxwatch.core.errors import UsageError
from amxwatch.ports.answers import Answer
from amxwatch.ports.clock import Clock
from amxwatch.ports.ledger import DraftFilter, Ledger, Tx

ANSWERED = frozenset({DraftStatus.ACCEPTED, DraftStatus.EDITED, DraftStatus.REJECTED})
"""What an answer made, and can be taken back."""


class Strategy(enum.StrEnum):
    """How a whole queue is answered at once."""

    ONE_BY_ONE = "one-by-one"
    ACCEPT_ALL_HIGH = "accept-all-high"
    ACCEPT_ALL = "accept-all"
    REJECT_ALL = "reject-all"


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What a strategy did. `left` stay in the queue; `moved` are those that do not."""

    accepted: int = 0
    rejected: int = 0
    left: int = 0
    moved: tuple[DraftId, ...] = ()


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
    """Answer every waiting draft by a rule, all in one transaction.

    Bulk acceptance leaves drafts that are flagged (a person's comment stands there, or the
    words are suspect): those are answered one by one. `accept-all-high` takes only `high`.
    What somebody else answered meanwhile stays as they said, and counts as left.
    """
    now = clock.now()
    accepted = [_first(draft) for draft in waiting if _takes(strategy, draft)]
    rejected = [
        Answer(draft=draft, event=DraftEvent.REJECT)
        for draft in waiting
        if strategy is Strategy.REJECT_ALL
    ]

    def work(tx: Tx) -> tuple[tuple[DraftId, ...], tuple[DraftId, ...]]:
        return (
            tuple(tx.answers.give(accepted, _ACTIONS[DraftEvent.ACCEPT], now)),
            tuple(tx.answers.give(rejected, _ACTIONS[DraftEvent.REJECT], now)),
        )

    taken, turned_down = await ledger.write(work)
    return Tally(
        accepted=len(taken),
        rejected=len(turned_down),
        left=len(waiting) - len(taken) - len(turned_down),
        moved=taken + turned_down,
    )


def _first(draft: Draft) -> Answer:
    return Answer(draft=draft, event=DraftEvent.ACCEPT, text=draft.alternatives[0], choice=1)


def _takes(strategy: Strategy, draft: Draft) -> bool:
    """Claim that bulk acceptance may take this draft."""
    if draft.flags or draft.status is DraftStatus.CONFLICT or not draft.alternatives:
        return False
    return strategy is Strategy.ACCEPT_ALL or (
        strategy is Strategy.ACCEPT_ALL_HIGH and draft.band is Band.HIGH
    )


async def take_back(ledger: Ledger, clock: Clock, moved: Sequence[DraftId]) -> list[Draft]:
    """Put answered drafts back into the queue, all at once; returns those that wait again.

    What was written meanwhile, or is being written, stays: `apply --undo` is for that.
    """
    now = clock.now()

    def work(tx: Tx) -> list[Draft]:
        found = tx.drafts.list(DraftFilter(ids=frozenset(moved), statuses=ANSWERED))
        again = [Answer(draft=draft, event=DraftEvent.REOPEN) for draft in found]
        tx.answers.give(again, _ACTIONS[DraftEvent.REOPEN], now)
        return found

    return await ledger.write(work)


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
    answer = Answer(draft=found, event=event, text=text, choice=choice)
    tx.answers.give([answer], _ACTIONS[event], now)
    return tx.drafts.get(found.id)


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
