"""What a person was not told yet."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, or_, select

from amxwatch.core.run import RunStatus
from amxwatch.ports.news import Untold
from amxwatch.stores.ledger.rows import upsert
from amxwatch.stores.ledger.tables import event, installation, run
from amxwatch.stores.ledger.tables import schedule as schedules

TOLD = "told_events"

_NEW = (
    select(event.c.id, event.c.action, event.c.run_id, event.c.schedule)
    .where(
        event.c.action.in_(["run_recovered", "schedule_missed"]),
        event.c.id > bindparam("told"),
    )
    .order_by(event.c.id)
)
_HELD = (
    select(run.c.id)
    .where(
        run.c.status.in_([RunStatus.QUEUED, RunStatus.RUNNING]),
        or_(run.c.owner.is_not(None), run.c.reserved_for.is_not(None)),
    )
    .limit(1)
)
_TOLD = select(installation.c.value).where(installation.c.key == TOLD)


class SqlNews:
    """Implements `ports.news.News`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def untold(self) -> Untold:
        rows = self._connection.execute(_NEW, {"told": self._told()}).all()
        recovered = [row.run_id for row in rows if row.action == "run_recovered"]
        names = {row.schedule for row in rows if row.action == "schedule_missed"}
        return Untold(
            recovered=list(dict.fromkeys(recovered)),
            missed=self._still_missed(names),
            upto=max((row.id for row in rows), default=0),
            held=self._connection.execute(_HELD).first() is not None,
        )

    def mark(self, upto: int) -> bool:
        if upto <= self._told():
            return False
        upsert(self._connection, installation, {"key": TOLD, "value": str(upto)})
        return True

    def _told(self) -> int:
        return int(self._connection.execute(_TOLD).scalar() or 0)

    def _still_missed(self, names: set[str]) -> list[str]:
        if not names:
            return []
        query = select(schedules.c.name).where(
            schedules.c.name.in_(sorted(names)), schedules.c.missed_due_at.is_not(None)
        )
        return sorted(self._connection.execute(query).scalars())
