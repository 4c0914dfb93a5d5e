"""DuckDB and SQLite files as they are: locks, damage, swaps, and schemas that others wrote."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import duckdb
import pytest

from amxwatch import databases
from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import Catalog, KeyKind, ObjectRef, ObjectType, Table
from amxwatch.core.errors import DatabaseError, DatabaseUnavailableError
from amxwatch.ports.database import CommentTarget, Database

HOLD = """
import sys, duckdb
with duckdb.connect(sys.argv[1]) as connection:
    print("held", flush=True)
    sys.stdin.readline()
"""


class HurriedClock(SystemClock):
    """Tells the real time, and does not wait; `slept` is called instead."""

    def __init__(self, slept: Callable[[], None] = lambda: None) -> None:
        self._slept = slept
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self._slept()
        await super().sleep(0)


def connect(scheme: str, path: Path, clock: SystemClock | None = None) -> Database:
    options = databases.ConnectOptions(clock=clock or SystemClock(), statement_seconds=20)
    return databases.connect(f"{scheme}:///{path}", relative_to=Path(), options=options)


def table_of(catalog: Catalog, name: str) -> Table:
    found = catalog.table("main", name)
    assert found is not None
    return found


def make(path: Path, script: str) -> None:
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path)) as connection:
            connection.execute(script)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(script)


def age(path: Path) -> None:
    """Let a file's last write be long ago."""
    for each in (path, path.with_name(path.name + ".wal")):
        if each.exists():
            earlier = each.stat().st_mtime_ns - 10**9
            os.utime(each, ns=(earlier, earlier))


@contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process have the DuckDB file open for writing."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("scheme", ["sqlite", "duckdb"])
@pytest.mark.parametrize("version", ["5.3", "5.4"])
async def test_a_real_schema_is_read_whole(
    scheme: str, version: str, cases: Path, tmp_path: Path
) -> None:
    script = (cases / "c_schemas" / "omop_cdm" / f"omop_{scheme}_{version}.sql").read_text()
    path = tmp_path / f"omop.{scheme}"
    make(path, script)
    catalog = await connect(scheme, path).reader.read()
    created = [line.split()[2].strip("(") for line in script.splitlines() if "CREATE TABLE" in line]
    assert {table.name for table in catalog.tables} == {name.lower() for name in created}
    person = table_of(catalog, "person")
    assert [column.nullable for column in person.columns[:4]] == [False, False, False, True]


async def test_an_sqlite_schema_through_its_history(cases: Path, tmp_path: Path) -> None:
    folder = cases / "c_schemas" / "roundcube_sqlite"
    before: tuple[Table, ...] = ()
    for version in json.loads((folder / "expected.json").read_text())["versions"]:
        if version.get("engine_rejected"):
            continue
        path = tmp_path / version["file"]
        make(path, (folder / version["file"]).read_text())
        catalog = await connect("sqlite", path).reader.read()
        assert len(catalog.tables) == version["tables"], version["file"]
        assert sum(len(table.columns) for table in catalog.tables) == version["columns"]
        if version["cosmetic"]:
            assert catalog.tables == before, version["file"]
        before = catalog.tables


