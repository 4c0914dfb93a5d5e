"""What it costs to read PostgreSQL's catalog, and to see that it did not move.

    python -m tests.benchmarks.bench_postgres [--tables 10000] [--no-peers] [--out FILE]

Tables of 10 columns each, a twentieth as many views, some keys, defaults and comments, on a server
that the benchmark starts. The limit, taken in the same run, is six raw `COPY`s of the rows that
any reader needs. `snapshot` is read, compare, ledger and cache together; the first look
also hashes the catalog for the gate, and tells of every table as added. Medians.

Peers are run where they are installed, each in a process of its own: SQLAlchemy and alembic beside
us; schemainspect, migra and DataHub's ingestion by the Python that `AMXWATCH_PEERS_PYTHON` names.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import anyio
import psycopg

from amxwatch import databases
from amxwatch.clocks.system import SystemClock
from amxwatch.daemon.wiring import open_install
from amxwatch.flows.source import Source
from amxwatch.flows.watch import look
from amxwatch.ports.partial import PartialReader
from tests.benchmarks.scene import served

COLUMNS = 10
TYPES = (
    "integer",
    "character varying(40)",
    "timestamp with time zone DEFAULT now()",
    "numeric(12, 2)",
    "text",
    "boolean DEFAULT false",
    "bigint",
    "date",
    "double precision",
)
USERS = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
OF_USERS = (
    "JOIN pg_class c ON c.oid = {oid} AND c.relkind IN ('r', 'p', 'v', 'm', 'f') "
    f"JOIN pg_namespace n ON n.oid = c.relnamespace AND {USERS}"
)
COPIES = (
    f"SELECT n.oid, n.nspname FROM pg_namespace n WHERE {USERS}",
    "SELECT c.oid, c.relname, c.relnamespace, c.relkind, c.reltuples FROM pg_class c0 "
    + OF_USERS.format(oid="c0.oid"),
    "SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, "
    "a.attidentity, a.attgenerated FROM pg_attribute a "
    + OF_USERS.format(oid="a.attrelid")
    + " WHERE a.attnum > 0 AND NOT a.attisdropped",
    "SELECT d.adrelid, d.adnum, d.adbin FROM pg_attrdef d " + OF_USERS.format(oid="d.adrelid"),
    "SELECT k.conrelid, k.conname, k.contype, k.conkey, k.confrelid, k.confkey "
    "FROM pg_constraint k "
    + OF_USERS.format(oid="k.conrelid")
    + " WHERE k.contype IN ('p', 'f', 'u')",
    "SELECT d.objoid, d.objsubid, d.description FROM pg_description d "
    + OF_USERS.format(oid="d.objoid"),
)

SQLALCHEMY = """
engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
inspector = sqlalchemy.inspect(engine)
schemas = [s for s in inspector.get_schema_names() if s != "information_schema"]
"""
SCHEMAINSPECT = """
from sqlbag import S
with S(url) as session:
    schemainspect.get_inspector(session)
"""
MIGRA = """
from sqlbag import S
with S(url) as one, S(url) as other:
    migration = migra.Migration(one, other)
    migration.add_all_changes()
"""
DATAHUB = """
from datahub.ingestion.run.pipeline import Pipeline
from urllib.parse import urlsplit
at = urlsplit(url)
source = {"host_port": at.netloc.rpartition("@")[2], "username": at.username,
    "database": at.path[1:]}
sink = {"type": "file", "config": {"filename": folder + "/datahub.json"}}
Pipeline.create({"source": {"type": "postgres", "config": source}, "sink": sink}).run()
"""
PEERS = {
    "SQLAlchemy get_multi_*": (
        "sqlalchemy",
        SQLALCHEMY + "every = sqlalchemy.engine.reflection.ObjectKind.ANY\n"
        "for schema in schemas:\n"
        "    for part in ('columns', 'pk_constraint', 'foreign_keys', 'unique_constraints',\n"
        "                 'table_comment'):\n"
        "        dict(getattr(inspector, 'get_multi_' + part)(schema=schema, kind=every))\n"
        "    for view in inspector.get_view_names(schema=schema):\n"
        "        inspector.get_view_definition(view, schema=schema)\n",
    ),
    "SQLAlchemy MetaData.reflect": (
        "sqlalchemy",
        SQLALCHEMY + "for schema in schemas:\n"
        "    sqlalchemy.MetaData().reflect(engine, schema=schema, views=True)\n",
    ),
    "alembic compare_metadata": (
        "alembic",
        "from alembic import autogenerate, migration\n" + SQLALCHEMY + "context = "
        "migration.MigrationContext.configure(engine.connect(), opts={'include_schemas': True})\n"
        "autogenerate.compare_metadata(context, sqlalchemy.MetaData())\n",
    ),
    "schemainspect": ("schemainspect", SCHEMAINSPECT),
    "migra": ("migra", MIGRA),
    "DataHub ingestion": ("datahub", DATAHUB),
}
"""Name -> the module that it needs, and what it runs; `url` and `folder` are given."""

PEER_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way to read a catalog, or to see that it did not move."""

    what: str
    seconds: float
    times_limit: float


