"""What was paid for once is not paid for again, and the same key is asked about once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from amxwatch.core.catalog import Key, KeyKind, Table
from amxwatch.core.completion import Completion, CompletionRequest
from amxwatch.core.draft import DraftEvent
from amxwatch.core.manner import Manner
from amxwatch.core.run import RunKind
from amxwatch.core.scope import Scope
from amxwatch.flows import manual
from amxwatch.ports.ledger import DraftFilter
from tests.flows.conftest import World, catalog, column, primary_key, table
from tests.flows.test_analyze import by_hand

pytestmark = pytest.mark.anyio


async def forget(world: World) -> None:
    """Withdraw every draft, as if its object had gone and come back."""

    def work(tx: Any) -> None:
        for draft in tx.drafts.list(DraftFilter()):
            tx.drafts.move(draft.id, DraftEvent.WITHDRAW)

    await world.ledger.write(work)


def orders(*columns: Any) -> Table:
    return table("orders", *columns)


async def test_unchanged_input_is_served_from_the_store_and_counted(world: World) -> None:
    world.database.catalog = catalog(orders("a", "b", "c"))
    await by_hand(world)
    await world.execute()
    asked = len(world.provider.requests)
    texts = {str(draft.ref): draft.alternatives for draft in await world.drafts()}
    await forget(world)
    await by_hand(world)
    run = await world.execute()
    assert len(world.provider.requests) == asked
    assert (run.drafted, run.reused, run.requests) == (4, 4, 0)
    assert {str(draft.ref): draft.alternatives for draft in await world.drafts(run_id=run.id)} == (
        texts
    )


async def test_only_what_a_model_would_see_anew_is_asked(world: World) -> None:
    world.database.catalog = catalog(orders("a", "b", "c"))
    await by_hand(world)
    await world.execute()
    await forget(world)
    world.provider.requests.clear()
    world.database.catalog = catalog(orders("a", column("b", "text"), "c"))
    await by_hand(world)
    run = await world.execute()
    assert world.provider.asked == ["b"]
    assert (run.drafted, run.reused) == (4, 3)


async def test_another_setting_of_the_model_is_another_input(world: World) -> None:
    world.database.catalog = catalog(orders("a"))
    await by_hand(world)
    await world.execute()
    await forget(world)
    world.provider.requests.clear()
    profile = world.settings.llm_profiles["model"]
    longer = profile.model_copy(update={"verbosity": "paragraph"})
    world.settings = world.settings.model_copy(update={"llm_profiles": {"model": longer}})
    await by_hand(world)
    run = await world.execute()
    assert (len(world.provider.requests), run.reused) == (1, 0)


async def test_a_rerun_is_a_real_request_made_once(world: World) -> None:
    world.database.catalog = catalog(orders("a"))
    first = await by_hand(world)
    await world.execute()
    await forget(world)
    world.provider.requests.clear()
    again = await manual.put(
        world.ledger,
        world.clock,
        kind=RunKind.ANALYZE,
        db_profile="shop",
        llm_profile="model",
        scope=Scope.parse("all"),
        review_strategy="manual",
        reserved_for=None,
        manner=Manner(rerun_of=first),
    )
    run = await world.execute(again.id)
    assert len(world.provider.requests) == 1
    assert run.reused == 0


def pointing(name: str, *columns: Any, to: str = "customer") -> Table:
    key = Key(
        kind=KeyKind.FOREIGN,
        columns=("customer_id",),
        references=("shop", to),
        referenced_columns=("customer_id",),
    )
    return table(name, *columns, keys=(key,))


CUSTOMER = table("customer", "customer_id", keys=(primary_key("customer_id"),))


async def test_the_same_key_is_asked_about_once_and_shared(world: World) -> None:
    world.database.catalog = catalog(
        CUSTOMER, pointing("orders", "customer_id"), pointing("payment", "customer_id")
    )
    await by_hand(world, "column:shop.*.customer_id")
    run = await world.execute()
    [request] = world.provider.requests
    [subject] = request.subjects
    assert subject.facts["also_in"] == ["shop.orders", "shop.payment"]
    drafts = await world.drafts(run_id=run.id)
    assert [str(draft.ref) for draft in drafts] == [
        f"shop.{name}.customer_id" for name in ("customer", "orders", "payment")
    ]
    assert len({draft.alternatives for draft in drafts}) == 1
    assert (run.drafted, run.reused, run.requests) == (3, 2, 1)


async def test_a_key_is_known_by_its_name_where_none_is_declared(world: World) -> None:
    world.database.catalog = catalog(
        CUSTOMER, table("visit", "customer_id", "id"), table("b", "id")
    )
    await by_hand(world, "column:shop.*.*")
    await world.execute()
    assert sorted(world.provider.asked) == ["customer_id", "id", "id"]


@pytest.mark.parametrize(
    "other",
    [
        column("customer_id", "text"),
        column("customer_id", comment="Who pays, which need not be who ordered."),
        column("customer_id", default="-1"),
    ],
)
async def test_a_key_with_a_context_of_its_own_is_asked_about_itself(
    world: World, other: Any
) -> None:
    profile = world.settings.db_profiles["shop"].model_copy(
        update={"description_owner": "amxwatch"}
    )
    world.settings = world.settings.model_copy(update={"db_profiles": {"shop": profile}})
    world.database.catalog = catalog(
        CUSTOMER, pointing("orders", "customer_id"), pointing("payment", other)
    )
    await by_hand(world, "column:shop.*.customer_id")
    await world.execute()
    told = [str(s.facts.get("also_in")) for r in world.provider.requests for s in r.subjects]
    assert "['shop.orders']" in told
    assert not any("shop.payment" in each for each in told)


async def test_a_key_whose_words_did_not_come_is_asked_about_elsewhere(world: World) -> None:
    def script(request: CompletionRequest) -> Completion:
        if "also_in" in request.prompt:
            return world.provider.text(json.dumps({"objects": []}))
        return world.provider.sensible(request)

    world.provider.script = script
    world.database.catalog = catalog(CUSTOMER, pointing("orders", "customer_id"))
    await by_hand(world, "column:shop.*.customer_id")
    run = await world.execute()
    assert [str(draft.ref) for draft in await world.drafts(run_id=run.id)] == [
        "shop.orders.customer_id"
    ]
