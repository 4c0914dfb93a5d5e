"""Objects that only a person may describe."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from amxwatch.core.catalog import ObjectRef
from amxwatch.stores.ledger.lock_tables import object_lock as table
from amxwatch.stores.ledger.objects import SqlObjects
from amxwatch.stores.ledger.tables import object_name


class SqlLocks:
    """Implements `ports.locks.Locks`."""

    def __init__(self, connection: Connection, objects: SqlObjects) -> None:
        self._connection = connection
        self._objects = objects

    def put(
        self, profile: str, refs: Sequence[ObjectRef], at: datetime
    ) -> builtins.list[ObjectRef]:
        held = self.list(profile)
        new = [ref for ref in dict.fromkeys(refs) if ref not in held]
        if new:
            ids = self._objects.resolve(profile, new)
            rows = [{"object_id": ids[ref], "at": at} for ref in new]
            self._connection.execute(insert(table), rows)
        return new

    def drop(self, profile: str, refs: Sequence[ObjectRef]) -> builtins.list[ObjectRef]:
        held = self.list(profile)
        gone = [ref for ref in dict.fromkeys(refs) if ref in held]
        ids = self._objects.resolve(profile, gone)
        for ref in gone:
            self._connection.execute(delete(table).where(table.c.object_id == ids[ref]))
        return gone

    def list(self, profile: str) -> dict[ObjectRef, datetime]:
        query = (
            select(
                object_name.c.schema_name,
                object_name.c.table_name,
                object_name.c.column_name,
                table.c.at,
            )
            .join(table, table.c.object_id == object_name.c.id)
            .where(object_name.c.profile == profile, ~object_name.c.retired)
            .order_by(
                object_name.c.schema_name, object_name.c.table_name, object_name.c.column_name
            )
        )
        return {
            ObjectRef(schema=schema, table=name, column=column): at
            for schema, name, column, at in self._connection.execute(query)
        }
