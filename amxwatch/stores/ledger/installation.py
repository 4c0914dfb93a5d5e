"""What belongs to the install as a whole."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, select

from amxwatch.core.errors import StoreError
from amxwatch.ports.ledger import DaemonState
from amxwatch.stores.ledger.rows import upsert, values_of
from amxwatch.stores.ledger.tables import installation as table
from amxwatch.stores.ledger.tables import request

_MOMENTS = ("started_at", "heartbeat_at", "stopped_at")


class SqlInstallation:
    """Implements `ports.ledger.Installation`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def daemon(self) -> DaemonState | None:
        document = self._get("daemon")
        if document is None:
            return None
        try:
            values = json.loads(document)
            for name in _MOMENTS:
                values[name] = values[name] and datetime.fromisoformat(values[name])
            return DaemonState(**values)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise StoreError(
                "the daemon's heartbeat in the state database is unreadable; restart the daemon"
            ) from None

    def beat(self, state: DaemonState) -> None:
        values = values_of(state)
        for name in _MOMENTS:
            values[name] = values[name] and values[name].isoformat()
        self._put("daemon", json.dumps(values))

    def good_config(self) -> str | None:
        return self._get("good_config")

    def keep_config(self, document: str) -> None:
        self._put("good_config", document)

    def spent_since(self, moment: datetime) -> str:
        costs = self._connection.execute(
            select(request.c.cost_usd).where(
                request.c.at >= moment, request.c.cost_usd.is_not(None)
            )
        ).scalars()
        return format(sum(costs, Decimal(0)), "f")  # in Python: SQL would add floating numbers

    def tell_once(self, hint: str) -> bool:
        key = f"told:{hint}"
        is_news = self._get(key) is None
        if is_news:
            self._put(key, "yes")
        return is_news

    def _get(self, key: str) -> str | None:
        value: str | None = self._connection.execute(
            select(table.c.value).where(table.c.key == key)
        ).scalar()
        return value

    def _put(self, key: str, value: str) -> None:
        upsert(self._connection, table, {"key": key, "value": value})
