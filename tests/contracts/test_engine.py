"""What must hold of an engine: a run is executed under a lease and settled once."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest

from amxwatch.clocks.manual import ManualClock
from amxwatch.core.errors import (
    AmxwatchError,
    ConfigError,
    DatabaseUnavailableError,
    FencedError,
    KeyRefusedError,
    LoginRefusedError,
    NotFoundError,
    ProviderRefusedError,
    ProviderUnavailableError,
    ReplyError,
    RunBlockedError,
    RunCancelledError,
    RunReleasedError,
    ScopeError,
    StoreBusyError,
    StoreFullError,
    TransitionError,
)
from amxwatch.core.run import Outcome, Paid, Run, RunEvent, RunId, RunStatus, Slots
from amxwatch.engines.execute import Executor
from amxwatch.engines.local import LocalEngine
from amxwatch.engines.owner import Owner
from amxwatch.engines.recover import REASON, recover
from amxwatch.ports.engine import Handler, RunContext
from amxwatch.ports.ledger import Ledger, Tx
from tests.contracts.ledgers import LEASE, MANY, NOW, a_run, claim, claimed, later, new_ledger

pytestmark = pytest.mark.anyio

RUN = RunId("run_1")
T = TypeVar("T")


class Watched:
    """A ledger of which we can tell whether it is at work."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.busy = 0

    async def write(self, work: Callable[[Tx], T]) -> T:
        self.busy += 1
        try:
            return await self._ledger.write(work)
        finally:
            self.busy -= 1

    async def read(self, work: Callable[[Tx], T]) -> T:
        self.busy += 1
        try:
            return await self._ledger.read(work)
        finally:
            self.busy -= 1

    async def recall(self, key: Hashable, work: Callable[[Tx], T]) -> T:
        self.busy += 1
        try:
            return await self._ledger.recall(key, work)
        finally:
            self.busy -= 1

    async def foresee(self, questions: Mapping[Hashable, Callable[[Tx], object]]) -> None:
        await self._ledger.foresee(questions)

    async def aclose(self) -> None:
        await self._ledger.aclose()


