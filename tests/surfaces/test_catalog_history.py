"""Real schema histories, each version in a real engine: the changes are the known ones.

Each version is loaded into the engine, read, and taken as a snapshot; what the store and
`explain` make of two consecutive snapshots must agree with the difference that others found
between them. They tell a rename as a drop and an add, and tell of sequences, functions and
plain indexes, which have no descriptions and so no changes here.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import ObjectRef, ObjectType, SnapshotNumber
from amxwatch.core.change import Change, ChangeKind, explain, former_ref
from amxwatch.core.datatype import same_type
from amxwatch.databases import ConnectOptions, connect
from amxwatch.stores.snapshots import SnapshotCache
from tests.plugins.mariadb import MariadbServer

TELLS = {
    "add_table",
    "drop_table",
    "add_column",
    "drop_column",
    "alter_type",
    "alter_null",
    "alter_default",
    "add_constraint",
    "drop_constraint",
    "alter_constraint",
}
SILENT = {
    f"{what}_{kind}"
    for what in ("add", "drop", "alter")
    for kind in ("index", "sequence", "function")
}


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A real database whose whole content a script can replace."""

    url: str
    load: Callable[[str], None]


@pytest.fixture
def sqlite_engine(tmp_path: Path) -> Engine:
    path = tmp_path / "source.sqlite"

    def load(script: str) -> None:
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(script)

    return Engine(url=f"sqlite:///{path}", load=load)


@pytest.fixture
def duckdb_engine(tmp_path: Path) -> Engine:
    import duckdb

    path = tmp_path / "source.duckdb"

    def load(script: str) -> None:
        path.unlink(missing_ok=True)
        with duckdb.connect(path) as connection:
            connection.execute(script)

    return Engine(url=f"duckdb:///{path}", load=load)


@pytest.fixture
def postgres_engine(postgres_url: str) -> Engine:
    import psycopg

    def load(script: str) -> None:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            connection.execute(script)

    return Engine(url=postgres_url, load=load)


@pytest.fixture
def mariadb_engine(mariadb_server: MariadbServer) -> Iterator[Engine]:
    from pymysql.constants import CLIENT

    def run(script: str) -> None:
        opened = mariadb_server.connect(client_flag=CLIENT.MULTI_STATEMENTS)
        with closing(opened) as connection, connection.cursor() as cursor:
            cursor.execute(script)
            while cursor.nextset():
                pass

    fresh = "DROP DATABASE IF EXISTS t; CREATE DATABASE t; USE t;"
    try:
        yield Engine(url=mariadb_server.url("t"), load=lambda script: run(f"{fresh}\n{script}"))
    finally:
        run("DROP DATABASE IF EXISTS t")


class Watch:
    """Takes a snapshot after each load and says what changed since the one before."""

    def __init__(self, engine: Engine, cache: Path) -> None:
        self._engine = engine
        options = ConnectOptions(clock=SystemClock())
        self._database = connect(engine.url, relative_to=cache, options=options)
        self._cache = SnapshotCache(cache / "source.cache")
        self._number = 0
        self.able = self._database.capabilities

    async def after(self, script: Path) -> tuple[Change, ...]:
        self._engine.load(script.read_text(encoding="utf-8"))
        catalog = await self._database.reader.read()
        assert catalog.problems == ()
        assert catalog.tables
        delta, moved = await self._cache.compare(catalog, ignore=())
        assert not delta.baseline
        if delta:
            self._number += 1
            await self._cache.replay([(SnapshotNumber(self._number), delta)])
        number = SnapshotNumber(self._number)
        if delta and self._number > 1:
            assert await self._cache.moved(SnapshotNumber(number - 1), number) == moved
        again, _ = await self._cache.compare(catalog, ignore=())
        assert not again
        return explain(moved, native_ids=self.able.native_ids, dialect=self.able.dialect)

    async def aclose(self) -> None:
        await self._database.aclose()


@asynccontextmanager
async def watching(engine: Engine, folder: Path) -> AsyncIterator[Watch]:
    watch = Watch(engine, folder)
    try:
        yield watch
    finally:
        await watch.aclose()


def ref_of(name: str, schema: str) -> ObjectRef:
    """Read `schema.table.column`, or `table:constraint` with or without a schema."""
    parts = name.partition(":")[0].split(".")
    if ":" in name and len(parts) == 1:
        parts.insert(0, schema)
    return ObjectRef(**dict(zip(("schema", "table", "column"), parts, strict=False)))


