"""Change triggers with `include_downstream`: what reads what changed is drafted along with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from amxwatch.core.catalog import ObjectType, Table
from amxwatch.core.run import RunStatus
from tests.flows.conftest import World, catalog, column, table

SQL = "SELECT placed AS day, sum(total) AS revenue FROM shop.orders GROUP BY placed"
DAILY = table("daily", "day", "revenue", type=ObjectType.VIEW, definition=SQL)
BEST = table("best", "top", type=ObjectType.VIEW, definition="SELECT max(revenue) FROM shop.daily")
ORDERS = table("orders", "id", "placed", "total")


def with_type(kind: str) -> Table:
    return table("orders", "id", "placed", column("total", kind))


async def drafted(world: World) -> list[str]:
    """Execute the run that waits and return what it drafted."""
    run = await world.execute()
    assert run.status is RunStatus.COMPLETED
    return sorted(str(draft.ref) for draft in await world.drafts(run_id=run.id))


@pytest.mark.parametrize("include", [True, False])
async def test_what_is_computed_from_a_changed_column_is_drafted_along(
    world: World, include: bool
) -> None:
    world.database.catalog = catalog(ORDERS, DAILY, BEST)
    plan = world.on_change(trigger={"include_downstream": include})
    await world.turn(plan)
    world.database.catalog = catalog(with_type("numeric"), DAILY, BEST)
    assert (await world.turn(plan)).action == "fire"
    more = ["shop.best.top", "shop.daily.revenue"] if include else []
    assert await drafted(world) == [*more, "shop.orders.total"]
    [run] = await world.runs()
    assert run.objects == 1 + len(more)
    assert (await world.turn(plan)).action == "idle"


async def test_only_what_is_in_scope_is_drafted_along(world: World) -> None:
    world.database.catalog = catalog(ORDERS, DAILY, BEST)
    plan = world.on_change(
        scope="table:shop.orders,shop.best", trigger={"include_downstream": True}
    )
    await world.turn(plan)
    world.database.catalog = catalog(with_type("numeric"), DAILY, BEST)
    await world.turn(plan)
    assert await drafted(world) == ["shop.best.top", "shop.orders.total"]


async def test_a_change_that_is_undone_drafts_nothing_downstream(world: World) -> None:
    world.database.catalog = catalog(ORDERS, DAILY)
    plan = world.on_change(settle=10, trigger={"include_downstream": True})
    await world.turn(plan)
    world.database.catalog = catalog(with_type("numeric"), DAILY)
    assert (await world.turn(plan)).action == "wait"
    world.database.catalog = catalog(ORDERS, DAILY)
    world.pass_time(10)
    assert (await world.turn(plan)).action == "idle"
    assert await world.runs() == []


async def test_a_view_that_cannot_be_followed_is_drafted_as_a_whole(world: World) -> None:
    broken = replace(DAILY, definition="SELECT ( FROM shop.orders")
    world.database.catalog = catalog(ORDERS, broken)
    plan = world.on_change(trigger={"include_downstream": True})
    await world.turn(plan)
    world.database.catalog = catalog(with_type("numeric"), broken)
    await world.turn(plan)
    assert await drafted(world) == ["shop.daily", "shop.orders.total"]


async def test_a_comment_alone_drafts_nothing_downstream(world: World) -> None:
    world.database.catalog = catalog(ORDERS, DAILY)
    plan = world.on_change(
        trigger={"include_downstream": True, "kinds": ["comment_changed", "type_changed"]}
    )
    await world.turn(plan)
    told = table("orders", "id", "placed", column("total", comment="In cents."))
    world.database.catalog = catalog(told, DAILY)
    await world.turn(plan)
    assert await drafted(world) == ["shop.orders.total"]
