"""Real worker processes that share a queue, are killed, or stopped and woken again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from amxwatch.clocks.manual import ManualClock
from amxwatch.clocks.system import SystemClock
from amxwatch.core.run import Outcome, Run, RunId, RunStatus
from amxwatch.engines.local import LocalEngine
from amxwatch.engines.owner import Owner
from amxwatch.engines.recover import recover
from amxwatch.ports.engine import RunContext
from amxwatch.ports.ledger import Ledger, RunFilter
from amxwatch.stores.ledger import open_ledger
from tests.contracts.ledgers import MANY, a_run, new_ledger

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent.parent
RUN = RunId("run_1")


class Workshop:
    """A folder with a ledger, and the worker processes that were started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        new_ledger(folder / "state.db", SystemClock())
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, how: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.surfaces.engine_worker", str(self.folder), how]
        self.processes.append(subprocess.Popen(command, cwd=ROOT))
        return self.processes[-1]

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def until(self, is_so: Callable[[], bool], seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, "nothing happened in time"
            time.sleep(0.01)

    def stop(self) -> None:
        (self.folder / "stop").touch()
        for process in self.processes:
            process.wait(90)

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    workshop = Workshop(tmp_path)
    yield workshop
    workshop.end()


async def put(ledger: Ledger, count: int = 1) -> None:
    now = datetime.now(UTC)
    runs = [a_run(f"run_{n + 1}", queued_at=now, not_before=now) for n in range(count)]
    await ledger.write(lambda tx: [tx.runs.put(run) for run in runs])


async def the_run(ledger: Ledger) -> Run:
    return await ledger.read(lambda tx: tx.runs.get(RUN))


async def trail(ledger: Ledger) -> Counter[str]:
    events = await ledger.read(lambda tx: tx.events.after(0))
    return Counter(event.action for event in events)


async def test_two_workers_share_a_queue(workshop: Workshop) -> None:
    ledger = open_ledger(workshop.folder / "state.db", SystemClock())
    await put(ledger, 200)
    workshop.start("count")
    workshop.start("count")
    workshop.until(lambda: len(workshop.lines("executed")) >= 200)
    workshop.stop()
    runs = await ledger.read(lambda tx: tx.runs.list(RunFilter(limit=999)))
    await ledger.aclose()
    assert set(Counter(workshop.lines("executed")).values()) == {1}
    assert len(workshop.lines("executed")) == len(runs) == 200
    assert {(run.status, run.attempt, run.recovered) for run in runs} == {
        (RunStatus.COMPLETED, 1, 0)
    }
    assert [process.returncode for process in workshop.processes] == [0, 0]


async def test_a_killed_worker_s_run_goes_on_elsewhere(workshop: Workshop) -> None:
    ledger = open_ledger(workshop.folder / "state.db", SystemClock())
    await put(ledger)
    first = workshop.start("hang")
    workshop.until(lambda: "k2" in workshop.lines("hanging"))
    first.kill()
    first.wait()
    second = workshop.start("pay")
    killed_at = time.monotonic()
    workshop.until(lambda: "k3" in workshop.lines("paid"))
    assert time.monotonic() - killed_at < 20  # the lease alone would take 30 seconds
    workshop.stop()
    run = await the_run(ledger)
    said = await trail(ledger)
    events = await ledger.read(lambda tx: tx.events.after(0))
    await ledger.aclose()
    assert second.returncode == 0
    assert workshop.lines("paid") == ["k1", "k2", "k2", "k3"]
    assert (run.status, run.recovered, run.attempt) == (RunStatus.COMPLETED, 1, 2)
    assert run.summary == "reply to k1,reply to k2,reply to k3"
    assert (run.requests, run.cost_usd) == (3, Decimal("0.3"))
    assert said == {"run_started": 2, "reply_lost": 1, "run_recovered": 1, "run_completed": 1}
    assert [event.detail for event in events if event.action == "reply_lost"] == [{"key": "k2"}]


async def test_a_stopped_worker_that_wakes_writes_nothing(workshop: Workshop) -> None:
    ledger = open_ledger(workshop.folder / "state.db", SystemClock())
    owner = Owner.acquire(workshop.folder / "owners")
    await put(ledger)
    zombie = workshop.start("hang")
    workshop.until(lambda: "k2" in workshop.lines("hanging"))
    os.kill(zombie.pid, signal.SIGSTOP)

    # It holds its lock, so it is not dead; only when its lease is over may another go on.
    name = workshop.lines("owner")[0]
    assert not owner.is_dead(name)
    assert await recover(ledger, SystemClock(), is_dead=owner.is_dead) == []
    much_later = ManualClock(SystemClock().now() + timedelta(seconds=31))
    assert [run.id for run in await recover(ledger, much_later, is_dead=owner.is_dead)] == [RUN]

    async def handler(context: RunContext) -> Outcome:
        (workshop.folder / "go").touch()
        os.kill(zombie.pid, signal.SIGCONT)
        workshop.until(lambda: RUN in workshop.lines("fenced"))
        await context.check()
        return Outcome(summary="done by another")

    engine = LocalEngine(ledger=ledger, clock=SystemClock(), owner=owner)
    run = await engine.work_one(RUN, handler, lambda: MANY)
    workshop.stop()
    assert zombie.returncode == 0
    assert (run.status, run.summary) == (RunStatus.COMPLETED, "done by another")
    assert await the_run(ledger) == run
    assert await trail(ledger) == {
        "run_started": 2,
        "reply_lost": 1,
        "run_recovered": 1,
        "run_completed": 1,
    }
    # What the zombie had paid for is kept, and counted.
    assert (run.requests, run.cost_usd) == (2, Decimal("0.2"))
    assert workshop.lines("paid") == ["k1", "k2"]
    owner.release()
    await ledger.aclose()
