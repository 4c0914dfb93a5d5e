"""Clock schedules: from when they count, what is caught up, passed over, paused, and set back."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from amxwatch.core.errors import DatabaseUnavailableError, UsageError
from amxwatch.core.event import Event
from amxwatch.core.run import RunEvent, RunStatus
from amxwatch.core.schedule import ScheduleState
from amxwatch.flows import backfill
from amxwatch.flows.arming import rearmed
from amxwatch.flows.firing import Firing
from amxwatch.flows.job import render_input
from amxwatch.flows.manual import unblock
from amxwatch.settings.schema import Schedule
from tests.flows.conftest import NOON, World, catalog, table

pytestmark = pytest.mark.anyio

HOURLY = {"type": "every", "minutes": 60}


@pytest.fixture
def shop(world: World) -> World:
    world.database.catalog = catalog(table("orders", "order_id"))
    return world


async def events(world: World, action: str) -> list[Event]:
    found = await world.ledger.read(lambda tx: tx.events.recent(10_000))
    return [event for event in found if event.action == action]


async def state_of(world: World, name: str = "watch") -> ScheduleState:
    found = await world.ledger.read(lambda tx: tx.schedules.get(name))
    assert found is not None
    return found


async def change(world: World, plan: Schedule, **values: object) -> None:
    """Put a state as a person's command does."""
    from dataclasses import replace

    state = await state_of(world, plan.name)
    await world.ledger.write(lambda tx: tx.schedules.put(replace(state, **values)))  # type: ignore[arg-type]


async def resume(world: World, plan: Schedule) -> None:
    from dataclasses import replace

    again = rearmed(await state_of(world, plan.name), plan, world.clock.now())
    await world.ledger.write(lambda tx: tx.schedules.put(replace(again, paused=False)))


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


async def due_times(world: World) -> list[datetime | None]:
    return sorted(run.due_at for run in await world.runs() if run.due_at)


# -- from when it counts ---------------------------------------------------------------------


async def test_one_that_is_enabled_again_starts_its_grid_anew(shop: World) -> None:
    plan = shop.plan(trigger=HOURLY)
    await shop.turn(plan)
    off = shop.plan(trigger=HOURLY, enabled=False)
    assert (await shop.turn(off)).action == "paused"
    shop.pass_time(5.5 * 3600)
    assert (await shop.turn(off)).action == "paused"
    on = await shop.turn(shop.plan(trigger=HOURLY))
    assert (on.action, on.armed, on.look_at) == ("idle", "re-enabled", NOON + hours(6.5))
    assert await shop.runs() == []
    assert [event.detail["reason"] for event in await events(shop, "schedule_armed")] == [
        "first seen",
        "re-enabled",
    ]
    assert (await shop.turn(plan)).armed is None


async def test_a_resumed_one_fires_no_tick_of_its_pause(shop: World) -> None:
    plan = shop.plan(trigger={"type": "cron", "cron": "0 * * * *"}, catch_up="all")
    await shop.turn(plan)
    await change(shop, plan, paused=True)
    shop.pass_time(5 * 3600 + 60)
    assert (await shop.turn(plan)).action == "paused"
    await resume(shop, plan)
    assert (await shop.turn(plan)).action == "idle"
    shop.pass_time(3600)
    assert (await shop.turn(plan)).action == "fire"
    assert await due_times(shop) == [NOON + hours(6)]


@pytest.mark.parametrize("catch_up", ["none", "once", "all"])
async def test_a_one_shot_whose_time_passed_in_a_pause_is_for_a_person(
    shop: World, catch_up: str
) -> None:
    trigger = {"type": "at", "at": "2026-11-21 13:00"}
    plan = shop.plan(trigger=trigger, catch_up=catch_up)
    await shop.turn(plan)
    await change(shop, plan, paused=True)
    shop.pass_time(3600 + 30)
    await shop.turn(plan)
    await resume(shop, plan)
    assert (await shop.turn(plan)).action == "missed"
    assert await shop.runs() == []


