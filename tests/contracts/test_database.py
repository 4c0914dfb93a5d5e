"""What every source database promises, held against each back end.

To add a back end, write its `Workshop` and name it in `WORKSHOPS`.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import anyio
import duckdb
import pytest

from amxwatch import databases
from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import (
    Catalog,
    Column,
    Key,
    KeyKind,
    ObjectRef,
    ObjectType,
    Schema,
    Table,
)
from amxwatch.core.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    MissingExtraError,
    StatementRefusedError,
    UsageError,
)
from amxwatch.core.sample import ValueKind, Wanted
from amxwatch.databases.generic import open_generic
from amxwatch.databases.memory import MemoryDatabase
from amxwatch.databases.sql_folder.files import COMMENTS_FILE
from amxwatch.ports.database import CommentTarget, Database
from tests.contracts.dbt_target import write_target

OPTIONS = databases.ConnectOptions(clock=SystemClock(), connect_seconds=20)

CUSTOMER = """
CREATE TABLE {p}customer (
  customer_id INTEGER NOT NULL PRIMARY KEY,
  name VARCHAR(40) DEFAULT 'un''known' NOT NULL,
  email VARCHAR(80),
  UNIQUE (email)
)"""
ORDER = """
CREATE TABLE {p}"order" (
  order_id INTEGER NOT NULL,
  line INTEGER NOT NULL,
  customer_id INTEGER,
  PRIMARY KEY (order_id, line),
  FOREIGN KEY (customer_id) REFERENCES {p}customer (customer_id)
)"""
NAMES_VIEW = "CREATE VIEW {p}names AS SELECT customer_id, name AS full_name FROM {p}customer"
BUILD = (CUSTOMER, ORDER, NAMES_VIEW)
DDL = {
    "create table": "CREATE TABLE {p}extra (a INTEGER)",
    "add column": "ALTER TABLE {p}extra ADD COLUMN b INTEGER",
    "rename column": "ALTER TABLE {p}extra RENAME COLUMN b TO c",
    "drop column": "ALTER TABLE {p}extra DROP COLUMN c",
    "rename table": "ALTER TABLE {p}extra RENAME TO other",
    "create view": "CREATE VIEW {p}seen AS SELECT a FROM {p}other",
    "drop view": "DROP VIEW {p}seen",
    "drop table": "DROP TABLE {p}other",
}
MORE_DDL = {
    "type": "ALTER TABLE {p}plain ALTER COLUMN t TYPE BIGINT USING 0",
    "default": "ALTER TABLE {p}plain ALTER COLUMN t SET DEFAULT 17",
    "no default": "ALTER TABLE {p}plain ALTER COLUMN t DROP DEFAULT",
    "nullability": "ALTER TABLE {p}plain ALTER COLUMN a SET NOT NULL",
    "view": NAMES_VIEW.replace("CREATE", "CREATE OR REPLACE") + " WHERE customer_id > 0",
    "table comment": "COMMENT ON TABLE {p}customer IS 'who buys'",
    "view comment": "COMMENT ON VIEW {p}names IS 'who they are'",
    "column comment": "COMMENT ON COLUMN {p}customer.name IS 'in full'",
    "schema": "CREATE SCHEMA another",
}
DML = (
    "INSERT INTO {p}customer VALUES (1001, 'x', 'y')",
    "UPDATE {p}customer SET name = 'z'",
    "DELETE FROM {p}customer WHERE customer_id = 1001",
)
NAMES = (
    'quo"te',
    "apo'strophe",
    "sp ace",
    "dot.ted",
    "üñí–code 表 🦆",
    "select",
    "MixedCase",
    "back\\slash",
    "per%cent %s %(x)s",
    "semi;colon -- /* */",
    "new\nline\ttab",
    "{brace} :colon $1 ?",
    " edges ",
    "é" * 31 + "x",
)


class Workshop:
    """A database of one back end that a test may change behind the reader's back."""

    schema = "shop"
    text_type = "character varying"
    integer_type = "integer"
    stands_still_on_writes = True
    speaks_sql: ClassVar[bool] = True
    alters: ClassVar[bool] = True
    keeps_defaults: ClassVar[bool] = True
    names: ClassVar[tuple[str, ...]] = NAMES

    database: Database

    @property
    def more_ddl(self) -> dict[str, str]:
        """DDL beyond what every product understands."""
        return MORE_DDL if self.alters else {}

    def opening(self, target: CommentTarget) -> str:
        """Return how a statement that comments the target begins."""
        return f"COMMENT ON {target.type.replace('_', ' ').upper()} "

    def removal(self, target: CommentTarget) -> str:
        """Return what a statement holds that removes the target's comment."""
        return " IS NULL"

    def takes(self, text: str) -> bool:
        """Claim that a column's comment can hold the text."""
        return True

    @property
    def prefix(self) -> str:
        return f"{self.schema}."

    def run(self, *statements: str) -> None:
        raise NotImplementedError

    def break_off(self) -> None:
        raise NotImplementedError

    def mend(self) -> None:
        raise NotImplementedError

    def settle(self) -> None:
        """Let the last write be long ago."""

    def build(self) -> None:
        self.run(*BUILD)
        self.settle()

    def fill(self, rows: int) -> None:
        """Put customers in: every fourth has no email, and there are five names."""
        values = ", ".join(
            f"({n}, 'name {n % 5}', {'NULL' if n % 4 == 0 else repr(f'e{n}@x')})"
            for n in range(1, rows + 1)
        )
        self.run(f"INSERT INTO {{p}}customer VALUES {values}")
        self.settle()

    def formatted(self, statement: str) -> str:
        return statement.replace("{p}", self.prefix)


