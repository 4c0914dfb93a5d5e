"""Every consecutive pair of versions of real schemas, read by every reader that takes them.

The explained difference is held to what the versions' own DDL says (each was loaded into the
real engine by others, who compared the catalogs), and applied to the older version it gives the
newer one. Where there is an engine, the statements of `catalog diff --format sql` are run in the
older database, which then reads as the newer one. A pair that needs a note is listed in `NOTES`
or `BY_HAND` with the reason; a note that is no longer needed fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from amxwatch.core.catalog import Catalog, ObjectRef, Table
from amxwatch.core.change import Change, ChangeKind, explain
from amxwatch.core.datatype import same_type
from amxwatch.core.ddl import write_statements
from amxwatch.core.ddl.script import Script
from amxwatch.core.patching import apply_changes
from amxwatch.core.view import same_definition
from amxwatch.databases.sql_folder import open_sql_folder
from tests.core.catalogs import plain_key
from tests.core.test_diff_apply import moved_between
from tests.plugins.schemas import SchemaEngine, without_natives
from tests.surfaces.test_catalog_history import (
    agree,
    found_in,
    in_mariadbs_terms,
    is_of_own_keys,
    wanted,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two versions and what others say of their difference."""

    older: Path
    newer: Path
    told: list[dict]

    @property
    def name(self) -> str:
        return f"{self.older.stem} to {self.newer.stem}"


def pairs_of(folder: Path, dialect: str | None) -> list[Pair]:
    """Return the pairs of a project, without the two versions that the engines refuse.

    The difference to a version after such a one is told from the one before it.
    """
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    if dialect is not None:
        by_name = {each["dialect"]: each for each in expected["dialects"]}
        files = by_name[dialect]["files"]
        told = by_name[dialect]["changes"] or by_name["postgresql"]["changes"]
        return [Pair(older=folder / files[0], newer=folder / files[1], told=told)]
    kept = [v for v in expected["versions"] if not v.get("engine_rejected")]
    return [
        Pair(
            older=folder / old["file"],
            newer=folder / new["file"],
            told=new["changes_from_previous"],
        )
        for old, new in pairwise(kept)
    ]


def difference(
    old: Catalog, new: Catalog, dialect: str, *, native_ids: bool = False
) -> tuple[Change, ...]:
    """Explain two loads; with `native_ids` nothing is guessed, and no number says anything."""
    moved = moved_between(without_natives(old), without_natives(new))
    return explain(moved, native_ids=native_ids, dialect=dialect)


def same(made: Catalog, new: Catalog, dialect: str) -> None:
    """Compare what counts, part by part."""
    assert {s.name: s.comment for s in made.schemas} == {s.name: s.comment for s in new.schemas}
    assert [table.ref for table in made.tables] == [table.ref for table in new.tables]
    for ours, theirs in zip(made.tables, new.tables, strict=True):
        same_table(ours, theirs, dialect)


def same_table(ours: Table, theirs: Table, dialect: str) -> None:
    assert (ours.type, ours.comment) == (theirs.type, theirs.comment)
    assert {plain_key(key) for key in ours.keys} == {plain_key(key) for key in theirs.keys}
    assert same_definition(ours.definition, theirs.definition, dialect)
    after = {column.name: column for column in theirs.columns}
    assert {column.name for column in ours.columns} == set(after)
    for column in ours.columns:
        other = after[column.name]
        assert same_type(column.type, other.type, dialect)
        assert (column.nullable, column.default, column.comment) == (
            other.nullable,
            other.default,
            other.comment,
        )


# --- real engines -------------------------------------------------------------------------------

ENGINES = [
    ("postgres", "roundcube_postgres", None, "public"),
    ("postgres", "osm_website_postgres", None, "public"),
    ("postgres", "omop_cdm", "postgresql", "public"),
    ("sqlite", "roundcube_sqlite", None, "main"),
    ("sqlite", "omop_cdm", "sqlite", "main"),
    ("duckdb", "omop_cdm", "duckdb", "main"),
    ("mariadb", "roundcube_mysql", None, "t"),
]


@dataclass(frozen=True, kw_only=True)
class ByHand:
    """What must be run before the statements, and what the engine says without it."""

    statements: tuple[str, ...]
    refused: str
    why: str


BY_HAND = {
    ("sqlite", "v05_50abd55718 to v07_8483de8bdf"): ByHand(
        statements=(
            "DROP INDEX ix_cache_index_changed",
            "DROP INDEX ix_cache_messages_changed",
            "DROP INDEX ix_cache_thread_changed",
        ),
        refused="error in index",
        why="a catalog holds no plain index, and SQLite drops no column under one",
    ),
    ("sqlite", "v19_80404a8674 to v20_202daa6f97"): ByHand(
        statements=("DROP INDEX ix_session_changed",),
        refused="error in index",
        why="a catalog holds no plain index, and SQLite drops no column under one",
    ),
}
"""(engine, pair) -> what the statements of the difference need besides."""


