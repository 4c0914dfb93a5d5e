"""When schedules fire: settling, caps, failures, floods, scopes, and the clock's catch-up."""

from __future__ import annotations

from datetime import timedelta

import pytest

from amxwatch.core.run import RunEvent, RunStatus
from tests.flows.conftest import NOON, World, catalog, column, table

pytestmark = pytest.mark.anyio

BEFORE = catalog(table("orders", "order_id"), table("customer", "customer_id"))
AFTER = catalog(table("orders", "order_id", "total"), table("customer", "customer_id"))


async def test_what_is_there_at_first_sight_is_not_news(world: World) -> None:
    world.database.catalog = BEFORE
    plan = world.on_change()
    assert (await world.turn(plan)).action == "idle"
    assert await world.runs() == []


async def test_an_initial_run_covers_the_whole_scope(world: World) -> None:
    world.database.catalog = BEFORE
    plan = world.on_change(trigger={"initial_run": True})
    assert (await world.turn(plan)).action == "fire"
    run = await world.execute()
    assert (run.status, run.drafted) == (RunStatus.COMPLETED, 4)
    assert (await world.turn(plan)).action == "idle"


async def test_a_change_settles_and_then_fires_once(world: World) -> None:
    world.database.catalog = BEFORE
    plan = world.on_change(settle=10)
    await world.turn(plan)
    world.database.catalog = AFTER
    waiting = await world.turn(plan)
    assert (waiting.action, waiting.look_at) == ("wait", NOON + timedelta(seconds=10))
    world.pass_time(10)
    assert (await world.turn(plan)).action == "fire"
    assert (await world.turn(plan)).action == "skip"
    assert (await world.execute()).status is RunStatus.COMPLETED
    assert (await world.turn(plan)).action == "idle"
    assert len(await world.runs()) == 1


async def test_a_change_that_is_undone_costs_nothing(world: World) -> None:
    world.database.catalog = BEFORE
    plan = world.on_change(settle=10)
    await world.turn(plan)
    world.database.catalog = AFTER
    await world.turn(plan)
    world.database.catalog = BEFORE
    world.pass_time(10)
    assert (await world.turn(plan)).action == "idle"
    assert await world.runs() == []


async def test_changes_inside_the_cap_are_served_by_one_run_at_its_end(world: World) -> None:
    world.database.catalog = BEFORE
    plan = world.on_change(cap=1)
    await world.turn(plan)
    world.database.catalog = AFTER
    assert (await world.turn(plan)).action == "fire"
    await world.execute()
    for name in ("shipment", "payment"):
        world.pass_time(60)
        world.database.catalog = catalog(*world.database.catalog.tables, table(name, "x_id"))
        waiting = await world.turn(plan)
        assert waiting.action == "wait"
        assert waiting.look_at == NOON + timedelta(hours=1)
    world.pass_time(3600 - 120)
    assert (await world.turn(plan)).action == "fire"
    run = await world.execute()
    assert {draft.ref.table for draft in await world.drafts(run_id=run.id)} == {
        "shipment",
        "payment",
    }


async def test_a_failed_run_keeps_the_watermark_and_is_tried_after_a_backoff(
    world: World,
) -> None:
    world.database.catalog = BEFORE
    plan = world.on_change()
    await world.turn(plan)
    world.database.catalog = AFTER
    await world.turn(plan)
    sensible = world.provider.script
    world.provider.script = lambda _: world.provider.text("no words")
    assert (await world.execute()).status is RunStatus.FAILED
    again = await world.turn(plan)
    assert again.action == "wait"
    assert again.look_at is not None
    assert again.look_at > world.clock.now()
    world.provider.script = sensible
    world.clock.advance(again.look_at - world.clock.now())
    assert (await world.turn(plan)).action == "fire"
    # The useless reply is on record and not paid again; the retry of its missing part neither.
    run = await world.execute()
    assert run.status in (RunStatus.COMPLETED, RunStatus.FAILED)


async def test_a_flood_waits_for_a_person(world: World) -> None:
    many = [table(f"t{number}", "id") for number in range(30)]
    world.database.catalog = catalog(*many)
    plan = world.on_change()
    await world.turn(plan)
    world.database.catalog = catalog(table("unlike", "something", "else"))
    result = await world.turn(plan)
    assert (result.action, result.blocked_category) == ("blocked", "flood")
    assert result.recovery_action == f"amxwatch unblock {result.run_id}"
    assert (await world.turn(plan)).action == "blocked"
    await world.ledger.write(
        lambda tx: tx.runs.move(result.run_id, RunEvent.UNBLOCK, token=None)  # type: ignore[arg-type]
    )
    assert (await world.execute()).status is RunStatus.COMPLETED


