"""What must hold of a ledger's runs and steps, over every implementation (so far: SQLite)."""

from __future__ import annotations

import dataclasses
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import anyio
import anyio.from_thread
import pytest

from amxwatch.clocks.manual import ManualClock
from amxwatch.clocks.system import SystemClock
from amxwatch.core.draft import DraftEvent
from amxwatch.core.errors import (
    FencedError,
    NotFoundError,
    StoreBusyError,
    StoreError,
    TransitionError,
)
from amxwatch.core.run import (
    Paid,
    Run,
    RunEvent,
    RunId,
    RunStatus,
    RunTrigger,
    Slots,
)
from amxwatch.ports.ledger import (
    Ledger,
    RunFilter,
    Tx,
)
from amxwatch.stores.ledger import SqlLedger
from tests.contracts.ledgers import NOW, a_run, claim, claimed, later, new_ledger

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqlLedger]:
    ledger = new_ledger(tmp_path / "state.db", SystemClock())
    yield ledger
    await ledger.aclose()


# Runs


async def test_a_run_comes_back_as_it_was_put(ledger: Ledger) -> None:
    run = a_run(
        llm_profile="claude",
        schedule='nightly "ü" 🙂',
        database="d",
        scope="schema:a",
        priority=-3,
        unique_key="nightly:2026",
        due_at=later(1.5),
        from_snapshot=7,
        to_snapshot=8,
        timeout_seconds=0.5,
        reserved_for="host/1/a",
        cost_usd=Decimal("0.000000010"),
        summary="s",
        error="e",
    )
    assert await ledger.write(lambda tx: tx.runs.put(run))
    assert await ledger.read(lambda tx: tx.runs.get(run.id)) == run


async def test_a_moment_of_another_zone_comes_back_as_the_same_moment(ledger: Ledger) -> None:
    from zoneinfo import ZoneInfo

    local = NOW.astimezone(ZoneInfo("Europe/Istanbul"))
    await ledger.write(lambda tx: tx.runs.put(a_run(due_at=local)))
    run = await ledger.read(lambda tx: tx.runs.get(RunId("run_1")))
    assert run.due_at == NOW
    assert run.due_at.utcoffset() == timedelta(0)


async def test_text_that_no_database_takes_is_still_kept_readable(ledger: Ledger) -> None:
    await ledger.write(lambda tx: tx.runs.put(a_run(error="a\0b\ud800c")))
    run = await ledger.read(lambda tx: tx.runs.get(RunId("run_1")))
    assert run.error == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"


async def test_a_unique_key_fires_once(ledger: Ledger) -> None:
    def work(tx: Tx) -> list[bool]:
        first = tx.runs.put(a_run("run_1", unique_key="s:1"))
        tx.runs.move(RunId("run_1"), RunEvent.CANCEL, token=None)
        return [first, tx.runs.put(a_run("run_2", unique_key="s:1"))]

    assert await ledger.write(work) == [True, False]
    assert len(await ledger.read(lambda tx: tx.runs.list(RunFilter()))) == 1


@pytest.mark.parametrize("trigger", [RunTrigger.CHANGE, RunTrigger.FILES])
async def test_a_change_schedule_has_one_open_run(ledger: Ledger, trigger: RunTrigger) -> None:
    def change(name: str, schedule: str = "s") -> Run:
        return a_run(name, schedule=schedule, trigger=trigger)

    def work(tx: Tx) -> None:
        assert tx.runs.put(change("run_1"))
        assert not tx.runs.put(change("run_2"))
        assert tx.runs.put(change("run_3", "other"))
        assert tx.runs.put(a_run("run_4", schedule="s", trigger=RunTrigger.MANUAL))
        run = claim(tx, only=RunId("run_1"))
        assert run is not None
        assert not tx.runs.put(change("run_5"))
        tx.runs.move(run.id, RunEvent.BLOCK, token=run.token)
        assert not tx.runs.put(change("run_6"))
        tx.runs.move(run.id, RunEvent.CANCEL, token=None)
        assert tx.runs.put(change("run_7"))

    await ledger.write(work)


