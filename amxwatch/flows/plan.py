"""Say what applying would do: one row for each accepted draft, judged by its live comment."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace

from amxwatch.core.catalog import Catalog, ObjectRef, ObjectType
from amxwatch.core.draft import APPLICABLE, Draft, DraftStatus
from amxwatch.core.errors import StatementRefusedError
from amxwatch.core.run import RunId
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


async def make_plan(source: Source, *, run_id: RunId | None = None) -> tuple[Planned, ...]:
    """Return what applying the accepted drafts would do. Writes nothing.

    Raises: DatabaseError when the live comments cannot be read.
    """
    which = DraftFilter(statuses=APPLICABLE, db_profile=source.profile, run_id=run_id)
    waiting = await source.ledger.read(lambda tx: tx.drafts.list(which))
    return await _planned(source, waiting) if waiting else ()


async def _planned(source: Source, waiting: Sequence[Draft]) -> tuple[Planned, ...]:
    await look(source)
    targets = await targets_of(source, waiting)
    holds = source.database.capabilities.holds
    able = [target for target in targets.values() if holds(target)]
    live = await source.database.commenter.current(able) if able else {}
    ours = await _our_texts(source, waiting)
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
    row = Planned(
        draft=draft,
        target=target,
        verdict=Verdict.WRITE,
        text=draft.text,
        expected=draft.base_comment or None,
        found=found,
    )
    if found == draft.text:
        return replace(row, verdict=Verdict.ALREADY)
    if found != row.expected and found not in ours:
        return replace(row, verdict=Verdict.CONFLICT, reason="the comment was changed meanwhile")
    try:
        return replace(row, statement=source.database.commenter.statement(target, draft.text))
    except StatementRefusedError as error:
        return replace(row, reason=str(error))
