"""Where the columns of a run's tables come from, and what is computed from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import anyio.to_thread

from amxwatch.core.catalog import Catalog, Table
from amxwatch.core.evidence import Derived
from amxwatch.core.lineage import How

if TYPE_CHECKING:
    from amxwatch.context.lineage import Lineage

MOST_COLUMNS = 100
"""Of sources and readers of one column that are kept; a prompt shows fewer."""


class Origins:
    """The lineage of one catalog, made when it is first asked about.

    Views are parsed in worker threads; what was parsed once is remembered by its text.
    """

    def __init__(self, catalog: Catalog, dialect: str) -> None:
        self._catalog = catalog
        self._dialect = dialect
        self._lineage: Lineage | None = None
        # Most of the memory that it takes is the parser's, which without views is not needed.
        self._has_views = any(table.definition or table.reads for table in catalog.tables)

    async def of(self, table: Table) -> Mapping[str, Derived]:
        """Return what is known of each column that is computed, or that something reads."""
        if not self._has_views:
            return {}
        return await anyio.to_thread.run_sync(self._of, table)

    def _of(self, table: Table) -> dict[str, Derived]:
        from amxwatch.context.expressions import expressions_of
        from amxwatch.context.lineage import Lineage

        self._lineage = self._lineage or Lineage(self._catalog, self._dialect)
        expressions = expressions_of(table, self._dialect)
        derived = [each for each in self._lineage.reads(table.ref) if each.how is How.DERIVED]
        reading = [each for each in self._lineage.readers(table.ref) if each.how is How.DERIVED]
        found = {}
        for column in table.columns:
            ref = table.column_ref(column.name)
            one = Derived(
                expression=expressions.get(column.name),
                sources=tuple(e.source for e in derived if e.target == ref)[:MOST_COLUMNS],
                read_by=tuple(e.target for e in reading if e.source == ref)[:MOST_COLUMNS],
            )
            if one != Derived():
                found[column.name] = one
        return found
