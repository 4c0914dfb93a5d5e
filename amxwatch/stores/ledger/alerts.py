"""Alerts and the outbox of who is to be told of them."""

from __future__ import annotations

import builtins
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from amxwatch.core.alert import Alert, Condition
from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.errors import NotFoundError
from amxwatch.core.message import Delivery, Phase
from amxwatch.core.schedule import ScheduleState
from amxwatch.stores.ledger.alert_tables import OPEN_ALERT, WAITING, alert_seen, delivery
from amxwatch.stores.ledger.alert_tables import alert as table
from amxwatch.stores.ledger.rows import upsert, values_of
from amxwatch.stores.ledger.schedules import SqlSchedules
from amxwatch.stores.ledger.tables import FAILING, MISSED, schedule

_DETAIL = ("recovery_action", "target", "changes", "more_changes")
"""The fields of a condition that nothing is searched by."""


class SqlOutbox:
    """Implements `ports.alerts.Outbox`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def waiting(self) -> list[Delivery]:
        # Literal, as the partial index is: a bound value would not match it.
        query = select(delivery).where(WAITING).order_by(delivery.c.number)
        return [_delivery(row) for row in self._connection.execute(query).mappings()]

    def put(self, one: Delivery) -> None:
        same = (
            delivery.c.alert_id == one.alert_id,
            delivery.c.target == one.target,
            delivery.c.phase == one.phase,
        )
        values = values_of(one)
        if self._connection.execute(update(delivery).where(*same), values).rowcount == 0:
            self._connection.execute(insert(delivery), values)

    def of(self, alert_ids: Collection[str]) -> list[Delivery]:
        query = (
            select(delivery)
            .where(delivery.c.alert_id.in_(sorted(alert_ids)))
            .order_by(delivery.c.number)
        )
        return [_delivery(row) for row in self._connection.execute(query).mappings()]

    def alert(self, alert_id: str) -> Alert:
        query = select(table).where(table.c.id == alert_id)
        row = self._connection.execute(query).mappings().first()
        if row is None:
            raise NotFoundError(f"there is no alert {alert_id}; see: amxwatch alerts list")
        return _alert(row)


class SqlAlerts:
    """Implements `ports.alerts.Alerts`."""

    def __init__(self, connection: Connection, outbox: SqlOutbox, schedules: SqlSchedules) -> None:
        self._connection = connection
        self._outbox = outbox
        self._schedules = schedules

    def troubled(self, failures: int) -> builtins.list[ScheduleState]:
        many = FAILING, schedule.c.consecutive_failures >= failures
        names: set[str] = set()
        for where in (many, (MISSED,)):  # two queries, as each has an index of its own
            names |= set(self._connection.execute(select(schedule.c.name).where(*where)).scalars())
        found = self._schedules.some(sorted(names)) if names else {}
        return [found[name] for name in sorted(found)]

    def open(self, alert: Alert, targets: Collection[str]) -> bool:
        condition = alert.condition
        same = select(table.c.id).where(OPEN_ALERT, table.c.key == condition.key)
        if self._connection.execute(same).first() is not None:
            return False
        self._connection.execute(insert(table), _values(alert))
        for target in targets:
            self._outbox.put(
                Delivery(
                    alert_id=alert.id,
                    target=target,
                    phase=Phase.OPENED,
                    not_before=alert.opened_at,
                )
            )
        return True

    def recover(self, alert_id: str, at: datetime) -> None:
        mine = update(table).where(table.c.id == alert_id, OPEN_ALERT)
        if self._connection.execute(mine.values(recovered_at=at)).rowcount == 0:
            return
        for told in self._outbox.of([alert_id]):
            self._outbox.put(
                Delivery(
                    alert_id=alert_id, target=told.target, phase=Phase.RECOVERED, not_before=at
                )
            )

    def list(self, *, only_open: bool = False, limit: int = 50) -> builtins.list[Alert]:
        query = select(table).order_by(table.c.opened_at.desc(), table.c.id.desc()).limit(limit)
        if only_open:
            query = query.where(OPEN_ALERT)
        return [_alert(row) for row in self._connection.execute(query).mappings()]

    def seen(self, profile: str) -> SnapshotNumber | None:
        query = select(alert_seen.c.number).where(alert_seen.c.profile == profile)
        number: SnapshotNumber | None = self._connection.execute(query).scalar()
        return number

    def saw(self, profile: str, number: SnapshotNumber) -> None:
        upsert(self._connection, alert_seen, {"profile": profile, "number": number})


def _values(alert: Alert) -> dict[str, Any]:
    condition = alert.condition
    values = values_of(condition)
    detail = {name: values.pop(name) for name in _DETAIL}
    over = alert.opened_at if condition.is_momentary else alert.recovered_at
    return {
        **values,
        "detail": detail,
        "id": alert.id,
        "opened_at": alert.opened_at,
        "recovered_at": over,
    }


def _alert(row: RowMapping) -> Alert:
    values = dict(row)
    detail = values.pop("detail")
    own = {name: values.pop(name) for name in ("id", "opened_at", "recovered_at")}
    changes = tuple(detail.pop("changes"))
    return Alert(**own, condition=Condition(**values, **detail, changes=changes))


def _delivery(row: RowMapping) -> Delivery:
    return Delivery(**{name: value for name, value in row.items() if name != "number"})
