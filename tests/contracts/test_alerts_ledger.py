"""Alerts, their outbox and the record of runs, in the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from amxwatch.clocks.system import SystemClock
from amxwatch.core.alert import Alert, AlertKind, Condition, Severity
from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.errors import NotFoundError
from amxwatch.core.message import Phase
from amxwatch.core.run import RunStatus
from amxwatch.core.schedule import ScheduleState
from amxwatch.ports.ledger import Tx
from amxwatch.stores.ledger import SqlLedger
from tests.contracts.ledgers import NOW, a_run, new_ledger

pytestmark = pytest.mark.anyio


@pytest.fixture
def ledger(tmp_path: Path) -> SqlLedger:
    return new_ledger(tmp_path / "state.db", SystemClock())


def an_alert(number: int = 1, *, key: str = "missed:x", **values: object) -> Alert:
    condition = Condition(
        key=key,
        kind=AlertKind.MISSED,
        severity=Severity.WARNING,
        title="missed \N{SNOWMAN} \ud800",
        schedule="x",
        recovery_action="do it",
    )
    made = replace(condition, **values)  # type: ignore[arg-type]  # fields of the condition
    return Alert(id=f"alert_{number}", condition=made, opened_at=NOW + timedelta(minutes=number))


async def test_an_alert_comes_back_as_it_was_put(ledger: SqlLedger) -> None:
    alert = an_alert(title="a title", changes=("added table s.t",), more_changes=2)
    assert await ledger.write(lambda tx: tx.alerts.open(alert, ["ops"]))
    assert await ledger.read(lambda tx: tx.outbox.alert("alert_1")) == alert
    with pytest.raises(NotFoundError):
        await ledger.read(lambda tx: tx.outbox.alert("alert_9"))


async def test_one_key_has_one_open_alert(ledger: SqlLedger) -> None:
    def work(tx: Tx) -> list[bool]:
        first = tx.alerts.open(an_alert(1), ["ops"])
        second = tx.alerts.open(an_alert(2), ["ops"])
        tx.alerts.recover("alert_1", NOW + timedelta(hours=1))
        return [first, second, tx.alerts.open(an_alert(3), ["ops"])]

    assert await ledger.write(work) == [True, False, True]
    found = await ledger.read(lambda tx: tx.alerts.list())
    assert [(one.id, one.status) for one in found] == [
        ("alert_3", "open"),
        ("alert_1", "recovered"),
    ]
    still = await ledger.read(lambda tx: tx.alerts.list(only_open=True))
    assert [one.id for one in still] == ["alert_3"]


async def test_the_database_itself_refuses_a_second_open_one(
    ledger: SqlLedger, tmp_path: Path
) -> None:
    await ledger.write(lambda tx: tx.alerts.open(an_alert(1), []))
    engine = create_engine(f"sqlite:///{tmp_path / 'state.db'}")
    with engine.connect() as connection, pytest.raises(Exception, match="UNIQUE"):
        connection.execute(
            text(
                "INSERT INTO alert SELECT 'other', key, kind, severity, title, schedule,"
                " db_profile, run_id, detail, opened_at, recovered_at FROM alert"
            )
        )
    engine.dispose()


async def test_the_end_is_told_to_those_who_were_to_be_told(ledger: SqlLedger) -> None:
    def work(tx: Tx) -> None:
        tx.alerts.open(an_alert(), ["ops", "mail"])
        tx.alerts.recover("alert_1", NOW)
        tx.alerts.recover("alert_1", NOW)  # twice is once

    await ledger.write(work)
    waiting = await ledger.read(lambda tx: tx.outbox.waiting())
    assert [(one.target, one.phase) for one in waiting] == [
        ("ops", Phase.OPENED),
        ("mail", Phase.OPENED),
        ("ops", Phase.RECOVERED),
        ("mail", Phase.RECOVERED),
    ]


async def test_what_is_over_waits_no_more_and_stays_on_record(ledger: SqlLedger) -> None:
    await ledger.write(lambda tx: tx.alerts.open(an_alert(), ["ops", "mail"]))
    first, second = await ledger.read(lambda tx: tx.outbox.waiting())

    def work(tx: Tx) -> None:
        tx.outbox.put(replace(first, told_at=NOW, tries=1))
        tx.outbox.put(replace(second, dropped_at=NOW, tries=9, error="gone"))

    await ledger.write(work)
    assert await ledger.read(lambda tx: tx.outbox.waiting()) == []
    kept = await ledger.read(lambda tx: tx.outbox.of(["alert_1", "alert_2"]))
    assert [(one.tries, one.is_over) for one in kept] == [(1, True), (9, True)]


async def test_a_change_is_noted_and_never_open(ledger: SqlLedger) -> None:
    one = an_alert(kind=AlertKind.CHANGE, key="change:ops:prod:3")
    await ledger.write(lambda tx: tx.alerts.open(one, ["ops"]))
    assert await ledger.read(lambda tx: tx.alerts.list(only_open=True)) == []
    (found,) = await ledger.read(lambda tx: tx.alerts.list())
    assert found.status == "noted"
    assert len(await ledger.read(lambda tx: tx.outbox.waiting())) == 1


async def test_how_far_a_log_was_looked_through(ledger: SqlLedger) -> None:
    def work(tx: Tx) -> list[int | None]:
        before = tx.alerts.seen("prod")
        tx.alerts.saw("prod", SnapshotNumber(3))
        tx.alerts.saw("prod", SnapshotNumber(5))
        return [before, tx.alerts.seen("prod"), tx.alerts.seen("dev")]

    assert await ledger.write(work) == [None, 5, None]


def a_state(name: str, **values: object) -> ScheduleState:
    made = ScheduleState(name=name, armed_at=NOW, trigger_hash="")
    return replace(made, **values)  # type: ignore[arg-type]  # fields of the state


async def test_only_schedules_in_trouble_are_found(ledger: SqlLedger) -> None:
    def work(tx: Tx) -> None:
        tx.schedules.put(a_state("fine"))
        tx.schedules.put(a_state("two", consecutive_failures=2))
        tx.schedules.put(a_state("three", consecutive_failures=3))
        tx.schedules.put(a_state("late", missed_due_at=NOW))
        tx.schedules.put(a_state("both", missed_due_at=NOW, consecutive_failures=8))

    await ledger.write(work)
    found = await ledger.read(lambda tx: tx.alerts.troubled(3))
    assert [state.name for state in found] == ["both", "late", "three"]


async def test_finding_them_costs_what_is_in_trouble(tmp_path: Path) -> None:
    """The queries go by the indexes of what is wrong, and never over the whole table."""
    new_ledger(tmp_path / "state.db", SystemClock())
    engine = create_engine(f"sqlite:///{tmp_path / 'state.db'}")
    queries = {
        "schedule_failing": "SELECT * FROM schedule"
        " WHERE consecutive_failures > 0 AND consecutive_failures >= 3",
        "schedule_missed": "SELECT * FROM schedule WHERE missed_due_at IS NOT NULL",
        "delivery_waiting": "SELECT * FROM alert_delivery"
        " WHERE told_at IS NULL AND dropped_at IS NULL ORDER BY number",
        "alert_open": "SELECT * FROM alert WHERE recovered_at IS NULL AND key = 'x'",
    }
    with engine.connect() as connection:
        for index, query in queries.items():
            plan = str(connection.execute(text(f"EXPLAIN QUERY PLAN {query}")).all())
            assert index in plan, plan
    engine.dispose()


async def test_old_alerts_are_forgotten_once_they_are_over(ledger: SqlLedger) -> None:
    def work(tx: Tx) -> tuple[int, int]:
        tx.alerts.open(an_alert(1, key="over"), ["ops"])
        tx.alerts.recover("alert_1", NOW)
        tx.alerts.open(an_alert(2, key="open"), ["ops"])
        before = tx.housekeeping.history(NOW, 100)
        return before, tx.housekeeping.history(NOW + timedelta(days=1), 100)

    assert await ledger.write(work) == (0, 1)
    found = await ledger.read(lambda tx: tx.alerts.list())
    assert [one.id for one in found] == ["alert_2"]
    kept = await ledger.read(lambda tx: tx.outbox.of(["alert_1", "alert_2"]))
    assert [one.alert_id for one in kept] == ["alert_2"]


# -- the record of runs ----------------------------------------------------------------------


async def put_runs(ledger: SqlLedger) -> None:
    def work(tx: Tx) -> None:
        for number in range(70):
            at = NOW - timedelta(days=number)
            failed = number % 7 == 0
            tx.runs.put(
                a_run(
                    f"run_{number:03}",
                    status=RunStatus.FAILED if failed else RunStatus.COMPLETED,
                    schedule="x",
                    queued_at=at,
                    started_at=at,
                    finished_at=at,
                )
            )
        tx.runs.put(a_run("run_other", status=RunStatus.COMPLETED, schedule="y"))
        tx.runs.put(a_run("run_hand", status=RunStatus.FAILED))

    await ledger.write(work)


async def test_the_runs_of_a_window_are_all_there(ledger: SqlLedger) -> None:
    """More than a page of the history: the rate is over the whole window."""
    await put_runs(ledger)
    since = NOW - timedelta(days=60)
    found = await ledger.read(lambda tx: tx.history.of("x", since))
    assert [run.id for run in found] == [f"run_{number:03}" for number in range(61)]


async def test_outcomes_are_counted_by_schedule(ledger: SqlLedger) -> None:
    await put_runs(ledger)
    since = NOW - timedelta(days=13)
    every = await ledger.read(lambda tx: tx.history.outcomes(since, schedule=None))
    assert every == {"x": (12, 2), "y": (1, 0)}
    one = await ledger.read(lambda tx: tx.history.outcomes(since, schedule="x"))
    assert one == {"x": (12, 2)}


async def test_the_trail_of_a_schedule_is_newest_first(ledger: SqlLedger) -> None:
    def work(tx: Tx) -> None:
        for number in range(5):
            tx.events.add("schedule_missed", at=NOW, schedule="x", due_at=str(number))
            tx.events.add("schedule_missed", at=NOW, schedule="y", due_at=str(number))
            tx.events.add("run_queued", at=NOW, schedule="x")

    await ledger.write(work)
    wanted = frozenset({"schedule_missed", "schedule_skipped"})
    found = await ledger.read(lambda tx: tx.history.trail("x", wanted, 3))
    assert [event.detail["due_at"] for event in found] == ["4", "3", "2"]
