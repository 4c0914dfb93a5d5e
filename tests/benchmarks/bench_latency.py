"""How long from a change in the source until a run of it is queued.

    python -m tests.benchmarks.bench_latency [--changes 20] [--out FILE]

One daemon a case, with `settle_seconds = 0` and no cadence cap; columns are added one after the
other, each once the run of the one before has ended. The clock starts when the statement or
the write has come back, and stops at the run's `queued_at` in the ledger. Where the source
announces its changes (PostgreSQL with `db watch-ddl`, files) the daemon polls once a minute, so
that what is measured is the announcement; the promise is a 95th percentile under one second.
Without an announcement it is one poll.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import psycopg

from tests.benchmarks.scene import Daemon, served
from tests.plugins.postgres import PostgresServer

MOST_SECONDS = 1.0
ANNOUNCED_POLL = 60
POLL = 2

CONFIG = """
[daemon]
poll_seconds = {poll_seconds}

[db_profiles.source]
url = "{url}"

[schedules.watch]
db_profile = "source"
trigger = {{ type = "change", settle_seconds = 0, cadence_cap_hours = 0 }}
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A source, how often it is polled, and what adds column number so-and-so to it."""

    name: str
    url: str
    poll_seconds: int
    change: Callable[[int], None]
    announced: bool = True


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Seconds from the change to the queued run."""

    case: str
    poll_seconds: int
    changes: int
    p50: float
    p95: float
    worst: float
    promised: float

    @property
    def keeps_the_promise(self) -> bool:
        return self.p95 <= self.promised


class Ledger(Daemon):
    """A daemon on one source, and what its ledger says."""

    def __init__(self, case: Case, folder: Path) -> None:
        super().__init__(folder, CONFIG.format(url=case.url, poll_seconds=case.poll_seconds))

    def completed(self) -> list[datetime]:
        """Return when each run that has ended was queued."""
        query = "SELECT queued_at FROM run WHERE status = 'completed' ORDER BY queued_at"
        with closing(sqlite3.connect(self.folder / "state.db")) as ledger:
            return [datetime.fromisoformat(at) for (at,) in ledger.execute(query)]


def measure(case: Case, folder: Path, changes: int) -> Latency:
    daemon = Ledger(case, folder)
    found = []
    try:
        daemon.wait(daemon.has_looked, "the first cycle")
        time.sleep(2)  # the watchers' own start
        for number in range(1, changes + 1):
            case.change(number)
            changed = time.time()
            daemon.wait(lambda n=number: len(daemon.completed()) >= n, f"run {number}")  # type: ignore[misc]  # a default binds the number
            found.append(daemon.completed()[-1].timestamp() - changed)
    finally:
        daemon.stop()
    return Latency(
        case=case.name,
        poll_seconds=case.poll_seconds,
        changes=changes,
        p50=round(statistics.median(found), 3),
        p95=round(statistics.quantiles(found, n=20, method="inclusive")[-1], 3),
        worst=round(max(found), 3),
        # What is not announced is found by the next poll, and a look takes its time.
        promised=MOST_SECONDS if case.announced else case.poll_seconds + MOST_SECONDS,
    )


def on_postgres(server: PostgresServer, root: Path, *, announced: bool) -> Case:
    database = "announced" if announced else "polled"
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}".encode())
    url = server.url(database)
    run_sql(url, "CREATE TABLE orders (order_id integer PRIMARY KEY)")
    if announced:
        install = root / "install_ddl"
        install.mkdir(mode=0o700)
        config = CONFIG.format(url=url, poll_seconds=POLL)
        (install / "amxwatch.toml").write_text(config, encoding="utf-8")
        subprocess.run(
            [sys.executable, "-m", "amxwatch", "db", "watch-ddl", "install", "source", "--yes"],
            env={**os.environ, "AMXWATCH_CONFIG_DIR": str(install)},
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return Case(
        name="postgresql, NOTIFY" if announced else "postgresql, poll",
        url=url,
        poll_seconds=ANNOUNCED_POLL if announced else POLL,
        change=lambda n: run_sql(url, f"ALTER TABLE orders ADD COLUMN amount_{n} integer"),
        announced=announced,
    )


def run_sql(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def on_folder(root: Path) -> Case:
    models = root / "models"
    models.mkdir()

    def change(number: int) -> None:
        columns = "".join(f", amount_{n} integer" for n in range(1, number + 1))
        text = f"CREATE TABLE orders (order_id integer PRIMARY KEY{columns});\n"
        (models / "orders.sql").write_text(text, encoding="utf-8")

    change(0)
    return Case(
        name="sql folder, file events",
        url=f"ddl:///{models}?dialect=postgres",
        poll_seconds=ANNOUNCED_POLL,
        change=change,
    )


def on_sqlite(root: Path) -> Case:
    path = root / "source.db"

    def run(statement: str) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(statement)
            connection.commit()

    run("CREATE TABLE orders (order_id integer PRIMARY KEY)")
    return Case(
        name="sqlite, file events",
        url=f"sqlite:///{path}",
        poll_seconds=ANNOUNCED_POLL,
        change=lambda n: run(f"ALTER TABLE orders ADD COLUMN amount_{n} integer"),
    )


def on_duckdb(root: Path) -> Case:
    path = root / "source.duckdb"

    def run(statement: str) -> None:
        for _ in range(100):
            try:
                with duckdb.connect(str(path)) as connection:
                    connection.execute(statement)
            except duckdb.IOException:  # the daemon is reading it
                time.sleep(0.05)
            else:
                return
        raise SystemExit(f"{path} stayed locked")

    run("CREATE TABLE orders (order_id integer PRIMARY KEY)")
    return Case(
        name="duckdb, file events",
        url=f"duckdb:///{path}",
        poll_seconds=ANNOUNCED_POLL,
        change=lambda n: run(f"ALTER TABLE orders ADD COLUMN amount_{n} integer"),
    )


def run(changes: int, only: list[str]) -> list[Latency]:
    with ExitStack() as stack:
        root = Path(tempfile.mkdtemp(prefix="amxwatch-latency-"))
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        root.chmod(0o755)
        server = stack.enter_context(served())
        cases = [
            on_postgres(server, root, announced=True),
            on_postgres(server, root, announced=False),
            on_folder(root),
            on_sqlite(root),
            on_duckdb(root),
        ]
        return [
            measure(case, root / f"install_{number}", changes)
            for number, case in enumerate(cases)
            if not only or any(word in case.name for word in only)
        ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--only", action="append", default=[], help="a word of a case's name")
    asked = parser.parse_args()
    found = run(asked.changes, asked.only)
    for each in found:
        kept = "kept" if each.keeps_the_promise else "BROKEN"
        print(
            f"{each.case:24} p50 {each.p50:.3f} s, p95 {each.p95:.3f} s, worst {each.worst:.3f} s"
            f" ({each.changes} changes, polled every {each.poll_seconds} s): {kept}",
            flush=True,
        )
    if asked.out is not None:
        document = {"latencies": [asdict(each) for each in found]}
        asked.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0 if all(each.keeps_the_promise for each in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