async def test_removals_do_not_trigger_but_withdraw_open_drafts(world: World) -> None:
    world.database.catalog = BEFORE
    plan = world.on_change()
    await world.turn(plan)
    world.database.catalog = AFTER
    await world.turn(plan)
    await world.execute()
    world.database.catalog = BEFORE
    assert (await world.turn(plan)).action == "idle"
    assert [draft.status for draft in await world.drafts()] == ["withdrawn"]


async def test_a_table_that_is_gone_for_a_moment_is_not_new(world: World) -> None:
    world.database.catalog = AFTER
    plan = world.on_change(settle=10)
    await world.turn(plan)
    world.database.catalog = catalog(AFTER.tables[0])
    gone = await world.turn(plan)
    assert (gone.action, gone.look_at) == ("idle", NOON + timedelta(seconds=10))
    world.pass_time(5)
    world.database.catalog = AFTER
    assert (await world.turn(plan)).action == "idle"
    world.pass_time(60)
    assert (await world.turn(plan)).action == "idle"
    assert await world.runs() == []


async def test_a_table_that_comes_back_later_is_new(world: World) -> None:
    world.database.catalog = AFTER
    plan = world.on_change(settle=10)
    await world.turn(plan)
    world.database.catalog = catalog(AFTER.tables[0])
    await world.turn(plan)
    world.pass_time(10)
    assert (await world.turn(plan)).look_at is None
    world.database.catalog = AFTER
    assert (await world.turn(plan)).action == "wait"
    world.pass_time(10)
    assert (await world.turn(plan)).action == "fire"


async def test_widening_a_scope_makes_nothing_old_pending(world: World) -> None:
    world.database.catalog = BEFORE
    narrow = world.on_change(scope="table:shop.orders", settle=60)
    await world.turn(narrow)
    world.database.catalog = catalog(
        table("orders", "order_id"), table("customer", "customer_id", "email")
    )
    await world.turn(narrow)
    wide = world.on_change(scope="schema:shop", settle=0)
    assert (await world.turn(wide)).action == "idle"
    world.database.catalog = catalog(
        table("orders", "order_id"), table("customer", "customer_id", "email", "phone")
    )
    assert (await world.turn(wide)).action == "fire"
    await world.execute()
    assert [str(draft.ref) for draft in await world.drafts()] == ["shop.customer.phone"]


async def test_our_own_comments_are_not_news(world: World) -> None:
    world.database.catalog = BEFORE
    kinds = ["added", "type_changed", "comment_changed"]
    plan = world.on_change(review_strategy="auto", trigger={"kinds": kinds})
    await world.turn(plan)
    world.database.catalog = AFTER
    await world.turn(plan)
    assert (await world.execute()).status is RunStatus.COMPLETED
    assert world.database.executed == [
        """COMMENT ON COLUMN "shop"."orders"."total" IS 'What total means.';"""
    ]
    assert (await world.turn(plan)).action == "idle"
    orders = table("orders", "order_id", column("total", comment="In cents."))
    world.database.catalog = catalog(orders, table("customer", "customer_id"))
    assert (await world.turn(plan)).action == "fire"


async def test_a_late_one_shot_is_missed_and_a_recurring_one_catches_up_once(
    world: World,
) -> None:
    world.database.catalog = BEFORE
    once = world.plan(name="once", trigger={"type": "at", "at": "2026-11-21 13:00"})
    hourly = world.plan(name="hourly", trigger={"type": "every", "minutes": 60})
    await world.turn(once)
    assert (await world.turn(hourly)).look_at == NOON + timedelta(hours=1)
    world.pass_time(5 * 3600 + 600)
    assert (await world.turn(once)).action == "missed"
    assert (await world.turn(once)).action == "missed"
    assert (await world.turn(hourly)).action == "fire"
    assert (await world.turn(hourly)).action in ("idle", "skip")
    assert [(run.schedule, run.due_at) for run in await world.runs()] == [
        ("hourly", NOON + timedelta(hours=5))
    ]


async def test_an_edited_clock_trigger_never_fires_a_tick_of_its_past(world: World) -> None:
    world.database.catalog = BEFORE
    await world.turn(world.plan(trigger={"type": "cron", "cron": "0 15 * * *"}))
    world.pass_time(3600)
    edited = world.plan(trigger={"type": "cron", "cron": "30 12 * * *"})
    assert (await world.turn(edited)).action == "idle"
    assert await world.runs() == []


async def test_a_files_trigger_fires_when_the_files_moved(world: World) -> None:
    world.database.catalog = BEFORE
    plan = world.plan(
        trigger={"type": "files", "paths": ["*.sql"], "cadence_cap_hours": 0, "settle_seconds": 0}
    )
    assert (await world.turn(plan, files_mark="a")).action == "idle"
    assert (await world.turn(plan, files_mark="b")).action == "fire"
    assert (await world.execute()).status is RunStatus.COMPLETED
    assert (await world.turn(plan, files_mark="b")).action == "idle"
