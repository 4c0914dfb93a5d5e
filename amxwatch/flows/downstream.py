"""What depends on the objects that changed, for triggers with `include_downstream`."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread

from amxwatch.core.catalog import Catalog
from amxwatch.core.change import Change
from amxwatch.core.lineage import VALUES_ONLY
from amxwatch.core.scope import Scope
from amxwatch.core.selection import Downstream, downstream_of
from amxwatch.flows.source import Source


async def downstream(
    source: Source, changes: Sequence[Change], catalog: Catalog, scope: Scope
) -> tuple[Downstream, ...]:
    """Return what in scope depends on what changed, as the catalog stands after the changes.

    Views are parsed in a worker thread: a catalog may hold thousands.
    """
    dialect = source.database.capabilities.dialect

    def work() -> tuple[Downstream, ...]:
        from amxwatch.context.lineage import Lineage

        lineage = Lineage(catalog, dialect)
        return downstream_of(
            changes, catalog, scope, lambda ref: lineage.impact(ref, uses=VALUES_ONLY)
        )

    return await anyio.to_thread.run_sync(work) if changes else ()
