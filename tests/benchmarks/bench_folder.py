"""What it costs to look at files: a folder of SQL, and database files, as little of them moves.

A folder of 1,000 files (a CREATE TABLE of 10 columns and 6 COMMENTs each) is read cold, after an
edit of one file, and again with nothing moved. The limit is `sqlglot.parse` of the same texts in
the same run; the process that parses is started before, and what its start takes stands beside
it. The promises: the cold read within 2.5 times the limit, the edit 50 times cheaper than the
cold read, nothing moved within 5 ms; what the bare `stat` of the same files takes stands before it.

The database files hold 1,000 tables of 10 columns; an edit there adds a column to one of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import duckdb
import sqlglot

from amxwatch import databases
from amxwatch.clocks.system import SystemClock
from amxwatch.ports.database import Database
from amxwatch.ports.partial import PartialReader

COLUMNS = (
    "id integer PRIMARY KEY",
    "name varchar(80) NOT NULL",
    "email varchar(120)",
    "status varchar(20)",
    "amount numeric(12, 2) DEFAULT 0",
    "created_at timestamp",
    "updated_at timestamp",
    "note text",
    "parent_id integer",
    "is_active boolean",
)
COMMENTED = ("name", "email", "status", "amount", "note")
MOST_COLD = 2.5
LEAST_GAIN = 50.0
MOST_IDLE_MS = 5.0


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Medians of the folder. `cold_with_start` counts the start of the parsing process too."""

    files: int
    parse_ms: float
    cold_ms: float
    cold_by_parse: float
    cold_with_start_ms: float
    edit_ms: float
    cold_by_edit: float
    stats_ms: float
    nothing_ms: float

    @property
    def keeps_the_promise(self) -> bool:
        return (
            self.cold_by_parse <= MOST_COLD
            and self.cold_by_edit >= LEAST_GAIN
            and self.nothing_ms <= MOST_IDLE_MS
        )


@dataclass(frozen=True, kw_only=True)
class File:
    """Medians of one database file."""

    file: str
    tables: int
    read_ms: float
    gate_ms: float
    gate_moved_ms: float
    edit_ms: float


def create(number: int) -> str:
    return f"CREATE TABLE table_{number:04d} ({', '.join(COLUMNS)});\n"


def text(number: int, said: str) -> str:
    name = f"table_{number:04d}"
    comments = [f"COMMENT ON TABLE {name} IS 'Number {number}: {said}.';"]
    comments += [f"COMMENT ON COLUMN {name}.{each} IS 'Its {each}.';" for each in COMMENTED]
    return create(number) + "\n".join(comments) + "\n"


def connect(url: str) -> Database:
    options = databases.ConnectOptions(clock=SystemClock())
    return databases.connect(url, relative_to=Path("/"), options=options)


async def took(work: Callable[[], Awaitable[object]]) -> float:
    """Return the milliseconds that it takes."""
    started = time.perf_counter()
    await work()
    return (time.perf_counter() - started) * 1e3


def parse_all(texts: list[str]) -> float:
    """Return the milliseconds of the limit: the same texts through sqlglot alone."""
    started = time.perf_counter()
    for each in texts:
        sqlglot.parse(each, read="postgres")
    return (time.perf_counter() - started) * 1e3


def stat_all(root: Path) -> float:
    """Return the milliseconds of the least that a look at files is: to list and `stat` them."""
    started = time.perf_counter()
    with os.scandir(root) as listed:
        for entry in listed:
            entry.stat()
    return (time.perf_counter() - started) * 1e3


async def look(database: Database) -> None:
    """Do what a poll does when the gate has moved."""
    await database.reader.gate()
    assert isinstance(database.reader, PartialReader)
    if await database.reader.read_moved() is None:
        await database.reader.read()


async def measure_folder(root: Path, files: int, rounds: int) -> Folder:
    root.mkdir()
    texts = [text(number, "as it was made") for number in range(files)]
    for number, each in enumerate(texts):
        (root / f"table_{number:04d}.sql").write_text(each, encoding="utf-8")
    url = f"ddl:///{root}?dialect=postgres"
    with_start = await took(lambda: look(connect(url)))
    parse, cold, edit, stats, nothing = [], [], [], [], []
    for turn in range(rounds):
        parse.append(parse_all(texts))
        database = connect(url)
        cold.append(await took(lambda database=database: look(database)))
        await look(database)  # stamps are believed when seen twice
        stats.append(stat_all(root))
        nothing.append(await took(database.reader.gate))
        for number in range(5):
            edited = root / f"table_{number * 7:04d}.sql"
            edited.write_text(text(number * 7, f"edit {turn}"), encoding="utf-8")
            edit.append(await took(lambda database=database: look(database)))
    limit, whole, one = (statistics.median(each) for each in (parse, cold, edit))
    return Folder(
        files=files,
        parse_ms=limit,
        cold_ms=whole,
        cold_by_parse=whole / limit,
        cold_with_start_ms=with_start,
        edit_ms=one,
        cold_by_edit=whole / one,
        stats_ms=statistics.median(stats),
        nothing_ms=statistics.median(nothing),
    )


async def measure_file(
    name: str, url: str, alter: Callable[[int], None], tables: int, rounds: int
) -> File:
    read, gate, moved, edit = [], [], [], []
    database = connect(url)
    for number in range(rounds):
        read.append(await took(database.reader.read))
        alter(number)
        moved.append(await took(database.reader.gate))
        partial = database.reader
        if isinstance(partial, PartialReader):
            edit.append(await took(partial.read_moved))
        else:
            edit.append(await took(database.reader.read))
        await anyio.sleep(1.1)  # after which a stamp is believed
        await database.reader.gate()
        gate.append(await took(database.reader.gate))
    return File(
        file=name,
        tables=tables,
        read_ms=statistics.median(read),
        gate_ms=statistics.median(gate),
        gate_moved_ms=statistics.median(moved),
        edit_ms=statistics.median(edit),
    )


async def measure_files(root: Path, tables: int, rounds: int) -> list[File]:
    lite, duck = root / "source.db", root / "source.duckdb"
    script = "".join(map(create, range(tables)))
    with closing(sqlite3.connect(lite)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN;{script}COMMIT;")
    with duckdb.connect(str(duck)) as connection:
        connection.execute(script)

    def alter_lite(number: int) -> None:
        with closing(sqlite3.connect(lite)) as writer:
            writer.execute(f"ALTER TABLE table_0007 ADD COLUMN more_{number} text")

    def alter_duck(number: int) -> None:
        with duckdb.connect(str(duck)) as writer:
            writer.execute(f"ALTER TABLE table_0007 ADD COLUMN more_{number} text")

    return [
        await measure_file("SQLite, WAL", f"sqlite:///{lite}", alter_lite, tables, rounds),
        await measure_file("DuckDB", f"duckdb:///{duck}", alter_duck, tables, rounds),
    ]


async def measure(root: Path, tables: int, rounds: int) -> tuple[Folder, list[File]]:
    folder = await measure_folder(root / "models", tables, rounds)
    return folder, await measure_files(root, tables, rounds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="amxwatch-folder-") as root:
        folder, files = anyio.run(measure, Path(root), asked.tables, asked.rounds)
    for row in (folder, *files):
        print(
            " ".join(
                f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}"
                for k, v in asdict(row).items()
            )
        )
    if asked.out is not None:
        document = {"folder": asdict(folder), "files": [asdict(each) for each in files]}
        asked.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0 if folder.keeps_the_promise else 1


if __name__ == "__main__":
    raise SystemExit(main())