def wanted(told: list[dict], schema: str) -> set[tuple[str, ObjectRef]]:
    """Return (kind, object) of what our kinds cover."""
    assert {each["op"] for each in told} <= TELLS | SILENT
    whole = {ref_of(e["object"], schema) for e in told if e["op"] in {"add_table", "drop_table"}}
    kinds = {
        "add_table": "added",
        "add_column": "added",
        "drop_table": "removed",
        "drop_column": "removed",
        "alter_type": "type_changed",
        "alter_null": "nullability_changed",
        "alter_default": "default_changed",
    }
    found = set()
    for each in told:
        ref = ref_of(each["object"], schema)
        if each["op"] in kinds:
            found.add((kinds[each["op"]], ref))
        elif each["op"].endswith("_constraint") and ref not in whole and is_key(each):
            found.add(("key_changed", ref))
    return found


def is_key(told: dict) -> bool:
    """A check is no key; a foreign key that got validated is the same key."""
    texts = [str(told[side]) for side in ("old", "new") if side in told]
    if any(text.startswith("CHECK") for text in texts):
        return False
    bare = [re.sub(r" NOT VALID$", "", text) for text in texts]
    return not (len(bare) == 2 and bare[0] == bare[1])


def found_in(changes: tuple[Change, ...]) -> set[tuple[str, ObjectRef]]:
    """Return ours in the same terms: a rename is a drop and an add of the whole object."""
    renames = [change for change in changes if change.kind is ChangeKind.RENAMED]
    found = {("removed", former_ref(change)) for change in renames}
    found |= {("added", change.ref) for change in renames}
    renamed = {change.ref for change in renames}
    found |= {(c.kind.value, c.ref) for c in changes if c.ref not in renamed}
    return found


def check_values(told: list[dict], changes: tuple[Change, ...], dialect: str, schema: str) -> None:
    """Compare before and after where both sides tell of them."""
    ours = {(change.kind, change.ref): change for change in changes}
    for each in told:
        ref = ref_of(each["object"], schema)
        if each["op"] == "alter_type":
            change = ours[ChangeKind.TYPE_CHANGED, ref]
            assert same_type(str(change.before), each["old"], dialect)
            assert same_type(str(change.after), each["new"], dialect)
        elif each["op"] == "alter_null":
            change = ours[ChangeKind.NULLABILITY_CHANGED, ref]
            assert (change.before, change.after) == (not each["old"], not each["new"])
        elif each["op"] == "alter_default":
            change = ours[ChangeKind.DEFAULT_CHANGED, ref]
            assert (change.after is None) == (each["new"] is None)
        elif each["op"] == "add_column" and (ChangeKind.ADDED, ref) in ours:
            after = ours[ChangeKind.ADDED, ref].after
            assert isinstance(after, dict)
            assert same_type(after["type"], each["type"], dialect)
            assert after["nullable"] == (not each["notnull"])
        elif each["op"] == "add_constraint":
            change = ours.get((ChangeKind.KEY_CHANGED, ref)) or ours[ChangeKind.ADDED, ref]
            check_key(each["new"], change.after)


def check_key(text: str, after: object) -> None:
    """Find the constraint of the text among the keys of the change."""
    assert isinstance(after, dict)
    keys = after.get("keys", after)
    lists = [part.split(", ") for part in re.findall(r"\(([^)]*)\)", text)]
    if text.startswith("CHECK"):
        return
    if text.startswith("PRIMARY KEY"):
        assert keys["primary"] == lists[0]
    elif text.startswith("UNIQUE"):
        assert lists[0] in keys["unique"]
    else:
        target = re.search(r"(?:REFERENCES|->) (\w+)\(", text)
        assert target is not None
        assert (lists[0], target[1], lists[1]) in [
            (key["columns"], key["references"]["table"], key["references"]["columns"])
            for key in keys["foreign"]
        ]


def agree(told: list[dict], changes: tuple[Change, ...], dialect: str, schema: str) -> None:
    if dialect == "sqlite":
        # Of SQLite's keys they tell the foreign ones only.
        changes = tuple(change for change in changes if not is_of_own_keys(change))
    assert found_in(changes) == wanted(told, schema)
    check_values(told, changes, dialect, schema)


def is_of_own_keys(change: Change) -> bool:
    """Claim that a primary or unique key moved, and no foreign one."""
    if change.kind is not ChangeKind.KEY_CHANGED:
        return False
    assert isinstance(change.before, dict)
    assert isinstance(change.after, dict)
    return change.before["foreign"] == change.after["foreign"]


def as_they_are(told: list[dict]) -> list[dict]:
    """Return what is told, unchanged."""
    return told


