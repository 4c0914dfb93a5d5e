"""A persistent schedule: later prompts know what reviewers said and what moved in the data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from amxwatch.core.draft import DraftStatus
from amxwatch.core.run import RunStatus
from amxwatch.flows import review
from tests.flows.conftest import World, catalog, column, table

pytestmark = pytest.mark.anyio


class Killed(BaseException):
    """Ends a process, as far as its flows can tell."""


FIRST = table("orders", column("status", "text"))
SECOND = table("orders", column("status", "text"), column("note", "text"))


def material(world: World) -> dict[str, Any]:
    """Return what the newest request shows to the model."""
    prompt = world.provider.requests[-1].prompt
    block = prompt.partition("<material>\n")[2].partition("\n</material>")[0]
    shown: dict[str, Any] = json.loads(block)
    return shown


async def first_run(world: World, mode: str, *rows: str) -> Any:
    """Draft a first table, whose status column held `rows`, and let a person answer."""
    world.database.catalog = catalog()
    plan = world.on_change(session_mode=mode)
    await world.turn(plan)
    world.database.catalog = catalog(FIRST)
    world.database.rows[FIRST.ref] = [(row,) for row in rows]
    assert (await world.turn(plan)).action == "fire"
    assert (await world.execute()).status is RunStatus.COMPLETED
    drafted = {str(draft.ref): draft for draft in await world.drafts()}
    status, orders = drafted["shop.orders.status"], drafted["shop.orders"]
    await review.edit(world.ledger, world.clock, status.id, "Where the order stands.")
    await review.reject(world.ledger, world.clock, orders.id)
    return plan


async def second_run(world: World, plan: Any, *rows: str) -> None:
    world.pass_time(60)
    world.database.catalog = catalog(SECOND)
    world.database.rows[SECOND.ref] = [(row, "x") for row in rows]
    assert (await world.turn(plan)).action == "fire"
    assert (await world.execute()).status is RunStatus.COMPLETED


async def test_answers_and_deviations_reach_the_next_prompt(world: World) -> None:
    plan = await first_run(world, "persistent", *["new", "paid"] * 20)
    assert "earlier" not in material(world)
    moved = table("orders", column("status", "varchar"), column("note", "text"))
    world.database.catalog = catalog(moved)
    world.database.rows[moved.ref] = [(row, "x") for row in ["new", "paid", "refunded"] * 20]
    world.pass_time(60)
    await world.turn(plan)
    assert (await world.execute()).status is RunStatus.COMPLETED
    shown = material(world)
    assert shown["earlier"] == [
        {
            "name": "status",
            "reviewer": "corrected",
            "proposed": "What status means.",
            "kept": "Where the order stands.",
        },
        {"name": "orders", "reviewer": "rejected", "proposed": "What #table means."},
    ]
    asked = {each["key"]: each for each in shown["ask"]}
    assert asked["status"]["since_last_look"] == ["new values refunded"]
    assert "since_last_look" not in asked["note"]
    events = await world.ledger.read(lambda tx: tx.events.recent(1000))
    (event,) = [event for event in events if event.action == "profile_deviated"]
    assert event.detail["deviations"] == ["status: new values refunded"]
    assert event.schedule == "watch"


async def test_a_new_session_knows_nothing_of_earlier_ones(world: World) -> None:
    plan = await first_run(world, "new", *["new", "paid"] * 20)
    await second_run(world, plan, *["refunded"] * 60)
    assert "earlier" not in material(world)
    assert "profile_deviated" not in await world.actions()


async def test_a_recovered_run_asks_the_same_and_tells_of_a_deviation_once(world: World) -> None:
    plan = await first_run(world, "persistent", *["new", "paid"] * 20)
    world.pass_time(60)
    world.database.catalog = catalog(SECOND)
    world.database.rows[SECOND.ref] = [(row, "x") for row in ["refunded"] * 60]
    await world.turn(plan)
    (run,) = [run for run in await world.runs() if run.status is RunStatus.QUEUED]
    sensible = world.provider.script

    def dies(request: Any) -> Any:
        raise Killed

    world.provider.script = dies
    with pytest.raises(BaseExceptionGroup):  # the process goes, as by a signal
        await world.execute(run.id)
    before = world.provider.requests[-1].prompt
    # A reviewer answers while nothing runs: the run that goes on must not see that.
    rejected = await world.drafts(statuses=frozenset({DraftStatus.REJECTED}))
    await review.reopen(world.ledger, world.clock, rejected[0].id)
    world.provider.script = sensible
    from amxwatch.engines.recover import recover

    world.pass_time(3600)
    await recover(world.ledger, world.clock, is_dead=lambda _: True)
    assert (await world.execute(run.id)).status is RunStatus.COMPLETED
    assert world.provider.requests[-1].prompt == before
    assert (await world.actions()).count("profile_deviated") == 1


async def test_removing_a_schedule_forgets_how_its_tables_looked(world: World) -> None:
    await first_run(world, "persistent", *["new", "paid"] * 20)

    def look(tx: Any) -> str | None:
        return tx.memory.statistics("watch", FIRST.ref)

    assert await world.ledger.read(look) is not None
    await world.ledger.write(lambda tx: tx.memory.forget("watch"))
    assert await world.ledger.read(look) is None
