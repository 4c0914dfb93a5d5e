"""What a schedule has not served yet: the diff from its watermark to now, in its scope.

Pending work is computed, never remembered, so a lost event, a crash or a failed run loses
nothing, and a change that was undone is not there any more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from amxwatch.core.catalog import ObjectRef, ObjectType, SnapshotNumber
from amxwatch.core.change import (
    TRIGGERING,
    Change,
    ChangeKind,
    change_document,
    former_ref,
)
from amxwatch.core.draft import DraftStatus
from amxwatch.core.schedule import ScheduleState
from amxwatch.core.scope import Scope
from amxwatch.flows.source import Source
from amxwatch.ports.ledger import DraftFilter, Tx

FLOOD_TABLES = 20
FLOOD_SHARE = 0.5
"""Dropping or moving at least this many tables, and this share of them, asks a person first."""


@dataclass(frozen=True, kw_only=True)
class Pending:
    """Changes that count, between two snapshots. `flood` says why a person should look first.

    `passed_over` says that there are others in the scope, which do not count (removals, mostly).
    """

    start: SnapshotNumber | None
    end: SnapshotNumber
    changes: tuple[Change, ...]
    passed_over: bool = False
    flood: str | None = None

    @property
    def mark(self) -> str | None:
        """Return a fingerprint of what is pending, or None for nothing."""
        if not self.changes:
            return None
        text = json.dumps([change_document(change) for change in self.changes], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


async def pending(
    source: Source,
    state: ScheduleState,
    *,
    scope: str,
    kinds: Iterable[ChangeKind] | None,
    end: SnapshotNumber,
) -> Pending:
    """Return what `state`'s schedule has to serve up to snapshot `end`.

    From the oldest snapshot on, where its own was pruned while it was not in the config.
    """
    state = replace(
        state,
        watermark=await source.kept(state.watermark),
        scope_since=await source.kept(state.scope_since),
    )
    counted = frozenset(kinds) if kinds is not None else TRIGGERING
    changes = await _in_scope(source, state, scope, end)
    if ChangeKind.COMMENT_CHANGED in counted:
        changes = await without_echo(source, changes)
    counting = tuple(change for change in changes if _counts(change, counted))
    return Pending(
        start=state.watermark,
        end=end,
        changes=counting,
        passed_over=len(counting) < len(changes),
        flood=await _flood(source, state.watermark, changes),
    )


def _counts(change: Change, counted: frozenset[ChangeKind]) -> bool:
    """A schema by itself asks for no draft: what comes and goes in it does."""
    return change.kind in counted and change.object_type is not ObjectType.SCHEMA


async def _in_scope(
    source: Source, state: ScheduleState, scope: str, end: SnapshotNumber
) -> tuple[Change, ...]:
    new = Scope.parse(scope)
    changes = _scoped(await source.changes(state.watermark, end), new)
    if state.former_scope is None or state.scope_since is None:
        return changes
    # The scope was edited after the watermark: what only the new scope covers counts from the
    # edit on, so that widening a scope makes nothing pending that was there before.
    former = Scope.parse(state.former_scope)
    since_edit = _scoped(await source.changes(state.scope_since, end), new)
    old_part = [change for change in changes if touches(former, change)]
    new_part = [change for change in since_edit if not touches(former, change)]
    return tuple(sorted([*old_part, *new_part], key=lambda change: (change.ref, change.kind)))


def _scoped(changes: Iterable[Change], scope: Scope) -> tuple[Change, ...]:
    return tuple(_moved_in(change, scope) for change in changes if touches(scope, change))


def touches(scope: Scope, change: Change) -> bool:
    """A column belongs to its scope; a table's own change to any scope that holds part of it."""
    if change.object_type is ObjectType.COLUMN:
        return scope.covers(change.ref)
    if change.object_type is ObjectType.SCHEMA:
        return scope.covers(change.ref)
    return scope.touches_table(change.ref)


def _moved_in(change: Change, scope: Scope) -> Change:
    """A table that was renamed from outside the scope into it counts as added."""
    if change.kind is not ChangeKind.RENAMED or change.object_type is ObjectType.COLUMN:
        return change
    if touches(scope, replace(change, ref=former_ref(change))):
        return change
    return replace(change, kind=ChangeKind.ADDED, before=None, after=None, confidence=None)


async def without_echo(source: Source, changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """Drop the comments that we wrote ourselves: our own echo is not news."""
    if not any(change.kind is ChangeKind.COMMENT_CHANGED for change in changes):
        return changes

    def ours(tx: Tx) -> set[tuple[ObjectRef, str | None]]:
        which = DraftFilter(
            statuses=frozenset({DraftStatus.WRITTEN, DraftStatus.WRITING}),
            db_profile=source.profile,
        )
        return {(draft.ref, draft.written_text or draft.text) for draft in tx.drafts.list(which)}

    written = await source.ledger.read(ours)
    return tuple(
        change
        for change in changes
        if change.kind is not ChangeKind.COMMENT_CHANGED
        or (change.ref, change.after) not in written
    )


async def _flood(
    source: Source, start: SnapshotNumber | None, changes: tuple[Change, ...]
) -> str | None:
    """Return why this looks like a restore or a wrong database, or None."""
    gone = sum(
        1
        for change in changes
        if change.object_type not in (ObjectType.COLUMN, ObjectType.SCHEMA)
        and change.kind in (ChangeKind.REMOVED, ChangeKind.RENAMED)
    )
    if start is None or gone < FLOOD_TABLES:
        return None
    known = len((await source.as_of(start)).tables)
    if gone < known * FLOOD_SHARE:
        return None
    return f"{gone} of {known} tables were dropped or renamed at once"