def build(url: str, tables: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for number in range((tables + 999) // 1000):
            connection.execute(f"CREATE SCHEMA s{number:03}".encode())
        for start in range(0, tables, 250):
            numbers = range(start, min(start + 250, tables))
            script = ";".join(part for number in numbers for part in statements(number))
            connection.execute(f"BEGIN; {script}; COMMIT".encode())
        connection.execute("VACUUM ANALYZE")


def name_of(number: int) -> str:
    return f"s{number // 1000:03}.table_{number:06}"


def statements(number: int) -> Iterator[str]:
    """Yield what makes one table: every fifth refers to another, every tenth is described."""
    columns = [
        f"column_{number}_{place} {TYPES[(number + place) % len(TYPES)]}"
        + (" NOT NULL" if place % 4 == 0 else "")
        for place in range(1, COLUMNS)
    ]
    if number and number % 5 == 0:
        columns[0] = f"parent integer REFERENCES {name_of(number - 1)}"
    yield f"CREATE TABLE {name_of(number)} (id integer PRIMARY KEY, {', '.join(columns)})"
    if number % 10 == 0:
        yield f"COMMENT ON TABLE {name_of(number)} IS 'Table number {number}.'"
        yield f"COMMENT ON COLUMN {name_of(number)}.id IS 'Identifier of {number}.'"
    if number and number % 20 == 0:
        yield (
            f"CREATE VIEW s{number // 1000:03}.view_{number:06} AS SELECT a.id, b.column_"
            f"{number - 1}_2 FROM {name_of(number)} AS a JOIN {name_of(number - 1)} AS b "
            f"ON a.id = b.id WHERE a.id > {number}"
        )


def copy_all(connection: psycopg.Connection[Any]) -> None:
    """Take the rows as they come, and make nothing of them."""
    for query in COPIES:
        with connection.cursor().copy(f"COPY ({query}) TO STDOUT".encode()) as rows:
            for _ in rows:
                pass


async def median(
    work: Callable[[], Awaitable[object]],
    tries: int,
    before: Callable[[], object] = lambda: None,
) -> float:
    times = []
    for _ in range(tries):
        before()
        start = time.perf_counter()
        await work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


async def measure(url: str, tries: int) -> tuple[dict[str, float], float]:
    """Return the seconds of each way of ours, and those of the limit in between."""
    options = databases.ConnectOptions(clock=SystemClock())
    database = databases.connect(url, relative_to=Path(), options=options)
    reader = database.reader
    assert isinstance(reader, PartialReader)
    numbers = count()
    with psycopg.connect(url, autocommit=True) as other:

        async def copies() -> None:
            copy_all(other)

        async def one_changed() -> None:
            await reader_gate()
            patch = await reader.read_moved()
            assert patch is not None
            assert patch.put

        reader_gate = database.reader.gate

        def write() -> None:
            other.execute("SELECT pg_current_xact_id()")

        def change() -> None:
            table = name_of(next(numbers) % 100)
            other.execute(f"ALTER TABLE {table} ADD COLUMN late_{time.time_ns()} int".encode())

        await reader_gate()
        found = {"gated poll": await median(reader_gate, tries * 20)}
        limits = [await median(copies, tries)]
        found |= await measure_snapshots(url, tries)
        limits.append(await median(copies, tries))
        await database.reader.read()
        found["exact poll, nothing changed"] = await median(reader_gate, tries * 2, write)
        found["one changed table"] = await median(one_changed, tries * 2, change)
        found["exact poll, nothing changed"] = min(
            found["exact poll, nothing changed"], await median(reader_gate, tries * 2, write)
        )
    await database.aclose()
    return found, statistics.mean(limits)


async def measure_snapshots(url: str, tries: int) -> dict[str, float]:
    """Return the seconds of the steps of a first snapshot, their sum, and a whole first look."""
    steps: dict[str, list[float]] = {}
    for _ in range(tries):
        async with fresh_source(url) as source:
            await source.database.reader.gate()
            for name, seconds in (await snapshot(source)).items():
                steps.setdefault(name, []).append(seconds)
        async with fresh_source(url) as source:
            start = time.perf_counter()
            assert (await look(source)).snapshot == 1
            steps.setdefault("first look, gate and events included", []).append(
                time.perf_counter() - start
            )
    return {name: statistics.median(times) for name, times in steps.items()}


@asynccontextmanager
async def fresh_source(url: str) -> AsyncIterator[Source]:
    """Open an install that never looked at the database."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config"
        config.mkdir(mode=0o700)
        (config / "amxwatch.toml").write_text(f'[db_profiles.source]\nurl = "{url}"\n')
        async with open_install(config) as install:
            yield install.source("source")


async def snapshot(source: Source) -> dict[str, float]:
    """Do what a look does with a catalog that is new to it, and time each step."""
    marks = [time.perf_counter()]
    catalog = await source.database.reader.read()
    marks.append(time.perf_counter())
    delta, _ = await source.snapshots.compare(catalog, ignore=())
    marks.append(time.perf_counter())
    tables = len(catalog.tables)
    number = await source.ledger.write(
        lambda tx: tx.snapshots.append(
            "source",
            delta,
            at=datetime.now(UTC),
            after=None,
            tables=tables,
            columns=tables * COLUMNS,
            changes=tables,
        )
    )
    assert number == 1
    marks.append(time.perf_counter())
    await source.catch_up((number, delta))
    marks.append(time.perf_counter())
    names = ("snapshot: read", "snapshot: compare", "snapshot: ledger", "snapshot: cache")
    found = dict(zip(names, (b - a for a, b in pairwise(marks)), strict=True))
    return found | {"snapshot": marks[-1] - marks[0]}


def measure_peers(url: str) -> dict[str, float]:
    """Return the seconds of each peer that is installed, connecting included."""
    found = {}
    for name, (module, code) in PEERS.items():
        for python in filter(None, (sys.executable, os.environ.get("AMXWATCH_PEERS_PYTHON"))):
            seconds = peer_seconds(python, module, code, url)
            if seconds is not None:
                found[name] = seconds
                break
    return found


def peer_seconds(python: str, module: str, code: str, url: str) -> float | None:
    with tempfile.TemporaryDirectory() as folder:
        script = (
            f"import importlib.util, time\nurl, folder = {url!r}, {folder!r}\n"
            f"if importlib.util.find_spec({module!r}) is None:\n    raise SystemExit(3)\n"
            f"import {module}\ntry:\n    import sqlalchemy, sqlalchemy.engine.reflection\n"
            "except ImportError:\n    pass\n"
            f"start = time.perf_counter()\n{code}"
            "print('SECONDS', time.perf_counter() - start)\n"
        )
        try:
            done = subprocess.run(
                [python, "-c", script],
                capture_output=True,
                text=True,
                check=False,
                timeout=PEER_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return float(PEER_SECONDS)
    if done.returncode == 3:
        return None
    if done.returncode or "SECONDS" not in done.stdout:
        print(f"  {module} did not run: {done.stderr.strip().splitlines()[-1:]}", flush=True)
        return None
    return float(done.stdout.rpartition("SECONDS")[2])


def promises(found: dict[str, float], limit: float) -> list[dict[str, Any]]:
    """Return what is promised, what was reached, and whether that is enough."""
    exact = found["exact poll, nothing changed"]
    kept = [
        ("snapshot / six COPYs", found["snapshot"] / limit, 2.2),
        ("gated poll, ms", found["gated poll"] * 1000, 1.0),
        ("exact poll / snapshot", exact / found["snapshot"], 0.2),
        ("one changed table / exact poll", found["one changed table"] / exact, 1.3),
    ]
    return [
        {"what": what, "reached": reached, "at_most": most, "kept": reached <= most}
        for what, reached, most in kept
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=10_000)
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with served() as server:
        url = server.url("postgres")
        build(url, given.tables)
        found, limit = anyio.run(measure, url, given.tries)
        peers = {} if given.no_peers else measure_peers(url)
    rows = [Row(what="six raw COPYs", seconds=limit, times_limit=1.0)]
    rows += [
        Row(what=what, seconds=seconds, times_limit=seconds / limit)
        for what, seconds in (found | peers).items()
    ]
    for row in rows:
        print(f"{row.what:32} {row.seconds * 1000:10.2f} ms {row.times_limit:8.3f} x")
    judged = promises(found, limit)
    for each in judged:
        word = "kept" if each["kept"] else "NOT KEPT"
        print(f"{each['what']:32} {each['reached']:10.3f} of {each['at_most']} {word}")
    if given.out:
        document = {
            "tables": given.tables,
            "columns": COLUMNS,
            "views": max(given.tables - 1, 0) // 20,
            "rows": [asdict(row) for row in rows],
            "promises": judged,
        }
        given.out.write_text(json.dumps(document, indent=2) + "\n")
    ahead = all(found["snapshot"] < seconds for seconds in peers.values())
    return 0 if ahead and all(each["kept"] for each in judged) else 1


if __name__ == "__main__":
    raise SystemExit(main())
