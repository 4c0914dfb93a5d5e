"""What an idle daemon costs: CPU and memory while nothing moves in what it watches.

`python -m tests.benchmarks.bench_idle --out idle.json` starts one daemon for each case, all at
the same time, lets them warm up, and counts the CPU seconds that each takes from then on, with
all the processes that it has started. The promise is under 1% of a core and under 150 MB for a
database of 1,000 tables.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import psutil
import psycopg

from tests.benchmarks.scene import Daemon, served
from tests.plugins.postgres import PostgresServer

MOST_CPU_PERCENT = 1.0
MOST_RSS_MB = 150.0

CONFIG = """
[daemon]
poll_seconds = {poll_seconds}

[db_profiles.source]
url = "{url}"

[schedules.watch]
db_profile = "source"
trigger = {{ type = "change", cadence_cap_hours = 4 }}
"""

COLUMNS = (
    "id integer PRIMARY KEY, name varchar(80) NOT NULL, email varchar(120), status varchar(20), "
    "amount numeric(12, 2) DEFAULT 0, created_at timestamp, updated_at timestamp, note text, "
    "parent_id integer, is_active boolean"
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A source of the benchmark, and how often it is polled."""

    name: str
    url: str
    poll_seconds: int


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one daemon took. `cpu_percent` is of one core; `rss_mb` the most that was seen."""

    case: str
    poll_seconds: int
    tables: int
    wall_seconds: float
    cpu_seconds: float
    cpu_percent: float
    rss_mb: float

    @property
    def keeps_the_promise(self) -> bool:
        return self.cpu_percent < MOST_CPU_PERCENT and self.rss_mb < MOST_RSS_MB


def table(number: int) -> str:
    return f"CREATE TABLE table_{number:04d} ({COLUMNS});"


def postgres(server: PostgresServer, tables: int) -> str:
    """Return the URL of a PostgreSQL that holds so many tables."""
    url = server.url("postgres")
    with psycopg.connect(url) as connection:
        connection.execute("".join(table(number) for number in range(tables)).encode())
    return url


def duckdb_file(folder: Path, tables: int) -> str:
    path = folder / "source.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("".join(table(number) for number in range(tables)))
    return f"duckdb:///{path}"


@contextmanager
def sqlite_file(folder: Path, tables: int) -> Iterator[str]:
    """Yield the URL of a file in WAL mode that another process keeps open."""
    path = folder / "source.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript("BEGIN;" + "".join(map(table, range(tables))) + "COMMIT;")
        yield f"sqlite:///{path}"


def sql_folder(folder: Path, tables: int) -> str:
    models = folder / "models"
    models.mkdir()
    for number in range(tables):
        (models / f"table_{number:04d}.sql").write_text(table(number) + "\n", encoding="utf-8")
    return f"ddl:///{models}?dialect=postgres"


class Watched(Daemon):
    """A daemon on one source, and what it takes."""

    def __init__(self, case: Case, folder: Path) -> None:
        super().__init__(folder, CONFIG.format(url=case.url, poll_seconds=case.poll_seconds))
        self.case = case
        self._seen = psutil.Process(self.process.pid)

    def wait_for_baseline(self) -> int:
        """Wait until the first snapshot is in the cache, and return its number of tables."""
        self.wait(lambda: self.has_looked() and bool(self._tables()), self.case.name)
        return self._tables()

    def _tables(self) -> int:
        with closing(sqlite3.connect(self.folder / "state.db")) as ledger:
            row = ledger.execute("SELECT tables FROM snapshot").fetchone()
        return int(row[0]) if row is not None else 0

    def cpu_seconds(self) -> float:
        """Return what it and the processes that it started and that have ended took."""
        spent = self._seen.cpu_times()
        ended = spent.children_user + spent.children_system
        return float(spent.user + spent.system + ended)

    def rss_mb(self) -> float:
        """Return what it and the processes that it started hold."""
        total = 0
        for process in (self._seen, *self._seen.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total / 1e6


def measure(daemons: list[Watched], tables: dict[str, int], seconds: float) -> list[Cost]:
    """Count what each daemon takes from now on, all of them over the same time."""
    started = time.monotonic()
    before = [daemon.cpu_seconds() for daemon in daemons]
    most = [0.0] * len(daemons)
    while time.monotonic() - started < seconds:
        time.sleep(1)
        most = [max(seen, daemon.rss_mb()) for seen, daemon in zip(most, daemons, strict=True)]
    wall = time.monotonic() - started
    spent = [daemon.cpu_seconds() - b for daemon, b in zip(daemons, before, strict=True)]
    return [
        Cost(
            case=daemon.case.name,
            poll_seconds=daemon.case.poll_seconds,
            tables=tables[daemon.case.name],
            wall_seconds=round(wall, 1),
            cpu_seconds=round(cpu, 2),
            cpu_percent=round(100 * cpu / wall, 2),
            rss_mb=round(rss, 1),
        )
        for daemon, cpu, rss in zip(daemons, spent, most, strict=True)
    ]


def run(seconds: float, warm_up: float, tables: int, only: list[str]) -> list[Cost]:
    with ExitStack() as stack:
        root = Path(tempfile.mkdtemp(prefix="amxwatch-idle-"))
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        root.chmod(0o755)
        server = postgres(stack.enter_context(served()), tables)
        lite = stack.enter_context(sqlite_file(root, tables))
        duck, folder = duckdb_file(root, tables), sql_folder(root, tables)
        cases = [
            Case(name=f"{name}, every {poll_seconds} s", url=url, poll_seconds=poll_seconds)
            for name, url in (
                ("postgresql", server),
                ("sql folder", folder),
                ("duckdb", duck),
                ("sqlite wal", lite),
            )
            for poll_seconds in (60, 5)
            if not only or name in only
        ]
        daemons = []
        for number, case in enumerate(cases):
            daemons.append(Watched(case, root / f"install_{number}"))
            stack.callback(daemons[-1].stop)
        found = {daemon.case.name: daemon.wait_for_baseline() for daemon in daemons}
        time.sleep(warm_up)
        return measure(daemons, found, seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--warm-up", type=float, default=30)
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--only", action="append", default=[], help="a kind of source")
    asked = parser.parse_args()
    costs = run(asked.seconds, asked.warm_up, asked.tables, asked.only)
    for cost in costs:
        kept = "kept" if cost.keeps_the_promise else "BROKEN"
        print(
            f"{cost.case:24} {cost.cpu_percent:5.2f}% of a core ({cost.cpu_seconds:.2f} s in"
            f" {cost.wall_seconds:.0f} s), {cost.rss_mb:6.1f} MB, {cost.tables} tables: {kept}",
            flush=True,
        )
    if asked.out is not None:
        document = {"costs": [asdict(cost) for cost in costs]}
        asked.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0 if all(cost.keeps_the_promise for cost in costs) else 1


if __name__ == "__main__":
    raise SystemExit(main())
