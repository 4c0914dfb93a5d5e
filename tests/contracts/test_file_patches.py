"""Reading only what moved, of the back ends on files: a patch leads where a whole read does."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from amxwatch import databases
from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import Catalog, ObjectType, Schema, Table
from amxwatch.core.change import Patch
from amxwatch.core.errors import DatabaseError, DatabaseUnavailableError
from amxwatch.databases.sql_folder import COMMENTS_FILE, SqlFolder, open_sql_folder
from amxwatch.databases.sql_folder.dialects import KNOWN
from amxwatch.databases.sql_folder.grammar import dialect_named, known_dialects
from amxwatch.databases.sql_folder.plain_comments import find_plain_comment, read_plain_comment
from amxwatch.databases.sql_folder.tokens import read_comment
from amxwatch.ports.database import CommentTarget, Database
from amxwatch.ports.partial import PartialReader

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


@dataclass(kw_only=True)
class Standing:
    """What a snapshot store would hold after each catalog and patch."""

    tables: dict[tuple[str, str], Table] = field(default_factory=dict)
    schemas: tuple[Schema, ...] = ()
    wholes: int = 0

    def take(self, catalog: Catalog) -> None:
        self.tables = {(table.schema, table.name): table for table in catalog.tables}
        self.schemas = catalog.schemas
        self.wholes += 1

    def apply(self, patch: Patch) -> None:
        names = [(table.schema, table.name) for table in patch.put]
        assert names == sorted(names)
        assert not set(names) & set(patch.gone)
        assert len(set(names)) == len(names)
        self.tables |= dict(zip(names, patch.put, strict=True))
        for name in patch.gone:
            self.tables.pop(name, None)
        self.schemas = patch.schemas

    def is_like(self, catalog: Catalog) -> bool:
        other = Standing()
        other.take(catalog)
        return (self.tables, self.schemas) == (other.tables, other.schemas)


def folder_of(path: Path) -> SqlFolder:
    return open_sql_folder(f"ddl:///{path}?dialect=postgres", relative_to=Path("/"))


# --- folders of SQL -----------------------------------------------------------------------------

tables = st.sampled_from(["a", "b", "c", "s.a", "s.d", "public.b"])
columns = st.sampled_from(["id", "x", "y"])
types = st.sampled_from(["int", "text", "numeric(5, 2)"])


@st.composite
def statements(draw: st.DrawFn) -> str:
    """Draw a statement; most are of the plain kinds that an edit mostly holds."""
    t, u, c, k = draw(tables), draw(tables), draw(columns), draw(types)
    bare = u.rpartition(".")[2]
    return draw(
        st.sampled_from(
            [
                f"CREATE TABLE {t} (id int, {c}{c} {k}, x {k});",
                f"CREATE TABLE {t} (id int, {c}{c} {k}, x {k});",
                f"CREATE TABLE IF NOT EXISTS {t} (id {k} PRIMARY KEY, y int REFERENCES {u});",
                f"CREATE TABLE {t} (id int, {c}2 {k}, FOREIGN KEY (id) REFERENCES {u} (id));",
                f"CREATE TABLE {t} (LIKE {u} INCLUDING ALL, own {k});",
                f"CREATE TABLE {t} AS SELECT * FROM {u};",
                f"CREATE VIEW v_{bare} AS SELECT * FROM {t};",
                f"CREATE OR REPLACE VIEW v_{bare} AS SELECT id, {c} AS named FROM {u};",
                f"CREATE VIEW w AS SELECT p.*, q.id AS o FROM {t} p JOIN v_{bare} q USING (id);",
                f"COMMENT ON TABLE {t} IS 'about {c}';",
                f"COMMENT ON COLUMN {t}.{c} IS 'it''s {k}';",
                f"ALTER TABLE {t} ADD COLUMN {c} {k};",
                f"ALTER TABLE {t} DROP COLUMN {c};",
                f"ALTER TABLE {t} RENAME COLUMN {c} TO {c}_new;",
                f"ALTER TABLE {t} ALTER COLUMN {c} TYPE {k};",
                f"ALTER TABLE {t} ADD CONSTRAINT one FOREIGN KEY ({c}) REFERENCES {u} (x);",
                f"ALTER TABLE {t} ADD PRIMARY KEY (id);",
                f"DROP TABLE IF EXISTS {t};",
                f"DROP TABLE IF EXISTS {t};\nCREATE TABLE {t} (id int PRIMARY KEY, y {k});",
                "SET search_path = s;",
            ]
        )
    )


@st.composite
def rare(draw: st.DrawFn) -> str:
    """Draw a statement that reaches over the whole folder, or is broken."""
    t, u = draw(tables), draw(tables)
    return draw(
        st.sampled_from(
            [
                f"ALTER TABLE {t} RENAME TO renamed;",
                "CREATE SCHEMA s;",
                "COMMENT ON SCHEMA s IS 'the second';",
                "DROP SCHEMA s CASCADE;",
                "ALTER SCHEMA s RENAME TO s2;",
                "SET search_path = s, public;",
                f"CREATE TABLE {t} (id int,, broken);",
                f"CREATE TABLE {u} (id int, 'open);",
            ]
        )
    )


texts = st.lists(statements(), max_size=5).map("\n".join)
odd_texts = st.tuples(texts, rare(), texts).map("\n".join)
names = st.sampled_from(["V1", "V2", "V10", "R__late", "sub/V3", COMMENTS_FILE[:-4]])


class Edits(RuleBasedStateMachine):
    """Random edits of random files, followed by patches and compared with a fresh reader."""

    def __init__(self) -> None:
        super().__init__()
        self.root = TemporaryDirectory()
        self.folder = Path(self.root.name)
        (self.folder / "sub").mkdir()
        self.database = folder_of(self.folder)
        self.standing = Standing()
        self.stamp = 0

    def write(self, name: str, text: str) -> None:
        path = self.folder / f"{name}.sql"
        path.write_text(text)
        # Unlike any stamp before, so that it is the edit that is tested and not the clock.
        self.stamp += 1
        os.utime(path, ns=(self.stamp * 10**9, self.stamp * 10**9))

    @initialize(files=st.dictionaries(names, texts, min_size=2))
    def begin(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            self.write(name, text)
        self.follow()

    @rule(name=names, text=texts)
    def put(self, name: str, text: str) -> None:
        self.write(name, text)

    @rule(name=names, text=odd_texts)
    def put_odd(self, name: str, text: str) -> None:
        self.write(name, text)

    @rule(name=names, text=texts, at=st.integers(0, 400))
    def insert(self, name: str, text: str, at: int) -> None:
        path = self.folder / f"{name}.sql"
        if path.exists():
            lines = path.read_text().split("\n")
            at %= len(lines) + 1
            self.write(name, "\n".join([*lines[:at], text, *lines[at:]]))

    @rule(name=names)
    def remove(self, name: str) -> None:
        (self.folder / f"{name}.sql").unlink(missing_ok=True)

    @rule(name=names, to=names)
    def rename(self, name: str, to: str) -> None:
        path = self.folder / f"{name}.sql"
        if path.exists():
            path.replace(self.folder / f"{to}.sql")

    @invariant()
    def follow(self) -> None:
        anyio.run(self._follow)

    async def _follow(self) -> None:
        for _ in range(2):  # a file that was emptied is believed at the second look
            await self.database.gate()
        patch = await self.database.read_moved()
        if patch is None:
            self.standing.take(await self.database.read())
        else:
            self.standing.apply(patch)
        fresh = await folder_of(self.folder).read()
        if not fresh.problems:  # else what is broken keeps a version that a new reader never saw
            assert self.standing.is_like(fresh)
        assert self.standing.is_like(await self.database.read())

    def teardown(self) -> None:
        assert self.standing.wholes <= 1, "only the first read is whole"
        self.root.cleanup()


TestEdits = Edits.TestCase
TestEdits.settings = settings(
    max_examples=10,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


async def test_what_is_remembered_late_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("CREATE TABLE a (id int);")
    before = await folder_of(tmp_path).read()
    database = folder_of(tmp_path)
    target = CommentTarget(ref=before.tables[0].ref, type=ObjectType.TABLE)
    await database.execute(target, "written before anything was read as a whole")
    database.remember(before)
    [table] = (await database.read()).tables
    assert table.comment == "written before anything was read as a whole"


# --- SQLite -------------------------------------------------------------------------------------


@st.composite
def ddl(draw: st.DrawFn) -> str:
    """Draw a statement of SQLite; many are refused, which moves nothing."""
    names = st.sampled_from(["a", "b", "C", "d d", "v", "w"])
    t, u = f'"{draw(names)}"', f'"{draw(names)}"'
    c = draw(st.sampled_from(["x", "y", "z"]))
    return draw(
        st.sampled_from(
            [
                f"CREATE TABLE {t} ({c} INTEGER PRIMARY KEY, k TEXT UNIQUE)",
                f"CREATE TABLE {t} ({c} TEXT NOT NULL, r REFERENCES {u})",
                f"CREATE TABLE {t} ({c} INT PRIMARY KEY, g AS ({c} + 1)) WITHOUT ROWID",
                f"CREATE TABLE {t} ({c} INT, n ANY) STRICT",
                f"CREATE VIRTUAL TABLE {t} USING fts5({c})",
                f"CREATE VIEW {t} AS SELECT * FROM {u}",
                f"DROP TABLE {t}",
                f"DROP VIEW {t}",
                f"ALTER TABLE {t} RENAME TO {u}",
                f"ALTER TABLE {t} RENAME COLUMN {c} TO {c}2",
                f"ALTER TABLE {t} ADD COLUMN {c} TEXT DEFAULT 'q'",
                f"ALTER TABLE {t} DROP COLUMN {c}",
                f"CREATE UNIQUE INDEX IF NOT EXISTS i_{c} ON {t} ({c})",
                f"INSERT INTO {t} ({c}) VALUES (1)",
                "PRAGMA legacy_alter_table = ON",
                "VACUUM",
            ]
        )
    )


class Statements(RuleBasedStateMachine):
    """Random DDL on a real file, followed by patches and compared with a fresh reader."""

    def __init__(self) -> None:
        super().__init__()
        self.root = TemporaryDirectory()
        self.path = Path(self.root.name, "source.db")
        self.writer = sqlite3.connect(self.path, isolation_level=None)
        self.writer.execute("CREATE TABLE base (id INTEGER PRIMARY KEY)")
        self.database = sqlite(self.path)
        self.standing = Standing()

    @rule(scripts=st.lists(ddl(), min_size=1, max_size=4))
    def run(self, scripts: list[str]) -> None:
        for script in scripts:
            with suppress(sqlite3.Error):
                self.writer.execute(script)

    @invariant()
    def follow(self) -> None:
        anyio.run(self._follow)

    async def _follow(self) -> None:
        reader = self.database.reader
        assert isinstance(reader, PartialReader)
        patch = await reader.read_moved()
        fresh = await sqlite(self.path).reader.read()
        if patch is None:
            self.standing.take(await reader.read())
        else:
            self.standing.apply(patch)
            assert patch.problems == fresh.problems
        assert self.standing.is_like(fresh)

    def teardown(self) -> None:
        self.writer.close()
        self.root.cleanup()


TestStatements = Statements.TestCase
TestStatements.settings = settings(
    max_examples=15,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def sqlite(path: Path) -> Database:
    options = databases.ConnectOptions(clock=SystemClock())
    return databases.connect(f"sqlite:///{path}", relative_to=Path("/"), options=options)


async def test_one_altered_table_is_all_that_a_patch_names(tmp_path: Path) -> None:
    path = tmp_path / "source.db"
    with closing(sqlite3.connect(path)) as writer:
        for number in range(50):
            writer.execute(f"CREATE TABLE t{number} (id INTEGER PRIMARY KEY, name TEXT)")
        reader = sqlite(path).reader
        assert isinstance(reader, PartialReader)
        assert await reader.read_moved() is None, "nothing was read yet"
        await reader.read()
        assert await reader.read_moved() == await reader.read_moved()
        writer.execute("ALTER TABLE t7 ADD COLUMN more TEXT")
    patch = await reader.read_moved()
    assert patch is not None
    assert ([table.name for table in patch.put], patch.gone) == (["t7"], ())


async def test_a_file_put_in_place_of_another_is_read_whole(tmp_path: Path) -> None:
    path, other = tmp_path / "source.db", tmp_path / "other.db"
    for place, name in ((path, "a"), (other, "b")):
        with closing(sqlite3.connect(place)) as writer:
            writer.execute(f"CREATE TABLE {name} (id INTEGER)")
    reader = sqlite(path).reader
    assert isinstance(reader, PartialReader)
    await reader.read()
    gate = await reader.gate()
    other.replace(path)
    assert await reader.gate() != gate
    assert await reader.read_moved() is None
    assert [table.name for table in (await reader.read()).tables] == ["b"]


@pytest.mark.parametrize("content", [b"not a database\n" * 200, bytes(range(256)) * 64])
async def test_what_is_no_sqlite_file_or_encrypted_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "source.db"
    path.write_bytes(content)
    for look in (sqlite(path).reader.gate, sqlite(path).reader.read):
        with pytest.raises(DatabaseError, match="encrypted or not an SQLite file"):
            await look()
    path.unlink()
    with pytest.raises(DatabaseUnavailableError, match="no SQLite file at"):
        await sqlite(path).reader.gate()


# --- the process that parses --------------------------------------------------------------------


def parsers() -> list[psutil.Process]:
    """Return the parsing processes that this one has started and that live."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if "amxwatch.databases.sql_folder.parser_process" in child.cmdline():
                found.append(child)
    return found