class PostgresWorkshop(Workshop):
    def __init__(self, folder: Path, request: pytest.FixtureRequest) -> None:
        self.server = request.getfixturevalue("postgres_server")
        self.url = request.getfixturevalue("postgres_url")
        self.database = databases.connect(self.url, relative_to=folder, options=OPTIONS)
        self.run("CREATE SCHEMA shop")

    def run(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(self.formatted(statement).encode())

    def break_off(self) -> None:
        self.server.stop("fast")

    def mend(self) -> None:
        self.server.resume()


class MariadbWorkshop(Workshop):
    text_type = "varchar"
    integer_type = "int"
    # No name may end with a space or go beyond the Basic Multilingual Plane.
    names = (*(name for name in NAMES if name[-1] != " " and max(name) <= "\uffff"), " edge", "表")

    def __init__(self, folder: Path, request: pytest.FixtureRequest) -> None:
        self.server = request.getfixturevalue("mariadb_server")
        self.schema = request.getfixturevalue("mariadb_name")
        url = self.server.url()
        self.database = databases.connect(url, relative_to=folder, options=OPTIONS)

    @property
    def more_ddl(self) -> dict[str, str]:
        return MORE_DDL | {
            "type": "ALTER TABLE {p}plain MODIFY t BIGINT",
            "nullability": "ALTER TABLE {p}plain MODIFY a INTEGER NOT NULL",
            "table comment": "ALTER TABLE {p}customer COMMENT 'who buys'",
            "view comment": "ALTER VIEW {p}names AS SELECT customer_id FROM {p}customer",
            "column comment": "ALTER TABLE {p}customer MODIFY email VARCHAR(80) COMMENT 'where'",
            "schema": f"CREATE SCHEMA {self.schema}_another",
            "schema comment": f"ALTER SCHEMA {self.schema} COMMENT 'a shop'",
        }

    def run(self, *statements: str) -> None:
        opened = self.server.connect(self.schema)
        with closing(opened) as connection, connection.cursor() as cursor:
            cursor.execute("SET sql_mode = 'ANSI_QUOTES'")
            for statement in statements:
                cursor.execute(self.formatted(statement))

    def opening(self, target: CommentTarget) -> str:
        return "ALTER DATABASE " if target.type is ObjectType.SCHEMA else "ALTER TABLE "

    def removal(self, target: CommentTarget) -> str:
        return "MODIFY COLUMN" if target.ref.is_column else "COMMENT = ''"

    def takes(self, text: str) -> bool:
        return len(text) <= 1024 and max(text, default="") <= "\uffff"

    def break_off(self) -> None:
        self.server.stop()

    def mend(self) -> None:
        self.server.resume()


class FileWorkshop(Workshop):
    path: Path

    def break_off(self) -> None:
        self.path.rename(self.path.with_name("away"))

    def mend(self) -> None:
        self.path.with_name("away").rename(self.path)


class DuckWorkshop(FileWorkshop):
    text_type = "VARCHAR"
    stands_still_on_writes = False

    def __init__(self, folder: Path, request: pytest.FixtureRequest) -> None:
        self.path = folder / "a shop.duckdb"
        self.run("CREATE SCHEMA shop")
        url = "duckdb:///a shop.duckdb"
        self.database = databases.connect(url, relative_to=folder, options=OPTIONS)

    def run(self, *statements: str) -> None:
        with duckdb.connect(str(self.path)) as connection:
            for statement in statements:
                connection.execute(self.formatted(statement))

    def settle(self) -> None:
        earlier = self.path.stat().st_mtime_ns - 10**9
        os.utime(self.path, ns=(earlier, earlier))


class SqliteWorkshop(FileWorkshop):
    schema = "main"
    prefix = ""
    text_type = "VARCHAR"
    alters = False

    def __init__(self, folder: Path, request: pytest.FixtureRequest) -> None:
        self.path = folder / "a shop.sqlite"
        self.run("CREATE TABLE first (a INTEGER)", "DROP TABLE first")
        url = f"sqlite:///{self.path}"
        self.database = databases.connect(url, relative_to=folder, options=OPTIONS)

    def run(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for statement in statements:
                connection.execute(self.formatted(statement))


class MemoryWorkshop(Workshop):
    text_type = "character varying"
    speaks_sql = False
    alters = False

    def __init__(self, folder: Path, request: pytest.FixtureRequest) -> None:
        self.database: MemoryDatabase = MemoryDatabase()

    def run(self, *statements: str) -> None:
        """Stand in for SQL: any DDL adds a table; anything else changes nothing."""
        for statement in statements:
            if statement.split()[0] in {"CREATE", "ALTER", "DROP", "COMMENT"}:
                held = self.database.catalog
                added = Table(schema="shop", name=f"t{len(held.tables):03}")
                tables = sorted((*held.tables, added), key=lambda table: table.name)
                self.database.catalog = replace(held, tables=tuple(tables))

    def build(self) -> None:
        self.database.catalog = Catalog(
            reader="memory/1", source="memory", schemas=(Schema(name="shop"),), tables=SHOP
        )

    def fill(self, rows: int) -> None:
        self.database.rows[ObjectRef(schema="shop", table="customer")] = [
            (n, f"name {n % 5}", None if n % 4 == 0 else f"e{n}@x") for n in range(1, rows + 1)
        ]

    def break_off(self) -> None:
        self.database.fail_with = DatabaseUnavailableError("out of memory")

    def mend(self) -> None:
        self.database.fail_with = None


class FolderWorkshop(FileWorkshop):
    """SQL files in the dialect of PostgreSQL; `run` writes one file more."""

    text_type = "VARCHAR"
    integer_type = "int"
    stands_still_on_writes = False
    speaks_sql = False  # the files are read and never run: there are no rows

    def __init__(self, folder: Path, request: pytest.FixtureRequest) -> None:
        self.path = folder / "a shop"
        self.path.mkdir()
        self.run("CREATE SCHEMA shop")
        url = "ddl:///a shop?dialect=postgres"
        self.database = databases.connect(url, relative_to=folder, options=OPTIONS)

    def run(self, *statements: str) -> None:
        for statement in statements:
            number = len(list(self.path.iterdir()))
            (self.path / f"V{number}.sql").write_text(self.formatted(statement))


class DbtWorkshop(FileWorkshop):
    """A dbt project whose models are built in DuckDB; `run` writes its artifacts anew."""

    text_type = "VARCHAR"
    stands_still_on_writes = False
    speaks_sql = False  # the project is read, and its warehouse is not
    alters = False
    keeps_defaults = False

    def __init__(self, folder: Path, request: pytest.FixtureRequest) -> None:
        self.path = folder / "a shop"
        self.warehouse = duckdb.connect()
        request.addfinalizer(self.warehouse.close)
        self.run("CREATE SCHEMA shop")
        url = "dbt:///a shop"
        self.database = databases.connect(url, relative_to=folder, options=OPTIONS)

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.warehouse.execute(self.formatted(statement))
        write_target(self.path / "target", self.warehouse)


class GenericWorkshop(PostgresWorkshop):
    """PostgreSQL, read as any other database that SQLAlchemy has a dialect for."""

    text_type = "VARCHAR"
    integer_type = "integer"

    def __init__(self, folder: Path, request: pytest.FixtureRequest) -> None:
        super().__init__(folder, request)
        url = self.url.replace("postgresql://", "postgresql+psycopg://")
        self.database = open_generic(url, relative_to=folder, options=OPTIONS)


WORKSHOPS: dict[str, Callable[[Path, pytest.FixtureRequest], Workshop]] = {
    "postgres": PostgresWorkshop,
    "mariadb": MariadbWorkshop,
    "duckdb": DuckWorkshop,
    "sqlite": SqliteWorkshop,
    "memory": MemoryWorkshop,
    "sql_folder": FolderWorkshop,
    "dbt": DbtWorkshop,
    "generic": GenericWorkshop,
}

SHOP = (
    Table(
        schema="shop",
        name="customer",
        columns=(
            Column(name="customer_id", type="integer", nullable=False, ordinal=1),
            Column(
                name="name",
                type="character varying(40)",
                nullable=False,
                default="'un''known'",
                ordinal=2,
            ),
            Column(name="email", type="character varying(80)", ordinal=3),
        ),
        keys=(
            Key(kind=KeyKind.PRIMARY, columns=("customer_id",)),
            Key(kind=KeyKind.UNIQUE, columns=("email",)),
        ),
    ),
    Table(
        schema="shop",
        name="names",
        type=ObjectType.VIEW,
        columns=(
            Column(name="customer_id", type="integer", ordinal=1),
            Column(name="full_name", type="character varying(40)", ordinal=2),
        ),
        definition="SELECT customer_id, name AS full_name FROM shop.customer",
    ),
    Table(
        schema="shop",
        name="order",
        columns=(
            Column(name="order_id", type="integer", nullable=False, ordinal=1),
            Column(name="line", type="integer", nullable=False, ordinal=2),
            Column(name="customer_id", type="integer", ordinal=3),
        ),
        keys=(
            Key(
                kind=KeyKind.FOREIGN,
                columns=("customer_id",),
                references=("shop", "customer"),
                referenced_columns=("customer_id",),
            ),
            Key(kind=KeyKind.PRIMARY, columns=("order_id", "line")),
        ),
    ),
)


SPEAKING_SQL = pytest.mark.parametrize(
    "workshop", sorted(WORKSHOPS.keys() - {"sql_folder", "dbt", "memory"}), indirect=True
)
WITH_ROWS = pytest.mark.parametrize(
    "workshop", sorted(WORKSHOPS.keys() - {"sql_folder", "dbt"}), indirect=True
)

COMMENTING = pytest.mark.parametrize(
    "workshop", sorted(WORKSHOPS.keys() - {"sqlite", "dbt"}), indirect=True
)


@pytest.fixture(params=sorted(WORKSHOPS))
async def workshop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Workshop]:
    made = WORKSHOPS[request.param](tmp_path, request)
    yield made
    await made.database.aclose()
    await made.database.aclose()


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def targets_of(workshop: Workshop) -> list[CommentTarget]:
    """Return one target of each type that the back end can hold a comment on."""
    ref = ObjectRef(schema=workshop.schema, table="customer")
    view = ObjectRef(schema=workshop.schema, table="names")
    every = [
        CommentTarget(ref=ObjectRef(schema=workshop.schema), type=ObjectType.SCHEMA),
        CommentTarget(ref=ref, type=ObjectType.TABLE),
        CommentTarget(ref=view, type=ObjectType.VIEW),
        CommentTarget(ref=replace(ref, column="name"), type=ObjectType.COLUMN),
        CommentTarget(
            ref=replace(view, column="full_name"),
            type=ObjectType.COLUMN,
            owner_type=ObjectType.VIEW,
        ),
    ]
    return [each for each in every if workshop.database.capabilities.holds(each)]


async def test_reads_tables_columns_keys_and_views(workshop: Workshop) -> None:
    workshop.build()
    catalog = await workshop.database.reader.read()

    assert workshop.schema in [schema.name for schema in catalog.schemas]
    found = [table for table in catalog.tables if table.schema == workshop.schema]
    assert [table.name for table in found] == ["customer", "names", "order"]
    customer, names, order = found

    assert [column.name for column in customer.columns] == ["customer_id", "name", "email"]
    assert [column.ordinal for column in customer.columns] == [1, 2, 3]
    assert [column.nullable for column in customer.columns] == [False, False, True]
    assert [column.type.lower() for column in order.columns] == [workshop.integer_type] * 3
    assert customer.columns[1].type.startswith(workshop.text_type)
    if workshop.keeps_defaults:
        assert "un''known" in (customer.columns[1].default or "")
    assert customer.columns[0].default is None

    assert [(key.kind, key.columns) for key in customer.keys] == [
        (KeyKind.PRIMARY, ("customer_id",)),
        (KeyKind.UNIQUE, ("email",)),
    ]
    foreign, primary = order.keys
    assert (primary.kind, primary.columns) == (KeyKind.PRIMARY, ("order_id", "line"))
    assert (foreign.kind, foreign.columns) == (KeyKind.FOREIGN, ("customer_id",))
    assert foreign.references == (workshop.schema, "customer")
    assert foreign.referenced_columns == ("customer_id",)

    assert names.type is ObjectType.VIEW
    assert names.definition is not None
    assert names.definition.lower().startswith("select")
    assert not names.definition.endswith(";")
    assert [column.name for column in names.columns] == ["customer_id", "full_name"]
    assert customer.type is ObjectType.TABLE
    assert customer.definition is None
    assert catalog.problems == ()


async def test_reading_twice_gives_the_same_in_canonical_order(workshop: Workshop) -> None:
    workshop.build()
    first = await workshop.database.reader.read()
    assert await workshop.database.reader.read() == first
    names = [(table.schema, table.name) for table in first.tables]
    assert names == sorted(names)
    assert [schema.name for schema in first.schemas] == sorted(
        schema.name for schema in first.schemas
    )
    for table in first.tables:
        assert table.keys == tuple(sorted(table.keys, key=lambda key: (key.kind, key.columns)))
    native = [table.native_id for table in first.tables]
    if workshop.database.capabilities.native_ids:
        assert None not in native
        assert len(set(native)) == len(native)
    else:
        assert set(native) == {None}


async def test_gate_moves_with_every_kind_of_ddl(workshop: Workshop) -> None:
    workshop.build()
    workshop.run("CREATE TABLE {p}plain (a INTEGER, t VARCHAR(40))")
    steps = DDL | workshop.more_ddl
    token = await workshop.database.reader.gate()
    before = await workshop.database.reader.read()
    for what, statement in steps.items():
        workshop.run(statement)
        moved = await workshop.database.reader.gate()
        assert moved != token, what
        after = await workshop.database.reader.read()
        assert after != before, what
        assert (after.reader, after.source) == (before.reader, before.source)
        token, before = moved, after


async def test_gate_stands_still_while_nothing_happens(workshop: Workshop) -> None:
    workshop.build()
    reader = workshop.database.reader
    token = await reader.gate()
    await reader.read()
    assert await reader.gate() == token
    await workshop.database.commenter.current(targets_of(workshop))
    assert await reader.gate() == token


async def test_gate_stands_still_on_writes_where_promised(workshop: Workshop) -> None:
    workshop.build()
    token = await workshop.database.reader.gate()
    for statement in DML:
        workshop.run(statement)
        moved = await workshop.database.reader.gate() != token
        assert not (moved and workshop.stands_still_on_writes), statement


@COMMENTING
async def test_many_comments_are_written_each_by_itself(workshop: Workshop) -> None:
    workshop.build()
    commenter = workshop.database.commenter
    targets = targets_of(workshop)
    gone = CommentTarget(ref=ObjectRef(schema=workshop.schema, table="gone"), type=ObjectType.TABLE)
    rows = [(target, f"Text of {target.ref}.") for target in [targets[0], gone, *targets[1:]]]
    rows[2] = (rows[2][0], "no text holds \0 this")
    results = await commenter.execute_many(rows)
    refused = [at for at, result in enumerate(results) if isinstance(result, DatabaseError)]
    assert refused == [1, 2]
    written = {target.ref: text for at, (target, text) in enumerate(rows) if at not in refused}
    live = await commenter.current([target for target, _ in rows])
    assert {ref: comment for ref, comment in live.items() if comment} == written
    assert [results[at] for at in range(len(rows)) if at not in refused] == list(written.values())


async def test_comments_come_back_as_they_were_written(workshop: Workshop) -> None:
    workshop.build()
    commenter = workshop.database.commenter
    targets = targets_of(workshop)
    live = await commenter.current(targets)
    assert set(live) == {target.ref for target in targets}
    for number, target in enumerate(targets):
        assert await commenter.execute(target, f"text {number}") == f"text {number}"
    live = await commenter.current(targets)
    assert live == {target.ref: f"text {number}" for number, target in enumerate(targets)}

    catalog = await workshop.database.reader.read()
    customer = catalog.table(workshop.schema, "customer")
    assert customer is not None
    for target in targets:
        if target.ref.table == "customer" and target.type is ObjectType.COLUMN:
            column = customer.column("name")
            assert column is not None
            assert column.comment == live[target.ref]
        if target.ref == customer.ref:
            assert customer.comment == live[target.ref]

    for target in targets:
        assert await commenter.execute(target, None) == ""
    assert set((await commenter.current(targets)).values()) <= {None}


async def test_a_statement_says_what_is_run(workshop: Workshop) -> None:
    workshop.build()
    await workshop.database.commenter.current(targets_of(workshop))
    for target in targets_of(workshop):
        statement = workshop.database.commenter.statement(target, "it's")
        assert statement.startswith(workshop.opening(target))
        assert " 'it''s'" in statement
        assert statement.endswith(";")
        workshop.run(statement)
        if workshop.speaks_sql:
            assert (await workshop.database.commenter.current([target]))[target.ref] == "it's"
        assert workshop.removal(target) in workshop.database.commenter.statement(target, None)


async def test_naughty_texts_round_trip(workshop: Workshop, cases: Path) -> None:
    workshop.build()
    texts = [text for text in naughty(cases) if "\0" not in text]
    tries = [
        *texts[::40],
        "\n".join(texts),
        "\\",
        "'",
        "\\'",
        "$$",
        "E'\\n'",
        "%s %(a)s {}",
        "é" * 9,
    ]
    for target in targets_of(workshop)[-1:]:
        for text in filter(workshop.takes, tries):
            assert await workshop.database.commenter.execute(target, text) == text
            live = await workshop.database.commenter.current([target])
            assert (live[target.ref] or "") == text


def naughty(cases: Path) -> Iterator[str]:
    """Return all strings in the file, whatever its nesting."""

    def strings(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from strings(list(value.values()))
        elif isinstance(value, list):
            for each in value:
                yield from strings(each)

    document = json.loads((cases / "f_strings" / "blns.json").read_text(encoding="utf-8"))
    yield from strings(document)


@SPEAKING_SQL
async def test_awkward_names_are_quoted(workshop: Workshop) -> None:
    workshop.run(
        *(f"CREATE TABLE {{p}}{quoted(name)} ({quoted(name)} INTEGER)" for name in workshop.names),
        *(f"INSERT INTO {{p}}{quoted(name)} VALUES (7)" for name in workshop.names),
    )
    catalog = await workshop.database.reader.read()
    tables = {table.name: table for table in catalog.tables if table.schema == workshop.schema}
    assert set(tables) == set(workshop.names)
    commentable = ObjectType.COLUMN in workshop.database.capabilities.comments
    for name, table in tables.items():
        assert [column.name for column in table.columns] == [name]
        sample = await workshop.database.sampler.sample(table, rows=5, full=True)
        assert sample.rows == ((7,),)
        assert sample.totals[name].maximum == "7"
        target = CommentTarget(ref=table.column_ref(name), type=ObjectType.COLUMN)
        if commentable:
            assert await workshop.database.commenter.execute(target, name) == name
        assert list(await workshop.database.commenter.current([target])) == [target.ref]


@pytest.mark.parametrize("text", ["a\0b", "half \ud83e of a duck", "x" * 1_000_001])
async def test_text_that_cannot_be_written_is_refused(workshop: Workshop, text: str) -> None:
    workshop.build()
    target = CommentTarget(
        ref=ObjectRef(schema=workshop.schema, table="customer"), type=ObjectType.TABLE
    )
    with pytest.raises(StatementRefusedError):
        workshop.database.commenter.statement(target, text)
    with pytest.raises(StatementRefusedError):
        await workshop.database.commenter.execute(target, text)


async def test_what_cannot_hold_a_comment_refuses_it(workshop: Workshop) -> None:
    workshop.build()
    able = workshop.database.capabilities.comments
    for kind in set(ObjectType) - able - {ObjectType.MATERIALIZED_VIEW}:
        ref = ObjectRef(schema=workshop.schema, table="" if kind is ObjectType.SCHEMA else "names")
        with pytest.raises(StatementRefusedError):
            await workshop.database.commenter.execute(CommentTarget(ref=ref, type=kind), "x")


async def test_what_does_not_exist_is_absent_and_refused(workshop: Workshop) -> None:
    workshop.build()
    gone = [
        CommentTarget(ref=ObjectRef(schema=workshop.schema, table="gone"), type=ObjectType.TABLE),
        CommentTarget(
            ref=ObjectRef(schema=workshop.schema, table="customer", column="gone"),
            type=ObjectType.COLUMN,
        ),
        CommentTarget(ref=ObjectRef(schema="gone"), type=ObjectType.SCHEMA),
    ]
    assert await workshop.database.commenter.current(gone) == {}
    assert await workshop.database.commenter.current([]) == {}
    for target in gone[:2]:
        with pytest.raises(StatementRefusedError):
            await workshop.database.commenter.execute(target, "x")


@WITH_ROWS
async def test_samples_rows_and_counts_exactly_on_request(workshop: Workshop) -> None:
    workshop.build()
    workshop.fill(200)
    catalog = await workshop.database.reader.read()
    customer = catalog.table(workshop.schema, "customer")
    names = catalog.table(workshop.schema, "names")
    order = catalog.table(workshop.schema, "order")
    assert customer is not None
    assert names is not None
    assert order is not None
    sampler = workshop.database.sampler

    some = await sampler.sample(customer, rows=20, full=False)
    assert some.columns == ("customer_id", "name", "email")
    assert len(some.rows) == 20
    assert len(set(some.rows)) == 20
    assert some.totals == {}
    assert await sampler.sample(customer, rows=20, full=False) == some

    full = await sampler.sample(customer, rows=500, full=True)
    assert len(full.rows) == full.row_count == 200
    assert full.totals["email"].nulls == 50
    assert full.totals["name"].distinct == 5
    assert full.totals["name"].minimum == "name 0"
    assert full.totals["name"].maximum == "name 4"

    if workshop.speaks_sql:
        assert len((await sampler.sample(names, rows=3, full=True)).rows) == 3
    empty = await sampler.sample(order, rows=3, full=True)
    assert empty.rows == ()
    assert empty.row_count == 0
    assert empty.totals["line"].distinct == 0


@WITH_ROWS
async def test_rows_are_counted_where_they_lie(workshop: Workshop) -> None:
    workshop.build()
    workshop.fill(200)
    catalog = await workshop.database.reader.read()
    customer = catalog.table(workshop.schema, "customer")
    order = catalog.table(workshop.schema, "order")
    assert customer is not None
    assert order is not None
    sampler = workshop.database.sampler

    tally = await sampler.tally(customer, Wanted(rows=500))
    assert (tally.rows, tally.row_count, tally.totals) == (200, None, {})
    key, name, email = (tally.columns[each] for each in ("customer_id", "name", "email"))
    assert (key.kind, key.rows, key.nulls, key.distinct) == (ValueKind.NUMBER, 200, 0, 200)
    least, lower, middle, upper, greatest = map(int, key.quantiles)
    assert (greatest - least, middle - lower, upper - middle) == (199, 50, 50)
    assert [each.text for each in name.values] == [f"name {n}" for n in range(5)]
    assert {each.count for each in name.values} == {40}
    assert [(each.text, each.count) for each in name.shapes] == [("aaaa 9", 200)]
    assert (name.min_length, name.max_length) == (6, 6)
    assert (email.kind, email.nulls) == (ValueKind.TEXT, 50)
    assert name.quantiles == key.shapes == ()

    assert await sampler.tally(customer, Wanted(rows=500)) == tally
    some = await sampler.tally(customer, Wanted(rows=20))
    assert some.rows == 20
    assert await sampler.tally(customer, Wanted(rows=20)) == some

    hidden = frozenset({"customer_id", "name", "email"})
    shut = await sampler.tally(customer, Wanted(rows=500, full=True, hidden=hidden))
    assert all(not each.values and not each.quantiles for each in shut.columns.values())
    assert shut.columns["name"].shapes == name.shapes
    assert shut.row_count == 200
    assert shut.totals["email"].nulls == 50

    empty = await sampler.tally(order, Wanted(rows=3))
    assert (empty.rows, empty.columns["line"].distinct) == (0, 0)


@SPEAKING_SQL
async def test_values_of_every_kind_are_counted(workshop: Workshop) -> None:
    """Names that need quotes, texts that sort oddly, letters of other scripts, and nothing."""
    workshop.run(
        "CREATE TABLE {p}kinds (day DATE, price DECIMAL(9, 2), word VARCHAR(200), bare INTEGER)",
        *(
            f"INSERT INTO {{p}}kinds VALUES ('2026-01-{day:02}', {day - 10}.5, {word}, NULL)"
            for day, word in enumerate(("'Ab-1'", "'ab-1'", "'İş 7'", f"'{'w' * 99}'", "NULL"), 8)
        ),
    )
    catalog = await workshop.database.reader.read()
    table = catalog.table(workshop.schema, "kinds")
    assert table is not None
    seen = (await workshop.database.sampler.tally(table, Wanted(rows=100))).columns
    assert [float(each) for each in seen["price"].quantiles] == [-2.5, -1.5, 0.5, 1.5, 2.5]
    if seen["day"].kind is ValueKind.TIME:  # SQLite has no dates, only texts
        assert [each[:10] for each in seen["day"].quantiles] == [
            f"2026-01-{day:02}" for day in range(8, 13)
        ]
    word = seen["word"]
    assert (word.distinct, word.nulls, word.max_length) == (4, 1, 99)
    assert {each.text for each in word.shapes} == {"Aa-9", "aa-9", "Aa 9", "(long text)"}
    assert (seen["bare"].nulls, seen["bare"].distinct, seen["bare"].values) == (5, 0, ())


@SPEAKING_SQL
async def test_a_table_that_is_gone_cannot_be_sampled(workshop: Workshop) -> None:
    workshop.build()
    gone = Table(schema=workshop.schema, name="gone", columns=SHOP[0].columns)
    with pytest.raises(DatabaseError):
        await workshop.database.sampler.sample(gone, rows=1, full=False)
    with pytest.raises(DatabaseError):
        await workshop.database.sampler.tally(gone, Wanted(rows=1))


async def test_an_outage_is_said_and_ends(workshop: Workshop) -> None:
    workshop.build()
    database = workshop.database
    before = await database.reader.read()
    table = before.table(workshop.schema, "customer")
    assert table is not None
    target = CommentTarget(ref=table.ref, type=ObjectType.TABLE)
    workshop.break_off()
    try:
        for attempt in (
            database.reader.gate,
            database.reader.read,
            lambda: database.sampler.sample(table, rows=1, full=False),
            lambda: database.commenter.current([target]),
        ):
            with pytest.raises(DatabaseUnavailableError) as caught:
                await attempt()
            assert "\n" not in str(caught.value)
    finally:
        workshop.mend()
    assert await database.reader.read() == before
    assert await database.reader.gate()


async def test_a_cancelled_call_leaves_the_database_usable(workshop: Workshop) -> None:
    workshop.build()
    for seconds in (0, 0.001, 0.005):
        with anyio.move_on_after(seconds):
            await workshop.database.reader.read()
    workshop.run("CREATE TABLE {p}later (a INTEGER)")
    assert len((await workshop.database.reader.read()).tables) == 4


async def test_calls_at_the_same_time_do_not_disturb_each_other(workshop: Workshop) -> None:
    workshop.build()
    expected = await workshop.database.reader.read()
    found: list[Catalog] = []

    async def read() -> None:
        found.append(await workshop.database.reader.read())
        await workshop.database.reader.gate()

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(read)
    assert found == [expected] * 5


def test_an_unknown_scheme_names_the_known_ones(tmp_path: Path) -> None:
    known = r"oracel://.*duckdb://.*postgresql://.*sqlite://"
    with pytest.raises(UsageError, match=known) as caught:
        databases.connect("oracel://u:secret@h/d", relative_to=tmp_path, options=OPTIONS)
    assert "did you mean oracle://" in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(UsageError, match="no scheme"):
        databases.connect("host=x password=secret", relative_to=tmp_path, options=OPTIONS)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "duckdb:///:memory:", "sqlite://x.db"])