async def test_a_one_shot_that_fired_stays_spent(shop: World) -> None:
    plan = shop.plan(trigger={"type": "at", "at": "2026-11-21 13:00"})
    await shop.turn(plan)
    shop.pass_time(3600)
    assert (await shop.turn(plan)).action == "fire"
    await shop.execute()
    await change(shop, plan, paused=True)
    await resume(shop, plan)
    assert (await shop.turn(plan)).action == "idle"
    assert len(await shop.runs()) == 1


async def test_a_change_schedule_keeps_its_watermark_through_a_pause(shop: World) -> None:
    plan = shop.on_change()
    await shop.turn(plan)
    off = shop.on_change(enabled=False)
    await shop.turn(off)
    shop.database.catalog = catalog(table("orders", "order_id", "total"))
    shop.pass_time(60)
    await shop.turn(off)
    on = shop.on_change()
    assert (await shop.turn(on)).action == "fire"
    assert (await shop.execute()).drafted == 1


# -- catching up -----------------------------------------------------------------------------


async def test_all_are_caught_up_within_the_window_and_the_others_told_of_once(
    shop: World,
) -> None:
    plan = shop.plan(trigger=HOURLY, catch_up="all", catch_up_window_hours=3)
    await shop.turn(plan)
    shop.pass_time(10.5 * 3600)
    assert (await shop.turn(plan)).action == "fire"
    assert await due_times(shop) == [NOON + hours(8), NOON + hours(9), NOON + hours(10)]
    (event,) = await events(shop, "schedule_missed")
    assert event.detail["count"] == 7
    assert event.detail["due_at"] == (NOON + hours(7)).isoformat()
    for _ in range(3):
        assert (await shop.execute()).status is RunStatus.COMPLETED
        await shop.turn(plan)
    assert len(await shop.runs()) == 3
    queued = await events(shop, "run_completed")
    by_id = {run.id: run.due_at for run in await shop.runs()}
    assert [by_id[event.run_id] for event in queued] == await due_times(shop), "in their order"


async def test_without_a_window_all_goes_a_week_back(shop: World) -> None:
    plan = shop.plan(trigger={"type": "every", "minutes": 24 * 60}, catch_up="all")
    assert plan.catch_up_window == timedelta(days=7)
    await shop.turn(plan)
    shop.pass_time(30 * 86400)
    await shop.turn(plan)
    assert len(await shop.runs()) == 8, "the edge counts"
    assert (await events(shop, "schedule_missed"))[0].detail["count"] == 22


async def test_once_takes_the_newest_of_any_age_or_within_its_window(shop: World) -> None:
    plan = shop.plan(name="any", trigger=HOURLY)
    bound = shop.plan(
        name="bound", trigger={"type": "cron", "cron": "0 3 * * *"}, catch_up_window_hours=2
    )
    for each in (plan, bound):
        await shop.turn(each)
    shop.pass_time(20 * 3600)
    assert (await shop.turn(plan)).action == "fire"
    assert (await shop.turn(bound)).action == "missed"
    assert {run.schedule for run in await shop.runs()} == {"any"}
    (event,) = await events(shop, "schedule_missed")
    assert (event.schedule, event.detail["count"]) == ("bound", 1)


async def test_none_runs_what_is_on_time_and_tells_the_rest(shop: World) -> None:
    plan = shop.plan(trigger=HOURLY, catch_up="none")
    await shop.turn(plan)
    shop.pass_time(5 * 3600 + 100)
    assert (await shop.turn(plan)).action == "fire"
    assert await due_times(shop) == [NOON + hours(5)]
    assert (await events(shop, "schedule_missed"))[0].detail["count"] == 4


