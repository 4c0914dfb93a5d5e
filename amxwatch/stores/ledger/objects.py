"""Ids that survive renames."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, tuple_, update

from amxwatch.core.catalog import ObjectId, ObjectRef
from amxwatch.stores.ledger.tables import object_name as table

_NAMES = (table.c.schema_name, table.c.table_name, table.c.column_name)

BATCH = 2_000
"""Names looked up at once; a statement holds a limited number of values."""


class SqlObjects:
    """Implements `ports.ledger.Objects`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def resolve(self, profile: str, refs: Sequence[ObjectRef]) -> dict[ObjectRef, ObjectId]:
        wanted = list(dict.fromkeys(refs))
        known = dict(self._find(profile, wanted))
        missing = [ref for ref in wanted if ref not in known]
        if missing:
            rows = [{"profile": profile, "retired": False, **_columns(ref)} for ref in missing]
            self._connection.execute(insert(table), rows)
            known.update(self._find(profile, missing))
        return known

    def rename(self, profile: str, pairs: Sequence[tuple[ObjectRef, ObjectRef]]) -> None:
        names = dict(pairs)
        standing = {i: ref for old in names for i, ref in self._under(profile, old)}
        moving = _moved(standing, names)
        there = {i for new in names.values() for i, _ in self._under(profile, new)}
        # All first step aside, so that no two ever stand under one name.
        self._retire(there | standing.keys())
        if moving:
            self._connection.execute(
                update(table)
                .where(table.c.id == bindparam("row_id"))
                .values({column: bindparam(column.name) for column in _NAMES} | {"retired": False}),
                [{"row_id": i, **_columns(ref)} for i, ref in moving.items()],
            )

    def names(self, profile: str) -> dict[ObjectId, ObjectRef]:
        query = select(table.c.id, *_NAMES).where(table.c.profile == profile, ~table.c.retired)
        return dict(_named(self._connection.execute(query)))

    def _find(
        self, profile: str, refs: Sequence[ObjectRef]
    ) -> Iterator[tuple[ObjectRef, ObjectId]]:
        for start in range(0, len(refs), BATCH):
            names = [(r.schema, r.table, r.column) for r in refs[start : start + BATCH]]
            query = select(table.c.id, *_NAMES).where(
                table.c.profile == profile, ~table.c.retired, tuple_(*_NAMES).in_(names)
            )
            for object_id, ref in _named(self._connection.execute(query)):
                yield ref, object_id

    def _under(self, profile: str, ref: ObjectRef) -> list[tuple[ObjectId, ObjectRef]]:
        """Return what stands under a name, and all that it holds."""
        query = select(table.c.id, *_NAMES).where(
            table.c.profile == profile, ~table.c.retired, table.c.schema_name == ref.schema
        )
        if ref.table:
            query = query.where(table.c.table_name == ref.table)
        if ref.column:
            query = query.where(table.c.column_name == ref.column)
        return list(_named(self._connection.execute(query)))

    def _retire(self, ids: Collection[ObjectId]) -> None:
        if ids:
            self._connection.execute(
                update(table).where(table.c.id == bindparam("row_id")).values(retired=True),
                [{"row_id": i} for i in sorted(ids)],
            )


def _moved(
    standing: Mapping[ObjectId, ObjectRef], names: Mapping[ObjectRef, ObjectRef]
) -> dict[ObjectId, ObjectRef]:
    """Return the new name of each; without those whose new name a pair gives to another."""
    given = {names[ref] for ref in standing.values() if ref in names}
    moved = {i: names.get(ref) or _carried(ref, names) for i, ref in standing.items()}
    return {i: new for i, new in moved.items() if new not in given or standing[i] in names}


def _carried(ref: ObjectRef, names: Mapping[ObjectRef, ObjectRef]) -> ObjectRef:
    """Return the name that an object has after its table or schema was renamed."""
    owner = names.get(ref.owner)
    if owner is not None:
        return ObjectRef(schema=owner.schema, table=owner.table, column=ref.column)
    schema = names[ObjectRef(schema=ref.schema)]
    return ObjectRef(schema=schema.schema, table=ref.table, column=ref.column)


def _columns(ref: ObjectRef) -> dict[str, str]:
    return {"schema_name": ref.schema, "table_name": ref.table, "column_name": ref.column}


def _named(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[ObjectId, ObjectRef]]:
    for object_id, schema, table_name, column in rows:
        yield object_id, ObjectRef(schema=schema, table=table_name, column=column)
