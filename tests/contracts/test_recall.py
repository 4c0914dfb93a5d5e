"""What is recalled of the ledger is what would be read, at the price of a look after a write."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from amxwatch.clocks.system import SystemClock
from amxwatch.core.run import Run
from amxwatch.ports.ledger import RunFilter, Tx
from amxwatch.stores.ledger import SqlLedger, open_ledger
from tests.contracts.ledgers import NOW, a_run, new_ledger

pytestmark = pytest.mark.anyio


def put(tx: Tx, run: Run) -> bool:
    return tx.runs.put(run)


class Counted:
    """A ledger, and a question of which we know how often it was asked."""

    def __init__(self, ledger: SqlLedger) -> None:
        self.ledger = ledger
        self.times = 0

    def runs(self, tx: Tx) -> list[str]:
        self.times += 1
        return sorted(run.id for run in tx.runs.list(RunFilter()))

    async def ask(self) -> list[str]:
        return await self.ledger.recall("runs", self.runs)


@pytest.fixture
async def asking(tmp_path: Path) -> Counted:
    asking = Counted(new_ledger(tmp_path / "state.db", SystemClock()))
    await asking.ask()  # the first one opens what later ones go by
    await asking.ask()
    asking.times = 0
    return asking


async def test_nothing_is_read_while_nothing_is_written(asking: Counted) -> None:
    assert [await asking.ask() for _ in range(3)] == [[]] * 3
    await asking.ledger.write(lambda tx: tx.events.add("daemon_started", at=NOW))
    assert (await asking.ask(), asking.times) == ([], 0)


async def test_a_write_of_this_process_is_seen(asking: Counted) -> None:
    await asking.ledger.write(lambda tx: tx.runs.put(a_run("run_1")))
    assert (await asking.ask(), await asking.ask(), asking.times) == (["run_1"], ["run_1"], 1)
    with pytest.raises(ZeroDivisionError):
        await asking.ledger.write(lambda tx: tx.runs.put(a_run("run_2")) / 0)
    assert await asking.ask() == ["run_1"]


async def test_a_write_of_another_process_is_seen(asking: Counted, tmp_path: Path) -> None:
    other = open_ledger(tmp_path / "state.db", SystemClock())
    for number in range(1, 4):
        run = a_run(f"run_{number}")
        await other.write(partial(put, run=run))
        assert len(await asking.ask()) == number
    # A write of ours in between does not hide one of theirs.
    await other.write(lambda tx: tx.runs.put(a_run("run_4")))
    await asking.ledger.write(lambda tx: tx.events.add("daemon_started", at=NOW))
    assert len(await asking.ask()) == 4
    await other.aclose()


async def test_what_is_foreseen_is_read_in_one_look(asking: Counted) -> None:
    await asking.ledger.write(lambda tx: tx.runs.put(a_run("run_1")))
    await asking.ledger.foresee({"runs": asking.runs, "more": lambda tx: len(asking.runs(tx))})
    assert asking.times == 2
    assert await asking.ask() == ["run_1"]
    assert await asking.ledger.recall("more", lambda _: 0) == 1
    assert asking.times == 2
