"""Looks at rows with statements that SQLAlchemy writes for the dialect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from amxwatch.core.catalog import Table
from amxwatch.core.errors import StatementRefusedError
from amxwatch.core.sample import ColumnTotals, Sample, Tally, Wanted
from amxwatch.core.tally import tally_of
from amxwatch.databases.generic.connection import GenericEngine
from amxwatch.databases.sampling import LONGEST_VALUE

COLUMNS_AT_A_TIME = 200
"""Four results a column; databases admit a thousand and more in one query."""

Asked = Callable[[sa.ColumnClause[Any]], tuple[sa.ColumnElement[Any], ...]]


class GenericSampler:
    """Implements `ports.database.Sampler`. The first rows will do: no clause is everywhere."""

    def __init__(self, engine: GenericEngine) -> None:
        self._engine = engine

    async def sample(self, table: Table, *, rows: int, full: bool) -> Sample:
        return await self._engine.run(
            lambda connection: self._sample(connection, table, rows, full)
        )

    async def tally(self, table: Table, wanted: Wanted) -> Tally:
        """Count the rows here: what counts texts and shapes has no common spelling.

        Of hidden columns nothing is kept but counts, lengths and shapes.
        """
        sample = await self.sample(table, rows=wanted.rows, full=wanted.full)
        return tally_of(sample, wanted)

    def _sample(self, connection: Connection, table: Table, rows: int, full: bool) -> Sample:
        names = tuple(column.name for column in table.columns)
        columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in names]
        source = sa.table(table.name, *columns, schema=table.schema)
        found = connection.execute(sa.select(*source.columns).limit(int(rows)))
        values = tuple(tuple(map(_cut, row)) for row in found)
        count = None
        totals: dict[str, ColumnTotals] = {}
        if full:
            count = int(connection.scalar(sa.select(sa.func.count()).select_from(source)) or 0)
            totals = self._totals(connection, source, count)
        return Sample(columns=names, rows=values, row_count=count, totals=totals)

    def _totals(
        self, connection: Connection, source: sa.TableClause, count: int
    ) -> dict[str, ColumnTotals]:
        totals: dict[str, ColumnTotals] = {}
        columns = list(source.columns)
        for start in range(0, len(columns), COLUMNS_AT_A_TIME):
            part = columns[start : start + COLUMNS_AT_A_TIME]
            totals |= self._counted(connection, source, part, count, _everything) or {}
            for column in part:
                # A type without order or equality spoils the query for all: ask for it alone.
                for wanted in (_everything, _as_text):
                    if column.name not in totals:
                        found = self._counted(connection, source, [column], count, wanted)
                        totals |= found or {}
        return totals

    def _counted(
        self,
        connection: Connection,
        source: sa.TableClause,
        columns: Sequence[sa.ColumnClause[Any]],
        count: int,
        wanted: Asked,
    ) -> dict[str, ColumnTotals] | None:
        """Return the totals of some columns, or None where the database refuses to make them."""
        query = sa.select(*(each for column in columns for each in wanted(column)))
        try:
            with self._engine.translated():
                row = connection.execute(query.select_from(source)).one()
        except StatementRefusedError:
            connection.rollback()
            return None
        return {
            column.name: _totals_in(row[4 * place : 4 * place + 4], count)
            for place, column in enumerate(columns)
        }


def _everything(column: sa.ColumnClause[Any]) -> tuple[sa.ColumnElement[Any], ...]:
    distinct = sa.func.count(sa.distinct(column))
    return sa.func.count(column), distinct, sa.func.min(column), sa.func.max(column)


def _as_text(column: sa.ColumnClause[Any]) -> tuple[sa.ColumnElement[Any], ...]:
    distinct = sa.func.count(sa.distinct(sa.cast(column, sa.Text)))
    return sa.func.count(column), distinct, sa.null(), sa.null()


def _totals_in(values: Sequence[Any], count: int) -> ColumnTotals:
    present, distinct, minimum, maximum = values
    if not present:  # ClickHouse makes zeros and empty texts of nothing
        minimum = maximum = None
    return ColumnTotals(
        nulls=count - int(present),
        distinct=int(distinct),
        minimum=None if minimum is None else str(minimum)[:LONGEST_VALUE],
        maximum=None if maximum is None else str(maximum)[:LONGEST_VALUE],
    )


def _cut(value: object) -> object:
    return value[:LONGEST_VALUE] if isinstance(value, str | bytes) else value