async def test_jitter_longer_than_the_distance_loses_no_tick(shop: World) -> None:
    trigger = {"type": "cron", "cron": "* * * * *", "jitter_seconds": 200}
    plan = shop.plan(trigger=trigger, catch_up="all")
    result = await shop.turn(plan)
    until = NOON + hours(1)
    while shop.clock.now() < until:
        assert result.look_at is not None
        shop.clock.advance(max(result.look_at - shop.clock.now(), timedelta(seconds=1)))
        result = await shop.turn(plan)
        while any(run.status is RunStatus.QUEUED for run in await shop.runs()):
            await shop.execute()
    found = [run.due_at for run in await shop.ledger.read(lambda tx: tx.history.of("watch", NOON))]
    wanted = [NOON + timedelta(minutes=minute) for minute in range(1, 56)]
    assert [due for due in sorted(found) if due in wanted] == wanted


# -- passing over ----------------------------------------------------------------------------


async def test_each_tick_that_finds_a_run_open_says_so_once(shop: World) -> None:
    plan = shop.plan(trigger=HOURLY)
    await shop.turn(plan)
    shop.pass_time(3600)
    fired = await shop.turn(plan)
    for _ in range(2):
        shop.pass_time(3600)
        result = await shop.turn(plan)
        assert (result.action, result.skip_reason) == ("skip", f"run {fired.run_id} is queued")
        assert (await shop.turn(plan)).action == "idle"
    told = await events(shop, "schedule_passed_over")
    assert [event.detail["due_at"] for event in told] == [
        (NOON + hours(count)).isoformat() for count in (2, 3)
    ]
    assert (await state_of(shop)).skip_reason == f"run {fired.run_id} is queued"
    await shop.execute()
    shop.pass_time(3600)
    assert (await shop.turn(plan)).action == "fire"
    assert (await state_of(shop)).skip_reason is None


async def test_a_blocked_run_stops_its_schedule_until_a_person_lets_it_go_on(
    shop: World,
) -> None:
    plan = shop.plan(trigger=HOURLY, max_requests=1, db_profile="shop")
    await shop.turn(plan)
    shop.pass_time(3600)
    fired = await shop.turn(plan)
    assert fired.run_id is not None
    await shop.ledger.write(
        lambda tx: tx.runs.move(
            fired.run_id,  # type: ignore[arg-type]
            RunEvent.BLOCK,
            token=None,
            failure_category="limit",
            recovery_action=f"amxwatch unblock {fired.run_id}",
        )
    )
    for _ in range(2):
        shop.pass_time(3600)
        result = await shop.turn(plan)
        assert (result.action, result.blocked_category, result.run_id) == (
            "blocked",
            "limit",
            fired.run_id,
        )
        assert result.skip_reason == f"run {fired.run_id} is blocked"
        assert (await shop.turn(plan)).action == "blocked"
    assert len(await events(shop, "schedule_passed_over")) == 2
    assert len(await shop.runs()) == 1
    await unblock(shop.ledger, shop.clock, fired.run_id)  # type: ignore[arg-type]
    assert (await shop.turn(plan)).action == "idle"
    done = await shop.execute()
    assert (done.id, done.status) == (fired.run_id, RunStatus.COMPLETED)
    shop.pass_time(3600)
    assert (await shop.turn(plan)).action == "fire"


async def test_a_run_of_another_process_stops_a_second_firing(shop: World) -> None:
    """Two processes that looked just before and just after a tick do not overlap."""
    plan = shop.plan(trigger={"type": "every", "minutes": 1})
    await shop.turn(plan)
    shop.pass_time(60)
    early = Firing(schedule=plan, source=shop.source, llm_profile="model", now=shop.clock.now())
    shop.pass_time(60)
    assert (await shop.turn(plan)).action == "fire"
    from amxwatch.flows.dispatch import dispatch

    assert (await dispatch(early)).action in ("skip", "idle")
    assert len(await shop.runs()) == 1


# -- pausing, retries, priorities ------------------------------------------------------------