async def test_a_duckdb_lock_is_waited_for_and_then_said(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    make(path, "CREATE TABLE t (a INTEGER)")
    clock = HurriedClock()
    database = connect("duckdb", path, clock)
    target = CommentTarget(ref=ObjectRef(schema="main", table="t"), type=ObjectType.TABLE)
    with held(path) as process:
        for attempt in (database.reader.read, lambda: database.commenter.execute(target, "x")):
            clock.waits.clear()
            with pytest.raises(DatabaseUnavailableError, match=f"PID {process.pid}"):
                await attempt()
            assert 3 < len(clock.waits) < 20
            assert sum(clock.waits) < 10
        assert await database.reader.gate()  # needs no lock
    assert len((await database.reader.read()).tables) == 1


async def test_a_duckdb_lock_that_is_given_up_is_not_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    make(path, "CREATE TABLE t (a INTEGER)")
    with held(path) as process:

        def let_go() -> None:
            process.kill()
            process.wait()

        assert len((await connect("duckdb", path, HurriedClock(let_go)).reader.read()).tables) == 1


async def test_a_duckdb_file_open_elsewhere_in_this_process_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    make(path, "CREATE TABLE t (a INTEGER)")
    writer = duckdb.connect(str(path))
    catalog = await connect("duckdb", path, HurriedClock(writer.close)).reader.read()
    assert len(catalog.tables) == 1


async def test_two_profiles_on_one_duckdb_file_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    make(path, "CREATE TABLE t (a INTEGER)")
    (tmp_path / "link.duckdb").symlink_to(path)
    one, two = connect("duckdb", path), connect("duckdb", tmp_path / "link.duckdb")
    target = CommentTarget(ref=ObjectRef(schema="main", table="t"), type=ObjectType.TABLE)
    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(one.reader.read)
            tasks.start_soon(two.commenter.execute, target, f"text {number}")
    assert (await two.reader.read()).source == f"duckdb:{tmp_path / 'link.duckdb'}"


async def test_a_duckdb_gate_trusts_no_time_stamp_of_this_moment(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    make(path, "CREATE TABLE t (a INTEGER)")
    reader = connect("duckdb", path).reader
    now = path.stat().st_mtime_ns + 10**12
    os.utime(path, ns=(now, now))
    assert await reader.gate() != await reader.gate()
    age(path)
    os.utime(path, ns=(10**18, 10**18))
    assert await reader.gate() == await reader.gate()


async def test_a_duckdb_change_still_in_the_log_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    make(path, "CREATE TABLE t (a INTEGER)")
    age(path)
    reader = connect("duckdb", path).reader
    before = await reader.gate()
    # Copied as a crash would leave it: the file as it was, and the change in the log.
    copy = tmp_path / "copy.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE u (a INTEGER)")
        for suffix in ("", ".wal"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    for suffix in ("", ".wal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
        Path(f"{copy}{suffix}").rename(f"{path}{suffix}")
    age(path)
    assert await reader.gate() != before
    assert len((await reader.read()).tables) == 2


async def test_duckdb_reads_every_kind_of_object(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    make(
        path,
        """
        CREATE TABLE t (a INTEGER, g INTEGER GENERATED ALWAYS AS (a + 1), s STRUCT(x INTEGER[]),
          ts TIMESTAMPTZ, b BLOB, big VARCHAR, "un known" JSON);
        INSERT INTO t (a, s, ts, b, big) VALUES (1, {x: [1]}, '2024-01-01', 'x', repeat('y', 9999));
        INSERT INTO t (a) VALUES (NULL);
        CREATE VIEW "a AS b" (c, "d AS e") AS SELECT a, big FROM t;
        CREATE TEMP TABLE fleeting (a INTEGER);
        CREATE TABLE gone (a INTEGER);
        CREATE VIEW broken AS SELECT * FROM gone;
        DROP TABLE gone;
        """,
    )
    database = connect("duckdb", path)
    catalog = await database.reader.read()
    assert [table.name for table in catalog.tables] == ["a AS b", "broken", "t"]
    t = table_of(catalog, "t")
    assert (t.columns[1].default or "").startswith("GENERATED ALWAYS AS (")
    view = table_of(catalog, "a AS b")
    assert view.definition == "SELECT a, big FROM t"
    assert [column.name for column in view.columns] == ["c", "d AS e"]
    sample = await database.sampler.sample(t, rows=10, full=True)
    assert sample.row_count == len(sample.rows) == 2
    assert sample.totals["s"].distinct == 1
    assert max(len(str(value)) for row in sample.rows for value in row) == 4096
    with pytest.raises(DatabaseError) as caught:
        await database.sampler.sample(table_of(catalog, "broken"), rows=1, full=False)
    assert "\n" not in str(caught.value)


async def test_sqlite_reads_every_kind_of_object(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    make(
        path,
        """
        CREATE TABLE "T 1" (a INTEGER PRIMARY KEY, b TEXT NOT NULL DEFAULT 'x', c, -- d AS (e),
          "g AS" INT GENERATED ALWAYS AS ((a + length(')'))) STORED, g2 AS (a * 2), UNIQUE (b, c));
        CREATE UNIQUE INDEX not_a_key ON "T 1" (c);
        CREATE TABLE child (x REFERENCES "t 1", y INT, FOREIGN KEY (y) REFERENCES "t 1" (b));
        CREATE TABLE paired (a TEXT, b INT, PRIMARY KEY (b, a)) WITHOUT ROWID;
        CREATE TABLE counted (a INTEGER PRIMARY KEY AUTOINCREMENT);
        CREATE VIEW /* AS */ [v AS w] (p, "q") AS SELECT a, b FROM "T 1";
        CREATE VIEW broken AS SELECT * FROM gone;
        CREATE VIRTUAL TABLE searched USING fts5(body);
        INSERT INTO paired VALUES ('x', 1), ('y', 2);
        """,
    )
    catalog = await connect("sqlite", path).reader.read()
    assert [table.name for table in catalog.tables] == [
        "T 1", "broken", "child", "counted", "paired", "searched", "v AS w",
    ]  # fmt: skip
    first = table_of(catalog, "T 1")
    assert [(column.name, column.type, column.default) for column in first.columns] == [
        ("a", "INTEGER", None),
        ("b", "TEXT", "'x'"),
        ("c", "", None),
        ("g AS", "INT", "GENERATED ALWAYS AS ((a + length(')'))) STORED"),
        ("g2", "", "GENERATED ALWAYS AS (a * 2) VIRTUAL"),
    ]
    assert [(key.kind, key.columns) for key in first.keys] == [
        (KeyKind.PRIMARY, ("a",)),
        (KeyKind.UNIQUE, ("b", "c")),
    ]
    assert [
        (key.references, key.referenced_columns) for key in table_of(catalog, "child").keys
    ] == [
        (("main", "T 1"), ("a",)),
        (("main", "T 1"), ("b",)),
    ]
    assert table_of(catalog, "paired").keys[0].columns == ("b", "a")
    view = table_of(catalog, "v AS w")
    assert view.definition == 'SELECT a, b FROM "T 1"'
    assert [column.name for column in view.columns] == ["p", "q"]
    assert [column.name for column in table_of(catalog, "searched").columns] == ["body"]
    assert table_of(catalog, "broken").columns == ()
    (problem,) = catalog.problems
    assert "view broken" in str(problem)
    paired = table_of(catalog, "paired")
    sample = await connect("sqlite", path).sampler.sample(paired, rows=9, full=True)
    assert sorted(sample.rows) == [("x", 1), ("y", 2)]


async def test_an_sqlite_table_of_an_unknown_module_spoils_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    make(
        path,
        """
        CREATE TABLE t (a);
        CREATE VIRTUAL TABLE places USING fts5(body);
        PRAGMA writable_schema = on;
        UPDATE sqlite_master SET sql = 'CREATE VIRTUAL TABLE places USING nowhere(body)'
          WHERE name = 'places';
        """,
    )
    catalog = await connect("sqlite", path).reader.read()
    assert len(table_of(catalog, "t").columns) == 1
    assert ["nowhere" in str(problem) for problem in catalog.problems] == [True]


async def test_the_sqlite_gate_sees_a_file_that_was_copied_over(tmp_path: Path) -> None:
    path, other = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    make(path, "CREATE TABLE t (a)")
    make(other, "CREATE TABLE t (b)")
    reader = connect("sqlite", path).reader
    before = await reader.gate()
    inode = path.stat().st_ino
    path.write_bytes(other.read_bytes())
    assert path.stat().st_ino == inode
    assert await reader.gate() != before
    make(path, "CREATE INDEX i ON t (b); ANALYZE; VACUUM;")
    assert await reader.gate() == await connect("sqlite", other).reader.gate()


async def test_an_sqlite_file_that_is_being_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    make(path, "PRAGMA journal_mode = wal; CREATE TABLE t (a)")
    database = connect("sqlite", path)
    token = await database.reader.gate()
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("ALTER TABLE t ADD COLUMN b")
        assert await database.reader.gate() == token
        assert len(table_of(await database.reader.read(), "t").columns) == 1
        writer.execute("COMMIT")
        assert await database.reader.gate() != token
        assert len(table_of(await database.reader.read(), "t").columns) == 2


async def test_an_sqlite_lock_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    make(path, "CREATE TABLE t (a)")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseUnavailableError, match="locked"):
            await connect("sqlite", path).reader.read()


async def test_a_damaged_sqlite_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    make(path, "CREATE TABLE t (a); CREATE TABLE u (a)")
    content = bytearray(path.read_bytes())
    content[100:200] = b"\xff" * 100
    path.write_bytes(content)
    with pytest.raises(DatabaseError, match="damaged"):
        await connect("sqlite", path).reader.read()


async def test_sqlite_samples_are_spread_over_the_table(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    make(
        path,
        """
        CREATE TABLE t (n INT, rowid TEXT, s TEXT);
        WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5000)
        INSERT INTO t SELECT n, 'x', CAST(x'ff41' AS TEXT) || n FROM c;
        DELETE FROM t WHERE n % 2 = 0;
        """,
    )
    database = connect("sqlite", path)
    t = table_of(await database.reader.read(), "t")
    sample = await database.sampler.sample(t, rows=100, full=False)
    numbers = [row[0] for row in sample.rows]
    assert len(set(numbers)) == 100
    assert min(numbers) < 100
    assert max(numbers) > 4800


async def test_a_long_sqlite_query_ends_when_it_is_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    endless = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT * FROM c"
    make(path, f"CREATE VIEW v AS SELECT count(*) AS n FROM ({endless})")
    database = connect("sqlite", path)
    v = table_of(await database.reader.read(), "v")
    with anyio.fail_after(60):
        with anyio.move_on_after(0.2) as waited:
            await database.sampler.sample(v, rows=1, full=False)
        assert waited.cancelled_caught
        hurried = databases.ConnectOptions(clock=SystemClock(), statement_seconds=0.2)
        other = databases.connect(f"sqlite:///{path}", relative_to=Path(), options=hurried)
        with pytest.raises(DatabaseUnavailableError, match=r"longer than 0\.2 s"):
            await other.sampler.sample(v, rows=1, full=False)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["sales.duckdb", "Sales.v2.duckdb", "main.db"])
@pytest.mark.parametrize("schema", ["sales", "system", "main_db"])
async def test_a_schema_named_like_its_file_is_not_ambiguous(
    tmp_path: Path, name: str, schema: str
) -> None:
    path = tmp_path / name
    with duckdb.connect(str(path)) as connection:
        [(database,)] = connection.execute("SELECT current_database()").fetchall()
        connection.execute(f'CREATE SCHEMA "{database}"."{schema}"')
        connection.execute(f'CREATE TABLE "{database}"."{schema}".item AS SELECT 7 AS id')
    options = databases.ConnectOptions(clock=SystemClock())
    database = databases.connect(f"duckdb:///{path}", relative_to=tmp_path, options=options)
    [table] = (await database.reader.read()).tables
    sample = await database.sampler.sample(table, rows=10, full=True)
    assert sample.rows == ((7,),)
    target = CommentTarget(ref=table.column_ref("id"), type=ObjectType.COLUMN)
    assert await database.commenter.execute(target, "Seven.") == "Seven."
    assert await database.commenter.current([target]) == {target.ref: "Seven."}
