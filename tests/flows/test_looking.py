"""Looking: only what moved is read; what is out of sight stays; another database is held."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest

from amxwatch.core.catalog import Catalog, ObjectRef, Table
from amxwatch.core.change import ChangeKind
from amxwatch.core.errors import DatabaseUnavailableError
from amxwatch.flows.watch import look
from amxwatch.ports.ledger import SourceState
from amxwatch.stores.snapshots import SnapshotCache
from tests.flows.conftest import World, catalog, table

pytestmark = pytest.mark.anyio

ORDERS = table("orders", "order_id")
ITEMS = table("items", "item_id", "order_id")


async def state_of(world: World) -> SourceState:
    return await world.ledger.read(lambda tx: tx.sources.get("shop"))


async def tables_now(world: World) -> list[Table]:
    return list((await world.source.catalog()).tables)


async def test_after_the_first_read_only_what_moved_is_read(world: World) -> None:
    world.database.catalog = catalog(ORDERS, ITEMS)
    await look(world.source)
    wider = table("orders", "order_id", "total")
    world.database.catalog = catalog(wider)
    found = await look(world.source)
    assert {(change.kind, str(change.ref)) for change in found.changes} == {
        (ChangeKind.ADDED, "shop.orders.total"),
        (ChangeKind.REMOVED, "shop.items"),
    }
    assert (world.database.reads, world.database.partial_reads) == (1, 1)
    assert await tables_now(world) == [wider]
    newest = await world.source.newest()
    assert newest is not None
    assert (newest.tables, newest.columns) == (1, 2)


async def test_a_read_that_was_never_recorded_is_made_again_whole(world: World) -> None:
    world.database.catalog = catalog(ORDERS)
    await look(world.source)
    world.database.catalog = catalog(ORDERS, ITEMS)
    await world.source.read_since((await look(world.source, exact=True)).snapshot)
    world.database.catalog = catalog(ITEMS)
    found = await look(world.source, exact=True)
    assert [str(change.ref) for change in found.changes] == ["shop.orders"]
    assert world.database.reads == 2
    assert await tables_now(world) == [ITEMS]


async def test_a_snapshot_of_another_process_makes_the_next_read_whole(world: World) -> None:
    world.database.catalog = catalog(ORDERS)
    await look(world.source)
    cache = world.source.snapshots
    assert isinstance(cache, SnapshotCache)
    other = replace(world.source, _read_as={}, looking=anyio.Lock())
    world.database.catalog = catalog(ORDERS, ITEMS)
    await look(other, exact=True)
    world.database.catalog = catalog(ITEMS)
    await look(world.source, exact=True)
    assert world.database.partial_reads == 0
    assert await tables_now(world) == [ITEMS]


async def test_an_outage_makes_the_next_read_whole(world: World) -> None:
    world.database.catalog = catalog(ORDERS)
    await look(world.source)
    world.database.catalog = catalog(ORDERS, ITEMS)
    world.database.fail_with = DatabaseUnavailableError("it is down")
    assert (await look(world.source, exact=True)).error == "it is down"
    world.database.fail_with = None
    assert len((await look(world.source, exact=True)).changes) == 1
    assert (world.database.reads, world.database.partial_reads) == (1, 1)


async def test_looks_that_meet_leave_one_snapshot(world: World) -> None:
    world.database.catalog = catalog(ORDERS)
    await look(world.source)
    world.database.catalog = catalog(ORDERS, ITEMS)
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(look, world.source)
    newest = await world.source.newest()
    assert newest is not None
    assert newest.number == 2


def seen_with(grants: str | None, *tables: Table, **values: Any) -> Catalog:
    return replace(catalog(*tables), grants=grants, **values)


async def test_a_revoked_right_drops_nothing(world: World) -> None:
    world.database.catalog = seen_with("all", ORDERS, ITEMS)
    await look(world.source)
    world.database.catalog = seen_with("less", ORDERS)
    found = await look(world.source)
    assert found.changes == ()
    assert await tables_now(world) == [ITEMS, ORDERS]
    assert [str(each.ref) for each in (await state_of(world)).unseen] == ["shop.items"]
    assert (await world.actions()).count("objects_unseen") == 1


async def test_what_is_out_of_sight_is_told_once(world: World) -> None:
    world.database.catalog = seen_with("all", ORDERS, ITEMS)
    await look(world.source)
    for number in range(3):
        changed = table("orders", *(f"c{place}" for place in range(number + 1)))
        world.database.catalog = seen_with("less", changed)
        await look(world.source, exact=True)
    assert (await world.actions()).count("objects_unseen") == 1
    assert len(await tables_now(world)) == 2


async def test_a_right_that_returns_shows_what_happened_meanwhile(world: World) -> None:
    world.database.catalog = seen_with("all", ORDERS, ITEMS)
    await look(world.source)
    world.database.catalog = seen_with("less", ORDERS)
    await look(world.source)
    world.database.catalog = seen_with("all", ORDERS)
    found = await look(world.source)
    assert [(change.kind, str(change.ref)) for change in found.changes] == [
        (ChangeKind.REMOVED, "shop.items")
    ]
    assert (await state_of(world)).unseen == ()


async def test_what_the_reader_could_not_read_keeps_its_last_version(world: World) -> None:
    world.database.catalog = catalog(ORDERS, ITEMS)
    await look(world.source)
    hidden = (ObjectRef(schema="shop", table="items"),)
    world.database.catalog = replace(catalog(ORDERS), unseen=hidden)
    assert (await look(world.source)).changes == ()
    world.database.catalog = catalog(ORDERS)
    assert [change.kind for change in (await look(world.source)).changes] == [ChangeKind.REMOVED]


async def test_a_person_may_let_the_unseen_count_as_dropped(world: World) -> None:
    world.database.catalog = seen_with("all", ORDERS, ITEMS)
    await look(world.source)
    world.database.catalog = seen_with("less", ORDERS)
    await look(world.source)
    found = await look(world.source, accept=True)
    assert [change.kind for change in found.changes] == [ChangeKind.REMOVED]
    assert (await state_of(world)).unseen == ()


async def test_another_database_is_held_and_nothing_is_recorded(world: World) -> None:
    world.database.catalog = catalog(ORDERS, ITEMS)
    await look(world.source)
    wrong = replace(catalog(table("films", "film_id")), source="memory/other")
    world.database.catalog = wrong
    found = await look(world.source)
    assert found.error is not None
    assert "2 of 2 tables are not in it" in found.error
    assert found.snapshot == 1
    state = await state_of(world)
    assert state.held
    assert state.failing_since == world.clock.now()
    assert (await world.actions())[-1] == "source_held"
    world.database.catalog = catalog(ORDERS, ITEMS)
    world.clock.advance(timedelta(minutes=10))
    assert (await look(world.source)).error is None
    assert not (await state_of(world)).held
    newest = await world.source.newest()
    assert newest is not None
    assert newest.number == 1


async def test_another_database_is_taken_when_a_person_says_so(world: World) -> None:
    world.database.catalog = catalog(ORDERS, ITEMS)
    await look(world.source)
    films = table("films", "film_id")
    world.database.catalog = replace(catalog(films), source="memory/other")
    await look(world.source)
    found = await look(world.source, accept=True)
    assert found.error is None
    assert await tables_now(world) == [films]
    assert (await world.actions()).count("baseline_taken") >= 1


async def test_a_server_that_moved_with_its_tables_is_a_baseline(world: World) -> None:
    world.database.catalog = catalog(ORDERS, ITEMS)
    await look(world.source)
    world.database.catalog = replace(catalog(ORDERS, ITEMS), source="memory/new-host")
    found = await look(world.source)
    assert (found.error, found.snapshot, found.changes) == (None, 2, ())
