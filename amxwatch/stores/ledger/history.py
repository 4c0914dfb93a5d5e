"""Questions about many past runs at once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from amxwatch.core.event import Event
from amxwatch.core.run import Run, RunStatus
from amxwatch.stores.ledger.tables import event, run

_ENDED = (RunStatus.COMPLETED, RunStatus.FAILED)


class SqlHistory:
    """Implements `ports.history.History`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, schedule: str, since: datetime) -> list[Run]:
        query = (
            select(run)
            .where(run.c.schedule == schedule, run.c.queued_at >= since)
            .order_by(run.c.queued_at.desc(), run.c.id.desc())
        )
        return [Run(**row) for row in self._connection.execute(query).mappings()]

    def outcomes(self, since: datetime, *, schedule: str | None) -> dict[str, tuple[int, int]]:
        query = (
            select(run.c.schedule, run.c.status, func.count())
            .where(run.c.queued_at >= since, run.c.status.in_(_ENDED))
            .where(run.c.schedule.is_not(None) if schedule is None else run.c.schedule == schedule)
            .group_by(run.c.schedule, run.c.status)
        )
        found: dict[str, tuple[int, int]] = {}
        for name, status, count in self._connection.execute(query):
            completed, failed = found.get(name, (0, 0))
            if status is RunStatus.COMPLETED:
                found[name] = (completed + count, failed)
            else:
                found[name] = (completed, failed + count)
        return found

    def trail(self, schedule: str, actions: frozenset[str], limit: int) -> list[Event]:
        query = (
            select(event)
            .where(event.c.action.in_(sorted(actions)), event.c.schedule == schedule)
            .order_by(event.c.id.desc())
            .limit(limit)
        )
        return [Event(**row) for row in self._connection.execute(query).mappings()]
