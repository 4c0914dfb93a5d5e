"""Say what applying would do: one row for each accepted draft, judged by its live comment."""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from amxwatch.core.catalog import Catalog, ObjectId, ObjectRef, ObjectType
from amxwatch.core.draft import APPLICABLE, Draft, DraftStatus
from amxwatch.core.errors import StatementRefusedError
from amxwatch.core.run import RunId
from amxwatch.flows.locking import is_locked, locks_of
from amxwatch.flows.source import Source
from amxwatch.flows.watch import look
from amxwatch.ports.database import CommentTarget
from amxwatch.ports.ledger import DraftFilter


class Verdict(enum.StrEnum):
    """What the plan says of one row."""

    WRITE = "write"
    ALREADY = "already"
    """The live comment is the text; only our books are settled."""
    CONFLICT = "conflict"
    GONE = "gone"
    UNSUPPORTED = "unsupported"
    """The database has no comments; the statement is for export."""
    KEPT = "kept"
    """It is locked, a file's words win, or somebody else's words stand there by now."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One row of the plan. `expected` and `found` are comments; `text` is what is to stand."""

    draft: Draft
    target: CommentTarget
    verdict: Verdict
    text: str | None
    expected: str | None = None
    found: str | None = None
    statement: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which accepted words a plan is for.

    `force` overwrites comments that somebody changed since the draft. `restore` adds what was
    written before and stands there no more.
    """

    run_id: RunId | None = None
    force: bool = False
    restore: bool = False


EVERYTHING = Wanted()


async def make_plan(
    source: Source,
    wanted: Wanted = EVERYTHING,
    *,
    run_id: RunId | None = None,
    owned: Mapping[ObjectRef, str] = MappingProxyType({}),
) -> tuple[Planned, ...]:
    """Return what applying the accepted drafts would do. Writes nothing.

    `owned` are the objects whose words a file decides, each with where it says so.
    Raises: DatabaseError when the live comments cannot be read.
    """
    run_id = run_id or wanted.run_id
    which = DraftFilter(statuses=APPLICABLE, db_profile=source.profile, run_id=run_id)
    waiting = await source.ledger.read(lambda tx: tx.drafts.list(which))
    if wanted.restore:
        waiting += await _written_before(source, run_id, {draft.object_id for draft in waiting})
    if not waiting:
        return ()
    rows = await _planned(source, waiting)
    locks = await locks_of(source)
    return tuple(
        judged for row in rows if (judged := _kept(row, locks, owned, wanted.force)) is not None
    )


async def _written_before(
    source: Source, run_id: RunId | None, open_: Collection[ObjectId]
) -> list[Draft]:
    """Return our last word on each object that has no newer one."""
    which = DraftFilter(statuses=frozenset({DraftStatus.WRITTEN}), db_profile=source.profile)
    written = await source.ledger.read(lambda tx: tx.drafts.list(which))
    last = {draft.object_id: draft for draft in sorted(written, key=lambda draft: draft.id)}
    return [
        draft
        for draft in last.values()
        if draft.object_id not in open_ and (run_id is None or draft.run_id == run_id)
    ]


def _kept(
    row: Planned, locks: Collection[ObjectRef], owned: Mapping[ObjectRef, str], force: bool
) -> Planned | None:
    """Return the row as it may be carried out; None where nothing is to be said of it."""
    ref, again = row.target.ref, row.draft.status is DraftStatus.WRITTEN
    if again and row.verdict in (Verdict.ALREADY, Verdict.GONE, Verdict.UNSUPPORTED):
        return None
    if row.verdict in (Verdict.GONE, Verdict.UNSUPPORTED):
        return row
    if is_locked(ref, locks):
        reason = f"it is locked; amxwatch unlock {ref} lets it go"
        return replace(row, verdict=Verdict.KEPT, reason=reason)
    if ref in owned:
        return replace(row, verdict=Verdict.KEPT, reason=f"{owned[ref]} decides its words")
    if row.verdict is not Verdict.CONFLICT:
        return row
    if force:
        return replace(row, verdict=Verdict.WRITE, reason="overwrites what was changed meanwhile")
    if again:
        reason = f"somebody else's words stand there now: {row.found}"
        return replace(row, verdict=Verdict.KEPT, reason=reason)
    return row


async def _planned(source: Source, waiting: Sequence[Draft]) -> tuple[Planned, ...]:
    await look(source)
    targets = await targets_of(source, waiting)
    holds = source.database.capabilities.holds
    able = [target for target in targets.values() if holds(target)]
    live = await source.database.commenter.current(able) if able else {}
    ours = await _our_texts(source, [each for each in waiting if each.status in APPLICABLE])
    rows = []
    for draft in waiting:
        target = targets.get(draft.id)
        if target is None:
            rows.append(gone(draft))
        elif not holds(target):
            rows.append(_unsupported(source, draft, target))
        else:
            rows.append(_judged(source, draft, target, live, ours.get(draft.id, frozenset())))
    return tuple(rows)


async def targets_of(source: Source, waiting: Sequence[Draft]) -> dict[int, CommentTarget]:
    """Return each draft's object under its present name; objects that are gone are absent."""
    names = await source.ledger.read(lambda tx: tx.objects.names(source.profile))
    catalog = await source.catalog()
    types = object_types(catalog)
    found = {}
    for draft in waiting:
        ref = names.get(draft.object_id, draft.ref)
        if ref in types:
            owner = types.get(ref.owner, ObjectType.TABLE)
            found[int(draft.id)] = CommentTarget(ref=ref, type=types[ref], owner_type=owner)
    return found


