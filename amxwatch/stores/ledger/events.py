"""The audit trail."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, RowMapping, insert, select

from amxwatch.core.event import ACTIONS, Event
from amxwatch.stores.ledger.tables import event as table

_PUT = insert(table)


class SqlEvents:
    """Implements `ports.ledger.Events`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(
        self,
        action: str,
        *,
        at: datetime,
        schedule: str | None = None,
        run_id: str | None = None,
        trigger: str | None = None,
        db_profile: str | None = None,
        **detail: object,
    ) -> None:
        if action not in ACTIONS:
            raise ValueError(f"{action!r} is no action of core.event.ACTIONS")
        values = {
            "at": at,
            "action": action,
            "schedule": schedule,
            "run_id": run_id,
            "trigger": trigger,
            "db_profile": db_profile,
            "detail": detail,
        }
        self._connection.execute(_PUT, values)

    def add_each(
        self, action: str, schedules: Iterable[str], *, at: datetime, **detail: object
    ) -> None:
        if action not in ACTIONS:
            raise ValueError(f"{action!r} is no action of core.event.ACTIONS")
        values = {"at": at, "action": action, "detail": detail}
        rows = [{**values, "schedule": name} for name in schedules]
        if rows:
            self._connection.execute(_PUT, rows)

    def after(self, event_id: int, *, limit: int = 1000) -> list[Event]:
        query = select(table).where(table.c.id > event_id).order_by(table.c.id).limit(limit)
        return [_event(row) for row in self._connection.execute(query).mappings()]

    def recent(self, limit: int) -> list[Event]:
        query = select(table).order_by(table.c.id.desc()).limit(limit)
        return [_event(row) for row in self._connection.execute(query).mappings()][::-1]


def _event(row: RowMapping) -> Event:
    return Event(**row)