async def test_claims_go_by_priority_then_age(ledger: Ledger) -> None:
    def work(tx: Tx) -> list[str]:
        tx.runs.put(a_run("run_c", queued_at=later(-1)))
        tx.runs.put(a_run("run_b", queued_at=later(-2)))
        tx.runs.put(a_run("run_a", queued_at=later(-1)))
        tx.runs.put(a_run("run_d", priority=5))
        tx.runs.put(a_run("run_e", priority=9, not_before=later(1)))
        return [run.id for _ in range(5) if (run := claim(tx))]

    assert await ledger.write(work) == ["run_d", "run_b", "run_a", "run_c"]


async def test_a_claim_gives_token_lease_and_start(ledger: Ledger) -> None:
    def work(tx: Tx) -> tuple[Run, Run]:
        tx.runs.put(a_run(error="old", failure_category="budget", recovery_action="unblock"))
        first = claim(tx)
        assert first is not None
        tx.runs.move(first.id, RunEvent.RELEASE, token=first.token)
        second = claim(tx, at=later(60), owner="you")
        assert second is not None
        return first, second

    first, second = await ledger.write(work)
    assert (first.status, first.token, first.attempt) == (RunStatus.RUNNING, 1, 1)
    assert (first.owner, first.lease_until, first.started_at) == ("me", later(30), NOW)
    assert (first.error, first.failure_category, first.recovery_action) == (None, None, None)
    assert (second.token, second.attempt, second.owner) == (2, 2, "you")
    assert (second.started_at, second.lease_until) == (NOW, later(90))


@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        (Slots(total=2, profiles={}, schedules={}, each_profile=9, each_schedule=9), 2),
        (Slots(total=0, profiles={}, schedules={}), 0),
        (Slots(total=9, profiles={"p": 3}, schedules={}, each_schedule=9), 4),
        (Slots(total=9, profiles={}, schedules={}, each_schedule=9), 2),
        (Slots(total=9, profiles={}, schedules={"s": 2}, each_profile=9), 6),
        (Slots(total=9, profiles={}, schedules={}, each_profile=9), 5),
        (Slots(total=9, profiles={"p": 0}, schedules={}, each_profile=9), 3),
    ],
)
async def test_claims_keep_to_the_slots(ledger: Ledger, slots: Slots, expected: int) -> None:
    def work(tx: Tx) -> list[Run]:
        for number, (profile, schedule) in enumerate(
            [("p", "s"), ("p", "s"), ("p", "s"), ("p", None), ("q", None), ("q", None), ("q", "t")]
        ):
            tx.runs.put(a_run(f"run_{number}", db_profile=profile, schedule=schedule))
        return [run for _ in range(9) if (run := claim(tx, slots=slots))]

    assert len(await ledger.write(work)) == expected


async def test_a_reserved_run_waits_for_its_owner(ledger: Ledger) -> None:
    def work(tx: Tx) -> None:
        tx.runs.put(a_run(reserved_for="cli"))
        assert claim(tx, owner="daemon") is None
        assert claim(tx, owner="daemon", only=RunId("run_1")) is None
        run = claim(tx, owner="cli")
        assert run is not None
        assert run.owner == "cli"

    await ledger.write(work)


async def test_only_the_holder_of_the_token_writes(ledger: Ledger) -> None:
    def work(tx: Tx) -> None:
        old = claimed(tx)
        tx.runs.update(old.id, old.token, objects=3)
        tx.runs.move(old.id, RunEvent.RECOVER, token=None, recovered=1)
        for _ in range(2):  # first queued, then held by another
            before = tx.runs.get(old.id)
            with pytest.raises(FencedError):
                tx.runs.update(old.id, old.token, objects=9)
            with pytest.raises(FencedError):
                tx.runs.move(old.id, RunEvent.COMPLETE, token=old.token)
            with pytest.raises(FencedError):
                tx.steps.begin("k", old.id, old.token, NOW)
            assert tx.runs.get(old.id) == before
            claim(tx, owner="you")

    await ledger.write(work)


