"""Writing back: plans, conflicts, failures, interrupted writes, undo."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import anyio
import pytest

from amxwatch.core.catalog import ObjectType
from amxwatch.core.draft import DraftEvent, DraftStatus
from amxwatch.core.errors import DatabaseError, DatabaseUnavailableError
from amxwatch.core.run import RunId
from amxwatch.flows import apply, review
from amxwatch.flows.interrupted import settle_interrupted
from amxwatch.flows.plan import Verdict, make_plan
from amxwatch.flows.undo import undo
from tests.flows.conftest import World, catalog, column, table
from tests.flows.test_analyze import by_hand

pytestmark = pytest.mark.anyio

ORDERS = catalog(table("orders", "order_id"))


async def accepted(world: World) -> str:
    """Draft the whole catalog and accept it all; returns the run's id."""
    world.database.catalog = ORDERS
    run_id = await by_hand(world)
    await world.execute()
    for draft in await world.drafts():
        await review.accept(world.ledger, world.clock, draft.id)
    return run_id


async def test_a_plan_writes_nothing_and_its_execution_writes_each_row_once(
    world: World,
) -> None:
    await accepted(world)
    rows = await make_plan(world.source)
    assert [row.verdict for row in rows] == [Verdict.WRITE] * 2
    assert world.database.executed == []
    done = await apply.execute(world.source, rows, owner="test")
    assert (done.written, len(world.database.executed)) == (2, 2)
    assert await make_plan(world.source) == ()
    shown = await world.source.catalog()
    assert shown.tables[0].comment == "What #table means."


async def test_a_comment_that_was_changed_meanwhile_is_a_conflict_and_stays(
    world: World,
) -> None:
    await accepted(world)
    world.database.catalog = catalog(table("orders", column("order_id", comment="Mine.")))
    rows = await make_plan(world.source)
    done = await apply.execute(world.source, rows, owner="test")
    assert done.written == 1
    assert done.conflicts == (
        {"object": "shop.orders.order_id", "expected": None, "found": "Mine."},
    )
    assert world.database.catalog.tables[0].columns[0].comment == "Mine."
    [draft] = await world.drafts(statuses=frozenset({DraftStatus.CONFLICT}))
    assert draft.base_comment == "Mine.", "the reviewer decides over what stands there now"
    await review.accept(world.ledger, world.clock, draft.id)
    again = await apply.execute(world.source, await make_plan(world.source), owner="test")
    assert again.written == 1


async def test_failed_rows_stay_queued_and_an_outage_stops_the_tries(world: World) -> None:
    await accepted(world)
    rows = await make_plan(world.source)
    world.database.fail_with = DatabaseUnavailableError("the database went away")
    done = await apply.execute(world.source, rows, owner="test")
    assert [failure["error"] for failure in done.failed] == ["the database went away"] * 2
    world.database.fail_with = None
    assert len(await make_plan(world.source)) == 2


@pytest.mark.parametrize(
    ("live", "status"),
    [
        ("What #table means.", DraftStatus.WRITTEN),
        (None, DraftStatus.ACCEPTED),
        ("Someone else's.", DraftStatus.CONFLICT),
    ],
)
async def test_an_interrupted_write_is_settled_by_what_the_database_says(
    world: World, live: str | None, status: DraftStatus
) -> None:
    await accepted(world)
    [draft] = [d for d in await world.drafts() if d.object_type is ObjectType.TABLE]
    await world.ledger.write(lambda tx: tx.drafts.move(draft.id, DraftEvent.INTEND, owner="dead"))
    orders = replace(world.database.catalog.tables[0], comment=live)
    world.database.catalog = catalog(orders)
    assert await settle_interrupted(world.source, lambda owner: owner == "dead", owner="me") == 1
    assert (await world.ledger.read(lambda tx: tx.drafts.get(draft.id))).status is status
    assert world.database.executed == []


async def test_a_write_of_a_living_process_is_left_to_it(world: World) -> None:
    await accepted(world)
    draft = (await world.drafts())[0]
    await world.ledger.write(lambda tx: tx.drafts.move(draft.id, DraftEvent.INTEND, owner="alive"))
    assert await settle_interrupted(world.source, lambda _: False, owner="me") == 0


async def test_a_write_that_was_cancelled_in_the_middle_is_settled_by_the_next_look(
    world: World,
) -> None:
    await accepted(world)
    rows = await make_plan(world.source)
    hanging = anyio.Event()

    async def hang(*_: object) -> list[str | DatabaseError]:
        hanging.set()
        await anyio.sleep_forever()
        return []

    execute_many = world.database.execute_many
    world.database.execute_many = hang  # type: ignore[method-assign]
    async with anyio.create_task_group() as group:
        group.start_soon(partial(apply.execute, world.source, rows, owner="me"))
        await hanging.wait()
        assert await settle_interrupted(world.source, lambda _: False, owner="me") == 0
        group.cancel_scope.cancel()
    world.database.execute_many = execute_many  # type: ignore[method-assign]
    assert await settle_interrupted(world.source, lambda _: False, owner="me") == 2
    done = await apply.execute(world.source, await make_plan(world.source), owner="me")
    assert done.written == 2


async def test_undo_puts_back_what_was_there_unless_someone_changed_it(world: World) -> None:
    run_id = await accepted(world)
    await apply.execute(world.source, await make_plan(world.source), owner="test")
    touched = replace(world.database.catalog.tables[0], comment="By a person, later.")
    world.database.catalog = catalog(touched)
    done = await undo(world.source, RunId(run_id))
    assert (done.written, len(done.conflicts)) == (1, 1)
    assert world.database.catalog.tables[0].columns[0].comment is None
    assert world.database.catalog.tables[0].comment == "By a person, later."


async def test_what_the_database_cannot_hold_is_skipped_with_its_statement(
    world: World,
) -> None:
    await accepted(world)
    world.database.capabilities = replace(
        world.database.capabilities, comments=frozenset({ObjectType.TABLE})
    )
    rows = await make_plan(world.source)
    done = await apply.execute(
        world.source, [row for row in rows if row.target.type is ObjectType.TABLE], owner="test"
    )
    assert done.written == 1
    [left] = [row for row in rows if row.verdict is Verdict.UNSUPPORTED]
    assert left.reason == "Memory cannot hold a column comment"
