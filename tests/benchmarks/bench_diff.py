"""What a look at a large catalog costs, against the least that it must do.

    python -m tests.benchmarks.bench_diff [--tables 100000] [--out FILE]

`diff` is the query that finds the tables that moved; its limit, taken in turns with it, is DuckDB
scanning two columns that hold a 64-bit hash for each column of both catalogs (promised: 3 times
the limit at 0.1%, 6 times at 5%). A `cycle` is all that a look pays once the catalog is read:
open the cache, fingerprint the catalog's Python objects, diff, read the old versions, write the
delta to the log, commit, write the versions, commit (at 0.1% under 2 times the unchanged one, and
under 300 MB beyond the catalog itself; the first one is that of an empty cache). An as-of read
is compared with a file that holds that snapshot alone, read into the same objects (3 times).
A hundred snapshots with 0.1% churn each take under 1.5 times the bytes of one. Medians.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
import duckdb

from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import Catalog, Column, Key, KeyKind, Schema, SnapshotNumber, Table
from amxwatch.core.change import Delta
from amxwatch.ports.ledger import Tx
from amxwatch.stores.ledger import SqlLedger, open_ledger
from amxwatch.stores.snapshots import SnapshotCache, comparing, opening, reading
from amxwatch.stores.snapshots.rows import read_table

COLUMNS = 10
MOST_DIFF = {0.001: 3.0, 0.05: 6.0}
MOST_CYCLE = 2.0
MOST_MEGABYTES = 300
MOST_GROWTH = 1.5
MOST_AS_OF = 3.0
TYPES = ("integer", "character varying(255)", "timestamp with time zone")
TRIES = 15


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


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def medians(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Time two things in turns, so that what else the machine does strikes both."""
    pairs = [(seconds(one), seconds(other)) for _ in range(TRIES)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


class Memory:
    """The most memory that this process held since `reset`, in bytes."""

    def __init__(self) -> None:
        self.most = 0

    @staticmethod
    def now() -> int:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * 4096

    def reset(self) -> None:
        gc.collect()
        self.most = self.now()

    @contextmanager
    def watched(self) -> Iterator[None]:
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.005):
                self.most = max(self.most, self.now())

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@dataclass
class Store:
    """A cache and a log, used as a look uses them."""

    cache: SnapshotCache
    ledger: SqlLedger
    number: int = 0

    @classmethod
    def new(cls, folder: Path, name: str) -> Store:
        ledger = open_ledger(folder / f"{name}.db", SystemClock())
        return cls(SnapshotCache(folder / f"{name}.duckdb"), ledger)

    async def cycle(self, catalog: Catalog) -> tuple[float, float, float]:
        """Look once; return the seconds of compare, log and replay."""
        start = time.perf_counter()
        delta, _ = await self.cache.compare(catalog, ignore=())
        compared = time.perf_counter()
        if self.number and not delta:
            return compared - start, 0.0, 0.0
        self.number += 1
        await self.ledger.write(lambda tx: self._append(tx, delta))
        logged = time.perf_counter()
        await self.cache.replay([(SnapshotNumber(self.number), delta)])
        return compared - start, logged - compared, time.perf_counter() - logged

    def _append(self, tx: Tx, delta: Delta) -> None:
        tx.snapshots.append(
            "bench",
            delta,
            at=datetime.now(UTC),
            after=SnapshotNumber(self.number - 1) or None,
            tables=0,
            columns=0,
            changes=0,
        )


def measure_diff(path: Path, catalog: Catalog, share: float) -> dict[str, object]:
    """Time the query beside its limit, on a cache that is open and a catalog that is loaded."""
    columns = len(catalog.tables) * COLUMNS
    rows = comparing.fingerprint_rows(catalog.tables)

    def work(connection: duckdb.DuckDBPyConnection) -> tuple[float, float]:
        comparing.load(connection, rows)
        connection.execute(
            "CREATE TEMP TABLE h AS"
            " SELECT hash(range) AS old, hash(range + 1) AS new FROM range($n)",
            {"n": columns},
        )
        return medians(
            lambda: comparing.find_moved(connection),
            lambda: connection.execute("SELECT max(old), max(new) FROM h").fetchall(),
        )

    diff, limit = opening.read(path, work, wait_seconds=0)
    return {
        "moved": f"{share:.1%}",
        "diff_ms": diff * 1e3,
        "limit_ms": limit * 1e3,
        "diff_to_limit": diff / limit,
        "promised": MOST_DIFF.get(share),
    }