async def test_a_parser_that_is_killed_is_started_anew(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("CREATE TABLE a (id int);")
    database = folder_of(tmp_path)
    assert len((await database.read()).tables) == 1
    for process in parsers():
        process.kill()
        process.wait()
    (tmp_path / "b.sql").write_text("CREATE TABLE b (id int);")
    patch = await database.read_moved()
    assert patch is not None
    assert [table.name for table in patch.put] == ["b"]


async def test_a_cancelled_read_ends_its_parser_and_can_be_repeated(tmp_path: Path) -> None:
    for number in range(300):
        columns = ", ".join(f"c{at} numeric(10, {at % 9})" for at in range(60))
        (tmp_path / f"{number}.sql").write_text(f"CREATE TABLE t{number} ({columns});")
    database = folder_of(tmp_path)
    with anyio.move_on_after(0.3) as scope:
        await database.read()
    assert await database.read_moved() is None, "what was cancelled has told nothing"
    assert len((await database.read()).tables) == 300
    assert scope.cancelled_caught


PARENT = """
import sys, time
from pathlib import Path
import anyio
from amxwatch.databases.sql_folder import open_sql_folder
database = open_sql_folder(f"ddl:///{sys.argv[1]}?dialect=postgres", relative_to=Path("/"))
anyio.run(database.read)
print("read", flush=True)
time.sleep(600)
"""


async def test_a_parser_ends_with_who_started_it_however_that_ends(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("CREATE TABLE a (id int);")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "read\n"
        [child] = psutil.Process(parent.pid).children()
        parent.kill()
    gone, alive = psutil.wait_procs([child], timeout=60)
    assert (len(gone), alive) == (1, [])


async def test_the_daemon_s_process_stays_without_sqlglot(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("CREATE TABLE a (id int);\nCREATE VIEW v AS SELECT * FROM a;")
    script = PARENT.replace("time.sleep(600)", "print('sqlglot' in sys.modules)")
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["read", "False"]


# --- plain comments -----------------------------------------------------------------------------

name_parts = st.sampled_from(["a", "B", '"Q q"', '"q"', "table", "end", "_x1"])
letters = "aZ'\\;-/*$\n\"é "
comment_texts = st.text(alphabet=letters, max_size=12).map(lambda text: text.replace("'", "''"))


@given(
    dialect=st.sampled_from(sorted(KNOWN)),
    kind=st.sampled_from(["TABLE", "column", "View"]),
    parts=st.lists(name_parts, min_size=1, max_size=4),
    text=comment_texts,
)
@settings(max_examples=600, deadline=None)
def test_a_plain_comment_is_read_as_its_tokens_are(
    dialect: str, kind: str, parts: list[str], text: str
) -> None:
    written = f"COMMENT ON {kind} {'.'.join(parts)} IS '{text}'"
    grammar = dialect_named(dialect)
    plain = find_plain_comment(written, 0, grammar)
    if plain is None or plain.end() != len(written):
        return
    _, edit = read_plain_comment(plain, grammar)
    assert edit == read_comment(grammar.tokenize(written), grammar, schemas=frozenset({"SCHEMA"}))


def test_the_known_dialects_are_those_of_sqlglot() -> None:
    assert sorted(KNOWN) == list(known_dialects())
