"""From a signal to the end of its run: triage, order, merging, failing, two hands at once."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from amxwatch.core.errors import TransitionError, UsageError
from amxwatch.core.intake import (
    MAX_TRIES,
    IntakeEvent,
    IntakeItem,
    IntakeSource,
    IntakeState,
    Priority,
)
from amxwatch.core.run import RunStatus, RunTrigger, Slots
from amxwatch.core.signal import Signal
from amxwatch.engines.execute import Executor
from amxwatch.flows import manual
from amxwatch.flows.intake import Added, IntakeDesk, add, approve, reject, triage_new
from amxwatch.flows.intake_planning import plan
from amxwatch.flows.settling import settled
from amxwatch.flows.work import work
from amxwatch.ports.intake import IntakeFilter
from amxwatch.settings.schema import Settings
from tests.flows.conftest import World, catalog, table

pytestmark = pytest.mark.anyio

SHOP = catalog(table("orders", "order_id"), table("item", "item_id"), table("tax", "tax_id"))


def desk_of(world: World, **intake: Any) -> IntakeDesk:
    told = world.settings.model_dump(mode="json", exclude_none=True) | {"intake": intake}
    settings = Settings.model_validate(told)
    world.settings = settings
    return IntakeDesk(
        settings=lambda: world.settings,
        source=lambda _: world.source,
        ledger=world.ledger,
        clock=world.clock,
    )


async def signal(desk: IntakeDesk, title: str = "describe", **values: Any) -> Added:
    made = await add(desk, Signal(source=IntakeSource.MANUAL, title=title, **values))
    assert made is not None
    return made


async def items(world: World) -> list[IntakeItem]:
    return await world.ledger.read(lambda tx: tx.intake.list(IntakeFilter()))


async def states(world: World) -> dict[str, str]:
    return {item.title: str(item.state) for item in await items(world)}


@pytest.fixture
async def desk(world: World) -> IntakeDesk:
    world.database.catalog = SHOP
    await world.look()
    return desk_of(world, llm_profile="model")


async def test_a_signal_becomes_a_run_and_is_resolved_with_it(
    world: World, desk: IntakeDesk
) -> None:
    made = await signal(desk, scope="table:shop.orders", priority=Priority.P1)
    assert (made.is_new, made.item.state) == (True, IntakeState.APPROVED)
    (run_id,) = await plan(desk)
    (run,) = await world.runs()
    assert (run.id, run.trigger, run.priority) == (run_id, RunTrigger.INTAKE, 2)
    assert (run.scope, run.db_profile, run.llm_profile) == ("table:shop.orders", "shop", "model")
    assert (await items(world))[0].state is IntakeState.PLANNED
    ended = await world.execute(run_id)
    assert ended.status is RunStatus.COMPLETED
    assert sorted(world.provider.asked) == ["#table", "order_id"]
    (item,) = await items(world)
    assert (item.state, item.outcome, item.run_id) == (IntakeState.RESOLVED, "completed", run_id)
    assert item.ended_at == ended.finished_at
    told = [action for action in await world.actions() if action.startswith("intake_")]
    assert told == ["intake_added", "intake_approved", "intake_planned", "intake_resolved"]


async def test_the_item_says_running_while_its_run_goes_on(world: World, desk: IntakeDesk) -> None:
    await signal(desk)
    (run_id,) = await plan(desk)
    executor = Executor(ledger=world.ledger, clock=world.clock, owner="me", settled=settled)
    claimed = await executor.claim(Slots(profiles={}, schedules={}))
    assert claimed is not None
    assert claimed.id == run_id
    assert (await items(world))[0].state is IntakeState.RUNNING


async def test_the_same_signal_twice_is_one_item(world: World, desk: IntakeDesk) -> None:
    first = await signal(desk, scope="schema:shop")
    again = await signal(desk, scope="schema:shop", priority=Priority.P0)
    assert (again.item.id, again.is_new) == (first.item.id, False)
    assert again.item.priority is Priority.P0, "it came again, more urgent"
    assert (await signal(desk, scope="schema:shop", priority=Priority.P3)).item.priority == "p0"
    other = await signal(desk, scope="table:shop.tax")
    assert other.is_new, "another scope is another signal"
    assert len(await items(world)) == 2


async def test_what_is_over_may_be_asked_for_again_but_an_occurrence_is_one_for_ever(
    world: World, desk: IntakeDesk
) -> None:
    file = await signal(desk, "file", occurrence="file:1")
    by_hand = await signal(desk, "by hand")
    await plan(desk)
    await world.execute()
    assert await states(world) == {"file": "resolved", "by hand": "resolved"}
    assert (await signal(desk, "file", occurrence="file:1")).item.id == file.item.id
    assert (await signal(desk, "by hand")).item.id != by_hand.item.id


async def test_p0_overtakes_what_is_queued_but_not_what_runs(
    world: World, desk: IntakeDesk
) -> None:
    executor = Executor(ledger=world.ledger, clock=world.clock, owner="me", settled=settled)
    one = Slots(total=1, profiles={}, schedules={})

    async def claim() -> str | None:
        run = await executor.claim(one)
        return None if run is None else run.trigger_reason.partition(": ")[2]

    await signal(desk, "first", scope="table:shop.orders")
    await plan(desk)
    assert await claim() == "first"
    await signal(desk, "second", scope="table:shop.item")
    await plan(desk)
    world.pass_time(60)
    await signal(desk, "urgent", scope="table:shop.tax", priority=Priority.P0)
    await plan(desk)
    assert await claim() is None, "the running one keeps the only slot"
    assert await states(world) == {"urgent": "planned", "first": "running", "second": "planned"}
    (running,) = [run for run in await world.runs() if run.status is RunStatus.RUNNING]
    assert not running.cancel_requested
    await executor.execute(running, _done(world), lambda: False)
    assert await claim() == "urgent"


def _done(world: World) -> Any:
    drafting = world.drafting()
    return lambda context: work(context, drafting)


async def test_items_that_ask_for_the_same_share_one_run(world: World, desk: IntakeDesk) -> None:
    await signal(desk, "a", scope="schema:shop", priority=Priority.P3)
    await signal(desk, "b", scope="schema:shop", priority=Priority.P0)
    await signal(desk, "c", scope="table:shop.tax")
    assert len(await plan(desk)) == 2
    shared = [run for run in await world.runs() if run.scope == "schema:shop"]
    assert [run.priority for run in shared] == [3]
    assert "b (and 1 more)" in shared[0].trigger_reason
    await world.execute(shared[0].id)
    assert await states(world) == {"a": "resolved", "b": "resolved", "c": "planned"}


async def test_two_that_plan_at_once_plan_an_item_once(world: World, desk: IntakeDesk) -> None:
    for number in range(5):
        await signal(desk, f"n{number}", scope=f"table:shop.t{number}*")
    planned: list[str] = []

    async def one() -> None:
        planned.extend(await plan(desk))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(one)
    assert len(planned) == len(await world.runs()) == 5


async def test_two_that_add_at_once_add_one_item(world: World, desk: IntakeDesk) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(signal, desk)
    assert len(await items(world)) == 1


# -- triage ----------------------------------------------------------------------------------


async def test_a_scope_that_names_nothing_waits_for_a_person(
    world: World, desk: IntakeDesk
) -> None:
    made = await signal(desk, scope="table:shop.ordrs")
    assert made.missing == ("no table shop.ordrs; did you mean shop.orders?",)
    assert (made.item.state, made.item.reason) == (IntakeState.NEW, made.missing[0])
    assert await plan(desk) == []
    assert await triage_new(desk) == 0
    approved = await approve(desk, made.item.id[:20])
    assert (approved.state, approved.reason) == (IntakeState.APPROVED, None)
    assert len(await plan(desk)) == 1


async def test_a_person_decides_where_the_settings_say_so(world: World, desk: IntakeDesk) -> None:
    desk_of(world, triage="human")
    made = await signal(desk)
    assert made.item.state is IntakeState.NEW
    assert await plan(desk) == []
    gone = await reject(desk, made.item.id, "not now")
    assert (gone.state, gone.reason) == (IntakeState.REJECTED, "not now")
    with pytest.raises(TransitionError):
        await reject(desk, made.item.id, "again")
    again = await approve(desk, made.item.id)
    assert (again.state, again.ended_at) == (IntakeState.APPROVED, None)


async def test_only_so_many_are_let_through_and_the_rest_follow(
    world: World, desk: IntakeDesk
) -> None:
    desk_of(world, llm_profile="model", max_open=1)
    await signal(desk, "a", scope="table:shop.tax")
    await signal(desk, "b", scope="table:shop.item", priority=Priority.P3)
    await signal(desk, "c", scope="table:shop.orders", priority=Priority.P0)
    assert len(await plan(desk)) == 1
    assert await states(world) == {"a": "planned", "b": "new", "c": "new"}
    await world.execute()
    assert len(await plan(desk)) == 1
    assert await states(world) == {"a": "resolved", "b": "new", "c": "planned"}


async def test_before_the_first_snapshot_a_named_scope_waits_for_it(world: World) -> None:
    desk = desk_of(world)
    world.database.catalog = SHOP
    made = await signal(desk, scope="table:shop.orders")
    assert (made.item.state, made.item.reason) == (IntakeState.NEW, None)
    assert await plan(desk) == []
    await world.look()
    assert len(await plan(desk)) == 1


async def test_an_item_whose_profile_vanished_goes_back_to_a_person(
    world: World, desk: IntakeDesk
) -> None:
    await signal(desk)
    world.settings = Settings()
    assert await plan(desk) == []
    (item,) = await items(world)
    assert (item.state, item.reason) == (
        IntakeState.NEW,
        "there is no db profile 'shop' any more",
    )
    with pytest.raises(UsageError, match="no db profile"):
        await signal(desk, db_profile="shop")


# -- what becomes of the run -----------------------------------------------------------------


async def test_a_failing_run_puts_the_item_back_until_it_is_given_up(
    world: World, desk: IntakeDesk
) -> None:
    made = await signal(desk, scope="table:shop.gone")
    await approve(desk, made.item.id)
    for tries in range(1, MAX_TRIES + 1):
        assert len(await plan(desk)) == 1
        assert await plan(desk) == []
        ended = await world.execute()
        assert ended.status is RunStatus.FAILED
        (item,) = await items(world)
        assert item.tries == tries
        assert await plan(desk) == [], "it waits for its pause to be over"
        world.pass_time(3600)
    assert item.state is IntakeState.REJECTED
    assert item.reason is not None
    assert "no table shop.gone" in item.reason
    assert await plan(desk) == []
    assert (await approve(desk, item.id)).tries == 0
    assert len(await plan(desk)) == 1


async def test_a_cancelled_run_rejects_its_item(world: World, desk: IntakeDesk) -> None:
    made = await signal(desk)
    (run_id,) = await plan(desk)
    with pytest.raises(TransitionError, match=f"amxwatch cancel {run_id}"):
        await reject(desk, made.item.id, "no")
    await manual.cancel(world.ledger, world.clock, run_id)
    (item,) = await items(world)
    assert (item.state, item.outcome) == (IntakeState.REJECTED, "cancelled")


async def test_what_a_session_reserved_is_left_to_it(world: World, desk: IntakeDesk) -> None:
    made = await signal(desk, "kept")
    await signal(desk, "free", scope="table:shop.tax")
    await world.ledger.write(
        lambda tx: tx.intake.move(made.item.id, IntakeEvent.RESERVE, session="s1")
    )
    assert await plan(desk, leave=frozenset({"shop"})) == []
    assert len(await plan(desk)) == 1
    assert await states(world) == {"kept": "approved", "free": "planned"}
    now = world.clock.now()
    kept = await world.ledger.read(lambda tx: tx.intake.next_approved(now=now, session="s1"))
    assert [item.title for item in kept] == ["kept"]
    await world.ledger.write(
        lambda tx: tx.intake.move(made.item.id, IntakeEvent.FREE, session=None)
    )
    assert len(await plan(desk)) == 1
