"""What is remembered of each schedule between looks."""

from __future__ import annotations

import builtins

from sqlalchemy import Connection, delete, select

from amxwatch.core.schedule import ScheduleState
from amxwatch.stores.ledger.rows import upsert, values_of
from amxwatch.stores.ledger.tables import schedule as table


class SqlSchedules:
    """Implements `ports.ledger.Schedules`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> ScheduleState | None:
        row = self._connection.execute(select(table).where(table.c.name == name)).mappings().first()
        return None if row is None else ScheduleState(**row)

    def put(self, state: ScheduleState) -> None:
        upsert(self._connection, table, values_of(state))

    def drop(self, name: str) -> None:
        self._connection.execute(delete(table).where(table.c.name == name))

    def list(self) -> builtins.list[ScheduleState]:
        rows = self._connection.execute(select(table).order_by(table.c.name)).mappings()
        return [ScheduleState(**row) for row in rows]
