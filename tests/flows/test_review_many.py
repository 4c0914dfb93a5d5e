"""Many answers at once, answers taken back, and a newer text before the older was written."""

from __future__ import annotations

import pytest

from amxwatch.core.draft import DraftStatus
from amxwatch.flows import apply, review
from amxwatch.flows.plan import make_plan
from amxwatch.flows.review import Strategy
from tests.flows.conftest import World, catalog, column, table
from tests.flows.test_analyze import by_hand

pytestmark = pytest.mark.anyio

WIDE = 40


async def waiting(world: World) -> None:
    """Queue drafts of two tables; one column has a person's comment, so it has none."""
    columns = [column(f"c{number}") for number in range(WIDE)]
    world.database.catalog = catalog(table("orders", *columns), table("customer", "customer_id"))
    await by_hand(world)
    await world.execute()


async def test_a_strategy_answers_the_whole_queue_in_one_transaction(world: World) -> None:
    await waiting(world)
    queue = await review.queue(world.ledger, profile="shop", run_id=None)
    done = await review.by_strategy(world.ledger, world.clock, Strategy.ACCEPT_ALL, queue)
    flagged = sum(bool(draft.flags) for draft in queue)
    assert (done.accepted, done.left) == (len(queue) - flagged, flagged)
    assert (await world.actions()).count("draft_accepted") == done.accepted
    for draft in await world.drafts(ids=frozenset(done.moved)):
        assert (draft.status, draft.choice) == (DraftStatus.ACCEPTED, 1)
        assert draft.text == draft.alternatives[0]


async def test_what_was_answered_meanwhile_keeps_its_answer(world: World) -> None:
    await waiting(world)
    queue = await review.queue(world.ledger, profile="shop", run_id=None)
    await review.edit(world.ledger, world.clock, queue[3].id, "A person's own.")
    done = await review.by_strategy(world.ledger, world.clock, Strategy.REJECT_ALL, queue)
    assert (done.rejected, done.left) == (len(queue) - 1, 1)
    [kept] = await world.drafts(statuses=frozenset({DraftStatus.EDITED}))
    assert kept.text == "A person's own."


async def test_answers_are_taken_back_but_not_what_was_written(world: World) -> None:
    await waiting(world)
    queue = await review.queue(world.ledger, profile="shop", run_id=None)
    done = await review.by_strategy(world.ledger, world.clock, Strategy.ACCEPT_ALL, queue)
    rows = await make_plan(world.source)
    await apply.execute(world.source, rows[:5], owner="test")
    back = await review.take_back(world.ledger, world.clock, done.moved)
    assert len(back) == done.accepted - 5
    pending = await world.drafts(statuses=frozenset({DraftStatus.PENDING}))
    assert len(pending) == len(queue) - 5
    assert all(draft.text is None and draft.choice is None for draft in back if draft in pending)


async def test_a_text_accepted_later_takes_the_place_of_one_that_was_not_written(
    world: World,
) -> None:
    world.database.catalog = catalog(table("orders", "order_id"))
    await by_hand(world)
    await world.execute()
    old = (await world.drafts())[1]
    await review.accept(world.ledger, world.clock, old.id)
    again = await rerun_of(world, old.run_id)
    [new] = await world.drafts(run_id=again, objects=frozenset({old.object_id}))
    await review.edit(world.ledger, world.clock, new.id, "The later word.")
    [row] = [row for row in await make_plan(world.source) if row.draft.object_id == old.object_id]
    assert row.text == "The later word."
    [replaced] = await world.drafts(ids=frozenset({old.id}))
    assert replaced.status is DraftStatus.SUPERSEDED
    assert "draft_superseded" in await world.actions()


async def rerun_of(world: World, run_id: str, scope: str = "all") -> str:
    """Execute a rerun, and return its id."""
    from tests.flows.test_repeating import rerun

    return (await rerun(world, run_id, scope)).id
