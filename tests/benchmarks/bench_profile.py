"""How long the profile of a wide, long DuckDB table takes, against a bare scan of its sample.

    python -m tests.benchmarks.bench_profile [--rows 10000000] [--columns 100] [--out FILE]

The profile counts nulls, distinct and commonest values, shapes and quantiles of every column in
one query. The bare scan fetches the same rows and counts nothing: what no profile can be quicker
than. CPU seconds are of all threads; medians, in turns. It is to take less than two seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import duckdb

from amxwatch import databases
from amxwatch.clocks.system import SystemClock
from amxwatch.core.sample import Wanted

SAMPLE = 5000
MOST_SECONDS = 2.0
TURNS = 5

KINDS = (
    "i + {n}",
    "(i * 7919 + {n}) % 1000 / 7.0",
    "'code-' || (i % {n})",
    "DATE '2020-01-01' + CAST((i * 31 + {n}) % 2000 AS INTEGER)",
    "'SKU-' || (10000 + (i * 13 + {n}) % 80000)",
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way to look at the sample."""

    what: str
    seconds: float
    cpu_seconds: float
    times_bare_scan: float


def build(path: Path, rows: int, columns: int) -> None:
    made = (f"{KINDS[n % len(KINDS)].format(n=n + 2)} AS column_{n}" for n in range(columns))
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE TABLE big AS SELECT {', '.join(made)} FROM range({rows}) r(i)")


async def measure(path: Path) -> list[Row]:
    options = databases.ConnectOptions(clock=SystemClock())
    database = databases.connect(f"duckdb:///{path}", relative_to=Path(), options=options)
    (table,) = (await database.reader.read()).tables

    async def scan() -> None:
        sample = await database.sampler.sample(table, rows=SAMPLE, full=False)
        assert len(sample.rows) == SAMPLE

    async def profile() -> None:
        tally = await database.sampler.tally(table, Wanted(rows=SAMPLE))
        assert tally.rows == SAMPLE

    ways = {"bare scan of the sample": scan, "profile": profile}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            began, used = time.perf_counter(), time.process_time()
            await way()
            wall[name].append(time.perf_counter() - began)
            cpu[name].append(time.process_time() - used)
    await database.aclose()
    bare = statistics.median(wall["bare scan of the sample"])
    return [
        Row(
            what=name,
            seconds=round(statistics.median(wall[name]), 3),
            cpu_seconds=round(statistics.median(cpu[name]), 3),
            times_bare_scan=round(statistics.median(wall[name]) / bare, 2),
        )
        for name in ways
    ]


def main() -> int:
    """Measure, print, and leave with 1 where a profile takes too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--file", type=Path, help="A file with one table, made before.")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.file or Path(folder) / "big.duckdb"
        if given.file is None:
            build(path, given.rows, given.columns)
        rows = anyio.run(measure, path.resolve())
    for row in rows:
        print(
            f"{row.what:28} {row.seconds:7.3f} s {row.cpu_seconds:7.3f} s CPU"
            f" {row.times_bare_scan:6.2f} x"
        )
    if given.out:
        document = {"rows": given.rows, "columns": given.columns, "sample": SAMPLE}
        document_rows = [asdict(row) for row in rows]
        given.out.write_text(json.dumps({**document, "ways": document_rows}), encoding="utf-8")
    return int(rows[-1].seconds > MOST_SECONDS)


if __name__ == "__main__":
    raise SystemExit(main())
