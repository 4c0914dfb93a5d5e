"""Execute one run of either kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amxwatch.core.run import Outcome, RunKind
from amxwatch.flows.watch import look
from amxwatch.ports.engine import RunContext

if TYPE_CHECKING:
    from amxwatch.flows.job import Drafting


async def work(context: RunContext, drafting: Drafting) -> Outcome:
    """Execute the run that `context` holds; an engine calls this."""
    if context.run.kind is RunKind.CACHE_REFRESH:
        return await refresh(context, drafting)
    from amxwatch.flows.analyze import analyze  # not loaded where nothing is ever drafted

    return await analyze(context, drafting)


async def refresh(context: RunContext, drafting: Drafting) -> Outcome:
    """Take a snapshot whatever the gate says. Raises: DatabaseUnavailableError."""
    found = await look(drafting.source(context.run.db_profile), exact=True)
    if found.error is not None:
        raise found.fault()
    changes = len(found.changes)
    return Outcome(
        summary=f"snapshot {found.snapshot}: {changes} change{'' if changes == 1 else 's'}",
        objects=changes,
        to_snapshot=found.snapshot,
    )