async def test_failures_in_a_row_pause_it_and_a_person_resumes_it(shop: World) -> None:
    plan = shop.plan(trigger=HOURLY, pause_after_failures=2, max_retries=0)
    await shop.turn(plan)
    shop.provider.script = lambda _: shop.provider.text("no words")
    for number in (1, 2):
        shop.pass_time(3600)
        assert (await shop.turn(plan)).action == "fire", number
        run = await shop.execute()
        assert (run.status, run.failure_category) == (RunStatus.FAILED, "provider")
    result = await shop.turn(plan)
    assert result.action == "paused"
    assert result.skip_reason is not None
    assert result.skip_reason.startswith("paused after 2 failures in a row; the last: no object")
    (event,) = await events(shop, "schedule_paused")
    assert event.detail["reason"] == result.skip_reason
    shop.pass_time(7200)
    assert (await shop.turn(plan)).action == "paused"
    assert len(await shop.runs()) == 2


async def test_a_database_that_is_down_is_tried_again_by_the_same_run(shop: World) -> None:
    plan = shop.plan(trigger=HOURLY, max_retries=2)
    await shop.turn(plan)
    shop.pass_time(3600)
    fired = await shop.turn(plan)
    shop.database.fail_with = DatabaseUnavailableError("shop cannot be reached")
    run = await shop.execute()
    assert (run.id, run.status, run.retries) == (fired.run_id, RunStatus.QUEUED, 1)
    assert (await shop.turn(plan)).action == "idle"
    shop.database.fail_with = None
    shop.clock.advance(run.not_before - shop.clock.now())
    again = await shop.execute()
    assert (again.id, again.status, again.attempt) == (run.id, RunStatus.COMPLETED, 2)
    assert (await state_of(shop)).consecutive_failures == 0
    assert len(await events(shop, "run_retried")) == 1


async def test_the_most_urgent_goes_first(shop: World) -> None:
    for name in ("p3", "p1", "p0", "p2"):
        plan = shop.plan(name=name, trigger=HOURLY, priority=name)
        await shop.turn(plan)
        shop.pass_time(0)
    shop.pass_time(3600)
    for plan in shop.plans.values():
        assert (await shop.turn(plan)).action == "fire"
    assert {run.schedule: run.priority for run in await shop.runs()} == {
        "p0": 3,
        "p1": 2,
        "p2": 1,
        "p3": 0,
    }
    assert [(await shop.execute()).schedule for _ in range(4)] == ["p0", "p1", "p2", "p3"]
    assert shop.plan(name="usual", trigger=HOURLY).priority == "p2"


# -- templates -------------------------------------------------------------------------------


def test_the_input_is_rendered_in_the_schedules_zone() -> None:
    plan = Schedule.model_validate(
        {
            "name": "a",
            "db_profile": "shop",
            "trigger": {"type": "cron", "cron": "0 3 * * *", "timezone": "Asia/Tokyo"},
            "input_template": "{{date}} {{ day_of_week }} {{timestamp}} {{run_number}}",
        }
    )
    late = datetime.fromisoformat("2026-11-21T18:00:00+00:00")
    assert render_input(plan, now=late, run_number=7) == "2026-11-22 Sunday 1795284000 7"


async def test_a_run_is_told_the_day_of_its_tick(shop: World) -> None:
    trigger = {"type": "cron", "cron": "0 3 * * *", "timezone": "Asia/Tokyo"}
    plan = shop.plan(trigger=trigger, input_template="Today is {{date}}.")
    await shop.turn(plan)
    shop.pass_time(86400 * 2)
    assert (await shop.turn(plan)).action == "fire"
    await shop.execute()
    assert "Today is 2026-11-23." in shop.provider.requests[0].prompt  # 18:00 UTC of the 22nd