def object_types(catalog: Catalog) -> dict[ObjectRef, ObjectType]:
    """Return what each object of a catalog is."""
    types: dict[ObjectRef, ObjectType] = {
        ObjectRef(schema=schema.name): ObjectType.SCHEMA for schema in catalog.schemas
    }
    for table in catalog.tables:
        types[table.ref] = table.type
        for column in table.columns:
            types[table.column_ref(column.name)] = ObjectType.COLUMN
    return types


async def _our_texts(source: Source, waiting: Sequence[Draft]) -> dict[int, frozenset[str]]:
    """Return, for each draft, the comment that we ourselves last wrote on its object.

    Only the last: who puts an older text of ours back means it, and it is theirs then.
    """
    which = DraftFilter(
        statuses=frozenset({DraftStatus.WRITTEN}),
        db_profile=source.profile,
        objects=frozenset(draft.object_id for draft in waiting),
    )
    written = await source.ledger.read(lambda tx: tx.drafts.list(which))
    dated = [(draft.written_at, draft.id, draft) for draft in written if draft.written_at]
    last = {draft.object_id: draft.written_text for *_, draft in sorted(dated, key=lambda d: d[:2])}
    return {
        int(draft.id): frozenset(text for text in (last.get(draft.object_id),) if text)
        for draft in waiting
    }


def gone(draft: Draft) -> Planned:
    """Return the row of an object that no longer exists."""
    target = CommentTarget(ref=draft.ref, type=draft.object_type)
    return Planned(
        draft=draft, target=target, verdict=Verdict.GONE, text=None, reason="no longer exists"
    )


def _unsupported(source: Source, draft: Draft, target: CommentTarget) -> Planned:
    able = source.database.capabilities
    whose = "" if target.type not in able.comments else " on what is no table"
    row = Planned(
        draft=draft,
        target=target,
        verdict=Verdict.UNSUPPORTED,
        text=draft.text,
        reason=f"{able.product} cannot hold a {target.type} comment{whose}",
    )
    try:
        return replace(row, statement=source.database.commenter.statement(target, draft.text))
    except StatementRefusedError:  # nothing to export either
        return row


def _judged(
    source: Source,
    draft: Draft,
    target: CommentTarget,
    live: dict[ObjectRef, str | None],
    ours: frozenset[str],
) -> Planned:
    if target.ref not in live:
        return gone(draft)
    found = live[target.ref] or None
    again = draft.status is DraftStatus.WRITTEN
    row = Planned(
        draft=draft,
        target=target,
        verdict=Verdict.WRITE,
        text=draft.text,
        # What was written once and is missing now is put back over nothing.
        expected=None if again else draft.base_comment or None,
        found=found,
    )
    if found == draft.text or (again and found == draft.written_text):
        return replace(row, verdict=Verdict.ALREADY)
    try:
        row = replace(row, statement=source.database.commenter.statement(target, draft.text))
    except StatementRefusedError as error:
        row = replace(row, reason=str(error))
    if found != row.expected and found not in ours:
        return replace(row, verdict=Verdict.CONFLICT, reason="the comment was changed meanwhile")
    return row


_SLOT = "amxwatch value of cmt"
_QUOTED_SLOT = re.compile(rf"[A-Za-z]?'{_SLOT}'|\"{_SLOT}\"")


def template(source: Source, row: Planned) -> str | None:
    """Return the row's statement with `:cmt` in the place of the text; None where it has none."""
    if row.statement is None:
        return None
    shown = source.database.commenter.statement(row.target, _SLOT)
    return _QUOTED_SLOT.sub(":cmt", shown)
