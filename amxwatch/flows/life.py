"""The life of one object: when it moved, under which names, and when it was described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from amxwatch.core.catalog import ObjectRef, SnapshotNumber
from amxwatch.core.change import Change, ChangeKind, Moved
from amxwatch.core.coverage import Author
from amxwatch.core.draft import Draft, DraftStatus
from amxwatch.core.life import former_name, touching
from amxwatch.flows.described import author_of
from amxwatch.flows.source import Source
from amxwatch.ports.ledger import DraftFilter, Tx

NEEDS_ALL = frozenset({ChangeKind.ADDED, ChangeKind.REMOVED, ChangeKind.KEY_CHANGED})
"""Kinds that only the whole snapshot can tell from a rename, of this object or another."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One line of a life: a change that a snapshot saw, or what became of a draft.

    `what` is a kind of change, or `accepted`, `edited`, `rejected`, `written` or `undone`. `ref`
    is the name of the moment. `author` is known of words: of a comment, whose they were.
    """

    at: datetime
    what: str
    ref: ObjectRef
    snapshot: SnapshotNumber | None = None
    before: object = None
    after: object = None
    confidence: float | None = None
    author: Author | None = None
    draft: Draft | None = None


async def life(source: Source, ref: ObjectRef) -> tuple[Moment, ...]:
    """Return the life of an object, oldest first; nothing where no snapshot ever saw it.

    A name that went and came again has both lives told.
    """
    number = await source.catch_up()
    if number is None:
        return ()
    drafts = await _drafts(source, ref)
    moments = [*await _seen(source, ref, drafts), *_described(drafts)]
    return tuple(sorted(moments, key=_order))


def _order(moment: Moment) -> tuple[datetime, int, int]:
    """Order by time; at one time a change, then the answers to it, then the comment they became."""
    if moment.snapshot is None:
        return (moment.at, 1, 0)
    return (moment.at, 2 if moment.what == ChangeKind.COMMENT_CHANGED else 0, moment.snapshot)


async def _seen(source: Source, ref: ObjectRef, drafts: list[Draft]) -> list[Moment]:
    """Return what the snapshots saw of an object, through its former names."""
    records = await source.ledger.read(lambda tx: tx.snapshots.list(source.profile))
    times = {record.number: record.at for record in records}
    ours = {draft.written_text: author_of(draft) for draft in drafts if draft.written_text}
    found: list[Moment] = []
    name, before = ref, None
    while True:
        former = name
        for number, moved in reversed(await source.history(name)):
            if (before is not None and number >= before) or not _holds(moved, name):
                continue
            changes = await _explained(source, number, moved)
            found += [
                _moment(change, number, times[number], ours) for change in touching(changes, name)
            ]
            former = former_name(changes, name) or name
            if former != name:
                before = number
                break
        if former == name:
            return found
        name = former


def _holds(moved: Moved, ref: ObjectRef) -> bool:
    """Claim that either version of a column's table has it."""
    sides = (table for pair in moved.tables for table in pair if table is not None)
    return not ref.is_column or any(table.column(ref.column) for table in sides)


async def _explained(source: Source, number: SnapshotNumber, moved: Moved) -> tuple[Change, ...]:
    """Explain one step; with all that moved beside it, where that may tell otherwise."""
    alone = source.explain(moved)
    pairs = [(old, new) for old, new in moved.tables if old and new]
    replaced = any(old.native_id != new.native_id for old, new in pairs)
    if not replaced and not NEEDS_ALL.intersection(change.kind for change in alone):
        return alone
    start = SnapshotNumber(number - 1) if number > 1 else None
    return source.explain(await source.moved(start, number))


def _moment(
    change: Change, number: SnapshotNumber, at: datetime, ours: Mapping[str, Author]
) -> Moment:
    author = None
    if change.kind is ChangeKind.COMMENT_CHANGED and change.after:
        author = ours.get(str(change.after), Author.PEOPLE)
    return Moment(
        at=at,
        what=change.kind,
        ref=change.ref,
        snapshot=number,
        before=change.before,
        after=change.after,
        confidence=change.confidence,
        author=author,
    )


async def _drafts(source: Source, ref: ObjectRef) -> list[Draft]:
    """Return every draft of an object, under whatever name it was made."""

    def work(tx: Tx) -> list[Draft]:
        names = tx.objects.names(source.profile)
        own = frozenset(object_id for object_id, name in names.items() if name == ref)
        if not own:
            return []
        return tx.drafts.list(DraftFilter(db_profile=source.profile, objects=own))

    return await source.ledger.read(work)


def _described(drafts: list[Draft]) -> list[Moment]:
    """Return the answers to drafts, the writes, and what was taken back."""
    found = []
    for draft in drafts:
        if draft.reviewed_at is not None:
            found.append(_answered(draft, draft.reviewed_at))
        if draft.written_at is not None:
            found.append(
                Moment(
                    at=draft.written_at,
                    what="written",
                    ref=draft.ref,
                    before=draft.base_comment,
                    after=draft.written_text,
                    author=author_of(draft),
                    draft=draft,
                )
            )
        if draft.undone_at is not None:
            found.append(
                Moment(
                    at=draft.undone_at,
                    what="undone",
                    ref=draft.ref,
                    before=draft.written_text,
                    after=draft.base_comment,
                    draft=draft,
                )
            )
    return found


def _answered(draft: Draft, at: datetime) -> Moment:
    if draft.status is DraftStatus.REJECTED or draft.text is None:
        what, after = "rejected", draft.alternatives[0]
    else:
        what = "accepted" if draft.choice is not None else "edited"
        after = draft.text
    return Moment(
        at=at,
        what=what,
        ref=draft.ref,
        before=draft.base_comment if draft.written_at is None else None,
        after=after,
        author=author_of(draft) if what != "rejected" else None,
        draft=draft,
    )
