"""Writing back: plans, conflicts, failures, interrupted writes, undo."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import anyio
import pytest

from amxwatch.core.catalog import ObjectRef, ObjectType
from amxwatch.core.draft import DraftEvent, DraftStatus
from amxwatch.core.errors import DatabaseError, DatabaseUnavailableError
from amxwatch.core.run import RunId
from amxwatch.flows import apply, review
from amxwatch.flows.interrupted import settle_interrupted
from amxwatch.flows.plan import Planned, Verdict, Wanted, make_plan, template
from amxwatch.flows.undo import undo
from amxwatch.ports.database import CommentTarget
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


async def test_force_overwrites_a_conflict_and_undo_brings_it_back(world: World) -> None:
    run_id = await accepted(world)
    theirs = catalog(table("orders", column("order_id", comment="Mine.")))
    world.database.catalog = theirs
    rows = await make_plan(world.source, Wanted(force=True))
    assert [row.verdict for row in rows] == [Verdict.WRITE] * 2
    done = await apply.execute(world.source, rows, owner="test")
    assert (done.written, done.conflicts) == (2, ())
    assert world.database.catalog.tables[0].columns[0].comment == "What order_id means."
    await undo(world.source, RunId(run_id))
    assert world.database.catalog.tables[0].columns[0].comment == "Mine."


async def test_force_still_sees_what_is_changed_after_the_plan(world: World) -> None:
    await accepted(world)
    rows = await make_plan(world.source, Wanted(force=True))
    world.database.catalog = catalog(table("orders", column("order_id", comment="Just now.")))
    done = await apply.execute(world.source, rows, owner="test")
    assert (done.written, len(done.conflicts)) == (1, 1)
    assert world.database.catalog.tables[0].columns[0].comment == "Just now."


async def test_restore_pushes_what_was_accepted_long_ago_and_is_gone_since(world: World) -> None:
    await accepted(world)
    await apply.execute(world.source, await make_plan(world.source), owner="test")
    assert await make_plan(world.source, Wanted(restore=True)) == (), "only rows that differ"
    asked = len(world.provider.requests)
    world.database.catalog = ORDERS  # made anew, without its comments
    assert await make_plan(world.source) == ()
    rows = await make_plan(world.source, Wanted(restore=True))
    assert [row.verdict for row in rows] == [Verdict.WRITE] * 2
    done = await apply.execute(world.source, rows, owner="test")
    assert (done.written, len(world.provider.requests)) == (2, asked)
    assert world.database.catalog.tables[0].comment == "What #table means."
    theirs = replace(world.database.catalog.tables[0], comment="A person's.")
    world.database.catalog = catalog(theirs)
    [row] = await make_plan(world.source, Wanted(restore=True))
    assert row.verdict is Verdict.KEPT
    done = await apply.execute(world.source, [row], owner="test")
    assert (done.written, len(done.skipped)) == (0, 1)
    assert world.database.catalog.tables[0].comment == "A person's."


async def test_a_kill_while_a_text_is_restored_loses_nothing(world: World) -> None:
    await accepted(world)
    await apply.execute(world.source, await make_plan(world.source), owner="test")
    world.database.catalog = ORDERS
    [draft, _] = await world.drafts(statuses=frozenset({DraftStatus.WRITTEN}))
    await world.ledger.write(lambda tx: tx.drafts.move(draft.id, DraftEvent.RESTORE, owner="dead"))
    assert await settle_interrupted(world.source, lambda owner: owner == "dead", owner="me") == 1
    rows = await make_plan(world.source, Wanted(restore=True))
    assert len(rows) == 2
    assert (await apply.execute(world.source, rows, owner="me")).written == 2


async def test_a_template_holds_a_slot_in_the_place_of_the_text(world: World) -> None:
    await accepted(world)
    rows = await make_plan(world.source)
    shown = [template(world.source, row) for row in rows]
    assert all(text and ":cmt" in text and "means" not in text for text in shown)


def test_a_table_is_never_cut_unless_it_is_huge() -> None:
    sizes = {"a": 10, "b": 10, "c": 10, "d": 300, "e": 1}
    rows = [
        Planned(
            draft=None,  # type: ignore[arg-type]  # not looked at
            target=CommentTarget(
                ref=ObjectRef(schema="s", table=name, column=f"c{number}"), type=ObjectType.COLUMN
            ),
            verdict=Verdict.WRITE,
            text="x",
        )
        for name, size in sizes.items()
        for number in range(size)
    ]
    cut = [[row.target.ref.table for row in chunk] for chunk in apply.chunks(rows)]
    assert [sorted(set(chunk)) for chunk in cut] == [["a", "b"], ["c"], ["d"], ["d"], ["e"]]
    assert sum(map(len, cut)) == len(rows)
    assert max(map(len, cut)) == apply.MOST
