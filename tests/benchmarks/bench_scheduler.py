"""The scheduler beside APScheduler 3 with its SQLite job store.

    python -m tests.benchmarks.bench_scheduler [--counts 10,1000,100000] [--out FILE]

Both hold the same daily jobs, as many as the row says, in processes of their own on the same
disk; both run from compiled bytecode, as what is installed does. A `poll` is one look: here a turn
of the daemon by its agenda, which looks at the watched database too (`schedules alone` is the turn
without that), there one `_process_jobs`. It is measured while nothing is due, and when one job has
come due. `start` is from the process's start until the first look over jobs that were there
before is done; `idle` is what the process then takes while nothing is due. `due to start` is from
the moment a repeated job is due until it starts; `runs` is how many jobs that do nothing get
through the queue in a second, four at a time, each settled in the store. `at work` is the peer as
a host of the same work: its jobs take the same snapshot of the same SQLite file, by our own
library in its process, as our `cache_refresh` does, so that both hold the same drivers; `memory`
there is what the process holds after that. Times are medians unless the key says p95. `ratio`
above 1 means that we are ahead.

Where bare APScheduler stays ahead: its idle process holds no config, no plans and no watched
database, and keeps no heartbeat. Ours checks the files that people edit at its start, beats, and
glances at them, and holds pydantic, anyio, watchdog and the agenda beside SQLAlchemy, which both
hold. What a run needs (DuckDB, models, drafting) is loaded when the first run asks for it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import psutil

from tests.benchmarks.apscheduler_side import (
    FIRINGS,
    JOBS,
    POLLS,
    Values,
    hosted_firings,
    median_ms,
    spread,
    theirs_fill,
    theirs_firings,
    theirs_poll,
    theirs_runs,
    theirs_serve,
)
from tests.benchmarks.scene import Daemon

IDLE_SECONDS = 30.0

CONFIG = """
[db_profiles.source]
url = "sqlite:///source.db"
max_concurrent_runs = 4