def test_a_url_without_a_file_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no file"):
        databases.connect(url, relative_to=tmp_path, options=OPTIONS)


def test_a_missing_driver_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError('no pq wrapper available')\n")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from amxwatch import databases\n"
        "from amxwatch.clocks.system import SystemClock\n"
        "from amxwatch.core.errors import MissingExtraError\n"
        "try:\n"
        "    databases.connect('postgresql://h/d', relative_to=Path(),\n"
        "        options=databases.ConnectOptions(clock=SystemClock()))\n"
        "except MissingExtraError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "pip install 'amxwatch[postgres]'" in done.stdout
    assert issubclass(MissingExtraError, UsageError)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://joe:s3cret@h:5432/d", "postgresql://joe:***@h:5432/d"),
        ("postgresql://joe:s3/cr@et@h/d?sslpassword=s3cret", "postgresql://joe:***@h/d"),
        ("postgresql://h/d", "postgresql://h/d"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("host=h password=s3cret", "(a URL without a scheme)"),
    ],
)
def test_a_url_is_described_without_its_password(url: str, shown: str) -> None:
    assert databases.describe(url) == shown


def test_a_missing_file_is_never_made(tmp_path: Path) -> None:
    async def main() -> None:
        for scheme in ("sqlite", "duckdb"):
            database = databases.connect(
                f"{scheme}:///sub/none.db", relative_to=tmp_path, options=OPTIONS
            )
            target = CommentTarget(ref=ObjectRef(schema="main", table="t"), type=ObjectType.TABLE)
            for attempt in (database.reader.gate, database.reader.read):
                with pytest.raises(DatabaseUnavailableError, match=r"none\.db"):
                    await attempt()
            with pytest.raises(DatabaseError):
                await database.commenter.execute(target, "x")

    anyio.run(main)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheme", ["sqlite", "duckdb"])
async def test_a_file_that_is_no_database_is_said_to_be(scheme: str, tmp_path: Path) -> None:
    (tmp_path / "junk.db").write_text("nothing of the kind\n" * 500)
    database = databases.connect(f"{scheme}:///junk.db", relative_to=tmp_path, options=OPTIONS)
    with pytest.raises(DatabaseError, match="not a"):
        await database.reader.read()


def test_our_own_file_has_one_name() -> None:
    assert databases.OWN_FILE == COMMENTS_FILE