async def test_a_refused_move_changes_nothing(ledger: Ledger) -> None:
    def work(tx: Tx) -> None:
        tx.runs.put(a_run())
        for event in (RunEvent.COMPLETE, RunEvent.UNBLOCK, RunEvent.CLAIM):
            with pytest.raises(TransitionError):
                tx.runs.move(RunId("run_1"), event, token=None, summary="no")
        assert tx.runs.get(RunId("run_1")) == a_run()

    await ledger.write(work)


async def test_a_run_that_stops_running_has_no_owner(ledger: Ledger) -> None:
    def work(tx: Tx) -> Run:
        run = claimed(tx)
        return tx.runs.move(run.id, RunEvent.COMPLETE, token=run.token, finished_at=later(5))

    run = await ledger.write(work)
    assert (run.owner, run.lease_until, run.finished_at) == (None, None, later(5))


async def test_a_person_asks_a_running_run_to_stop(ledger: Ledger) -> None:
    def work(tx: Tx) -> Run:
        run = claimed(tx)
        tx.runs.update(run.id, run.token, cancel_requested=True)
        return tx.runs.get(run.id)

    assert (await ledger.write(work)).cancel_requested


async def test_what_is_not_there_says_where_to_look(ledger: Ledger) -> None:
    def work(tx: Tx) -> None:
        with pytest.raises(NotFoundError, match="history list"):
            tx.runs.get(RunId("nope"))
        with pytest.raises(NotFoundError):
            tx.runs.move(RunId("nope"), RunEvent.CANCEL, token=None)
        with pytest.raises(NotFoundError):
            tx.runs.update(RunId("nope"), 1, objects=1)
        with pytest.raises(NotFoundError, match="review --list"):
            tx.drafts.get(5)  # type: ignore[arg-type]
        with pytest.raises(NotFoundError):
            tx.drafts.move(5, DraftEvent.ACCEPT)  # type: ignore[arg-type]

    await ledger.read(work)