@pytest.mark.parametrize(
    ("engine", "project", "dialect", "schema"), ENGINES, ids=lambda value: value or "all"
)
async def test_real_engines(
    engine: str,
    project: str,
    dialect: str | None,
    schema: str,
    cases: Path,
    request: pytest.FixtureRequest,
) -> None:
    schemas: SchemaEngine = request.getfixturevalue(f"{engine}_schemas")
    pairs = pairs_of(cases / "c_schemas" / project, dialect)
    read: dict[Path, Catalog] = {}
    urls: dict[Path, str] = {}
    for path in [pairs[0].older, *(pair.newer for pair in pairs)]:
        urls[path] = schemas.load(path.read_text(encoding="utf-8"))
        read[path], able = await schemas.read(urls[path])
    for pair in pairs:
        old, new = read[pair.older], read[pair.newer]
        changes = difference(old, new, able.dialect, native_ids=able.native_ids)
        told = in_mariadbs_terms(pair.told) if engine == "mariadb" else pair.told
        agree(told, changes, able.dialect, schema)
        same(apply_changes(without_natives(old), changes), new, able.dialect)
        back = difference(new, old, able.dialect)
        same(apply_changes(without_natives(new), back), old, able.dialect)
        script = write_statements(old, new, changes, dialect=able.dialect, comments=able.comments)
        assert script.unwritten == 0
        if schemas.is_single:
            schemas.load(pair.older.read_text(encoding="utf-8"))
        prepare(schemas, urls[pair.older], script, BY_HAND.get((engine, pair.name)))
        schemas.run(urls[pair.older], script.statements)
        now, _ = await schemas.read(urls[pair.older])
        assert difference(now, new, able.dialect) == (), f"{pair.name}: {script}"


def prepare(schemas: SchemaEngine, url: str, script: Script, by_hand: ByHand | None) -> None:
    """Do by hand what is noted, once the statements were refused without it."""
    if by_hand is None:
        return
    with pytest.raises(Exception, match=by_hand.refused):
        schemas.run(url, script.statements)
    schemas.run(url, list(by_hand.statements))


# --- folders of SQL -----------------------------------------------------------------------------

FOLDERS = [
    ("roundcube_postgres", None, "postgres", "public"),
    ("osm_website_postgres", None, "postgres", "public"),
    ("roundcube_sqlite", None, "sqlite", "main"),
    ("roundcube_mysql", None, "mysql", "t"),
    ("omop_cdm", "postgresql", "postgres", "public"),
    ("omop_cdm", "duckdb", "duckdb", "main"),
    ("omop_cdm", "sqlite", "sqlite", "main"),
    ("omop_cdm", "snowflake", "snowflake", "public"),
    ("omop_cdm", "bigquery", "bigquery", "public"),
]

type_of_marks = set[tuple[str, str, str]]
"""Kinds, tables and columns, without schema and case: dialects fold and place them otherwise."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """What a folder does not tell, or tells besides; all of it and nothing else."""

    untold: frozenset[str] = frozenset()
    besides: frozenset[str] = frozenset()
    why: str


COLLATIONS = Note(
    untold=frozenset({"type_changed"}),
    why="the charset is a default of the tables here; only a server knows what columns make of it",
)
NOTES = {
    ("mysql", "v14_0e640e95c9 to v15_3841f63fbd"): COLLATIONS,
    ("mysql", "v16_50d6ea30e0 to v17_b606d81cdf"): COLLATIONS,
    ("bigquery", "omop_bigquery_5.3 to omop_bigquery_5.4"): Note(
        untold=frozenset({"key_changed", "type_changed"}),
        why="told is PostgreSQL's script, which has keys and lengths of texts; this one has none",
    ),
}
"""(dialect, pair) -> why a folder tells something else than the engine."""


async def folder_changes(
    pair: Pair, dialect: str, folder: Path
) -> tuple[Catalog, Catalog, tuple[Change, ...]]:
    database = open_sql_folder(f"ddl:///{folder}?dialect={dialect}", relative_to=Path("/"))
    catalogs = []
    for path in (pair.older, pair.newer):
        (folder / "schema.sql").write_bytes(path.read_bytes())
        catalogs.append(await database.read())
    return catalogs[0], catalogs[1], difference(catalogs[0], catalogs[1], dialect)


def marks(refs: Iterable[tuple[str, ObjectRef]]) -> type_of_marks:
    return {(kind, ref.table.lower(), ref.column.lower()) for kind, ref in refs if ref.table}


def keys_that_went_along(changes: tuple[Change, ...], new: Catalog) -> type_of_marks:
    """Return what others tell of a key whose column we found renamed: that it changed."""
    renamed = [c.ref for c in changes if c.kind is ChangeKind.RENAMED and c.ref.is_column]
    tables = {table.ref: table for table in new.tables}
    return marks(
        ("key_changed", ref.owner)
        for ref in renamed
        if any(ref.column in key.columns for key in tables[ref.owner].keys)
    )


@pytest.mark.parametrize(
    ("project", "version", "dialect", "schema"), FOLDERS, ids=lambda value: value or "all"
)
async def test_folders(
    project: str, version: str | None, dialect: str, schema: str, cases: Path, tmp_path: Path
) -> None:
    for pair in pairs_of(cases / "c_schemas" / project, version):
        old, new, changes = await folder_changes(pair, dialect, tmp_path)
        same(apply_changes(old, changes), new, dialect)
        told = in_mariadbs_terms(pair.told) if dialect == "mysql" else pair.told
        counted = [c for c in changes if dialect != "sqlite" or not is_of_own_keys(c)]
        ours = marks(found_in(tuple(counted))) | keys_that_went_along(changes, new)
        theirs = marks(wanted(told, schema))
        note = NOTES.get((dialect, pair.name), Note(why="nothing differs"))
        assert {kind for kind, *_ in theirs - ours} == note.untold, (pair.name, theirs - ours)
        assert {kind for kind, *_ in ours - theirs} == note.besides, (pair.name, ours - theirs)
