"""What a run drafts, what it leaves alone, and what it pays for."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from amxwatch.core.catalog import ObjectRef
from amxwatch.core.completion import Completion, CompletionRequest
from amxwatch.core.draft import DraftSource, DraftStatus
from amxwatch.core.errors import ProviderUnavailableError
from amxwatch.core.run import RunKind, RunStatus
from amxwatch.core.scope import Scope
from amxwatch.flows import apply, manual, review
from amxwatch.flows.plan import make_plan
from tests.flows.conftest import World, catalog, column, primary_key, table

pytestmark = pytest.mark.anyio


async def by_hand(world: World, scope: str = "all") -> str:
    run = await manual.put(
        world.ledger,
        world.clock,
        kind=RunKind.ANALYZE,
        db_profile="shop",
        llm_profile="model",
        scope=Scope.parse(scope),
        review_strategy="manual",
        reserved_for=None,
    )
    return run.id


async def written(world: World, text_of: dict[str, str]) -> None:
    """Draft, accept and apply descriptions of our own."""
    for draft in await world.drafts(statuses=frozenset({DraftStatus.PENDING})):
        await review.edit(world.ledger, world.clock, draft.id, text_of[str(draft.ref)])
    rows = await make_plan(world.source)
    await apply.execute(world.source, rows, owner="test")


async def test_a_manual_run_drafts_what_is_undescribed_and_leaves_people_alone(
    world: World,
) -> None:
    orders = table("orders", "order_id", column("status", comment="By a person."))
    world.database.catalog = catalog(orders, table("customer", "customer_id"))
    await by_hand(world, "table:shop.orders")
    run = await world.execute()
    assert [str(draft.ref) for draft in await world.drafts()] == [
        "shop.orders",
        "shop.orders.order_id",
    ]
    assert (run.objects, run.drafted) == (3, 2)


async def test_a_second_run_asks_nothing_again(world: World) -> None:
    world.database.catalog = catalog(table("orders", "order_id"))
    await by_hand(world)
    await world.execute()
    asked = len(world.provider.requests)
    await by_hand(world)
    run = await world.execute()
    assert len(world.provider.requests) == asked
    assert (run.drafted, run.reused) == (0, 2)


async def test_a_scope_that_names_nothing_fails_and_names_it(world: World) -> None:
    world.database.catalog = catalog(table("orders", "order_id"))
    await by_hand(world, "table:shop.ordres")
    run = await world.execute()
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert "ordres" in run.error
    assert "orders" in run.error


async def test_a_rename_that_the_database_vouches_for_takes_its_description_along(
    world: World,
) -> None:
    world.database.catalog = catalog(table("orders", "order_id", column("ttl", "numeric")))
    plan = world.on_change()
    await world.turn(plan)
    await by_hand(world)
    await world.execute()
    text = {"shop.orders": "Orders.", "shop.orders.order_id": "Id.", "shop.orders.ttl": "Total."}
    await written(world, text)
    asked = len(world.provider.requests)
    renamed = column("total", "numeric", comment="Total.")
    world.database.catalog = catalog(
        table("orders", column("order_id", comment="Id."), renamed, comment="Orders.")
    )
    assert (await world.turn(plan)).action == "fire"
    run = await world.execute()
    assert (run.status, run.drafted, run.reused) == (RunStatus.COMPLETED, 0, 1)
    assert len(world.provider.requests) == asked


async def test_a_guessed_rename_that_lost_its_comment_goes_to_review(world: World) -> None:
    world.database.catalog = catalog(table("orders", "order_id", column("ttl", "numeric")))
    plan = world.on_change(review_strategy="auto")
    await world.turn(plan)
    await by_hand(world)
    await world.execute()
    text = {"shop.orders": "Orders.", "shop.orders.order_id": "Id.", "shop.orders.ttl": "Total."}
    await written(world, text)
    asked, executed = len(world.provider.requests), len(world.database.executed)
    world.database.catalog = catalog(
        table(
            "orders",
            column("order_id", comment="Id."),
            column("total", "numeric"),
            comment="Orders.",
        )
    )
    await world.turn(plan)
    run = await world.execute()
    [draft] = await world.drafts(run_id=run.id)
    assert (draft.source, draft.alternatives) == (DraftSource.CARRIED, ("Total.",))
    assert draft.status is DraftStatus.PENDING, "a guess is never applied by itself"
    assert len(world.provider.requests) == asked
    assert len(world.database.executed) == executed


async def test_a_recovered_run_builds_the_same_requests_and_pays_none_twice(
    world: World,
) -> None:
    names = [f"c{number}" for number in range(35)]
    world.database.catalog = catalog(table("wide", *names, keys=(primary_key("c0"),)))
    run_id = await by_hand(world)
    paid: Counter[str] = Counter()
    fail_at = 3

    def script(request: CompletionRequest) -> Completion:
        paid[request.prompt] += 1
        if sum(paid.values()) == fail_at:
            raise ProviderUnavailableError("the model server went away")
        return world.provider.sensible(request)

    world.provider.script = script
    assert (await world.execute(run_id)).status is RunStatus.FAILED
    first = await world.drafts()
    # A reviewer answers in between: that must not move the batches of the next attempt.
    await review.accept(world.ledger, world.clock, first[0].id)
    fail_at = -1
    await by_hand(world)
    run = await world.execute()
    assert run.status is RunStatus.COMPLETED
    refs = Counter(draft.ref for draft in await world.drafts())
    assert set(refs.values()) == {1}
    assert len(refs) == 36


async def test_what_a_reply_leaves_out_is_asked_once_more_and_then_reported(
    world: World,
) -> None:
    world.database.catalog = catalog(table("orders", "a", "b", "c"))

    def script(request: CompletionRequest) -> Completion:
        keys = [subject.key for subject in request.subjects]
        good = [key for key in keys if key != "b"]
        return world.provider.sensible(request, [*good, "zz"])

    world.provider.script = script
    await by_hand(world)
    run = await world.execute()
    assert run.status is RunStatus.COMPLETED
    assert {draft.ref.column for draft in await world.drafts()} == {"", "a", "c"}
    assert world.provider.asked.count("b") == 2
    assert "reply_problem" in await world.actions()


async def test_no_column_gets_anothers_words(world: World) -> None:
    world.database.catalog = catalog(table("orders", "a", "b"))
    world.provider.script = lambda request: world.provider.text(
        json.dumps(
            {
                "objects": [
                    {"key": "A", "alternatives": ["For a."], "evidence": "name", "unsure": False},
                    {"key": "b", "alternatives": ["For b."], "evidence": "name", "unsure": False},
                ]
            }
        )
    )
    await by_hand(world)
    await world.execute()
    assert {d.ref.column: d.alternatives for d in await world.drafts()} == {"b": ("For b.",)}


async def test_a_run_blocks_at_its_budget_and_goes_on_when_let(world: World) -> None:
    world.database.catalog = catalog(*(table(f"t{number}", "id") for number in range(6)))
    world.settings = world.settings.model_copy(
        update={"budget": world.settings.budget.model_copy(update={"per_run_usd": 0})}
    )
    run_id = await by_hand(world)
    run = await world.execute()
    assert (run.status, run.failure_category) == (RunStatus.BLOCKED, "budget")
    assert run.recovery_action == f"amxwatch unblock {run_id}"
    assert world.provider.requests == []
    world.settings = world.settings.model_copy(
        update={"budget": world.settings.budget.model_copy(update={"per_run_usd": None})}
    )
    await manual.unblock(world.ledger, world.clock, run.id)
    assert (await world.execute()).status is RunStatus.COMPLETED


async def test_a_person_commented_object_is_flagged_and_never_applied_by_itself(
    world: World,
) -> None:
    before = table("orders", column("status", "text", comment="Written by a person."))
    after = table("orders", column("status", "integer", comment="Written by a person."))
    world.database.catalog = catalog(before)
    plan = world.on_change(review_strategy="auto")
    await world.turn(plan)
    world.database.catalog = catalog(after)
    await world.turn(plan)
    await world.execute()
    [draft] = await world.drafts()
    assert draft.flags == ("person_comment",)
    assert draft.status is DraftStatus.PENDING
    assert world.database.executed == []
    tally = await review.by_strategy(world.ledger, world.clock, review.Strategy.ACCEPT_ALL, [draft])
    assert (tally.accepted, tally.left) == (0, 1)
    # A person may still choose to replace it, one by one.
    await review.accept(world.ledger, world.clock, draft.id)
    rows = await make_plan(world.source)
    done = await apply.execute(world.source, rows, owner="test")
    assert done.written == 1


async def test_an_object_id_survives_a_rename(world: World) -> None:
    world.database.catalog = catalog(table("orders", column("ttl", "numeric")))
    await by_hand(world)
    await world.execute()
    world.database.catalog = catalog(table("orders", column("total", "numeric")))
    await world.look()
    assert ObjectRef(schema="shop", table="orders", column="total") in {
        draft.ref for draft in await world.drafts()
    }
