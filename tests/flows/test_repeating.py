"""Reruns, comparisons, narrower runs, locks, inheritance: what a run drafts and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from amxwatch.core.catalog import ObjectRef, ObjectType
from amxwatch.core.draft import Band, DraftSource, DraftStatus
from amxwatch.core.errors import ScopeError, UsageError
from amxwatch.core.manner import SETTINGS, Manner, Only
from amxwatch.core.run import Run, RunKind, RunTrigger
from amxwatch.core.scope import Scope
from amxwatch.flows import apply, manual, review
from amxwatch.flows.locking import lock, unlock
from amxwatch.flows.plan import Verdict, make_plan
from amxwatch.flows.rehearsal import estimate, facts_of
from amxwatch.flows.repeating import compare, repeated_scope
from tests.flows.conftest import World, catalog, column, table
from tests.flows.test_analyze import by_hand, written

pytestmark = pytest.mark.anyio

ORDERS = catalog(table("orders", "order_id", "total"))
SHOP = ObjectRef(schema="shop", table="orders")


async def put(world: World, scope: str = "all", **values: object) -> Run:
    return await manual.put(
        world.ledger,
        world.clock,
        kind=RunKind.ANALYZE,
        db_profile="shop",
        llm_profile="model",
        scope=Scope.parse(scope),
        review_strategy="manual",
        reserved_for=None,
        **values,
    )


async def rerun(world: World, run_id: str, scope: str = "all") -> Run:
    """Draft the objects of a run once more, as `amxwatch rerun` does."""
    run = await world.ledger.read(lambda tx: tx.runs.get(run_id))  # type: ignore[arg-type]  # an id
    again = await put(world, scope, manner=replace(run.manner, rerun_of=run.id))
    return await world.execute(again.id)


async def test_a_rerun_asks_anew_by_the_first_settings_and_leaves_the_first_intact(
    world: World,
) -> None:
    world.database.catalog = ORDERS
    first = await by_hand(world)
    await world.execute()
    before = {draft.id: draft for draft in await world.drafts(run_id=first)}
    asked = len(world.provider.requests)
    profile = world.settings.llm_profiles["model"]
    terse = profile.model_copy(update={"n_alternatives": 1, "verbosity": "paragraph"})
    world.settings = world.settings.model_copy(update={"llm_profiles": {"model": terse}})
    again = await rerun(world, first, "column:shop.orders.total")
    assert (again.trigger, again.drafted) == (RunTrigger.RERUN, 1)
    drafting = world.provider.requests[asked]
    assert drafting.n_alternatives == profile.n_alternatives == 3
    assert [subject.key for subject in drafting.subjects] == ["total"]
    after = {draft.id: draft for draft in await world.drafts(run_id=first)}
    assert {i: d.alternatives for i, d in after.items()} == {
        i: d.alternatives for i, d in before.items()
    }
    [old] = [draft for draft in after.values() if draft.ref.column == "total"]
    assert old.status is DraftStatus.SUPERSEDED, "one open draft an object: the newer one"


async def test_a_run_notes_the_settings_that_it_drafts_by(world: World) -> None:
    world.database.catalog = ORDERS
    run_id = await by_hand(world)
    await world.execute()
    run = next(run for run in await world.runs() if run.id == run_id)
    profile = world.settings.llm_profiles["model"]
    assert run.manner.settings == {name: getattr(profile, name) for name in SETTINGS}
    assert Manner.restore({**run.manner.document(), "of_tomorrow": 1}) == run.manner


async def test_what_a_rerun_may_be_about(world: World) -> None:
    world.database.catalog = catalog(*ORDERS.tables, table("customer", "customer_id"))
    run_id = await by_hand(world, "table:shop.orders")
    await world.execute()
    run = next(run for run in await world.runs() if run.id == run_id)
    assert str(await repeated_scope(world.source, run, ["shop.orders.total"])) == (
        "column:shop.orders.total"
    )
    every = await repeated_scope(world.source, run, [])
    assert all(every.covers(draft.ref) for draft in await world.drafts())
    with pytest.raises(ScopeError, match="not in the scope"):
        await repeated_scope(world.source, run, ["shop.customer"])
    with pytest.raises(ScopeError, match=r"no column shop\.orders\.totl; did you mean"):
        await repeated_scope(world.source, run, ["shop.orders.totl"])


async def test_two_runs_stand_beside_each_other(world: World) -> None:
    world.database.catalog = ORDERS
    first = await by_hand(world)
    await world.execute()
    again = await rerun(world, first, "column:shop.orders.total")
    runs = {run.id: run for run in await world.runs()}
    found = await compare(world.ledger, runs[first], runs[again.id])  # type: ignore[index]  # an id
    assert [(str(pair.ref), pair.second is not None) for pair in found.pairs] == [
        ("shop.orders", False),
        ("shop.orders.order_id", False),
        ("shop.orders.total", True),
    ]
    other = replace(again, db_profile="elsewhere")
    with pytest.raises(UsageError, match="same db profile"):
        await compare(world.ledger, again, other)


async def test_only_missing_and_only_stale(world: World) -> None:
    world.database.catalog = ORDERS
    await by_hand(world)
    await world.execute()
    text = {"shop.orders": "Orders.", "shop.orders.order_id": "Id.", "shop.orders.total": "Total."}
    await written(world, text)
    for draft in await world.drafts(statuses=frozenset({DraftStatus.WRITTEN})):
        assert draft.choice is None, "a person's own words never go stale by themselves"
    world.database.catalog = catalog(
        table(
            "orders",
            column("order_id", comment="Id."),
            column("total", "numeric", comment="Total."),
            column("note", "text"),
            comment="Orders.",
        )
    )
    await put(world, manner=Manner(only=Only.MISSING))
    run = await world.execute()
    drafts = await world.drafts(run_id=run.id)
    assert [str(draft.ref) for draft in drafts] == ["shop.orders.note"]


async def test_stale_leaves_out_what_has_no_description(world: World) -> None:
    world.database.catalog = ORDERS
    await by_hand(world)
    await world.execute()
    for draft in await world.drafts():
        await review.accept(world.ledger, world.clock, draft.id)
    await apply.execute(world.source, await make_plan(world.source), owner="test")
    orders = world.database.catalog.tables[0]
    total = replace(orders.columns[1], type="numeric(12,2)")
    grown = replace(orders, columns=(orders.columns[0], total, column("note", ordinal=3)))
    world.database.catalog = catalog(grown)
    await put(world, manner=Manner(only=Only.STALE))
    run = await world.execute()
    drafted = {str(draft.ref) for draft in await world.drafts(run_id=run.id)}
    assert "shop.orders.total" in drafted
    assert "shop.orders.note" not in drafted


async def test_what_is_locked_is_neither_drafted_nor_written(world: World) -> None:
    world.database.catalog = ORDERS
    await world.look()
    assert await lock(world.source, ["shop.orders.total"]) == [replace(SHOP, column="total")]
    assert await lock(world.source, ["shop.orders.total"]) == []
    await by_hand(world)
    await world.execute()
    assert "shop.orders.total" not in {str(draft.ref) for draft in await world.drafts()}
    for draft in await world.drafts():
        await review.accept(world.ledger, world.clock, draft.id)
    await lock(world.source, ["shop.orders"])
    rows = await make_plan(world.source)
    assert {row.verdict for row in rows} == {Verdict.KEPT}
    done = await apply.execute(world.source, rows, owner="test")
    assert (done.written, len(done.skipped), world.database.executed) == (0, 2, [])
    assert await unlock(world.source, ["shop.*", "shop.orders.*"]) == [
        SHOP,
        replace(SHOP, column="total"),
    ]
    done = await apply.execute(world.source, await make_plan(world.source), owner="test")
    assert done.written == 2
    actions = await world.actions()
    assert (actions.count("object_locked"), actions.count("object_unlocked")) == (2, 2)
    with pytest.raises(ScopeError, match="is not locked"):
        await unlock(world.source, ["shop.orders"])
    with pytest.raises(ScopeError, match="did you mean"):
        await lock(world.source, ["shop.ordres"])


VIEW = """SELECT o.order_id, o.total AS amount, o.total * 2 AS doubled FROM shop.orders o"""


async def test_a_view_inherits_what_it_hands_through(world: World) -> None:
    orders = table(
        "orders", column("order_id", comment="Identifies the order."),
        column("total", comment="What the customer paid."), comment="Orders.",
    )  # fmt: skip
    view = table(
        "order_view", "order_id", "amount", "doubled", type=ObjectType.VIEW, definition=VIEW
    )
    world.database.catalog = catalog(orders, view)
    await put(world)
    planned = await estimate((await world.runs())[0], world.drafting())
    assert (planned.objects, planned.shared) == (4, 2)
    await world.execute()
    drafts = {draft.ref.column: draft for draft in await world.drafts()}
    assert drafts["amount"].alternatives == ("What the customer paid.",)
    assert (drafts["amount"].source, drafts["amount"].band) == (DraftSource.INHERITED, Band.HIGH)
    assert drafts["doubled"].source is not DraftSource.INHERITED
    assert "amount" not in world.provider.asked
    assert "order_id" not in world.provider.asked


async def test_inheritance_can_be_turned_off(world: World) -> None:
    orders = table("orders", column("order_id", comment="Identifies the order."), comment="Orders.")
    definition = "SELECT order_id FROM shop.orders"
    view = table("order_view", "order_id", type=ObjectType.VIEW, definition=definition)
    world.database.catalog = catalog(orders, view)
    profile = world.settings.db_profiles["shop"].model_copy(update={"inherit_descriptions": False})
    world.settings = world.settings.model_copy(update={"db_profiles": {"shop": profile}})
    await by_hand(world)
    await world.execute()
    assert "order_id" in world.provider.asked


async def test_an_estimate_asks_and_writes_nothing(world: World) -> None:
    world.database.catalog = ORDERS
    await put(world)
    found = await estimate((await world.runs())[0], world.drafting())
    assert (found.objects, len(found.requests), len(found.tables)) == (3, 1, 1)
    assert found.input_tokens > 100
    assert found.output_tokens > 0
    assert world.provider.requests == []
    assert await world.drafts() == []
    await world.execute()
    [draft, *_] = await world.drafts()
    facts = await facts_of(draft, world.drafting())
    assert facts["name"] == "orders"
