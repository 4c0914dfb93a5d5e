"""Approved items become runs, and follow them to their end."""

from __future__ import annotations

from collections.abc import Iterable

from amxwatch.core.intake import (
    IntakeEvent,
    IntakeItem,
    IntakeState,
    Move,
    following,
    hold,
)
from amxwatch.core.run import Run, RunId, RunKind, RunStatus, RunTrigger
from amxwatch.flows import firing
from amxwatch.flows.intake import IntakeDesk, moved, triage_new
from amxwatch.ports.intake import IntakeFilter
from amxwatch.ports.ledger import Tx
from amxwatch.settings.schema import Settings

PLANNED_AT_ONCE = 100
"""How many items one look plans; the rest waits for the next."""

FOLLOWED = frozenset({RunTrigger.INTAKE, RunTrigger.CONTINUOUS})
"""The triggers of runs that items may belong to."""


async def plan(desk: IntakeDesk, *, leave: frozenset[str] = frozenset()) -> list[RunId]:
    """Put a run for what is approved, in order of priority, and return the new runs.

    Items of one scope of one db profile share a run: it serves them all. Those of the db
    profiles in `leave`, and those that a session reserved, are left. Two processes that plan at
    once plan each item once. Costs two indexed reads where there is nothing to do.
    """
    await triage_new(desk)
    settings, now = desk.settings(), desk.clock.now()

    def ready(tx: Tx, limit: int) -> list[IntakeItem]:
        return tx.intake.next_approved(now=now, leave=leave, limit=limit)

    if not await desk.ledger.read(lambda tx: ready(tx, 1)):
        return []

    def work(tx: Tx) -> list[RunId]:
        items = ready(tx, PLANNED_AT_ONCE)
        for item in items:
            if item.db_profile not in settings.db_profiles:
                gone = hold(f"there is no db profile {item.db_profile!r} any more")
                moved(tx, item, gone, now)
        known = [item for item in items if item.db_profile in settings.db_profiles]
        return [_put(tx, group, settings, desk) for group in _merged(known)]

    return await desk.ledger.write(work)


def _merged(items: Iterable[IntakeItem]) -> list[list[IntakeItem]]:
    """Put items that ask for the same together; the most urgent is the first of its group."""
    groups: dict[tuple[str, str], list[IntakeItem]] = {}
    for item in items:
        groups.setdefault((item.db_profile, item.scope), []).append(item)
    return list(groups.values())


def _put(tx: Tx, items: list[IntakeItem], settings: Settings, desk: IntakeDesk) -> RunId:
    now, first, told = desk.clock.now(), items[0], settings.intake
    more = f" (and {len(items) - 1} more)" if len(items) > 1 else ""
    run = Run(
        id=firing.new_run_id(now),
        kind=RunKind.ANALYZE,
        status=RunStatus.QUEUED,
        trigger=RunTrigger.INTAKE,
        trigger_reason=f"intake:{first.id}: {first.title}{more}",
        db_profile=first.db_profile,
        llm_profile=settings.llm_profile(told.llm_profile).name,
        scope=first.scope,
        review_strategy=told.review_strategy,
        priority=first.priority.of_run,
        timeout_seconds=told.timeout_seconds,
        queued_at=now,
        not_before=now,
    )
    firing.put(tx, run, now)
    for item in items:
        moved(tx, item, Move(event=IntakeEvent.PLAN, values={"run_id": run.id}), now)
    return run.id


def follow(tx: Tx, run: Run) -> None:
    """Move the items of a run on, inside the transaction that claims or settles it."""
    if run.trigger not in FOLLOWED:
        return
    taken = frozenset({IntakeState.PLANNED, IntakeState.RUNNING})
    now = run.finished_at or run.started_at or run.queued_at
    for item in tx.intake.list(IntakeFilter(run_id=run.id, states=taken, limit=10_000)):
        move = following(item, run, now)
        if move is not None:
            moved(tx, item, move, now)
