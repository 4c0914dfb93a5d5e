"""Continuous sessions: what they work on, what they wait for, and how they end."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from amxwatch.core.continuous import MAX_TRIES, Session
from amxwatch.core.draft import DraftStatus
from amxwatch.core.errors import UsageError
from amxwatch.core.intake import IntakeEvent, IntakeId, IntakeItem, IntakeSource, IntakeState
from amxwatch.core.run import Run, RunEvent, RunStatus, RunTrigger
from amxwatch.flows.autopilot import by_schedule
from amxwatch.flows.firing import Dispatched, Firing
from amxwatch.flows.review import accept
from amxwatch.flows.session_life import settle_orphans
from amxwatch.flows.watch import look
from amxwatch.ports.intake import IntakeFilter
from amxwatch.settings.schema import Schedule
from tests.flows.conftest import World, catalog, column, table

pytestmark = pytest.mark.anyio

HOUR = 3600
SHOP = catalog(table("orders", "order_id", "total"), table("customer", "customer_id"))


@dataclass
class Pilot:
    """One continuous schedule in a small world, and its goals files."""

    world: World
    plan: Schedule
    files: dict[str, str] = field(default_factory=dict)

    async def poll(self, *, is_poll: bool = True) -> Dispatched:
        """Do what the daemon does at a poll."""
        await look(self.world.source)
        firing = Firing(
            schedule=self.plan,
            source=self.world.source,
            llm_profile="model",
            now=self.world.clock.now(),
        )
        return await by_schedule(firing, read=self._read, is_poll=is_poll)

    async def due(self) -> Dispatched:
        await self.poll()
        self.world.pass_time(HOUR)
        return await self.poll()

    async def _read(self, file: str) -> str:
        if file not in self.files:
            raise UsageError(f"the goals file {file} cannot be read: No such file or directory")
        return self.files[file]

    def change(self, **values: Any) -> None:
        told = {**self.plan.continuous.model_dump(), **values}
        self.plan = self.world.plan(**{**self.plan.model_dump(), "continuous": told})

    async def session(self) -> Session | None:
        return await self.world.ledger.read(lambda tx: tx.sessions.open_of("schedule", "pilot"))

    async def open(self) -> Session:
        session = await self.session()
        assert session is not None
        return session

    async def ended(self) -> str:
        assert await self.session() is None
        events = await self.world.ledger.read(lambda tx: tx.events.recent(1000))
        last = [event for event in events if event.action == "session_ended"][-1]
        return f"{last.detail['status']}: {last.detail['reason']}"


def pilot(world: World, goals: str, *, strategy: str = "auto", **continuous: Any) -> Pilot:
    world.database.catalog = SHOP
    told = {
        "enabled": True,
        "vision_path": "VISION.md",
        "idle_expansion": {"sources": []},
        **continuous,
    }
    plan = world.plan(
        name="pilot",
        review_strategy=strategy,
        trigger={"type": "every", "minutes": 60},
        continuous=told,
    )
    return Pilot(world, plan, {"VISION.md": goals})


def item(world: World, name: str, priority: str = "p2", **values: Any) -> IntakeItem:
    now = world.clock.now()
    given = {
        "id": IntakeId(name),
        "source": IntakeSource.MANUAL,
        "title": name,
        "db_profile": "shop",
        "scope": "table:shop.customer",
        "priority": priority,
        "dedupe_key": name,
        "added_at": now,
        "not_before": now,
        "state": IntakeState.APPROVED,
    }
    return IntakeItem(**{**given, **values})


async def add(world: World, made: IntakeItem) -> None:
    await world.ledger.write(lambda tx: tx.intake.add(made))


async def test_a_due_time_starts_a_session_that_ends_when_its_goal_is_met(world: World) -> None:
    one = pilot(world, "- [ ] shop: described")
    assert (await one.poll()).action == "idle"
    world.pass_time(HOUR)
    fired = await one.poll()
    assert fired.action == "fire"
    run = (await world.runs())[0]
    assert (run.id, run.trigger, run.scope) == (fired.run_id, RunTrigger.CONTINUOUS, "schema:shop")
    assert run.unique_key == f"{(await one.open()).id}:1"
    assert (await one.poll()).action == "skip"
    await world.execute()
    assert (await one.poll()).action == "ended"
    assert await one.ended() == "completed: every goal is met"
    assert len(await world.runs()) == 1
    actions = await world.actions()
    assert [a for a in actions if a.startswith(("session", "goal"))] == [
        "session_started",
        "session_step",
        "goal_met",
        "session_ended",
    ]


async def test_an_open_session_goes_on_whether_it_is_due_or_not_and_no_second_one_starts(
    world: World,
) -> None:
    one = pilot(world, "- [ ] shop.orders: described\n- [ ] shop.customer: described")
    await one.due()
    for _ in range(2):
        await world.execute()
        world.pass_time(1)
        last = await one.poll()
    assert last.action == "ended"
    runs = await world.runs()
    assert [run.scope for run in runs] == ["table:shop.customer", "table:shop.orders"]
    assert (await world.actions()).count("session_started") == 1


async def test_with_manual_review_it_waits_for_people_and_burns_no_runs(world: World) -> None:
    one = pilot(world, "- [ ] shop: coverage 90%", strategy="manual", on_idle="perpetual")
    await one.due()
    await world.execute()
    for _ in range(10):
        world.pass_time(60)
        result = await one.poll()
        assert (result.action, (await one.open()).status) == ("wait", "waiting_review")
        assert result.skip_reason is not None
        assert "5 drafts wait" in result.skip_reason
    assert len(await world.runs()) == 1
    for draft in await world.drafts(statuses=frozenset({DraftStatus.PENDING})):
        await accept(world.ledger, world.clock, draft.id)
    assert "amxwatch apply" in ((await one.poll()).skip_reason or "")
    assert len(await world.runs()) == 1


@pytest.mark.parametrize(
    ("on_idle", "status"),
    [("exit", None), ("perpetual", "idle"), ("human_review", "waiting_review")],
)
async def test_idle_cycles_are_counted_at_polls_and_end_as_on_idle_says(
    world: World, on_idle: str, status: str | None
) -> None:
    one = pilot(world, "# Nothing here", max_idle_cycles=3, on_idle=on_idle)
    await one.due()
    for _ in range(5):
        await one.poll(is_poll=False)
    assert (await one.open()).idle_cycles == 1
    for _ in range(2):
        await one.poll()
    if status is None:
        assert (await one.ended()).startswith("stopped: there is nothing that a run could do")
        assert "VISION.md states no goal" in await one.ended()
    else:
        await one.poll()
        assert (await one.open()).status == status


async def test_a_perpetual_session_takes_up_what_the_catalog_brings_later(world: World) -> None:
    one = pilot(world, "- [ ] shop: described", on_idle="perpetual", max_idle_cycles=1)
    await one.due()
    await world.execute()
    for _ in range(3):
        await one.poll()
    assert (await one.open()).status == "idle"
    world.database.catalog = catalog(*world.database.catalog.tables, table("payment", "payment_id"))
    world.pass_time(HOUR)
    assert (await one.poll()).action == "fire"
    assert len(await world.runs()) == 2


async def test_it_stops_at_max_runs(world: World) -> None:
    one = pilot(world, "- [ ] shop.orders: described\n- [ ] shop.customer: described", max_runs=1)
    await one.due()
    await world.execute()
    assert (await one.poll()).action == "ended"
    assert (await one.ended()).startswith("stopped: it has made its 1 runs (max_runs)")
    assert len(await world.runs()) == 1


async def test_it_stops_at_its_budget_by_the_costs_of_its_own_runs(world: World) -> None:
    one = pilot(
        world,
        "- [ ] shop.orders: described\n- [ ] shop.customer: described",
        per_session_max_usd=0.01,
    )
    await one.due()
    run = await world.execute()
    assert run.cost_usd == Decimal("0.01")
    assert (await one.poll()).action == "ended"
    assert (await one.ended()).startswith("stopped: it has spent $0.01 of its $0.01")
    assert len(await world.runs()) == 1


async def test_a_run_asks_no_more_once_its_session_has_spent_its_budget(world: World) -> None:
    """One large goal cannot go past the budget by more than what is in flight."""
    one = pilot(world, "- [ ] shop: described", per_session_max_usd=0.05)
    world.database.catalog = catalog(*(table(f"t{number:02}", "id") for number in range(40)))
    await one.due()
    run = await world.execute()
    assert run.status is RunStatus.COMPLETED
    assert Decimal("0.05") <= (run.cost_usd or 0) < Decimal("0.10")
    assert "the session has spent its per_session_max_usd" in (run.summary or "")
    assert (await one.poll()).action == "ended"
    assert (await one.ended()).startswith("stopped: it has spent")


async def test_a_model_without_a_price_blocks_under_a_session_budget(world: World) -> None:
    one = pilot(world, "- [ ] shop: described", per_session_max_usd=0.05)
    world.provider.priced = False
    await one.due()
    run = await world.execute()
    assert (run.status, run.failure_category) == (RunStatus.BLOCKED, "unpriced")


async def test_intake_comes_first_and_the_most_urgent_before_the_rest(world: World) -> None:
    one = pilot(world, "- [ ] shop.orders: described")
    await add(world, item(world, "later"))
    await add(world, item(world, "now", "p0", scope="table:shop.orders"))
    await one.due()
    run = (await world.runs())[0]
    assert (run.trigger, run.scope, run.priority) == (RunTrigger.INTAKE, "table:shop.orders", 3)
    assert (await one.open()).objective == "now"
    taken = await world.ledger.read(lambda tx: tx.intake.get(IntakeId("now")))
    assert (taken.state, taken.run_id, taken.session) == (
        "planned",
        run.id,
        (await one.open()).id,
    )
    await world.execute()
    assert (await one.poll()).action == "fire"
    assert (await one.open()).objective == "later"


async def test_urgent_intake_never_stops_a_run_that_goes_on(world: World) -> None:
    one = pilot(world, "- [ ] shop: described")
    await one.due()
    await add(world, item(world, "now", "p0"))
    assert (await one.poll()).action == "skip"
    await world.execute()
    assert (await one.poll()).action == "fire"
    assert (await one.open()).intake_id == "now"


async def test_intake_of_other_profiles_is_left_alone(world: World) -> None:
    one = pilot(world, "# Nothing", on_idle="perpetual")
    await add(world, item(world, "foreign", db_profile="elsewhere"))
    await one.due()
    assert await world.runs() == []


async def test_a_blocked_run_blocks_the_session_and_unblock_resumes_both(world: World) -> None:
    one = pilot(world, "- [ ] shop: described")
    one.plan = world.plan(**{**one.plan.model_dump(), "max_requests": 1})
    many = [table(f"t{number}", "id") for number in range(3)]
    world.database.catalog = catalog(*many)
    await one.due()
    run = await world.execute()
    assert run.status is RunStatus.BLOCKED
    blocked = await one.poll()
    session = await one.open()
    assert (blocked.action, blocked.blocked_category) == ("blocked", "limit")
    assert (session.status, session.category) == ("blocked", "limit")
    assert session.recovery_action == run.recovery_action
    world.pass_time(10 * HOUR)
    assert (await one.poll()).action == "blocked"
    one.plan = world.plan(**{**one.plan.model_dump(), "max_requests": 99})
    await world.ledger.write(
        lambda tx: tx.runs.move(run.id, RunEvent.UNBLOCK, token=None, not_before=run.not_before)
    )
    assert (await one.poll()).action == "skip"
    assert (await one.open()).status == "running"
    again = await world.execute()
    assert (again.id, again.status) == (run.id, RunStatus.COMPLETED)
    await one.poll()
    assert await one.ended() == "completed: every goal is met"
    assert len(await world.runs()) == 1


async def test_a_pause_holds_the_session_and_a_resume_goes_on_with_it(world: World) -> None:
    one = pilot(world, "- [ ] shop.orders: described\n- [ ] shop.customer: described")
    await one.due()
    await world.execute()
    session = await one.open()
    await paused(world, True)
    for _ in range(3):
        assert (await one.poll()).action == "paused"
    assert (await one.open()).status == "paused"
    assert len(await world.runs()) == 1
    await paused(world, False)
    assert (await one.poll()).action == "fire"
    assert (await one.open()).id == session.id
    assert (await one.open()).runs_completed == 1


async def paused(world: World, is_paused: bool) -> None:
    from dataclasses import replace

    def work(tx: Any) -> None:
        tx.schedules.put(replace(tx.schedules.get("pilot"), paused=is_paused))

    await world.ledger.write(work)


async def test_a_run_without_progress_is_not_made_for_ever(world: World) -> None:
    one = pilot(world, "- [ ] shop: described", max_idle_cycles=2)
    world.provider.script = lambda _: world.provider.text("no words")
    await one.due()
    for _ in range(20):
        if await one.session() is None:
            break
        if any(run.status is RunStatus.QUEUED for run in await world.runs()):
            await world.execute()
        world.pass_time(60)
        await one.poll()
    assert len(await world.runs()) == MAX_TRIES
    assert (await one.ended()).startswith("stopped: there is nothing that a run could do")


async def test_a_perpetual_session_tries_again_a_day_later(world: World) -> None:
    one = pilot(world, "- [ ] shop: described", on_idle="perpetual")
    sensible = world.provider.script
    world.provider.script = lambda _: world.provider.text("no words")
    await one.due()
    for _ in range(5):
        if any(run.status is RunStatus.QUEUED for run in await world.runs()):
            await world.execute()
        await one.poll()
    assert len(await world.runs()) == MAX_TRIES
    world.provider.script = sensible
    world.pass_time(23 * HOUR)
    assert (await one.poll()).action == "wait"
    world.pass_time(2 * HOUR)
    assert (await one.poll()).action == "fire"


async def test_a_cancelled_run_is_not_begun_again(world: World) -> None:
    one = pilot(world, "- [ ] shop: described", on_idle="perpetual")
    await one.due()
    run = (await world.runs())[0]
    await world.ledger.write(lambda tx: tx.runs.move(run.id, RunEvent.CANCEL, token=None))
    for _ in range(3):
        assert (await one.poll()).action == "wait"
    assert len(await world.runs()) == 1


async def test_goals_whose_scope_is_not_there_are_told_and_not_run(world: World) -> None:
    one = pilot(world, "- [ ] shop.ordrs: described", on_idle="perpetual")
    result = await one.due()
    assert result.action == "wait"
    assert "no table shop.ordrs; did you mean shop.orders?" in (result.skip_reason or "")
    assert await world.runs() == []


async def test_a_missing_goals_file_is_told_and_read_once_it_is_there(world: World) -> None:
    one = pilot(world, "")
    text = "- [ ] shop: described"
    del one.files["VISION.md"]
    result = await one.due()
    assert "VISION.md cannot be read" in (result.skip_reason or "")
    one.files["VISION.md"] = text
    assert (await one.poll()).action == "fire"


async def test_further_goals_come_from_other_files_as_often_as_allowed(world: World) -> None:
    one = pilot(
        world,
        "- [ ] shop.orders: described",
        idle_expansion={"sources": ["A.md", "B.md", "C.md"], "max_expansions": 3, "max_retries": 1},
        on_idle="perpetual",
    )
    one.files |= {"B.md": "- [ ] shop.customer: described", "C.md": "- [ ] never: described"}
    await one.due()
    await world.execute()
    assert (await one.poll()).action == "fire"
    session = await one.open()
    assert [(e.file, e.looks, e.goals) for e in session.expansions] == [
        ("A.md", 1, 0),
        ("B.md", 1, 1),
    ]
    await world.execute()
    await one.poll()
    await one.poll()
    session = await one.open()
    assert session.looks() == 3
    assert {e.file: e.looks for e in session.expansions} == {"A.md": 1, "B.md": 1, "C.md": 1}


async def test_a_file_without_goals_is_looked_at_again_at_later_polls_only(world: World) -> None:
    one = pilot(
        world,
        "# None",
        idle_expansion={"sources": ["A.md"], "max_expansions": 9, "max_retries": 2},
        on_idle="perpetual",
    )
    await one.due()
    assert (await one.open()).looks() == 1
    for _ in range(5):
        await one.poll()
    assert (await one.open()).looks() == 3


async def test_with_human_triage_goals_wait_in_intake_for_a_person(world: World) -> None:
    one = pilot(world, "- [ ] shop: described", triage_approval="human", max_idle_cycles=1)
    for _ in range(2):
        await one.due()
        assert (await one.open()).status == "waiting_review"
    assert await world.runs() == []
    items = await world.ledger.read(lambda tx: tx.intake.list(IntakeFilter()))
    assert [(i.source, i.state, i.scope) for i in items] == [("vision", "new", "schema:shop")]
    await world.ledger.write(
        lambda tx: tx.intake.move(items[0].id, IntakeEvent.APPROVE, session=None)
    )
    assert (await one.poll()).action == "fire"
    run = (await world.runs())[0]
    assert run.trigger is RunTrigger.INTAKE
    await world.execute()
    await one.poll()
    assert await one.ended() == "completed: every goal is met"


async def test_what_a_person_turned_down_is_not_proposed_again(world: World) -> None:
    one = pilot(world, "- [ ] shop: described", triage_approval="human", max_idle_cycles=2)
    await one.due()
    items = await world.ledger.read(lambda tx: tx.intake.list(IntakeFilter()))
    await world.ledger.write(lambda tx: tx.intake.move(items[0].id, IntakeEvent.REJECT))
    for _ in range(3):
        await one.poll()
    assert (await one.ended()).startswith("stopped")
    await one.due()
    items = await world.ledger.read(lambda tx: tx.intake.list(IntakeFilter()))
    assert [i.state for i in items] == ["rejected"]
    assert await world.runs() == []


async def test_work_stays_within_the_scope_of_the_schedule(world: World) -> None:
    one = pilot(world, "- [ ] all: described")
    one.plan = world.plan(**{**one.plan.model_dump(), "scope": "table:shop.customer"})
    await one.due()
    run = await world.execute()
    assert {draft.ref.table for draft in await world.drafts(run_id=run.id)} == {"customer"}
    await one.poll()
    assert await one.ended() == "completed: every goal is met"


async def test_a_run_by_hand_of_the_same_schedule_is_waited_for(world: World) -> None:
    one = pilot(world, "- [ ] shop: described")
    await one.due()
    await world.execute()
    hand = Firing(
        schedule=one.plan, source=world.source, llm_profile="model", now=world.clock.now()
    ).run(RunTrigger.MANUAL)
    await world.ledger.write(lambda tx: tx.runs.put(hand))
    result = await one.poll()
    assert (result.action, result.run_id) == ("skip", hand.id)


async def test_two_processes_that_step_at_once_put_one_run(world: World) -> None:
    import anyio

    one = pilot(world, "- [ ] shop: described")
    await one.poll()
    world.pass_time(HOUR)
    results: list[Dispatched] = []

    async def step() -> None:
        results.append(await one.poll())

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(step)
    assert len(await world.runs()) == 1
    assert (await one.open()).runs_started == 1
    assert (await world.actions()).count("session_started") == 1
    assert len(results) == 4


async def test_a_session_whose_schedule_is_gone_or_whose_process_died_is_ended(
    world: World,
) -> None:
    one = pilot(world, "# Nothing", on_idle="perpetual")
    await one.due()
    kept = await settle_orphans(
        world.ledger,
        world.clock,
        is_continuous=lambda name: name == "pilot",
        is_dead=lambda _: True,
    )
    assert [session.owner_id for session in kept] == ["pilot"]
    kept = await settle_orphans(
        world.ledger, world.clock, is_continuous=lambda _: False, is_dead=lambda _: False
    )
    assert kept == []
    assert "its schedule is gone" in await one.ended()


async def test_a_cancelled_schedule_ends_its_session(world: World) -> None:
    from dataclasses import replace

    one = pilot(world, "# Nothing", on_idle="perpetual")
    await one.due()

    def work(tx: Any) -> None:
        tx.schedules.put(replace(tx.schedules.get("pilot"), cancelled=True))

    await world.ledger.write(work)
    assert (await one.poll()).action == "ended"
    assert await one.ended() == "stopped: its schedule was cancelled"


async def test_an_edit_of_the_settings_holds_for_the_open_session(world: World) -> None:
    one = pilot(world, "- [ ] shop.orders: described\n- [ ] shop.customer: described")
    await one.due()
    await world.execute()
    one.change(max_runs=1)
    await one.poll()
    assert (await one.ended()).startswith("stopped: it has made its 1 runs")


async def test_stale_descriptions_of_ours_are_made_anew_where_a_goal_asks(world: World) -> None:
    one = pilot(world, "- [ ] shop: described, fresh", on_idle="perpetual")
    await one.due()
    await world.execute()
    await one.poll()
    assert (await one.open()).status == "idle"
    told = {t.name: t for t in world.database.catalog.tables}
    from dataclasses import replace

    orders = told["orders"]
    moved = tuple(
        column(c.name, "text", ordinal=c.ordinal, comment=c.comment) if c.name == "total" else c
        for c in orders.columns
    )
    world.database.catalog = catalog(replace(orders, columns=moved), told["customer"])
    world.pass_time(HOUR)
    assert (await one.poll()).action == "fire"
    run = await world.execute()
    assert isinstance(run, Run)
    refs = {str(draft.ref) for draft in await world.drafts(run_id=run.id)}
    assert "shop.orders.total" in refs
