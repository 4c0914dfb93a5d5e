"""Who described what, what went stale, and that a person's words are never written over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from amxwatch.core.catalog import Catalog, ObjectRef, Table
from amxwatch.core.coverage import Author, Coverage, Stale
from amxwatch.core.draft import Draft, DraftStatus
from amxwatch.core.run import RunId
from amxwatch.core.scope import Scope
from amxwatch.flows import apply, described, review
from amxwatch.flows.life import Moment, life
from amxwatch.flows.plan import make_plan
from amxwatch.flows.undo import undo
from tests.flows.conftest import World, catalog, column, table
from tests.flows.test_analyze import by_hand

pytestmark = pytest.mark.anyio

TABLE = ObjectRef(schema="shop", table="orders")
TOTAL = ObjectRef(schema="shop", table="orders", column="total")
NOTE = ObjectRef(schema="shop", table="orders", column="note")
ORDERS = table("orders", column("total"), column("note", "text"), column("kind", comment="Mine."))


async def run_by_hand(world: World) -> list[Draft]:
    run_id = await by_hand(world)
    run = await world.execute(run_id)
    return await world.drafts(run_id=run.id)


async def apply_all(world: World) -> apply.Applied:
    for draft in await world.drafts(statuses=frozenset({DraftStatus.PENDING})):
        await review.accept(world.ledger, world.clock, draft.id)
    return await apply.execute(world.source, await make_plan(world.source), owner="test")


async def described_by_us(world: World, one: Table = ORDERS) -> None:
    """Draft and write all that has no comment; `kind` is described by a person."""
    world.database.catalog = catalog(one)
    await run_by_hand(world)
    await apply_all(world)


def now(world: World) -> Table:
    return world.database.catalog.tables[0]


def alter(world: World, which: str, **values: object) -> None:
    """Change a column of the only table."""
    columns = tuple(replace(c, **values) if c.name == which else c for c in now(world).columns)
    world.database.catalog = catalog(replace(now(world), columns=columns))


def comment(world: World, name: str) -> str | None:
    found = now(world).column(name)
    assert found is not None
    return found.comment


async def measured(world: World) -> tuple[Coverage, dict[ObjectRef, Stale]]:
    await world.look()
    newest = await world.source.newest()
    assert newest is not None
    whole: Catalog = await world.source.as_of(newest.number)
    found, stale = await described.coverage(world.source, newest.number, Scope.all(), whole)
    return found, {each.ref: each for each in stale}


async def test_coverage_says_who_described_what(world: World) -> None:
    await described_by_us(world)
    found, stale = await measured(world)
    assert (found.objects, found.described, stale) == (4, 4, {})
    assert found.by == {Author.PEOPLE: 1, Author.AMXWATCH: 3}
    alter(world, "note", comment="Better said.")
    found, _ = await measured(world)
    assert found.by == {Author.PEOPLE: 2, Author.AMXWATCH: 2}
    alter(world, "note", comment=None)
    found, _ = await measured(world)
    assert (found.described, found.by) == (3, {Author.PEOPLE: 1, Author.AMXWATCH: 2})


async def test_a_run_drafts_what_coverage_calls_stale_but_for_peoples(world: World) -> None:
    await described_by_us(world)
    alter(world, "total", type="numeric")
    alter(world, "kind", nullable=False)
    _, stale = await measured(world)
    assert {ref: each.author for ref, each in stale.items()} == {
        TABLE: Author.AMXWATCH,
        TOTAL: Author.AMXWATCH,
        replace(TOTAL, column="kind"): Author.PEOPLE,
    }
    drafts = await run_by_hand(world)
    assert {draft.ref for draft in drafts} == {TABLE, TOTAL}
    await apply_all(world)
    _, stale = await measured(world)
    assert [ref.column for ref in stale] == ["kind"], "what is described anew is fresh"
    assert await run_by_hand(world) == []


async def test_a_change_undone_is_neither_stale_nor_drafted(world: World) -> None:
    await described_by_us(world)
    alter(world, "total", type="numeric")
    await world.look()
    alter(world, "total", type="integer")
    _, stale = await measured(world)
    assert stale == {}
    assert await run_by_hand(world) == []


async def test_an_upgrade_of_the_reader_makes_nothing_stale(world: World) -> None:
    await described_by_us(world)
    alter(world, "total", type="int64")
    world.database.catalog = replace(world.database.catalog, reader="memory/2")
    _, stale = await measured(world)
    assert stale == {}
    assert await run_by_hand(world) == []


async def test_a_change_between_draft_and_writing_leaves_the_words_stale(world: World) -> None:
    world.database.catalog = catalog(ORDERS)
    await run_by_hand(world)
    alter(world, "total", type="numeric")
    await world.look()
    await apply_all(world)
    _, stale = await measured(world)
    assert TOTAL in stale
    assert {draft.ref for draft in await run_by_hand(world)} == {TABLE, TOTAL}


async def test_accepted_words_that_wait_are_drafted_again_only_when_they_are_stale(
    world: World,
) -> None:
    world.database.catalog = catalog(ORDERS)
    for draft in await run_by_hand(world):
        await review.accept(world.ledger, world.clock, draft.id)
    assert await run_by_hand(world) == []
    alter(world, "note", type="varchar")
    assert {draft.ref for draft in await run_by_hand(world)} == {TABLE, NOTE}


async def edited(world: World, ref: ObjectRef, text: str) -> None:
    """Let a reviewer put the words for one object, and write all."""
    world.database.catalog = catalog(ORDERS)
    for draft in await run_by_hand(world):
        if draft.ref == ref:
            await review.edit(world.ledger, world.clock, draft.id, text)
    await apply_all(world)


async def test_a_reviewers_own_words_are_a_persons(world: World) -> None:
    plan = world.on_change(review_strategy="auto")
    await edited(world, TOTAL, "My very words.")
    await world.turn(plan)
    found, _ = await measured(world)
    assert found.by == {Author.PEOPLE: 2, Author.AMXWATCH: 2}
    alter(world, "total", type="numeric")
    await world.turn(plan)
    run = await world.execute()
    [draft] = await world.drafts(run_id=run.id)
    assert (draft.ref, draft.status) == (TOTAL, DraftStatus.PENDING)
    assert "person_comment" in draft.flags
    assert comment(world, "total") == "My very words."


async def test_a_hand_edit_after_our_write_survives_an_automatic_run(world: World) -> None:
    plan = world.on_change(review_strategy="auto")
    await described_by_us(world)
    await world.turn(plan)
    alter(world, "total", comment="Said by hand.")
    await world.turn(plan)
    alter(world, "total", type="numeric")
    await world.turn(plan)
    await world.execute()
    assert comment(world, "total") == "Said by hand."
    waiting = await world.drafts(statuses=frozenset({DraftStatus.PENDING}))
    assert (await review.by_strategy(
        world.ledger, world.clock, review.Strategy.ACCEPT_ALL, waiting
    )).accepted == 0  # fmt: skip


async def test_an_older_text_of_ours_that_a_person_put_back_is_theirs(world: World) -> None:
    await described_by_us(world)
    first = comment(world, "total")
    alter(world, "total", type="numeric")
    [draft] = [d for d in await run_by_hand(world) if d.ref == TOTAL]
    await review.accept(world.ledger, world.clock, draft.id, choice=2)
    await apply_all(world)
    assert comment(world, "total") != first
    alter(world, "total", type="text")
    [draft] = [d for d in await run_by_hand(world) if d.ref == TOTAL]
    await review.edit(world.ledger, world.clock, draft.id, "Third words.")
    alter(world, "total", comment=first)
    found, _ = await measured(world)
    assert found.by[Author.PEOPLE] == 2
    done = await apply_all(world)
    assert [each["object"] for each in done.conflicts] == ["shop.orders.total"]
    assert comment(world, "total") == first


async def test_a_hand_edit_after_an_undo_is_a_conflict_for_what_waits(world: World) -> None:
    world.database.catalog = catalog(ORDERS)
    drafts = await run_by_hand(world)
    await apply_all(world)
    await undo(world.source, RunId(drafts[0].run_id))
    alter(world, "total", type="numeric")
    again = await run_by_hand(world)
    assert TOTAL in {draft.ref for draft in again}
    alter(world, "total", comment="Said by hand.")
    done = await apply_all(world)
    assert [each["object"] for each in done.conflicts] == ["shop.orders.total"]
    assert comment(world, "total") == "Said by hand."


async def test_a_persons_comment_on_a_renamed_column_stays(world: World) -> None:
    """Drafted under one name, renamed and described by hand before the words are written."""
    world.database.capabilities = replace(world.database.capabilities, native_ids=True)
    numbered = tuple(replace(c, native_num=at) for at, c in enumerate(ORDERS.columns, 1))
    world.database.catalog = catalog(replace(ORDERS, columns=numbered, native_id=9))
    await run_by_hand(world)
    alter(world, "total", name="sum", comment="Said by hand.")
    await world.look()
    done = await apply_all(world)
    assert [each["object"] for each in done.conflicts] == ["shop.orders.sum"]
    assert comment(world, "sum") == "Said by hand."


def told(moments: Sequence[Moment]) -> list[tuple[str, str, object]]:
    return [(each.what, str(each.ref), each.author) for each in moments]


async def test_a_life_is_told_through_renames_with_its_descriptions(world: World) -> None:
    world.database.capabilities = replace(world.database.capabilities, native_ids=True)
    numbered = tuple(replace(c, native_num=at) for at, c in enumerate(ORDERS.columns, 1))
    world.pass_time(60)
    await described_by_us(world, replace(ORDERS, columns=numbered, native_id=9))
    world.pass_time(60)
    alter(world, "total", name="sum")
    await world.look()
    world.pass_time(60)
    world.database.catalog = catalog(replace(now(world), name="sales"))
    await world.look()
    world.pass_time(60)
    alter(world, "sum", type="numeric")
    await world.look()
    world.pass_time(60)
    alter(world, "sum", comment="Said by hand.")
    await world.look()
    found = await life(world.source, ObjectRef(schema="shop", table="sales", column="sum"))
    assert told(found) == [
        ("added", "shop.orders.total", None),
        ("accepted", "shop.sales.sum", Author.AMXWATCH),
        ("written", "shop.sales.sum", Author.AMXWATCH),
        ("comment_changed", "shop.orders.total", Author.AMXWATCH),
        ("renamed", "shop.orders.sum", None),
        ("renamed", "shop.sales", None),
        ("type_changed", "shop.sales.sum", None),
        ("comment_changed", "shop.sales.sum", Author.PEOPLE),
    ]
    assert [(each.before, each.after) for each in found if each.what == "type_changed"] == [
        ("integer", "numeric")
    ]
    former = await life(world.source, ObjectRef(schema="shop", table="orders", column="total"))
    assert [each.what for each in former] == ["added", "comment_changed", "renamed"]


async def test_an_undo_has_its_own_line_in_a_life(world: World) -> None:
    await described_by_us(world)
    written = comment(world, "total")
    world.pass_time(60)
    (draft,) = [each for each in await world.drafts() if each.ref == TOTAL]
    await undo(world.source, RunId(draft.run_id))
    found = await life(world.source, TOTAL)
    assert [each.what for each in found][-2:] == ["undone", "comment_changed"]
    line = found[-2]
    assert (line.at, line.before, line.after) == (world.clock.now(), written, None)
    assert line.draft is not None
    assert line.draft.id == draft.id


async def test_a_life_that_ended_and_began_again_is_told_whole(world: World) -> None:
    world.database.catalog = catalog(ORDERS, table("other", "id"))
    await world.look()
    world.pass_time(60)
    world.database.catalog = catalog(table("other", "id"))
    await world.look()
    found = await life(world.source, TOTAL)
    assert [each.what for each in found] == ["added", "removed"]
    assert found[1].before == {
        **found[0].after,  # type: ignore[dict-item]  # a column's document
    }
    world.pass_time(60)
    world.database.catalog = catalog(ORDERS, table("other", "id"))
    await world.look()
    assert [each.what for each in await life(world.source, TOTAL)] == ["added", "removed", "added"]
    assert await life(world.source, replace(TOTAL, column="nowhere")) == ()
    assert [e.what for e in await life(world.source, ObjectRef(schema="shop"))] == ["added"]
