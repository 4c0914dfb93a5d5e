"""What columns are computed from goes into their drafts, and moves their input only as it moves."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from amxwatch.core.catalog import ObjectType, Table
from amxwatch.core.draft import DraftStatus
from amxwatch.flows import review
from tests.flows.conftest import World, catalog, column, table
from tests.flows.test_analyze import by_hand

pytestmark = pytest.mark.anyio

SQL = "SELECT placed AS day, sum(total) AS revenue FROM shop.orders GROUP BY placed"
ORDERS = table("orders", "id", "placed", column("total", comment="Price of the order."))


def daily(sql: str = SQL) -> Table:
    return table("daily", "day", "revenue", type=ObjectType.VIEW, definition=sql)


async def asked(world: World) -> dict[str, dict[str, object]]:
    """Run by hand over everything; return what the prompts say of each column, by its name."""
    before = len(world.provider.requests)
    await world.execute(await by_hand(world))
    found = {}
    for request in world.provider.requests[before:]:
        block = request.prompt.split("<material>\n")[1].split("\n</material>")[0]
        material = json.loads(block)
        for each in material["ask"]:
            found[f"{material['table']['name']}.{each['key']}"] = each
    return found


async def answer(world: World, status: DraftStatus) -> None:
    for draft in await world.drafts(statuses=frozenset({DraftStatus.PENDING})):
        if status is DraftStatus.REJECTED:
            await review.reject(world.ledger, world.clock, draft.id)
        else:
            await review.accept(world.ledger, world.clock, draft.id)


async def test_the_prompt_says_where_a_column_comes_from_and_who_reads_it(world: World) -> None:
    # Else a column that is handed through takes the words along, and nobody is asked.
    profile = world.settings.db_profiles["shop"].model_copy(update={"inherit_descriptions": False})
    world.settings = world.settings.model_copy(update={"db_profiles": {"shop": profile}})
    world.database.catalog = catalog(ORDERS)
    await asked(world)
    await answer(world, DraftStatus.ACCEPTED)
    world.pass_time(60)
    words = {draft.ref.column: draft.text for draft in await world.drafts() if draft.ref.column}
    world.database.catalog = catalog(ORDERS, daily())
    said = await asked(world)
    assert said["daily.revenue"]["computed_by"] == "SUM(total)"
    assert said["daily.revenue"]["computed_from"] == [
        {"column": "shop.orders.total", "description": "Price of the order."}
    ]
    assert "computed_by" not in said["daily.day"]
    assert said["daily.day"]["computed_from"] == [
        {"column": "shop.orders.placed", "description": words["placed"]}
    ]
    world.database.catalog = catalog(
        replace(ORDERS, columns=(*ORDERS.columns[:2], replace(ORDERS.columns[2], comment=None))),
        daily(),
    )
    assert (await asked(world))["orders.total"]["read_by"] == ["shop.daily.revenue"]


async def test_what_is_shown_is_bounded(world: World) -> None:
    names = [f"column_{number:02}" for number in range(60)]
    sql = f"SELECT {' + '.join(names)} AS all_of_it FROM shop.wide"
    wide = table("sum", "all_of_it", type=ObjectType.VIEW, definition=sql)
    world.database.catalog = catalog(table("wide", *names), wide)
    said = (await asked(world))["sum.all_of_it"]
    assert len(str(said["computed_by"])) == 300
    assert isinstance(said["computed_from"], list)
    assert len(said["computed_from"]) == 8


async def test_a_rejected_draft_comes_again_only_as_its_own_expression_moves(world: World) -> None:
    world.database.catalog = catalog(ORDERS, daily())
    await asked(world)
    await answer(world, DraftStatus.REJECTED)
    assert await asked(world) == {}
    # Another layout, and another filter, compute each column as before.
    for sql in (SQL.replace(" FROM", "\nFROM"), SQL.replace(" GROUP", " WHERE id > 1 GROUP")):
        world.database.catalog = catalog(ORDERS, daily(sql))
        assert "daily.revenue" not in await asked(world)
        assert "daily.day" not in await asked(world)
    world.database.catalog = catalog(ORDERS, daily(SQL.replace("sum(", "max(")))
    said = await asked(world)
    assert "daily.revenue" in said
    assert "daily.day" not in said