async def test_runs_are_listed_newest_first(ledger: Ledger) -> None:
    def work(tx: Tx) -> None:
        for n in range(6):
            tx.runs.put(
                a_run(
                    f"run_{n}",
                    queued_at=later(n // 2),
                    not_before=later(n // 2),
                    schedule="ab"[n % 2],
                    db_profile="pq"[n // 3],
                    reserved_for="cli" if n == 5 else None,
                )
            )
        claim(tx, at=later(9), only=RunId("run_0"))

    def names(which: RunFilter) -> Callable[[Tx], str]:
        return lambda tx: "".join(run.id[-1] for run in tx.runs.list(which))

    await ledger.write(work)
    assert await ledger.read(names(RunFilter())) == "543210"
    assert await ledger.read(names(RunFilter(limit=2))) == "54"
    assert await ledger.read(names(RunFilter(schedule="a"))) == "420"
    assert await ledger.read(names(RunFilter(db_profile="p"))) == "210"
    assert await ledger.read(names(RunFilter(owned=True))) == "50"
    running = frozenset({RunStatus.RUNNING})
    assert await ledger.read(names(RunFilter(statuses=running))) == "0"
    assert await ledger.read(names(RunFilter(statuses=frozenset()))) == ""


# Steps and costs


async def test_a_reply_is_kept_for_ever_and_for_all(ledger: Ledger) -> None:
    reply = 'any "text" \0 \ud83d 🙂'

    def work(tx: Tx) -> None:
        run = claimed(tx)
        assert tx.steps.begin("k", run.id, run.token, NOW) is None
        tx.steps.finish("k", run.id, Paid(reply=reply, cost_usd=None), NOW)
        assert tx.steps.begin("k", run.id, run.token, NOW) == reply
        other = claimed(tx, "run_2")
        assert tx.steps.begin("k", other.id, other.token, NOW) == reply
        tx.steps.finish("k", other.id, Paid(reply="second", cost_usd=None), NOW)
        assert tx.steps.begin("k", other.id, other.token, NOW) == reply
        assert tx.steps.lost(run.id) == tx.steps.lost(other.id) == []

    await ledger.write(work)


async def test_what_was_in_flight_is_known(ledger: Ledger) -> None:
    def work(tx: Tx) -> None:
        run = claimed(tx)
        for key in ("c", "a", "b", "a"):
            tx.steps.begin(key, run.id, run.token, NOW)
        tx.steps.finish("b", run.id, Paid(reply="r", cost_usd=None), NOW)
        tx.steps.begin("d", run.id, run.token, NOW)
        tx.steps.forget("d", run.id)
        assert tx.steps.lost(run.id) == ["a", "c"]
        assert tx.steps.lost(run.id) == []
        assert tx.steps.begin("a", run.id, run.token, NOW) is None

    await ledger.write(work)


async def test_costs_add_up_exactly_and_even_for_a_fenced_worker(ledger: Ledger) -> None:
    def work(tx: Tx) -> Run:
        run = claimed(tx)
        assert run.cost_usd is None
        unknown = tx.steps.finish("a", run.id, Paid(reply="", cost_usd=None, input_tokens=5), NOW)
        assert (unknown.cost_usd, unknown.requests) == (None, 1)
        tenth = Paid(reply="", cost_usd=Decimal("0.1"), input_tokens=2, output_tokens=3)
        tx.steps.finish("b", run.id, tenth, later(10))
        tx.runs.move(run.id, RunEvent.RECOVER, token=None)
        return tx.steps.finish(
            "c", run.id, dataclasses.replace(tenth, cost_usd=Decimal("0.2")), later(20)
        )

    run = await ledger.write(work)
    assert (run.requests, run.input_tokens, run.output_tokens) == (3, 9, 6)
    assert run.cost_usd == Decimal("0.3")
    assert run.status is RunStatus.QUEUED

    async def spent(since: float) -> str:
        return await ledger.read(lambda tx: tx.installation.spent_since(later(since)))

    assert [await spent(s) for s in (0, 10, 11, 21)] == ["0.3", "0.3", "0.2", "0"]


# Transactions


async def test_all_or_nothing(ledger: Ledger) -> None:
    def work(tx: Tx) -> None:
        tx.runs.put(a_run())
        tx.events.add("run_queued", at=NOW)
        raise NotFoundError("stop")

    with pytest.raises(NotFoundError, match="stop"):
        await ledger.write(work)
    assert await ledger.read(lambda tx: (tx.runs.list(RunFilter()), tx.events.after(0))) == ([], [])


async def test_a_reader_sees_one_moment_and_holds_up_nobody(ledger: Ledger) -> None:
    looked, written = threading.Event(), threading.Event()

    def reading(tx: Tx) -> tuple[int, int]:
        before = len(tx.events.after(0))
        looked.set()
        assert written.wait(10)
        return before, len(tx.events.after(0))

    async def writing() -> None:
        await anyio.to_thread.run_sync(looked.wait, 10)
        await ledger.write(lambda tx: tx.events.add("run_queued", at=NOW))
        written.set()

    async with anyio.create_task_group() as group:
        group.start_soon(writing)
        assert await ledger.read(reading) == (0, 0)
    assert len(await ledger.read(lambda tx: tx.events.after(0))) == 1


async def test_writers_of_one_process_take_turns(ledger: Ledger) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(40):
            group.start_soon(ledger.write, lambda tx: tx.events.add("run_queued", at=NOW))
            group.start_soon(ledger.read, lambda tx: tx.events.recent(5))
    assert len(await ledger.read(lambda tx: tx.events.after(0))) == 40


async def test_one_that_fails_takes_no_other_with_it(ledger: Ledger) -> None:
    told: list[int] = []

    def work(tx: Tx, number: int) -> None:
        tx.events.add("run_queued", at=NOW, number=number)
        if number % 7 == 3:
            raise NotFoundError(f"no {number}")
        if number % 7 == 5:  # one that the database itself refuses
            tx.steps.keep("key", RunId("no such run"), "text", NOW)

    async def write(number: int) -> None:
        try:
            await ledger.write(lambda tx: work(tx, number))
        except (NotFoundError, StoreError):
            return
        told.append(number)

    async with anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(write, number)
    kept = [each.detail["number"] for each in await ledger.read(lambda tx: tx.events.after(0))]
    assert sorted(told) == [number for number in range(200) if number % 7 not in (3, 5)]
    assert sorted(kept) == sorted(told)  # type: ignore[type-var]  # numbers, as they were put


async def test_a_writer_that_is_cancelled_writes_nothing_later(ledger: Ledger) -> None:
    held, told = threading.Event(), []

    def slow(tx: Tx) -> None:
        assert held.wait(10)

    async def write(number: int) -> None:
        await ledger.write(lambda tx: tx.events.add("run_queued", at=NOW, number=number))
        told.append(number)

    async with anyio.create_task_group() as group:
        group.start_soon(ledger.write, slow)
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as cancelled:
            for number in range(3):
                cancelled.start_soon(write, number)
            await anyio.wait_all_tasks_blocked()
            cancelled.cancel_scope.cancel()
        group.start_soon(write, 3)
        held.set()
    kept = [each.detail["number"] for each in await ledger.read(lambda tx: tx.events.after(0))]
    assert kept == told == [3]


class Busy:
    """A ledger whose file another connection is writing to, on a clock of our own."""

    def __init__(self, path: Path) -> None:
        self.clock = ManualClock(NOW)
        self.ledger = new_ledger(path, self.clock)
        self.raw = sqlite3.connect(path, isolation_level=None)
        self.raw.execute("BEGIN IMMEDIATE")
        self.told: list[StoreBusyError | None] = []

    async def write(self) -> None:
        try:
            await self.ledger.write(lambda tx: tx.events.add("run_queued", at=NOW))
        except StoreBusyError as error:
            self.told.append(error)
        else:
            self.told.append(None)

    async def turn(self, until: Callable[[], bool]) -> None:
        while not until():
            self.clock.advance(timedelta(seconds=0.05))
            await anyio.lowlevel.checkpoint()


@pytest.fixture
async def busy(tmp_path: Path) -> AsyncIterator[Busy]:
    busy = Busy(tmp_path / "state.db")
    yield busy
    busy.raw.close()
    await busy.ledger.aclose()


async def test_a_busy_ledger_is_tried_again(busy: Busy) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(busy.write)
        await busy.turn(lambda: busy.clock.now() > later(5))
        assert busy.told == []
        busy.raw.execute("ROLLBACK")
        await busy.turn(lambda: bool(busy.told))
    assert busy.told == [None]


async def test_a_ledger_that_stays_busy_says_so(busy: Busy) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(busy.write)
        await busy.turn(lambda: bool(busy.told))
    assert "try again" in str(busy.told[0])
    assert busy.clock.now() > later(29)
    assert await busy.ledger.read(lambda tx: tx.events.after(0)) == []


async def test_what_is_committed_is_not_written_again_when_its_writer_is_cancelled(
    ledger: SqlLedger,
) -> None:
    """Writers share a transaction; where it falls, each is written by itself, and once."""
    written: list[str] = []
    refused: list[StoreError] = []
    first = anyio.CancelScope()

    def counts(tx: Tx) -> None:
        tx.installation.keep_config("kept")
        written.append("counts")
        if len(written) > 1:  # by itself now; whoever writes for all goes once this is committed
            anyio.from_thread.run_sync(first.cancel)

    def falls(tx: Tx) -> None:
        assert tx.runs.put(a_run("run_1"))
        tx._connection.exec_driver_sql("INSERT INTO run (id) VALUES ('run_1')")  # type: ignore[attr-defined]

    async def leader() -> None:
        with first:
            await ledger.write(lambda tx: tx.installation.daemon())

    async def one() -> None:
        await ledger.write(counts)

    async def other() -> None:
        try:
            await ledger.write(falls)
        except StoreError as error:
            refused.append(error)

    async with ledger._turn, anyio.create_task_group() as group:  # both wait from here on
        for task in (leader, one, other):
            group.start_soon(task)
        await anyio.wait_all_tasks_blocked()
        ledger._turn.release()
        await anyio.wait_all_tasks_blocked()
        await ledger._turn.acquire()
    assert written == ["counts", "counts"], "once with the other, and once by itself"
    assert len(refused) == 1
    assert await ledger.read(lambda tx: tx.installation.good_config()) == "kept"