# -- clocks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("trigger", [HOURLY, {"type": "cron", "cron": "0 * * * *"}])
async def test_a_clock_set_back_a_day_doubles_nothing(
    shop: World, trigger: dict[str, object]
) -> None:
    plan = shop.plan(trigger=trigger)
    await shop.turn(plan)
    shop.pass_time(24 * 3600)
    for _ in range(3):
        shop.pass_time(3600)
        if (await shop.turn(plan)).action == "fire":
            await shop.execute()
    before = await due_times(shop)
    shop.pass_time(-24 * 3600)
    for _ in range(30):
        if (await shop.turn(plan)).action == "fire":
            await shop.execute()
        shop.pass_time(3600)
    after = await due_times(shop)
    assert len(after) == len(set(after))
    assert set(before) <= set(after)
    assert shop.clock.now() - max(due for due in after if due) <= hours(1), "and it goes on"


async def test_a_clock_set_forward_a_year_and_back_loses_no_tick(shop: World) -> None:
    plan = shop.plan(trigger=HOURLY)
    watch = shop.on_change(name="change", cap=1)
    late = shop.plan(name="late", trigger={"type": "at", "at": "2026-11-21 15:30"})
    for each in (plan, watch, late):
        await shop.turn(each)
    shop.pass_time(365 * 86400)
    shop.database.catalog = catalog(table("orders", "order_id", "total"))
    assert (await shop.turn(plan)).action == "fire"
    await shop.execute()
    assert (await shop.turn(watch)).action == "fire"
    await shop.execute()
    assert (await shop.turn(late)).action == "missed"
    assert len(await shop.runs()) == 2, "one for all that came due, by the contract"
    shop.pass_time(-365 * 86400)
    back = await shop.turn(plan)
    assert (back.armed, back.look_at) == ("the clock was set back", NOON + hours(1))
    for _ in range(9):
        for each in (plan, late):
            if (await shop.turn(each)).action == "fire":
                await shop.execute()
        shop.pass_time(1800)
    wanted = [NOON + hours(count) for count in range(1, 5)]
    assert [due for due in await due_times(shop) if due and due < NOON + hours(24)] == sorted(
        [*wanted, NOON + hours(3.5)]
    )
    shop.database.catalog = catalog(table("orders", "order_id", "total", "tax"))
    waiting = await shop.turn(watch)
    assert waiting.look_at == shop.clock.now() + hours(1), "its cap does not last a year"
    shop.pass_time(3600)
    assert (await shop.turn(watch)).action == "fire"


async def test_one_that_was_armed_by_a_clock_ahead_is_armed_again(shop: World) -> None:
    shop.pass_time(365 * 86400)
    plan = shop.plan(trigger=HOURLY)
    await shop.turn(plan)
    shop.pass_time(-365 * 86400)
    assert (await shop.turn(plan)).look_at == NOON + hours(1)


# -- backfill --------------------------------------------------------------------------------


async def test_past_ticks_are_queued_on_purpose_and_once(shop: World) -> None:
    plan = shop.plan(trigger=HOURLY)
    await shop.turn(plan)
    shop.pass_time(3 * 3600)
    await shop.turn(plan)
    await shop.execute()

    async def past(start: float, end: float) -> list[backfill.PastTick]:
        state = await state_of(shop)
        return await backfill.past_ticks(
            shop.ledger,
            plan.name,
            plan.trigger,  # type: ignore[arg-type]
            state,
            start=NOON + hours(start),
            end=NOON + hours(end),
        )

    found = await past(-2, 3)
    assert [tick.due for tick in found] == [NOON + hours(count) for count in range(-2, 4)]
    assert [tick.run_id is not None for tick in found] == [False] * 5 + [True]
    firing = Firing(schedule=plan, source=shop.source, llm_profile="model", now=shop.clock.now())
    assert len(await backfill.queue(firing, found, again=False)) == 5
    assert await backfill.queue(firing, found, again=False) == []
    executed = [await shop.execute() for _ in range(5)]
    assert [run.due_at for run in executed] == [tick.due for tick in found[:5]]
    assert len(await backfill.queue(firing, await past(3, 3), again=True)) == 1
    assert len(await events(shop, "schedule_backfilled")) == 2
    with pytest.raises(UsageError, match="more than 1000"):
        await past(-2000, 3)
