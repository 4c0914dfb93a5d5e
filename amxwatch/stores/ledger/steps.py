"""Paid replies, and requests that are under way."""

from __future__ import annotations

import builtins
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, delete, insert, select, update

from amxwatch.core.run import Paid, Run, RunId
from amxwatch.stores.ledger.rows import upsert
from amxwatch.stores.ledger.runs import SqlRuns
from amxwatch.stores.ledger.tables import flight, request, step
from amxwatch.stores.ledger.tables import run as run_table


class SqlSteps:
    """Implements `ports.ledger.Steps`."""

    def __init__(self, connection: Connection, runs: SqlRuns) -> None:
        self._connection = connection
        self._runs = runs

    def begin(self, key: str, run_id: RunId, token: int, at: datetime) -> str | None:
        self._runs.held(run_id, token)
        reply = self._reply(key)
        if reply is None:
            upsert(self._connection, flight, {"run_id": run_id, "key": key, "at": at})
        return reply

    def finish(self, key: str, run_id: RunId, paid: Paid, at: datetime) -> Run:
        done = {"run_id": run_id, "key": key, "at": at}
        if self._reply(key) is None:
            self._connection.execute(insert(step), {**done, "reply": paid.reply})
        self.forget(key, run_id)
        cost = {
            "cost_usd": paid.cost_usd,
            "price_version": paid.price_version,
            "input_tokens": paid.input_tokens,
            "output_tokens": paid.output_tokens,
        }
        self._connection.execute(insert(request), {**done, **cost})
        return self._count(run_id, paid)

    def recorded(self, key: str) -> str | None:
        return self._reply(key)

    def keep(self, key: str, run_id: RunId, text: str, at: datetime) -> None:
        if self._reply(key) is None:
            done = {"run_id": run_id, "key": key, "at": at, "reply": text}
            self._connection.execute(insert(step), done)

    def forget(self, key: str, run_id: RunId) -> None:
        self._connection.execute(
            delete(flight).where(flight.c.run_id == run_id, flight.c.key == key)
        )

    def lost(self, run_id: RunId) -> builtins.list[str]:
        mine = flight.c.run_id == run_id
        keys = self._connection.execute(select(flight.c.key).where(mine)).scalars().all()
        if keys:
            self._connection.execute(delete(flight).where(mine))
        return sorted(keys)

    def _reply(self, key: str) -> str | None:
        reply: str | None = self._connection.execute(
            select(step.c.reply).where(step.c.key == key)
        ).scalar()
        return reply

    def _count(self, run_id: RunId, paid: Paid) -> Run:
        """Add one request to the run's totals. Text cannot be added up in SQL without loss."""
        run = self._runs.get(run_id)
        cost = run.cost_usd
        if paid.cost_usd is not None:
            cost = (cost or Decimal(0)) + paid.cost_usd
        self._connection.execute(
            update(run_table)
            .where(run_table.c.id == run_id)
            .values(
                requests=run.requests + paid.calls,
                input_tokens=run.input_tokens + paid.input_tokens,
                output_tokens=run.output_tokens + paid.output_tokens,
                cost_usd=cost,
                unpriced=run.unpriced + (paid.calls if paid.cost_usd is None else 0),
                price_version=run.price_version or paid.price_version,
            )
        )
        return self._runs.get(run_id)