[daemon]
poll_seconds = 60
"""

# -- amxwatch ---------------------------------------------------------------------------------


def ours_fill(folder: Path, count: int) -> Values:
    """Write the plans, and let one turn arm them."""
    from amxwatch.daemon.turn import take

    prepare(folder)
    for number in range(count):
        moment = datetime.now(UTC) + timedelta(hours=5, seconds=number % 3600)
        plan(folder, f"job-{number}", f'type = "cron"\ncron = "{moment:%-M %-H} * * *"')
    time.sleep(2.5)  # files that moved so lately are not believed at the next start

    async def arm(install: Any) -> Values:
        await take(install)
        return {}

    return opened(folder, arm)


def prepare(folder: Path) -> None:
    (folder / "schedules.d").mkdir(mode=0o700)
    (folder / "amxwatch.toml").write_text(CONFIG, encoding="utf-8")
    with closing(sqlite3.connect(folder / "source.db")) as connection:
        connection.execute("CREATE TABLE item (item_id INTEGER PRIMARY KEY)")


def plan(folder: Path, name: str, trigger: str) -> None:
    text = (
        f'[schedules.{name}]\nkind = "cache_refresh"\ndb_profile = "source"\n\n'
        f"[schedules.{name}.trigger]\n{trigger}\n"
    )
    (folder / "schedules.d" / f"{name}.toml").write_text(text, encoding="utf-8")


def opened(folder: Path, work: Callable[[Any], Awaitable[Values]]) -> Values:
    from amxwatch.daemon.wiring import open_install

    async def run() -> Values:
        async with open_install(folder) as install:
            await install.remember_config()
            return await work(install)

    return anyio.run(run)


def ours_poll(folder: Path, _: int) -> Values:
    from amxwatch.daemon.agenda import Agenda
    from amxwatch.daemon.turn import take

    async def work(install: Any) -> Values:
        agenda = Agenda()

        async def poll(**which: Any) -> float:
            started = time.perf_counter()
            await take(install, agenda=agenda, **which)
            return time.perf_counter() - started

        while not agenda.plans or agenda.pending_count:
            await poll()
        await poll()
        quiet = [await poll() for _ in range(POLLS)]
        alone = [await poll(profiles=("none",), polling=False) for _ in range(POLLS)]
        due = []
        name = next(iter(agenda.plans))
        for _ in range(POLLS):
            await make_due(install, name)
            due.append(await poll())
        await install.ledger.write(cancel_queued)  # who serves this folder next is to be idle
        return {
            "quiet_ms": median_ms(quiet),
            "alone_ms": median_ms(alone),
            "due_ms": median_ms(due),
        }

    return opened(folder, work)


def cancel_queued(tx: Any) -> None:
    from amxwatch.core.run import RunEvent, RunStatus
    from amxwatch.ports.ledger import RunFilter

    for run in tx.runs.list(RunFilter(statuses=frozenset({RunStatus.QUEUED}))):
        tx.runs.move(run.id, RunEvent.CANCEL, token=None, unique_key=None)


async def make_due(install: Any, name: str) -> None:
    """Let a daily schedule count from a day ago, and end what it queued before."""

    def work(tx: Any) -> None:
        cancel_queued(tx)
        state = tx.schedules.get(name)
        back = datetime.now(UTC) - timedelta(days=1)
        tx.schedules.put(replace(state, armed_at=back, last_due_at=None))

    await install.ledger.write(work)


def theirs_at_work(folder: Path, _: int) -> Values:
    prepare(folder)
    return hosted_firings(folder)


def ours_firings(folder: Path, _: int) -> Values:
    prepare(folder)
    for number in range(4):
        plan(folder, f"fast-{number}", 'type = "every"\nminutes = 0.05')
    daemon = Daemon(folder, CONFIG)
    query = "SELECT due_at, started_at FROM run WHERE started_at IS NOT NULL"

    def started() -> list[float]:
        with closing(sqlite3.connect(folder / "state.db")) as ledger:
            rows = ledger.execute(query).fetchall()
        moments = [[datetime.fromisoformat(moment) for moment in row] for row in rows]
        return [(start - due).total_seconds() for due, start in moments]

    try:
        daemon.wait(daemon.has_looked, "the first look")
        daemon.wait(lambda: len(started()) >= FIRINGS, "the firings")
        memory = psutil.Process(daemon.process.pid).memory_info().rss / 1e6
        return {**spread(started()), "rss_mb": memory}
    finally:
        daemon.stop()


def ours_runs(folder: Path, _: int) -> Values:
    from amxwatch.core.run import Outcome, Run, RunId, RunKind, RunStatus, RunTrigger, Slots
    from amxwatch.ports.ledger import RunFilter

    prepare(folder)
    slots = Slots(total=4, profiles={"source": 4}, schedules={})

    async def handler(_: Any) -> Outcome:
        return Outcome(summary="nothing")

    async def work(install: Any) -> Values:
        now = install.clock.now()
        runs = [
            Run(
                id=RunId(f"run_{number:06d}"),
                kind=RunKind.CACHE_REFRESH,
                status=RunStatus.QUEUED,
                trigger=RunTrigger.MANUAL,
                trigger_reason="bench",
                db_profile="source",
                queued_at=now,
                not_before=now,
            )
            for number in range(JOBS)
        ]
        await install.ledger.write(lambda tx: [tx.runs.put(run) for run in runs])
        waiting = RunFilter(statuses=frozenset({RunStatus.QUEUED, RunStatus.RUNNING}), limit=1)
        started = time.perf_counter()
        async with anyio.create_task_group() as group:
            group.start_soon(install.engine.work, handler, lambda: slots)
            while await install.ledger.read(lambda tx: tx.runs.list(waiting)):
                await anyio.sleep(0.02)
            seconds = time.perf_counter() - started
            await install.engine.stop(0)
        return {"per_second": JOBS / seconds}

    return opened(folder, work)


# -- both -------------------------------------------------------------------------------------


PARTS: dict[str, Callable[[Path, int], Values]] = {
    each.__name__: each
    for each in (
        theirs_fill,
        theirs_poll,
        theirs_serve,
        theirs_firings,
        theirs_at_work,
        theirs_runs,
        ours_fill,
        ours_poll,
        ours_firings,
        ours_runs,
    )
}


def command(part: str, folder: Path, count: int) -> list[str]:
    words = ["--part", part, "--folder", str(folder), "--count", str(count)]
    return [sys.executable, "-m", "tests.benchmarks.bench_scheduler", *words]


def part(name: str, folder: Path, count: int = 0) -> Values:
    """Run one part in a process of its own."""
    folder.mkdir(exist_ok=True, mode=0o700)
    done = subprocess.run(command(name, folder, count), stdout=subprocess.PIPE, check=True)
    found: Values = json.loads(done.stdout)
    return found


def served(start: Callable[[], tuple[subprocess.Popen[bytes], Callable[[], bool]]]) -> Values:
    """Start a process, wait for its first look, and see what it takes from then on."""
    started = time.perf_counter()
    process, is_ready = start()
    try:
        while not is_ready():
            if process.poll() is not None:
                raise SystemExit("a process that was to serve has ended")
            time.sleep(0.01)
        seconds = time.perf_counter() - started
        time.sleep(5)
        seen = psutil.Process(process.pid)
        before = sum(seen.cpu_times()[:2])
        time.sleep(IDLE_SECONDS)
        cpu = 100 * (sum(seen.cpu_times()[:2]) - before) / IDLE_SECONDS
        return {"start_s": seconds, "cpu": cpu, "rss_mb": seen.memory_info().rss / 1e6}
    finally:
        process.kill()
        process.wait()


def theirs_served(folder: Path) -> Values:
    (folder / "ready").unlink(missing_ok=True)

    def start() -> tuple[subprocess.Popen[bytes], Callable[[], bool]]:
        process = subprocess.Popen(command("theirs_serve", folder, 0))
        return process, (folder / "ready").exists

    return served(start)


def ours_served(folder: Path) -> Values:
    def start() -> tuple[subprocess.Popen[bytes], Callable[[], bool]]:
        daemon = Daemon(folder, CONFIG)
        return daemon.process, daemon.has_looked

    return served(start)


def row(what: str, count: int, ours: float, theirs: float, *, more: bool = False) -> dict[str, Any]:
    ratio = ours / theirs if more else theirs / max(ours, 1e-9)
    return {
        "what": what,
        "jobs": count,
        "amxwatch": round(ours, 3),
        "apscheduler": round(theirs, 3),
        "ratio": round(ratio, 2),
    }


def with_jobs(root: Path, count: int) -> list[dict[str, Any]]:
    ours, theirs = root / f"ours_{count}", root / f"theirs_{count}"
    part("ours_fill", ours, count)
    part("theirs_fill", theirs, count)
    mine, peer = part("ours_poll", ours), part("theirs_poll", theirs)
    serving, peer_serving = ours_served(ours), theirs_served(theirs)
    return [
        row("poll, nothing due, ms", count, mine["quiet_ms"], peer["quiet_ms"]),
        row("poll, schedules alone, ms", count, mine["alone_ms"], peer["quiet_ms"]),
        row("poll, one due, ms", count, mine["due_ms"], peer["due_ms"]),
        row("start, s", count, serving["start_s"], peer_serving["start_s"]),
        row("idle CPU, % of a core", count, serving["cpu"], peer_serving["cpu"]),
        row("idle memory, MB", count, serving["rss_mb"], peer_serving["rss_mb"]),
    ]


def measure(counts: list[int]) -> list[dict[str, Any]]:
    root = Path(tempfile.mkdtemp(prefix="amxwatch-scheduler-"))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(root / "bytecode")
    try:
        mine, peer = part("ours_firings", root / "o1"), part("theirs_firings", root / "t1")
        host = part("theirs_at_work", root / "h1")
        rows = [
            row("due to start, p50, ms", 4, mine["p50_ms"], peer["p50_ms"]),
            row("due to start, p95, ms", 4, mine["p95_ms"], peer["p95_ms"]),
            row("at work: due to start, p50, ms", 4, mine["p50_ms"], host["p50_ms"]),
            row("at work: due to start, p95, ms", 4, mine["p95_ms"], host["p95_ms"]),
            row("at work: memory, MB", 4, mine["rss_mb"], host["rss_mb"]),
        ]
        mine, peer = part("ours_runs", root / "o2"), part("theirs_runs", root / "t2")
        rows.append(row("runs a second", JOBS, mine["per_second"], peer["per_second"], more=True))
        for count in counts:
            rows += with_jobs(root, count)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--counts", default="10,1000,100000")
    for name in ("--part", "--folder", "--count"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part is not None:
        os.chdir(asked.folder)
        print(json.dumps(PARTS[asked.part](Path(asked.folder), int(asked.count))))
        return 0
    rows = measure([int(count) for count in asked.counts.split(",")])
    for each in rows:
        print("{what:32} {jobs:>7} {amxwatch:>10} {apscheduler:>10} {ratio:>8}".format(**each))
    if asked.out is not None:
        asked.out.write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
