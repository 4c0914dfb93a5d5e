"""The review queue and everything that was ever proposed."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping, Select, func, insert, select, update

from amxwatch.core.catalog import ObjectId, ObjectRef
from amxwatch.core.draft import (
    REVIEWABLE,
    Draft,
    DraftEvent,
    DraftId,
    DraftStatus,
    NewDraft,
    after,
)
from amxwatch.core.errors import NotFoundError
from amxwatch.core.run import RunId
from amxwatch.ports.ledger import DraftFilter
from amxwatch.stores.ledger.events import SqlEvents
from amxwatch.stores.ledger.objects import SqlObjects
from amxwatch.stores.ledger.rows import values_of
from amxwatch.stores.ledger.tables import draft as table
from amxwatch.stores.ledger.tables import object_name

T = TypeVar("T")

_SETTLED = (DraftStatus.ACCEPTED, DraftStatus.EDITED, DraftStatus.WRITING, DraftStatus.WRITTEN)

_MANY = 10_000
"""A statement holds a limited number of values; longer lists are looked through here."""


class SqlDrafts:
    """Implements `ports.ledger.Drafts`. A draft shows its object's name of today."""

    def __init__(self, connection: Connection, objects: SqlObjects, events: SqlEvents) -> None:
        self._connection = connection
        self._objects = objects
        self._events = events

    def put(
        self,
        profile: str,
        run_id: RunId,
        drafts: Sequence[NewDraft],
        at: datetime,
        *,
        again: bool = False,
    ) -> builtins.list[Draft]:
        ids = self._objects.resolve(profile, [draft.ref for draft in drafts])
        made: builtins.list[Draft] = []
        left = [(ids[draft.ref], draft) for draft in drafts]
        while left:  # one draft of each object at a time, as a later one supersedes it
            first: dict[ObjectId, NewDraft] = {}
            for object_id, draft in left:
                first.setdefault(object_id, draft)
            made += self._put(run_id, first, at, again)
            left = [(i, draft) for i, draft in left if first[i] is not draft]
        order = {draft.ref: place for place, draft in enumerate(drafts)}
        return sorted(made, key=lambda draft: order[draft.ref])

    def _put(
        self, run_id: RunId, drafts: Mapping[ObjectId, NewDraft], at: datetime, again: bool
    ) -> builtins.list[Draft]:
        known = set() if again else self._known(drafts)
        new = {i: draft for i, draft in drafts.items() if (i, draft.input_hash) not in known}
        if not new:
            return []
        self._supersede(new, at)
        rows = [_row(object_id, run_id, draft, at) for object_id, draft in new.items()]
        added = self._connection.execute(insert(table).returning(table.c.id), rows)
        return self.list(DraftFilter(ids=frozenset(added.scalars())))

    def _known(self, drafts: Mapping[ObjectId, NewDraft]) -> set[tuple[ObjectId, str]]:
        """Return which inputs have a draft that waits, or that was turned down."""
        known: set[tuple[ObjectId, str]] = set()
        for some in batched(drafts):
            query = select(table.c.object_id, table.c.input_hash).where(
                table.c.object_id.in_(some),
                table.c.status.in_((DraftStatus.PENDING, DraftStatus.REJECTED)),
            )
            known.update((row[0], row[1]) for row in self._connection.execute(query))
        return known

    def _supersede(self, objects: Iterable[ObjectId], at: datetime) -> None:
        for some in batched(objects):
            query = select(table.c.id).where(
                table.c.object_id.in_(some), table.c.status.in_(sorted(REVIEWABLE))
            )
            for draft_id in self._connection.execute(query).scalars().all():
                old = self.move(draft_id, DraftEvent.SUPERSEDE)
                self._events.add(
                    "draft_superseded",
                    at=at,
                    run_id=old.run_id,
                    db_profile=old.db_profile,
                    draft_id=old.id,
                    object=str(old.ref),
                )

    def move(self, draft_id: DraftId, event: DraftEvent, **values: Any) -> Draft:
        status = after(self.get(draft_id).status, event)
        query = update(table).where(table.c.id == draft_id)
        self._connection.execute(query, {"status": status, **values})
        return self.get(draft_id)

    def get(self, draft_id: DraftId) -> Draft:
        row = self._connection.execute(_drafts().where(table.c.id == draft_id)).mappings().first()
        if row is None:
            raise NotFoundError(
                f"there is no draft {draft_id}; `amxwatch review --list` shows those to review"
            )
        return _draft(row)

    def list(self, which: DraftFilter) -> builtins.list[Draft]:
        query = _drafts().order_by(
            object_name.c.profile,
            object_name.c.schema_name,
            object_name.c.table_name,
            object_name.c.column_name != "",
            table.c.id,
        )
        if which.statuses is not None:
            query = query.where(table.c.status.in_(sorted(which.statuses)))
        if which.db_profile is not None:
            query = query.where(object_name.c.profile == which.db_profile)
        if which.run_id is not None:
            query = query.where(table.c.run_id == which.run_id)
        if which.objects is not None and len(which.objects) <= _MANY:
            query = query.where(table.c.object_id.in_(sorted(which.objects)))
        if which.ids is not None and len(which.ids) <= _MANY:
            query = query.where(table.c.id.in_(sorted(which.ids)))
        drafts = [_draft(row) for row in self._connection.execute(query).mappings()]
        return [draft for draft in drafts if _is_wanted(draft, which)]

    def latest(self, profile: str, objects: Iterable[ObjectId]) -> dict[ObjectId, Draft]:
        which = DraftFilter(
            statuses=frozenset(_SETTLED), db_profile=profile, objects=frozenset(objects)
        )
        newest: dict[ObjectId, Draft] = {}
        for draft in sorted(self.list(which), key=lambda draft: draft.id):
            newest[draft.object_id] = draft
        return newest

    def count(self, statuses: frozenset[DraftStatus]) -> int:
        query = select(func.count()).where(table.c.status.in_(sorted(statuses)))
        return int(self._connection.execute(query).scalar_one())


def batched(values: Iterable[T]) -> Iterator[builtins.list[T]]:
    """Yield the values in portions that one statement can hold."""
    every = builtins.list(values)
    return (every[start : start + _MANY] for start in range(0, len(every), _MANY))


def _row(object_id: ObjectId, run_id: RunId, draft: NewDraft, at: datetime) -> dict[str, Any]:
    values = values_of(draft)
    del values["ref"]  # the object's row holds the name
    return values | {
        "object_id": object_id,
        "run_id": run_id,
        "status": DraftStatus.PENDING,
        "created_at": at,
    }


def _drafts() -> Select[Any]:
    return select(
        table,
        object_name.c.profile.label("db_profile"),
        object_name.c.schema_name,
        object_name.c.table_name,
        object_name.c.column_name,
    ).join(object_name, object_name.c.id == table.c.object_id)


def _is_wanted(draft: Draft, which: DraftFilter) -> bool:
    return (which.objects is None or draft.object_id in which.objects) and (
        which.ids is None or draft.id in which.ids
    )


def _draft(row: RowMapping) -> Draft:
    values = dict(row)
    ref = ObjectRef(
        schema=values.pop("schema_name"),
        table=values.pop("table_name"),
        column=values.pop("column_name"),
    )
    values["alternatives"] = tuple(values["alternatives"])
    values["flags"] = tuple(values["flags"])
    return Draft(ref=ref, **values)