class Bench:
    """An engine on a ledger of its own, on a clock that we turn."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(NOW)
        self.ledger = Watched(new_ledger(folder / "state.db", self.clock))
        self.owners = folder / "owners"
        self.owner = Owner.acquire(self.owners)
        self.settled: list[Run] = []
        self.engine = LocalEngine(
            ledger=self.ledger,
            clock=self.clock,
            owner=self.owner,
            settled=self._note,
        )
        self.slots = MANY

    def _note(self, _tx: Tx, run: Run) -> None:
        if run.status is not RunStatus.RUNNING:  # a claim is told of as well
            self.settled.append(run)

    async def put(self, name: str = RUN, **values: Any) -> None:
        await self.ledger.write(lambda tx: tx.runs.put(a_run(name, **values)))

    async def run(self, name: str = RUN) -> Run:
        return await self.ledger.read(lambda tx: tx.runs.get(RunId(name)))

    async def trail(self) -> list[str]:
        events = await self.ledger.read(lambda tx: tx.events.after(0))
        return [event.action for event in events]

    async def detail(self, action: str) -> list[dict[str, object]]:
        events = await self.ledger.read(lambda tx: tx.events.after(0))
        return [event.detail for event in events if event.action == action]

    async def ask_to_stop(self, name: str = RUN) -> None:
        def work(tx: Tx) -> None:
            tx.runs.update(RunId(name), tx.runs.get(RunId(name)).token, cancel_requested=True)

        await self.ledger.write(work)

    async def one(self, handler: Handler, **values: Any) -> Run:
        await self.put(**values)
        return await self.engine.work_one(RUN, handler, lambda: self.slots)

    @asynccontextmanager
    async def working(self, handler: Handler) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(self.engine.work, handler, lambda: self.slots)
            yield
            group.cancel_scope.cancel()

    async def calm(self) -> None:
        """Wait until everyone waits, for the clock or for ever."""
        quiet = 0
        while quiet < 20:
            await anyio.lowlevel.checkpoint()
            quiet = 0 if self.ledger.busy else quiet + 1

    async def until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        """Turn the clock a little at a time until something holds."""
        with anyio.fail_after(60):
            await self.calm()
            while not await is_so():
                self.clock.advance(timedelta(seconds=0.5))
                await self.calm()

    async def until_status(self, status: RunStatus, name: str = RUN) -> Run:
        async def is_so() -> bool:
            return (await self.run(name)).status is status

        await self.until(is_so)
        return await self.run(name)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.owner.release()
    await bench.ledger.aclose()


async def done(_context: RunContext) -> Outcome:
    return Outcome(summary="done", objects=3, drafted=2, reused=1)


async def for_ever(_context: RunContext) -> Outcome:
    await anyio.sleep_forever()
    raise AssertionError


def raising(error: BaseException) -> Handler:
    async def handler(_context: RunContext) -> Outcome:
        raise error

    return handler


def paying(reply: str = "r", cost: str | None = "0.5") -> tuple[Callable[[], Any], list[str]]:
    paid: list[str] = []

    async def pay() -> Paid:
        paid.append(reply)
        await anyio.lowlevel.checkpoint()
        price = None if cost is None else Decimal(cost)
        return Paid(reply=reply, cost_usd=price, input_tokens=10, output_tokens=1)

    return pay, paid


# Settling


async def test_a_run_that_works_is_completed(bench: Bench) -> None:
    run = await bench.one(done)
    assert (run.status, run.summary, run.objects, run.drafted, run.reused) == (
        RunStatus.COMPLETED,
        "done",
        3,
        2,
        1,
    )
    assert run.finished_at == NOW
    assert await bench.trail() == ["run_started", "run_completed"]
    assert bench.settled == [run]


async def test_the_snapshot_is_fixed_by_the_handler(bench: Bench) -> None:
    async def handler(context: RunContext) -> Outcome:
        await context.update(to_snapshot=7, objects=1)
        assert context.run.to_snapshot == 7
        return Outcome(summary="s")

    run = await bench.one(handler)
    assert run.to_snapshot == 7


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (DatabaseUnavailableError("no route to host"), "database"),
        (ProviderRefusedError("bad key"), "provider"),
        (NotFoundError("no such snapshot"), "store"),
        (ScopeError("no such table"), "usage"),
        (ConfigError(()), "usage"),
        (TransitionError("cannot"), "internal"),
        (AmxwatchError("two\n lines"), "internal"),
        (ExceptionGroup("", [ProviderUnavailableError("a"), ScopeError("b")]), "provider"),
    ],
)
async def test_an_error_of_ours_fails_the_run(
    bench: Bench, error: Exception, category: str
) -> None:
    run = await bench.one(raising(error))
    assert (run.status, run.failure_category) == (RunStatus.FAILED, category)
    assert run.error is not None
    assert "\n" not in run.error
    assert await bench.detail("run_failed") == [{"error": run.error, "failure_category": category}]
    assert bench.settled == [run]


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (DatabaseUnavailableError("no route to host"), "database"),
        (ProviderUnavailableError("overloaded"), "provider"),
        (StoreBusyError("in use"), "store"),
    ],
)
async def test_what_passes_by_itself_is_tried_again_in_growing_pauses(
    bench: Bench, error: Exception, category: str
) -> None:
    await bench.put(max_retries=3)
    executor = Executor(ledger=bench.ledger, clock=bench.clock, owner="me", settled=bench._note)
    pauses = []
    for retries in (1, 2, 3):
        claimed = await executor.claim(MANY)
        assert claimed is not None
        run = await executor.execute(claimed, raising(error), lambda: False)
        assert (run.status, run.retries, run.failure_category) == (
            RunStatus.QUEUED,
            retries,
            category,
        )
        assert run.attempt == retries
        assert await executor.claim(MANY) is None, "it waits"
        pauses.append((run.not_before - bench.clock.now()).total_seconds())
        bench.clock.advance(run.not_before - bench.clock.now())
    last = await executor.claim(MANY)
    assert last is not None
    assert last.error is None
    run = await executor.execute(last, raising(error), lambda: False)
    assert (run.status, run.attempt, run.failure_category) == (RunStatus.FAILED, 4, category)
    assert bench.settled == [run], "its schedule hears of the end alone"
    assert 5 <= pauses[0] < pauses[1] < pauses[2] <= 40
    trail = ["run_started", "run_retried"] * 3 + ["run_started", "run_failed"]
    assert await bench.trail() == trail
    details = await bench.detail("run_retried")
    assert [detail["retries"] for detail in details] == [1, 2, 3]
    assert all(detail["error"] and detail["not_before"] for detail in details)


async def test_a_retry_waits_as_long_as_the_server_asks(bench: Bench) -> None:
    await bench.put(max_retries=1)
    executor = Executor(ledger=bench.ledger, clock=bench.clock, owner="me")
    claimed = await executor.claim(MANY)
    assert claimed is not None
    error = ProviderUnavailableError("later", retry_after=timedelta(minutes=7))
    run = await executor.execute(claimed, raising(error), lambda: False)
    assert run.not_before == later(7 * 60)


@pytest.mark.parametrize(
    "error", [ProviderRefusedError("no such model"), ReplyError("no words"), ScopeError("x")]
)
async def test_what_does_not_pass_is_not_tried_again(bench: Bench, error: Exception) -> None:
    run = await bench.one(raising(error), max_retries=3)
    assert (run.status, run.attempt) == (RunStatus.FAILED, 1)


async def test_a_time_out_is_not_tried_again(bench: Bench) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: bench.one(for_ever, timeout_seconds=60.0, max_retries=3))
        await bench.until_status(RunStatus.FAILED)
    assert (await bench.run()).attempt == 1


@pytest.mark.parametrize(
    "error", [KeyRefusedError("401: check api_key"), LoginRefusedError("wrong password")]
)
async def test_refused_credentials_wait_for_a_person(bench: Bench, error: Exception) -> None:
    run = await bench.one(raising(error), max_retries=3)
    assert (run.status, run.failure_category, run.recovery_action) == (
        RunStatus.BLOCKED,
        "credentials",
        "amxwatch unblock run_1",
    )


async def test_a_full_disk_is_no_fault_of_the_run(bench: Bench) -> None:
    await bench.put()
    executor = Executor(ledger=bench.ledger, clock=bench.clock, owner="me", settled=bench._note)
    claimed = await executor.claim(MANY)
    assert claimed is not None
    run = await executor.execute(claimed, raising(StoreFullError("no room")), lambda: False)
    assert (run.status, run.not_before) == (RunStatus.QUEUED, later(60))
    assert await bench.trail() == ["run_started", "run_released"]
    assert bench.settled == []


async def test_a_run_that_was_put_off_for_long_holds_nobody_up(bench: Bench) -> None:
    tomorrow = later(24 * 3600)
    run = await bench.one(raising(RunReleasedError("the day is spent", not_before=tomorrow)))
    assert (run.status, run.not_before) == (RunStatus.QUEUED, tomorrow)


async def test_a_clock_that_was_set_back_keeps_no_run_waiting(bench: Bench) -> None:
    ahead = later(365 * 24 * 3600)
    await bench.put("run_new", queued_at=ahead, not_before=ahead)
    await bench.put("run_old", not_before=ahead)
    await bench.put("run_tomorrow", not_before=later(24 * 3600))
    executor = Executor(ledger=bench.ledger, clock=bench.clock, owner="me")
    taken = [await executor.claim(MANY) for _ in range(3)]
    assert {run.id for run in taken if run} == {"run_new", "run_old"}


async def test_a_fault_of_the_program_fails_the_run_and_is_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    error = ExceptionGroup("", [ScopeError("a"), ValueError("holds a secret: hunter2")])
    with caplog.at_level(logging.ERROR):
        run = await bench.one(raising(error))
    assert (run.status, run.failure_category) == (RunStatus.FAILED, "internal")
    assert run.error is not None
    assert "ValueError" in run.error
    assert "hunter2" not in run.error
    assert caplog.records[-1].exc_info


async def test_a_block_waits_for_a_person(bench: Bench) -> None:
    error = RunBlockedError(
        "spent 5 of 5", category="budget", recovery_action="amxwatch unblock RUN"
    )
    run = await bench.one(raising(ExceptionGroup("", [ScopeError("x"), error])))
    assert (run.status, run.failure_category, run.error, run.finished_at) == (
        RunStatus.BLOCKED,
        "budget",
        "spent 5 of 5",
        None,
    )
    assert run.recovery_action == "amxwatch unblock run_1"
    assert await bench.trail() == ["run_started", "run_blocked"]


async def test_what_goes_with_the_settling_stands_or_falls_with_it(tmp_path: Path) -> None:
    def refuse(_tx: Tx, run: Run) -> None:
        if run.status is not RunStatus.RUNNING:
            raise NotFoundError("no such schedule")

    bench = Bench(tmp_path)
    executor = LocalEngine(
        ledger=bench.ledger, clock=bench.clock, owner=bench.owner, settled=refuse
    )
    await bench.put()
    async with anyio.create_task_group() as group:
        group.start_soon(executor.work, done, lambda: MANY)
        await bench.until_status(RunStatus.RUNNING)
        await bench.calm()
        group.cancel_scope.cancel()
    assert "run_completed" not in await bench.trail()
    assert (await bench.run()).summary is None
    await bench.ledger.aclose()


async def test_a_run_that_takes_too_long_is_ended(bench: Bench) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: bench.one(for_ever, timeout_seconds=60.0))
        await bench.until_status(RunStatus.FAILED)
    run = await bench.run()
    assert (run.failure_category, run.status) == ("timeout", RunStatus.FAILED)
    assert run.error is not None
    assert "timeout_seconds = 60" in run.error
    assert later(60) <= bench.clock.now() < later(70)


# Cancelling


async def test_a_wish_to_stop_is_seen_at_the_next_step(bench: Bench) -> None:
    pay, paid = paying()

    async def handler(context: RunContext) -> Outcome:
        await context.once("a", pay)
        await bench.ask_to_stop()
        with pytest.raises(RunCancelledError):
            await context.check()
        await context.once("b", pay)
        raise AssertionError

    run = await bench.one(handler)
    assert (run.status, run.finished_at) == (RunStatus.CANCELLED, NOW)
    assert paid == ["r"]
    assert await bench.trail() == ["run_started", "run_cancelled"]


async def test_a_handler_that_sees_nothing_is_stopped(bench: Bench) -> None:
    await bench.put()
    async with bench.working(for_ever):
        await bench.until_status(RunStatus.RUNNING)
        await bench.ask_to_stop()
        asked = bench.clock.now()
        await bench.until_status(RunStatus.CANCELLED)
    assert bench.clock.now() - asked < timedelta(seconds=30)


async def test_a_wish_survives_the_worker(bench: Bench) -> None:
    def work(tx: Tx) -> None:
        run = claimed(tx)
        tx.runs.update(run.id, run.token, cancel_requested=True)
        tx.runs.move(run.id, RunEvent.RELEASE, token=run.token)

    await bench.ledger.write(work)
    run = await bench.engine.work_one(RUN, done, lambda: MANY)
    assert run.status is RunStatus.CANCELLED


# Paying


async def test_a_reply_is_paid_once(bench: Bench) -> None:
    pay, paid = paying()
    unpriced, _ = paying("u", None)

    async def handler(context: RunContext) -> Outcome:
        assert [await context.once("a", pay) for _ in range(2)] == ["r", "r"]
        assert context.run.cost_usd == Decimal("0.5")
        await context.once("b", unpriced)
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(context.once, "c", pay)
        return Outcome(summary="s")

    run = await bench.one(handler)
    assert paid == ["r", "r"]
    assert (run.requests, run.cost_usd, run.input_tokens, run.output_tokens) == (
        3,
        Decimal("1.0"),
        30,
        3,
    )
    await bench.put("run_2")
    again = await bench.engine.work_one(RunId("run_2"), handler_once("a", pay), lambda: MANY)
    assert paid == ["r", "r"]
    assert (again.requests, again.cost_usd) == (0, None)


def handler_once(key: str, pay: Callable[[], Any]) -> Handler:
    async def handler(context: RunContext) -> Outcome:
        return Outcome(summary=await context.once(key, pay))

    return handler


async def test_a_request_that_failed_is_not_lost(bench: Bench) -> None:
    async def pay() -> Paid:
        raise ProviderUnavailableError("429")

    run = await bench.one(handler_once("a", pay))
    assert run.failure_category == "provider"
    assert await bench.trail() == ["run_started", "run_failed"]


async def test_a_request_that_was_cut_off_is_said(bench: Bench) -> None:
    async def pay() -> Paid:
        await anyio.sleep_forever()
        raise AssertionError

    await bench.put(timeout_seconds=5.0)
    async with bench.working(handler_once("a", pay)):
        await bench.until_status(RunStatus.FAILED)
    assert await bench.trail() == ["run_started", "reply_lost", "run_failed"]
    assert await bench.detail("reply_lost") == [{"key": "a"}]


async def test_a_reply_that_came_is_kept_though_the_run_is_another_s(bench: Bench) -> None:
    first, paid = paying("first")
    seen: list[BaseException] = []

    async def taken_over() -> Paid:
        def work(tx: Tx) -> None:
            tx.runs.move(RUN, RunEvent.RECOVER, token=None)
            claim(tx, owner="another")

        await bench.ledger.write(work)
        return await first()

    async def handler(context: RunContext) -> Outcome:
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: context.once("a", taken_over),
            context.check,
            lambda: context.once("b", first),
            lambda: context.update(objects=99),
            lambda: context.write(lambda tx: tx.events.add("draft_made", at=NOW)),
        ]
        for call in calls:
            try:
                await call()
            except FencedError as error:
                seen.append(error)
        return Outcome(summary="zombie")

    await bench.put()
    async with bench.working(handler):

        async def is_over() -> bool:
            return len(seen) == 5

        await bench.until(is_over)
        await bench.calm()
    run = await bench.run()
    assert (run.status, run.owner, run.summary, run.objects) == (
        RunStatus.RUNNING,
        "another",
        None,
        0,
    )
    assert paid == ["first"]
    assert (run.requests, run.cost_usd) == (1, Decimal("0.5"))
    assert await bench.trail() == ["run_started"]
    assert bench.settled == []
    reply = await bench.ledger.write(lambda tx: tx.steps.begin("a", RUN, run.token, NOW))
    assert reply == "first"


async def test_a_reply_that_comes_while_we_are_cancelled_is_kept(bench: Bench) -> None:
    scope = anyio.CancelScope()

    async def pay() -> Paid:
        scope.cancel()
        return Paid(reply="just in time", cost_usd=Decimal("0.5"))

    async def handler(context: RunContext) -> Outcome:
        await context.once("a", pay)
        await anyio.lowlevel.checkpoint()
        raise AssertionError

    await bench.put()
    with scope:
        await bench.engine.work(handler, lambda: MANY)
    run = await bench.run()
    assert (run.status, run.cost_usd) == (RunStatus.QUEUED, Decimal("0.5"))
    assert await bench.trail() == ["run_started", "run_released"]
    never, paid = paying()
    again = await bench.engine.work_one(RUN, handler_once("a", never), lambda: MANY)
    assert again.summary == "just in time"
    assert paid == []


# Leases and leaving


async def test_a_lease_is_renewed_while_the_run_goes_on(bench: Bench) -> None:
    await bench.put()
    async with bench.working(for_ever):
        await bench.until_status(RunStatus.RUNNING)

        async def is_later() -> bool:
            run = await bench.run()
            assert run.lease_until is not None
            assert run.lease_until > bench.clock.now()
            return run.lease_until > later(120)

        await bench.until(is_later)
    assert (await bench.run()).recovered == 0


async def test_a_cancelled_engine_gives_its_runs_back(bench: Bench) -> None:
    pay_started = anyio.Event()

    async def pay() -> Paid:
        pay_started.set()
        await anyio.sleep_forever()
        raise AssertionError

    await bench.put(reserved_for=bench.owner.name)
    async with bench.working(handler_once("a", pay)):
        await pay_started.wait()
    run = await bench.run()
    assert (run.status, run.owner, run.lease_until, run.reserved_for) == (
        RunStatus.QUEUED,
        None,
        None,
        None,
    )
    assert await bench.trail() == ["run_started", "reply_lost", "run_released"]
    assert bench.settled == []


async def test_stopping_lets_a_run_end(bench: Bench) -> None:
    going = anyio.Event()

    async def handler(context: RunContext) -> Outcome:
        going.set()
        while not context.stopping:
            await anyio.lowlevel.checkpoint()
        return Outcome(summary="left in order")

    await bench.put()
    await bench.put("run_2")
    bench.slots = Slots(total=1, profiles={}, schedules={})
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(bench.engine.work, handler, lambda: bench.slots)
            await going.wait()
            await bench.engine.stop(5)
    assert (await bench.run()).summary == "left in order"
    assert (await bench.run("run_2")).status is RunStatus.QUEUED


async def test_stopping_gives_back_what_does_not_end(bench: Bench) -> None:
    await bench.put()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(bench.engine.work, for_ever, lambda: MANY)
            await bench.until_status(RunStatus.RUNNING)
            before = bench.clock.now()
            group.start_soon(bench.engine.stop, 5.0)
            await bench.until_status(RunStatus.QUEUED)
    assert timedelta(seconds=4) < bench.clock.now() - before < timedelta(seconds=8)


async def test_stopping_an_engine_that_does_nothing_is_nothing(bench: Bench) -> None:
    await bench.engine.stop(0)
    await bench.engine.stop(0)


# Queue


async def test_runs_are_taken_as_slots_come_free(bench: Bench) -> None:
    going: list[str] = []
    most = 0

    async def handler(context: RunContext) -> Outcome:
        nonlocal most
        going.append(context.run.id)
        most = max(most, len(going))
        while most < 2:
            await anyio.lowlevel.checkpoint()
        going.remove(context.run.id)
        return Outcome(summary="s")

    bench.slots = Slots(total=2, profiles={}, schedules={}, each_profile=2)
    for n in range(6):
        await bench.put(f"run_{n}")
    async with bench.working(handler):
        await bench.until_status(RunStatus.COMPLETED, "run_5")
    assert most == 2


async def test_a_wake_needs_no_poll(bench: Bench) -> None:
    with anyio.fail_after(60):
        async with bench.working(done):
            await bench.calm()
            await bench.put()
            bench.engine.wake()
            while (await bench.run()).status is not RunStatus.COMPLETED:
                await anyio.lowlevel.checkpoint()
    assert bench.clock.now() == NOW


async def test_a_run_by_hand_waits_for_a_slot(bench: Bench) -> None:
    bench.slots = Slots(total=1, profiles={}, schedules={})
    await bench.ledger.write(lambda tx: claimed(tx, "run_0", db_profile="q"))
    await bench.put(reserved_for=bench.owner.name)
    async with anyio.create_task_group() as group:
        group.start_soon(bench.engine.work_one, RUN, done, lambda: bench.slots)
        for _ in range(3):
            bench.clock.advance(timedelta(seconds=1))
            await bench.calm()
        assert (await bench.run()).status is RunStatus.QUEUED
        await bench.ledger.write(
            lambda tx: tx.runs.move(RunId("run_0"), RunEvent.COMPLETE, token=None)
        )
        await bench.until_status(RunStatus.COMPLETED)


async def test_a_run_by_hand_that_is_cancelled_while_it_waits_returns(bench: Bench) -> None:
    bench.slots = Slots(total=0, profiles={}, schedules={})
    await bench.put()
    ended: list[Run] = []

    async def work() -> None:
        ended.append(await bench.engine.work_one(RUN, done, lambda: bench.slots))

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await anyio.lowlevel.checkpoint()
        await bench.ledger.write(lambda tx: tx.runs.move(RUN, RunEvent.CANCEL, token=None))

        async def is_over() -> bool:
            return bool(ended)

        await bench.until(is_over)
    assert ended[0].status is RunStatus.CANCELLED


# Recovery


def held_by(owner: str, **values: Any) -> Callable[[Tx], Run]:
    def work(tx: Tx) -> Run:
        tx.runs.put(a_run(**values))
        run = claim(tx, owner=owner)
        assert run is not None
        tx.steps.begin("k2", run.id, run.token, NOW)
        tx.steps.begin("k1", run.id, run.token, NOW)
        return run

    return work


async def recovered(bench: Bench, **values: Any) -> list[Run]:
    given = {
        "is_dead": lambda name: name == "dead",
        "settled": lambda _tx, run: bench.settled.append(run),
        **values,
    }
    return await recover(bench.ledger, bench.clock, **given)


async def test_a_dead_worker_s_run_is_queued_again_at_once(bench: Bench) -> None:
    await bench.ledger.write(held_by("dead", reserved_for="dead"))
    (run,) = await recovered(bench)
    assert (run.status, run.recovered, run.reserved_for, run.owner) == (
        RunStatus.QUEUED,
        1,
        None,
        None,
    )
    assert await bench.trail() == ["reply_lost", "reply_lost", "run_recovered"]
    assert await bench.detail("reply_lost") == [{"key": "k1"}, {"key": "k2"}]
    assert await bench.detail("run_recovered") == [{"reason": REASON, "owner": "dead"}]
    assert await recovered(bench) == []
    assert bench.settled == []


async def test_a_live_worker_keeps_its_run_until_the_lease_is_over(bench: Bench) -> None:
    await bench.ledger.write(held_by("alive"))
    assert await recovered(bench) == []
    bench.clock.advance(LEASE)
    assert await recovered(bench) == []
    bench.clock.advance(timedelta(seconds=1))
    assert await recovered(bench, held={RUN}) == []
    assert [run.id for run in await recovered(bench)] == [RUN]


async def test_a_run_that_kills_its_workers_fails(bench: Bench) -> None:
    await bench.put()
    for _ in range(4):
        await bench.ledger.write(lambda tx: claim(tx, owner="dead"))
        await recovered(bench)
    run = await bench.run()
    assert (run.status, run.error, run.failure_category, run.recovered) == (
        RunStatus.FAILED,
        REASON,
        "interrupted",
        3,
    )
    assert bench.settled == [run]
    assert await bench.trail() == [*["run_recovered"] * 3, "run_failed"]


async def test_a_dead_worker_s_run_that_was_to_stop_is_cancelled(bench: Bench) -> None:
    await bench.ledger.write(held_by("dead"))
    await bench.ask_to_stop()
    (run,) = await recovered(bench)
    assert run.status is RunStatus.CANCELLED
    assert bench.settled == [run]


async def test_what_was_reserved_for_a_dead_worker_is_open_to_all(bench: Bench) -> None:
    await bench.put(reserved_for="dead")
    await bench.put("run_2", reserved_for="alive")
    (run,) = await recovered(bench)
    assert (run.id, run.reserved_for, run.recovered) == (RUN, None, 0)


async def test_an_engine_recovers_at_its_start_and_again(bench: Bench) -> None:
    gone = Owner.acquire(bench.owners)
    await bench.ledger.write(held_by(gone.name))
    async with bench.working(done):
        for _ in range(3):
            bench.clock.advance(timedelta(seconds=1))
            await bench.calm()
        assert (await bench.run()).status is RunStatus.RUNNING
        gone.release()
        run = await bench.until_status(RunStatus.COMPLETED)
    assert run.recovered == 1


# Owners


async def test_an_owner_may_be_made_in_another_thread(tmp_path: Path) -> None:
    ours = Owner.acquire(tmp_path)
    theirs = await anyio.to_thread.run_sync(Owner.acquire, tmp_path)
    assert await anyio.to_thread.run_sync(ours.is_alive, theirs.name) is True
    theirs.release()
    assert await anyio.to_thread.run_sync(ours.is_alive, theirs.name) is False
    ours.release()


def test_an_owner_is_alive_until_it_lets_go(tmp_path: Path) -> None:
    ours, theirs = Owner.acquire(tmp_path), Owner.acquire(tmp_path)
    assert ours.name != theirs.name
    assert ours.is_alive(ours.name) is True
    assert ours.is_alive(theirs.name) is True
    assert not ours.is_dead(theirs.name)
    theirs.release()
    theirs.release()
    assert ours.is_alive(theirs.name) is False
    assert ours.is_dead(theirs.name)
    assert ours.is_alive(ours.name) is True
    assert ours.is_alive("another-host/1/abc") is None
    assert not ours.is_dead("another-host/1/abc")
    assert ours.is_dead(ours.name.rpartition("/")[0] + "/never")
    ours.release()
    assert list(tmp_path.iterdir()) == []
