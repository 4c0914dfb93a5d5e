"""Continuous sessions."""

from __future__ import annotations

import builtins
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, insert, select, update

from amxwatch.core.continuous import Expansion, Session, SessionId, Try
from amxwatch.core.errors import NotFoundError
from amxwatch.stores.ledger.rows import values_of
from amxwatch.stores.ledger.tables import run
from amxwatch.stores.ledger.tables import session as table

MANY = 500
"""How many keys one query asks for."""


_OPEN = (
    select(table).where(table.c.ended_at.is_(None)).order_by(table.c.started_at.desc(), table.c.id)
)


class SqlSessions:
    """Implements `ports.sessions.Sessions`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def start(self, session: Session) -> bool:
        if self.open_of(session.owner_type, session.owner_id) is not None:
            return False
        if session.due_key is not None:
            known = select(table.c.id).where(table.c.due_key == session.due_key)
            if self._connection.execute(known).first() is not None:
                return False
        self._connection.execute(insert(table), _values(session))
        return True

    def get(self, session_id: SessionId) -> Session:
        found = self._all(select(table).where(table.c.id == session_id))
        if not found:
            raise NotFoundError(f"there is no session {session_id}; see: amxwatch status")
        return found[0]

    def put(self, session: Session) -> None:
        query = update(table).where(table.c.id == session.id)
        if self._connection.execute(query, _values(session)).rowcount == 0:
            raise NotFoundError(f"there is no session {session.id}; see: amxwatch status")

    def open(self) -> builtins.list[Session]:
        return self._all(_OPEN)

    def open_of(self, owner_type: str, owner_id: str) -> Session | None:
        query = select(table).where(
            table.c.ended_at.is_(None),
            table.c.owner_type == owner_type,
            table.c.owner_id == owner_id,
        )
        return next(iter(self._all(query)), None)

    def spent(self, session: Session) -> Decimal:
        keys = [f"{session.id}:{number}" for number in range(1, session.runs_started + 1)]
        total = Decimal(0)
        for start in range(0, len(keys), MANY):
            query = select(run.c.cost_usd).where(run.c.unique_key.in_(keys[start : start + MANY]))
            total += sum((row[0] for row in self._connection.execute(query) if row[0]), Decimal(0))
        return total

    def _all(self, query: Select[Any]) -> builtins.list[Session]:
        return [_session(row) for row in self._connection.execute(query).mappings()]


def _values(session: Session) -> dict[str, Any]:
    return {
        **values_of(session),
        "met": None if session.met is None else list(session.met),
        "tries": [{**asdict(t), "at": t.at and t.at.isoformat()} for t in session.tries],
        "expansions": [asdict(each) for each in session.expansions],
    }


def _session(row: RowMapping) -> Session:
    met = row["met"]
    changed = {
        "met": None if met is None else tuple(met),
        "tries": tuple(_try(each) for each in row["tries"]),
        "expansions": tuple(Expansion(**each) for each in row["expansions"]),
    }
    return Session(**{**row, **changed})


def _try(told: dict[str, Any]) -> Try:
    at = told["at"]
    return Try(**{**told, "at": None if at is None else datetime.fromisoformat(at)})