async def measure_cycles(
    folder: Path, tables: int
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return the rows of the diffs and of the cycles."""
    memory, catalog = Memory(), make_catalog(tables)
    store = Store.new(folder, "cycle")
    diffs, cycles, unchanged = [], [], 0.0
    for name, share in (("first", None), ("unchanged", 0.0), ("0.1%", 0.001), ("5.0%", 0.05)):
        taken = []
        for salt in range(1 if share is None else 5):
            now = moved_by(catalog, share, store.number + salt) if share else catalog
            memory.reset()
            before = memory.most
            with memory.watched():
                taken.append((*await store.cycle(now), memory.most - before))
            catalog = now
        if share is not None:
            now = moved_by(catalog, share, 7)
            diffs.append(measure_diff(folder / "cycle.duckdb", now, share))
        compare, log, replay, most = (statistics.median(part) for part in zip(*taken, strict=True))
        whole = compare + log + replay
        unchanged = whole if share == 0.0 else unchanged
        cycles.append(
            {
                "cycle": name,
                "seconds": whole,
                "compare": compare,
                "log": log,
                "replay": replay,
                "to_unchanged": whole / unchanged if unchanged else None,
                "peak_megabytes": most / 1e6,
            }
        )
    await store.ledger.aclose()
    return diffs, cycles


async def measure_age(folder: Path, tables: int, snapshots: int = 100) -> dict[str, object]:
    """Return what a hundred snapshots take, and what it takes to read one in the middle."""
    store, catalog = Store.new(folder, "age"), make_catalog(tables)
    sizes = []
    for number in range(1, snapshots + 1):
        await store.cycle(catalog)
        if number in (1, snapshots):
            sizes.append(await store.cache.size())
        catalog = moved_by(catalog, 0.001, number)
    await store.ledger.aclose()
    as_of, copy = measure_as_of(folder, SnapshotNumber(snapshots // 2))
    return {
        "tables": tables,
        "bytes_of_one": sizes[0],
        "bytes_of_100": sizes[1],
        "growth": sizes[1] / sizes[0],
        "as_of_ms": as_of * 1e3,
        "copy_ms": copy * 1e3,
        "as_of_to_copy": as_of / copy,
    }


def measure_as_of(folder: Path, number: SnapshotNumber) -> tuple[float, float]:
    """Time an as-of read beside one of a file that holds that snapshot alone."""
    path, copy = folder / "age.duckdb", folder / "copy.duckdb"
    with duckdb.connect(copy) as connection:
        connection.execute(f"ATTACH '{path}' AS age (READ_ONLY)")
        connection.execute(
            "CREATE TABLE tbl AS SELECT fp, body, row_estimate, key_names FROM age.tbl"
            f" WHERE valid_from <= {number} AND (valid_to IS NULL OR valid_to > {number})"
        )

    def plain() -> object:
        with duckdb.connect(copy, read_only=True) as connection:
            rows = connection.execute("SELECT fp, body, row_estimate, key_names FROM tbl")
            return [read_table(*row) for row in rows.fetchall()]

    def as_of() -> object:
        return opening.read(path, lambda opened: reading.as_of(opened, number), wait_seconds=0)

    return medians(as_of, plain)


async def measure_first(folder: Path, tables: int = 10_000) -> dict[str, object]:
    """Return what the first snapshot of a usual catalog costs, its parts apart."""
    catalog = make_catalog(tables)
    taken = []
    for place in range(5):
        store = Store.new(folder, f"first_{place}")
        taken.append(await store.cycle(catalog))
        await store.ledger.aclose()
    compare, log, replay = (statistics.median(part) for part in zip(*taken, strict=True))
    return {
        "tables": tables,
        "seconds": compare + log + replay,
        "compare": compare,
        "log": log,
        "replay": replay,
    }


def is_kept(document: dict[str, object]) -> bool:
    """Claim that every promise is kept."""
    diffs, cycles, age = document["diffs"], document["cycles"], document["age"]
    assert isinstance(diffs, list)
    assert isinstance(cycles, list)
    assert isinstance(age, dict)
    return (
        all(row["diff_to_limit"] <= row["promised"] for row in diffs if row["promised"])
        and all(row["to_unchanged"] < MOST_CYCLE for row in cycles if row["cycle"] == "0.1%")
        and all(row["peak_megabytes"] < MOST_MEGABYTES for row in cycles)
        and age["growth"] < MOST_GROWTH
        and age["as_of_to_copy"] <= MOST_AS_OF
    )


async def measure(folder: Path, tables: int, age_tables: int) -> dict[str, object]:
    diffs, cycles = await measure_cycles(folder, tables)
    return {
        "tables": tables,
        "columns": COLUMNS,
        "diffs": diffs,
        "cycles": cycles,
        "first_snapshot": await measure_first(folder),
        "age": await measure_age(folder, age_tables),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=100_000)
    parser.add_argument("--age-tables", type=int, default=20_000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        document = anyio.run(measure, Path(folder), given.tables, given.age_tables)
    text = json.dumps(document, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n", encoding="utf-8")
    return 0 if is_kept(document) else 1


if __name__ == "__main__":
    sys.exit(main())