def in_mariadbs_terms(told: list[dict]) -> list[dict]:
    """Tell of unique indexes as the keys that they are, and of types as they are spelled.

    Display widths that the server adds by itself say nothing, nor does its usual collation.
    """
    return [in_mariadbs_term(each) for each in told]


def in_mariadbs_term(told: dict) -> dict:
    found = dict(told)
    op, _, kind = told["op"].partition("_")
    if kind == "index" and "UNIQUE" in str(told.get("old")) + str(told.get("new")):
        found["op"] = f"{op}_constraint"
    for side in {"old", "new", "type"} & set(found):
        text = found[side]
        if not isinstance(text, str):
            continue
        text = re.sub(r"\bint\(1[01]\)", "int", text.removesuffix(" collate utf8mb4_general_ci"))
        text = re.sub(r"^(\w+) -> ", r"FOREIGN KEY (\1) -> ", text)
        columns = re.fullmatch(r"UNIQUE ([\w,]+)", text)
        if columns is not None:
            word = "PRIMARY KEY" if told["object"].endswith(":PRIMARY") else "UNIQUE"
            text = f"{word} ({columns[1].replace(',', ', ')})"
        found[side] = text
    return found


async def follow(
    folder: Path,
    engine: Engine,
    work: Path,
    schema: str,
    *,
    told_as: Callable[[list[dict]], list[dict]] = as_they_are,
) -> list[Change]:
    """Walk through a project's versions; return the changes found on the way."""
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    found: list[Change] = []
    async with watching(engine, work) as watch:
        for place, version in enumerate(expected["versions"]):
            if version.get("engine_rejected"):
                continue
            changes = await watch.after(folder / version["file"])
            if place == 0:
                added = [c for c in changes if c.object_type is not ObjectType.SCHEMA]
                assert len(added) == version["tables"]
                assert {c.kind for c in changes} == {ChangeKind.ADDED}
                continue
            if version["cosmetic"]:
                assert changes == (), version["file"]
            told = told_as(version["changes_from_previous"])
            agree(told, changes, watch.able.dialect, schema)
            found += changes
    return found


async def test_roundcube_on_sqlite(cases: Path, sqlite_engine: Engine, tmp_path: Path) -> None:
    folder = cases / "c_schemas" / "roundcube_sqlite"
    changes = await follow(folder, sqlite_engine, tmp_path, "main")
    assert len(changes) > 30
    cache = ObjectRef(schema="main", table="cache")
    keys = [c.after for c in changes if (c.kind, c.ref) == (ChangeKind.KEY_CHANGED, cache)]
    assert isinstance(keys[0], dict)
    assert keys[0]["primary"] == ["user_id", "cache_key"]


async def test_roundcube_on_postgres(cases: Path, postgres_engine: Engine, tmp_path: Path) -> None:
    folder = cases / "c_schemas" / "roundcube_postgres"
    assert len(await follow(folder, postgres_engine, tmp_path, "public")) > 30


async def test_roundcube_on_mariadb(cases: Path, mariadb_engine: Engine, tmp_path: Path) -> None:
    folder = cases / "c_schemas" / "roundcube_mysql"
    changes = await follow(folder, mariadb_engine, tmp_path, "t", told_as=in_mariadbs_terms)
    # A whole move to utf8mb4 is told column by column, though the tables' defaults moved along.
    collated = [c for c in changes if c.kind is ChangeKind.TYPE_CHANGED and "utf8mb4" in str(c)]
    assert len(collated) >= 39


async def test_openstreetmap_on_postgres(
    cases: Path, postgres_engine: Engine, tmp_path: Path
) -> None:
    folder = cases / "c_schemas" / "osm_website_postgres"
    assert len(await follow(folder, postgres_engine, tmp_path, "public")) > 20


@pytest.mark.parametrize(
    ("dialect", "schema"), [("sqlite", "main"), ("duckdb", "main"), ("postgresql", "public")]
)
async def test_omop_from_5_3_to_5_4(
    cases: Path, dialect: str, schema: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = cases / "c_schemas" / "omop_cdm"
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    (told,) = (each for each in expected["dialects"] if each["dialect"] == dialect)
    name = {"postgresql": "postgres_engine"}.get(dialect, f"{dialect}_engine")
    async with watching(request.getfixturevalue(name), tmp_path) as watch:
        before, after = (folder / file for file in told["files"])
        await watch.after(before)
        changes = await watch.after(after)
        agree(told["changes"], changes, watch.able.dialect, schema)
