"""How looking at each database goes."""

from __future__ import annotations

import builtins
from dataclasses import asdict

from sqlalchemy import Connection, RowMapping, bindparam, select

from amxwatch.core.catalog import SourceProblem
from amxwatch.core.sight import Unseen
from amxwatch.ports.ledger import SourceState
from amxwatch.stores.ledger.rows import upsert, values_of
from amxwatch.stores.ledger.tables import source as table

_GET = select(table).where(table.c.profile == bindparam("wanted"))


class SqlSources:
    """Implements `ports.ledger.Sources`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, profile: str) -> SourceState:
        row = self._connection.execute(_GET, {"wanted": profile}).mappings().first()
        return SourceState(profile=profile) if row is None else _state(row)

    def put(self, state: SourceState) -> None:
        problems = [asdict(problem) for problem in state.problems]
        unseen = [asdict(each) for each in state.unseen]
        values = {**values_of(state), "problems": problems, "unseen": unseen}
        upsert(self._connection, table, values)

    def list(self) -> builtins.list[SourceState]:
        rows = self._connection.execute(select(table).order_by(table.c.profile)).mappings()
        return [_state(row) for row in rows]


def _state(row: RowMapping) -> SourceState:
    problems = tuple(SourceProblem(**problem) for problem in row["problems"])
    unseen = tuple(Unseen(**each) for each in row["unseen"])
    return SourceState(**{**row, "problems": problems, "unseen": unseen})
