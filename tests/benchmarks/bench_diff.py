"""How long the diff takes, against the least that any diff must do.

    python -m tests.benchmarks.bench_diff [--tables 100000] [--out FILE]

The limit, taken in the same run: DuckDB scanning two columns that hold a 64-bit hash for each
column of both catalogs. `diff` is the query that finds the moved tables; `compare` is all that
a look pays: open the file, fingerprint the catalog's Python objects, load, diff, read the old
versions, close. Medians; the size is of the file after it was closed.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import duckdb

from amxwatch.core.catalog import Catalog, Column, Key, KeyKind, Schema, SnapshotNumber, Table
from amxwatch.stores.snapshots import SnapshotCache, comparing, opening

COLUMNS = 10
SHARES = (0.0, 0.001, 0.05)
TYPES = ("integer", "character varying(255)", "timestamp with time zone")
TRIES = 5


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement; times in seconds."""

    share: float
    moved: int
    limit: float
    diff: float
    compare: float
    replay: float
    size: int


def make_catalog(tables: int) -> Catalog:
    return Catalog(
        reader="bench/1",
        source="bench",
        schemas=tuple(Schema(name=f"s{i:04}") for i in range((tables + 999) // 1000)),
        tables=tuple(make_table(i) for i in range(tables)),
    )


def make_table(number: int) -> Table:
    return Table(
        schema=f"s{number // 1000:04}",
        name=f"table_{number:06}",
        columns=tuple(
            Column(
                name=f"column_{number}_{place}",
                type=TYPES[place % 3],
                nullable=bool(place),
                ordinal=place + 1,
                native_num=place + 1,
            )
            for place in range(COLUMNS)
        ),
        keys=(Key(kind=KeyKind.PRIMARY, columns=(f"column_{number}_0",)),),
        native_id=number + 1,
    )


def moved_by(catalog: Catalog, share: float, salt: int) -> Catalog:
    """Give another type to one column of each so many tables."""
    if not share:
        return catalog
    tables = list(catalog.tables)
    step = round(1 / share)
    for place in range(salt % step, len(tables), step):
        columns = list(tables[place].columns)
        columns[salt % COLUMNS] = replace(columns[salt % COLUMNS], type=f"varchar({salt})")
        tables[place] = replace(tables[place], columns=tuple(columns))
    return replace(catalog, tables=tuple(tables))


def median(work: Callable[[], object], tries: int = TRIES) -> float:
    times = []
    for _ in range(tries):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure_limit(columns: int) -> float:
    """Scan two columns of that many hashes."""
    with duckdb.connect(":memory:") as connection:
        connection.execute(
            "CREATE TABLE h AS SELECT hash(range) AS old, hash(range + 1) AS new FROM range($n)",
            {"n": columns},
        )
        return median(lambda: connection.execute("SELECT max(old), max(new) FROM h").fetchall())


def measure_diff(path: Path, rows: list[tuple[object, ...]]) -> float:
    """Time the query alone, on a cache that is open and a catalog that is loaded."""

    def work(connection: duckdb.DuckDBPyConnection) -> float:
        comparing.load(connection, rows)
        return median(lambda: comparing.find_moved(connection))

    return opening.read(path, work, wait_seconds=0)


async def take(cache: SnapshotCache, catalog: Catalog, number: int) -> tuple[float, float]:
    """Return the seconds of compare (median) and of replay."""
    times = []
    for _ in range(3):
        gc.collect()
        start = time.perf_counter()
        delta, _ = await cache.compare(catalog, ignore=())
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    await cache.replay([(SnapshotNumber(number), delta)] if delta else [])
    return statistics.median(times), time.perf_counter() - start


async def measure_diffs(folder: Path, tables: int) -> list[Row]:
    path = folder / "diff.duckdb"
    cache = SnapshotCache(path)
    catalog = make_catalog(tables)
    await take(cache, catalog, 1)
    found = []
    for number, share in enumerate(SHARES, start=1):
        now = moved_by(catalog, share, number)
        rows = comparing.fingerprint_rows(now)
        limit, diff = measure_limit(tables * COLUMNS), measure_diff(path, rows)
        compare, replay = await take(cache, now, number)
        moved = sum(a is not b for a, b in zip(catalog.tables, now.tables, strict=True))
        found.append(
            Row(
                share=share,
                moved=moved,
                limit=limit,
                diff=diff,
                compare=compare,
                replay=replay,
                size=path.stat().st_size,
            )
        )
        catalog = now
    return found


async def measure_sizes(folder: Path, tables: int, snapshots: int = 100) -> tuple[int, int]:
    """Return the file's bytes after one snapshot, and after so many with 0.1% churn each."""
    path = folder / "size.duckdb"
    cache = SnapshotCache(path)
    catalog = make_catalog(tables)
    sizes = []
    for number in range(1, snapshots + 1):
        delta, _ = await cache.compare(catalog, ignore=())
        await cache.replay([(SnapshotNumber(number), delta)])
        if number in (1, snapshots):
            sizes.append(path.stat().st_size)
        catalog = moved_by(catalog, 0.001, number)
    return sizes[0], sizes[1]


def describe(rows: list[Row], sizes: tuple[int, int], tables: int, size_tables: int) -> str:
    names = ("moved tables", "limit ms", "diff ms", "diff/limit", "compare ms", "compare/limit")
    lines = [
        f"| {tables:,} tables x {COLUMNS} columns | {' | '.join(names)} | replay ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.share:.1%} moved | {row.moved:,} | {row.limit * 1e3:.1f} | {row.diff * 1e3:.1f}"
        f" | {row.diff / row.limit:.1f} | {row.compare * 1e3:.0f}"
        f" | {row.compare / row.limit:.0f} | {row.replay * 1e3:.0f} |"
        for row in rows
    ]
    first, last = (size / 1e6 for size in sizes)
    lines.append(
        f"\nSize at {size_tables:,} tables: {first:.1f} MB after 1 snapshot,"
        f" {last:.1f} MB after 100 with 0.1% churn each."
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=100_000)
    parser.add_argument("--size-tables", type=int, default=20_000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = anyio.run(measure_diffs, Path(folder), given.tables)
        sizes = anyio.run(measure_sizes, Path(folder), given.size_tables)
    print(describe(rows, sizes, given.tables, given.size_tables))
    if given.out:
        document = {
            "tables": given.tables,
            "columns": COLUMNS,
            "rows": [vars(row) for row in rows],
            "size_tables": given.size_tables,
            "sizes": {"after_1": sizes[0], "after_100": sizes[1]},
        }
        given.out.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
