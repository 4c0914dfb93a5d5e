"""Forgetting what is old. The part of it that gives room back knows SQLite."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Table, delete, exists, select

from amxwatch.core.draft import DraftStatus
from amxwatch.core.run import OPEN
from amxwatch.ports.housekeeping import Room
from amxwatch.stores.ledger.alert_tables import alert, delivery
from amxwatch.stores.ledger.tables import (
    batch,
    draft,
    event,
    flight,
    request,
    run,
    schedule,
    step,
)

UNSETTLED = (
    DraftStatus.PENDING,
    DraftStatus.ACCEPTED,
    DraftStatus.EDITED,
    DraftStatus.CONFLICT,
    DraftStatus.WRITING,
)
"""Drafts that something is still to come of."""

SPENT = (DraftStatus.SUPERSEDED, DraftStatus.WITHDRAWN)
"""Drafts that nothing goes by any more. A rejected one is still not to be made again."""

_OPEN_RUNS = select(run.c.id).where(run.c.status.in_(sorted(OPEN)))


class SqlHousekeeping:
    """Implements `ports.housekeeping.Housekeeping`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def replies(self, before: datetime, limit: int) -> int:
        unsettled = select(draft.c.run_id).where(draft.c.status.in_(UNSETTLED))
        old = (
            select(step.c.key)
            .where(
                step.c.at < before,
                step.c.run_id.not_in(_OPEN_RUNS),
                step.c.run_id.not_in(unsettled),
            )
            .order_by(step.c.at)
            .limit(limit)
        )
        return self._drop(step, "key", list(self._connection.execute(old).scalars()))

    def events(self, before: datetime, limit: int) -> int:
        # The oldest have the smallest ids: no more than `limit` rows are ever looked at.
        oldest = select(event.c.id, event.c.at, event.c.run_id).order_by(event.c.id).limit(limit)
        rows = [row for row in self._connection.execute(oldest) if row.at < before]
        held = set(self._connection.execute(_OPEN_RUNS).scalars()) if rows else set()
        return self._drop(event, "id", [row.id for row in rows if row.run_id not in held])

    def history(self, before: datetime, limit: int) -> int:
        spent = (
            select(draft.c.id)
            .where(
                draft.c.status.in_(SPENT),
                draft.c.created_at < before,
                draft.c.run_id.not_in(_OPEN_RUNS),
            )
            .limit(limit)
        )
        forgotten = self._drop(draft, "id", list(self._connection.execute(spent).scalars()))
        old = (
            select(run.c.id)
            .where(
                run.c.queued_at < before,
                run.c.status.not_in(sorted(OPEN)),
                ~exists().where(draft.c.run_id == run.c.id),
                ~exists().where(schedule.c.last_run_id == run.c.id),
            )
            .order_by(run.c.queued_at)
            .limit(limit - forgotten)
        )
        runs = list(self._connection.execute(old).scalars())
        for table in (step, flight, request, batch):
            self._drop(table, "run_id", runs)
        forgotten += self._drop(run, "id", runs)
        return forgotten + self._alerts(before, limit - forgotten)

    def _alerts(self, before: datetime, limit: int) -> int:
        over = select(alert.c.id).where(alert.c.recovered_at < before).limit(limit)
        alerts = list(self._connection.execute(over).scalars())
        self._drop(delivery, "alert_id", alerts)
        return self._drop(alert, "id", alerts)

    def _drop(self, table: Table, key: str, values: list[object]) -> int:
        if not values:
            return 0
        return self._connection.execute(delete(table).where(table.c[key].in_(values))).rowcount

    def room(self) -> Room:
        size, pages, free = (
            self._pragma(name) for name in ("page_size", "page_count", "freelist_count")
        )
        return Room(taken=size * pages, free=size * free)

    def give_back(self, size: int) -> None:
        pages = max(1, size // self._pragma("page_size"))
        # The driver takes one step of a statement that has no columns, which is one page.
        raw = self._connection.connection.cursor()
        for _ in range(pages):
            raw.execute("PRAGMA incremental_vacuum(1)")

    def _pragma(self, name: str) -> int:
        return int(self._connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)
