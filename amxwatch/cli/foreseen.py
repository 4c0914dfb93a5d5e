"""What a change schedule would draft by itself, were it to fire now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from amxwatch.cli.documents import Document
from amxwatch.cli.impact import UNSURE, WORDS
from amxwatch.cli.output import shown
from amxwatch.cli.session import Desk
from amxwatch.core.catalog import Catalog, SnapshotNumber
from amxwatch.core.change import Change, change_document
from amxwatch.core.lineage import How
from amxwatch.core.schedule import ScheduleState
from amxwatch.core.selection import Downstream
from amxwatch.flows.downstream import downstream
from amxwatch.flows.pending import pending
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import CatalogChange


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """The changes that wait for a schedule, and what else is drafted because of them."""

    since: SnapshotNumber
    changes: tuple[Change, ...]
    downstream: tuple[Downstream, ...]

    def document(self) -> Document:
        return {
            "since": self.since,
            "changes": [change_document(change) for change in self.changes],
            "downstream": [_document(one) for one in self.downstream],
        }

    def lines(self) -> Iterator[str]:
        yield f"pending: {len(self.changes)} changes since snapshot {self.since}"
        for change in self.changes:
            yield f"  {change.kind} {change.object_type} {shown(change.ref)}"
        if self.downstream:
            yield f"downstream: {len(self.downstream)} objects"
        for one in self.downstream:
            yield f"  {shown(one.ref)}: {_why(one)}"


def _why(one: Downstream) -> str:
    """Say why an object is there, and by which way."""
    way = [one.cause, *one.way.via]
    # A view reads tables; which of their columns is not what this says.
    read = way[-1] if one.way.how is How.DERIVED else way[-1].owner
    words = WORDS[one.way.how].format(shown(read))
    through = f", and so from {' through '.join(shown(ref) for ref in way[:-1])}" if way[1:] else ""
    unsure = UNSURE if one.way.level == "table" else ""
    return f"{one.change} {shown(one.cause)}; {words}{through}{unsure}"


def _document(one: Downstream) -> Document:
    return {
        "object": str(one.ref),
        "because": str(one.cause),
        "change": one.change.value,
        "via": [str(ref) for ref in one.way.via],
        "level": one.way.level.value,
        "how": one.way.how.value,
    }


async def foreseen(
    plan: Schedule, state: ScheduleState | None, catalog: Catalog, desk: Desk
) -> Foreseen | None:
    """Return what waits for a change schedule; None for any other, and for one never armed."""
    trigger = plan.trigger
    if not isinstance(trigger, CatalogChange) or state is None or state.watermark is None:
        return None
    source = desk.install.source(plan.db_profile)
    newest = await source.newest()
    if newest is None:
        return None
    found = await pending(
        source, state, scope=str(plan.parsed_scope), kinds=trigger.kinds, end=newest.number
    )
    more = (
        await downstream(source, found.changes, catalog, plan.parsed_scope)
        if trigger.include_downstream
        else ()
    )
    return Foreseen(since=state.watermark, changes=found.changes, downstream=more)
