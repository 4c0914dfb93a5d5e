"""What a run of a persistent schedule takes from the runs before it, and leaves to the next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from pydantic import TypeAdapter

from amxwatch.core.catalog import ObjectRef
from amxwatch.core.evidence import ColumnStatistics
from amxwatch.core.memory import Deviation, Lesson, deviations, lessons
from amxwatch.ports.clock import Clock
from amxwatch.ports.engine import RunContext
from amxwatch.ports.ledger import Ledger, Tx
from amxwatch.settings.schema import Schedule

STATISTICS = TypeAdapter(dict[str, ColumnStatistics])
_LESSONS = TypeAdapter(tuple[Lesson, ...])

REVIEWED = 200
"""How many of the newest answers are looked through for what they teach."""


async def learned(context: RunContext, ledger: Ledger, plan: Schedule | None) -> tuple[Lesson, ...]:
    """Return what reviewers taught this schedule, the same for the life of the run."""
    if plan is None or plan.session_mode != "persistent":
        return ()
    name = plan.name

    async def make() -> str:
        reviewed = await ledger.read(lambda tx: tx.memory.reviewed(name, limit=REVIEWED))
        return _LESSONS.dump_json(lessons(reviewed)).decode()

    return _LESSONS.validate_json(await context.remember(f"lessons:{context.run.id}", make))


async def compared(
    context: RunContext,
    ledger: Ledger,
    clock: Clock,
    plan: Schedule | None,
    *,
    table: ObjectRef,
    statistics: Mapping[str, ColumnStatistics],
) -> dict[str, tuple[str, ...]]:
    """Return, by column, what its values did not do at the earlier look, and say so in an event.

    The look before this run is remembered with the run first, so that a recovered run compares
    with it again and not with what it has just left.
    """
    if plan is None or plan.session_mode != "persistent" or not statistics:
        return {}
    name, run = plan.name, context.run

    async def make() -> str:
        return await ledger.read(lambda tx: tx.memory.statistics(name, table)) or "{}"

    before = await context.remember(f"before:{run.id}:{table}", make)
    found = deviations(STATISTICS.validate_json(before), statistics)
    text = STATISTICS.dump_json(dict(statistics)).decode()
    now = clock.now()

    def work(tx: Tx) -> None:
        if tx.memory.statistics(name, table) == text:
            return
        tx.memory.keep(name, table, text, now)
        if found:
            tx.events.add(
                "profile_deviated",
                at=now,
                run_id=run.id,
                schedule=name,
                db_profile=run.db_profile,
                object=str(table),
                deviations=[f"{each.column}: {each.what}" for each in found][:20],
            )

    await context.write(work)
    return _by_column(found)


def _by_column(found: tuple[Deviation, ...]) -> dict[str, tuple[str, ...]]:
    grouped: dict[str, list[str]] = defaultdict(list)
    for each in found:
        grouped[each.column].append(each.what)
    return {column: tuple(said) for column, said in grouped.items()}
