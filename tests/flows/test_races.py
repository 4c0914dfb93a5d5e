"""Two hands at once, and edits in the middle: each of these once went wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest

from amxwatch.core.catalog import Catalog
from amxwatch.core.draft import DraftStatus
from amxwatch.core.errors import DatabaseUnavailableError
from amxwatch.core.run import RunStatus
from amxwatch.databases.memory import MemoryDatabase
from amxwatch.flows import apply, manual, review
from amxwatch.flows.arming import armed
from amxwatch.flows.cadenced import DECLINED, on_change
from amxwatch.flows.clocked import on_clock
from amxwatch.flows.firing import Firing
from amxwatch.flows.plan import make_plan
from amxwatch.flows.source import Source
from amxwatch.flows.watch import look
from amxwatch.ports.ledger import RunFilter
from amxwatch.settings.schema import Schedule
from amxwatch.stores.snapshots import SnapshotCache
from amxwatch.triggers import CatalogChange, ClockTrigger
from tests.flows.conftest import World, catalog, column, table
from tests.flows.test_apply import accepted

pytestmark = pytest.mark.anyio

BEFORE = catalog(table("orders", "order_id"))
AFTER = catalog(table("orders", "order_id", "total"))


def firing(world: World, plan: Schedule) -> Firing:
    return Firing(schedule=plan, source=world.source, llm_profile="model", now=world.clock.now())


async def test_a_state_that_was_read_before_a_run_ended_fires_nothing(world: World) -> None:
    world.database.catalog = BEFORE
    plan = world.on_change()
    await world.turn(plan)
    world.database.catalog = AFTER
    stale = await armed(firing(world, plan), files_mark=None)
    assert stale is not None
    assert (await world.turn(plan)).action == "fire"
    await world.execute()
    assert isinstance(plan.trigger, CatalogChange)
    again = await on_change(firing(world, plan), plan.trigger, stale, None)
    assert again.action != "fire"
    assert len(await world.runs()) == 1


async def test_a_scope_that_is_widened_while_a_run_waits_loses_nothing(world: World) -> None:
    y = table("y", "i", schema="b")
    world.database.catalog = catalog(table("x", "i", schema="a"), y)
    plan = world.on_change(scope="schema:a")
    await world.turn(plan)
    x = table("x", "i", "j", schema="a")
    world.database.catalog = catalog(x, y)
    assert (await world.turn(plan)).action == "fire"
    plan = world.on_change(scope="schema:a,b")
    await world.turn(plan)
    world.database.catalog = catalog(x, y, table("new", "i", schema="b"))
    await world.turn(plan)
    await world.execute()
    assert (await world.turn(plan)).action == "fire"
    await world.execute()
    assert {str(draft.ref) for draft in await world.drafts()} == {"a.x.j", "b.new", "b.new.i"}
    assert (await world.turn(plan)).action == "idle"


async def test_two_scope_edits_in_a_row_lose_nothing(world: World) -> None:
    x, z = table("x", "i", "k", schema="a"), table("z", "i", schema="c")
    world.database.catalog = catalog(table("x", "i", schema="a"), table("y", "i", schema="b"), z)
    plan = world.on_change(scope="schema:a", settle=60)
    await world.turn(plan)
    world.database.catalog = catalog(x, table("y", "i", schema="b"), z)
    await world.turn(plan)
    await world.turn(world.on_change(scope="schema:a,b", settle=60))
    world.database.catalog = catalog(x, table("y", "i", "new", schema="b"), z)
    await world.turn(world.on_change(scope="schema:a,b", settle=60))
    plan = world.on_change(scope="schema:a,b,c", settle=60)
    await world.turn(plan)
    world.pass_time(700)
    await world.turn(plan)
    await world.execute()
    assert {str(draft.ref) for draft in await world.drafts()} == {"a.x.k", "b.y.new"}


async def test_a_schedule_that_moves_to_another_profile_starts_from_its_newest_snapshot(
    world: World, tmp_path: Path
) -> None:
    world.database.catalog = BEFORE
    await world.turn(world.on_change())
    for number in range(4):
        world.database.catalog = catalog(table("orders", "order_id"), table(f"t{number}", "i"))
        await world.look()
    other = MemoryDatabase(catalog(table("p", "i")))
    world.source = Source(
        profile="other",
        database=other,
        snapshots=SnapshotCache(tmp_path / "other.duckdb"),
        ledger=world.ledger,
        clock=world.clock,
    )
    plan = world.on_change(db_profile="other")
    assert (await world.turn(plan)).action == "idle"
    other.catalog = catalog(table("p", "i"), table("q", "i"))
    assert (await world.turn(plan)).action == "fire"


async def test_words_that_were_changed_after_the_plan_are_not_overtaken_by_it(
    world: World,
) -> None:
    await accepted(world)
    rows = await make_plan(world.source)
    first = rows[0].draft
    await review.reopen(world.ledger, world.clock, first.id)
    await review.edit(world.ledger, world.clock, first.id, "The reviewer's better words.")
    done = await apply.execute(world.source, rows, owner="me")
    now = await world.ledger.read(lambda tx: tx.drafts.get(first.id))
    assert (done.written, now.status) == (1, DraftStatus.EDITED)


async def test_a_row_that_another_process_settled_does_not_end_the_apply(world: World) -> None:
    await accepted(world)
    world.database.catalog = catalog(table("orders", column("order_id", comment="Mine.")))
    rows = await make_plan(world.source)
    await apply.execute(world.source, rows[1:], owner="other")
    done = await apply.execute(world.source, rows, owner="me")
    assert (done.written, len(done.skipped)) == (1, 1)


async def test_no_bulk_answer_takes_a_draft_that_was_once_in_conflict(world: World) -> None:
    await accepted(world)
    world.database.catalog = catalog(table("orders", column("order_id", comment="Mine.")))
    await apply.execute(world.source, await make_plan(world.source), owner="me")
    [draft] = await world.drafts(statuses=frozenset({DraftStatus.CONFLICT}))
    await review.accept(world.ledger, world.clock, draft.id)
    await review.reopen(world.ledger, world.clock, draft.id)
    waiting = await review.queue(world.ledger, profile=None, run_id=None)
    await review.by_strategy(world.ledger, world.clock, review.Strategy.ACCEPT_ALL, waiting)
    await apply.execute(world.source, await make_plan(world.source), owner="me")
    assert world.database.catalog.tables[0].columns[0].comment == "Mine."


async def test_an_older_read_never_follows_a_newer_snapshot(world: World) -> None:
    world.database.catalog = BEFORE
    await world.look()
    read, begun, go_on = world.database.read, anyio.Event(), anyio.Event()

    async def slow() -> Catalog:
        found = await read()
        begun.set()
        await go_on.wait()
        return found

    world.database.read = slow  # type: ignore[method-assign]
    # Another process: neither its lock nor what it read is ours.
    other = replace(world.source, looking=anyio.Lock(), _read_as={})
    async with anyio.create_task_group() as group:
        group.start_soon(partial(look, other, exact=True))
        await begun.wait()
        world.database.read = read  # type: ignore[method-assign]
        world.database.catalog = AFTER
        await look(world.source)
        go_on.set()
    log = await world.ledger.read(lambda tx: tx.snapshots.list("shop"))
    assert [record.columns for record in log] == [1, 2]


async def test_a_pause_in_the_middle_of_an_evaluation_stays(world: World) -> None:
    world.database.catalog = BEFORE
    plan = world.plan(trigger={"type": "every", "minutes": 1, "only_if_changed": True})
    await world.turn(plan)
    world.pass_time(61)
    now = firing(world, plan)
    stale = await armed(now, files_mark=None)
    assert stale is not None
    await world.ledger.write(lambda tx: tx.schedules.put(replace(stale, paused=True)))
    assert isinstance(plan.trigger, ClockTrigger)
    assert (await on_clock(now, plan.trigger, stale, None)).action == "skip"
    kept = await world.ledger.read(lambda tx: tx.schedules.get("watch"))
    assert kept is not None
    assert kept.paused


async def test_every_missed_firing_follows_under_catch_up_all(world: World) -> None:
    world.database.catalog = BEFORE
    plan = world.plan(trigger={"type": "every", "minutes": 1}, catch_up="all")
    await world.turn(plan)
    world.pass_time(60 * 105)
    await world.turn(plan)
    await world.turn(plan)
    for _ in range(100):
        await world.execute()
    await world.turn(plan)
    which = RunFilter(limit=1000)
    due = await world.ledger.read(lambda tx: {run.due_at for run in tx.runs.list(which)})
    assert len(due) == 105


async def test_requests_in_flight_count_against_the_cap(world: World) -> None:
    world.database.catalog = catalog(*(table(f"t{number}", "i") for number in range(8)))
    plan = world.on_change(trigger={"initial_run": True}, max_requests=2)
    await world.turn(plan)
    run = await world.execute()
    assert (run.status, run.failure_category) == ("blocked", "limit")
    assert run.requests <= 2


async def test_a_clock_that_is_set_back_does_not_blind_us(world: World) -> None:
    world.database.catalog = BEFORE
    await world.look()
    world.pass_time(24 * 3600)
    world.database.fail_with = DatabaseUnavailableError("down")
    await look(world.source)
    world.database.fail_with = None
    world.clock.advance(timedelta(hours=-23))
    assert (await look(world.source)).error is None


async def test_a_cancelled_run_comes_again_only_when_more_moves(world: World) -> None:
    world.database.catalog = BEFORE
    plan = world.on_change()
    await world.turn(plan)
    world.database.catalog = AFTER
    fired = await world.turn(plan)
    assert fired.run_id is not None
    await manual.cancel(world.ledger, world.clock, fired.run_id)
    for _ in range(3):
        again = await world.turn(plan)
        assert (again.action, again.skip_reason) == ("wait", DECLINED)
    assert len(await world.runs()) == 1
    world.database.catalog = catalog(table("orders", "order_id", "total", "currency"))
    assert (await world.turn(plan)).action == "fire"
    run = await world.execute()
    assert run.status is RunStatus.COMPLETED
    assert {str(draft.ref) for draft in await world.drafts()} == {
        "shop.orders.total",
        "shop.orders.currency",
    }
