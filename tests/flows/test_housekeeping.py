"""What is forgotten, and what never is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from amxwatch.core.draft import Draft, DraftEvent
from amxwatch.core.run import RunEvent, RunId, RunStatus
from amxwatch.core.schedule import ScheduleState
from amxwatch.flows.housekeeping import House, Kept
from amxwatch.ports.ledger import Tx
from amxwatch.settings.retention import Retention
from tests.flows.conftest import NOON, World, catalog, column, table

pytestmark = pytest.mark.anyio

TINY = Retention(replies_days=1, events_days=1, history_days=1)


async def kept(world: World, rules: Retention = TINY, *, idle: bool = True) -> Kept:
    """Keep house once, and let its pauses pass."""
    house = House(world.ledger, world.clock, rules, is_idle=lambda: idle)
    done: list[Kept] = []

    async def keep() -> None:
        done.append(await house.keep())

    async with anyio.create_task_group() as group:
        group.start_soon(keep)
        while not done:
            world.pass_time(0.05)
            await anyio.lowlevel.checkpoint()
    return done[0]


def withdraw(draft: Draft, tx: Tx) -> None:
    tx.drafts.move(draft.id, DraftEvent.WITHDRAW)


async def drafted(world: World, name: str) -> str:
    """Let a run draft one table, and return its id."""
    plan = world.on_change(trigger={"initial_run": True}, name=name, scope=f"table:shop.{name}")
    assert (await world.turn(plan)).action == "fire"
    run = await world.execute()
    assert run.status is RunStatus.COMPLETED
    return run.id


def paid_for(path: Path) -> set[str]:
    """Return the runs that a model's reply is kept of."""
    with closing(sqlite3.connect(path / "state.db")) as raw:
        return {run_id for (run_id,) in raw.execute("SELECT run_id FROM step")}


async def test_what_a_review_needs_is_kept_at_any_age(world: World, tmp_path: Path) -> None:
    world.database.catalog = catalog(table("orders", "order_id"), table("gone", "gone_id"))
    pending = await drafted(world, "orders")
    settled = await drafted(world, "gone")
    for draft in await world.drafts(run_id=settled):
        await world.ledger.write(partial(withdraw, draft))
    [made] = [run for run in await world.runs() if run.id == pending]
    spare = replace(made, id=RunId("run_spare"), schedule=None, unique_key="spare")
    await world.ledger.write(lambda tx: tx.runs.put(spare))
    assert paid_for(tmp_path) == {pending, settled}
    world.pass_time(86_400 * 30)
    done = await kept(world)
    assert done.is_news
    assert {run.id for run in await world.runs()} == {pending, settled}
    assert {draft.run_id for draft in await world.drafts()} == {pending}
    assert (await world.actions()) == ["house_kept"]
    assert paid_for(tmp_path) == {pending}
    world.pass_time(60)
    assert not (await kept(world)).is_news


async def test_open_runs_and_what_they_left_are_kept(world: World) -> None:
    world.database.catalog = catalog(table("orders", "order_id"))
    plan = world.on_change(trigger={"initial_run": True})
    await world.turn(plan)
    world.pass_time(86_400 * 30)
    await kept(world)
    [run] = await world.runs()
    assert run.status is RunStatus.QUEUED
    assert "run_queued" in await world.actions()
    await world.ledger.write(
        lambda tx: tx.runs.move(run.id, RunEvent.CANCEL, token=None, finished_at=NOON)
    )
    await world.ledger.write(
        lambda tx: tx.schedules.put(
            ScheduleState(name="other", armed_at=NOON, trigger_hash="h", last_run_id=run.id)
        )
    )
    await kept(world)
    assert [each.id for each in await world.runs()] == [run.id]


async def test_zero_days_are_for_ever_and_work_comes_first(world: World) -> None:
    world.database.catalog = catalog(table("orders", column("order_id")))
    await drafted(world, "orders")
    before = await world.actions()
    world.pass_time(86_400 * 3650)
    ever = Retention(replies_days=0, events_days=0, history_days=0)
    assert not (await kept(world, ever)).is_news
    assert not (await kept(world, idle=False)).is_news
    assert await world.actions() == before


async def test_a_state_that_is_too_large_loses_its_oldest_parts(world: World) -> None:
    def fill(tx: Tx) -> None:
        for number in range(2000):
            at = NOON - timedelta(days=100) + timedelta(minutes=number)
            tx.events.add("config_loaded", at=at, detail="x" * 1500)

    await world.ledger.write(fill)
    await world.ledger.write(lambda tx: tx.events.add("daemon_started", at=NOON))
    done = await kept(world, Retention(max_mb=2))
    assert done.before.used > 2 * 2**20 >= done.after.used
    assert done.forgotten["events"] > 500
    left = await world.ledger.read(lambda tx: tx.events.after(0))
    assert left[0].at > NOON - timedelta(days=100)
    assert "daemon_started" in [event.action for event in left]
