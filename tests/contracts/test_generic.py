"""Databases without a back end of their own: read through SQLAlchemy, compared with ours."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import mysql, registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from amxwatch import databases
from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import Catalog, ObjectRef, ObjectType, Table
from amxwatch.core.datatype import same_type
from amxwatch.core.errors import (
    DatabaseUnavailableError,
    LoginRefusedError,
    MissingExtraError,
    StatementRefusedError,
    UsageError,
)
from amxwatch.core.view import same_definition
from amxwatch.databases.generic import GenericDatabase, dialects, logins, open_generic
from amxwatch.databases.generic.comments import commentable
from amxwatch.ports.database import CommentTarget

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = databases.ConnectOptions(clock=SystemClock(), connect_seconds=20)

SHOP = (
    "CREATE SCHEMA shop",
    "CREATE SCHEMA other",
    """CREATE TABLE shop.customer (
      customer_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      name character varying(40) DEFAULT 'un''known' NOT NULL,
      email text UNIQUE,
      balance numeric(10, 2) DEFAULT 0,
      tags text[],
      data jsonb,
      seen timestamp with time zone DEFAULT now(),
      born date,
      doubled numeric GENERATED ALWAYS AS (balance * 2) STORED,
      id uuid
    )""",
    "CREATE TABLE other.region (code char(2), year smallint, PRIMARY KEY (code, year))",
    """CREATE TABLE shop."order" (
      order_id bigint NOT NULL, line int NOT NULL, customer_id int REFERENCES shop.customer,
      code char(2), year smallint, amount double precision, flag boolean DEFAULT true,
      PRIMARY KEY (order_id, line), UNIQUE (code, line),
      FOREIGN KEY (code, year) REFERENCES other.region (code, year)
    )""",
    "CREATE TABLE public.plain (a int)",
    "CREATE TABLE public.child (a int PRIMARY KEY)",
    "CREATE TABLE shop.leans (a int REFERENCES public.child (a))",
    "CREATE VIEW shop.names AS SELECT customer_id, name AS full_name FROM shop.customer",
    (
        "CREATE MATERIALIZED VIEW shop.spend AS SELECT customer_id, sum(amount) AS total"
        ' FROM shop."order" GROUP BY customer_id'
    ),
    "COMMENT ON TABLE shop.customer IS 'who buys'",
    "COMMENT ON VIEW shop.names IS 'what they are called'",
    "COMMENT ON COLUMN shop.customer.name IS 'in full; 100%'",
    "COMMENT ON COLUMN shop.names.full_name IS 'seen'",
)


def generic(url: str, folder: Path = Path()) -> GenericDatabase:
    return open_generic(url, relative_to=folder, options=OPTIONS)


def through_sqlalchemy(url: str) -> GenericDatabase:
    return generic(url.replace("postgresql://", "postgresql+psycopg://"))


def make(url: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


async def test_postgresql_reads_as_its_own_back_end_reads_it(postgres_url: str) -> None:
    make(postgres_url, *SHOP)
    own = databases.connect(postgres_url, relative_to=Path(), options=OPTIONS)
    other = through_sqlalchemy(postgres_url)
    expected, found = await own.reader.read(), await other.reader.read()
    await own.aclose()
    await other.aclose()

    assert [schema.name for schema in found.schemas] == [each.name for each in expected.schemas]
    assert found.problems == ()
    assert found.unseen == ()
    assert names_of(found) == names_of(expected)
    for mine, theirs in zip(expected.tables, found.tables, strict=True):
        same_table(mine, theirs)


def names_of(catalog: Catalog) -> list[tuple[str, str, str]]:
    return [(table.schema, table.name, table.type) for table in catalog.tables]


def same_table(mine: Table, theirs: Table) -> None:
    assert theirs.comment == mine.comment
    assert same_definition(theirs.definition, mine.definition, "postgres"), mine.ref
    assert [
        (key.kind, key.columns, key.references, key.referenced_columns) for key in theirs.keys
    ] == [(key.kind, key.columns, key.references, key.referenced_columns) for key in mine.keys]
    for one, two in zip(mine.columns, theirs.columns, strict=True):
        assert (two.name, two.nullable, two.ordinal, two.comment) == (
            one.name,
            one.nullable,
            one.ordinal,
            one.comment,
        )
        assert same_type(one.type, two.type, "postgres"), (one.type, two.type)
        assert two.default == one.default, one.name


async def test_sqlite_reads_as_its_own_back_end_reads_it(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.executescript(
            "CREATE TABLE customer (customer_id INTEGER NOT NULL PRIMARY KEY,"
            " name VARCHAR(40) DEFAULT 'un''known' NOT NULL, email TEXT UNIQUE);"
            "CREATE TABLE item (n INTEGER, customer_id INTEGER REFERENCES customer (customer_id));"
            "CREATE VIEW names AS SELECT customer_id, name AS full_name FROM customer;"
        )
    url = "sqlite:///shop.db"
    own = databases.connect(url, relative_to=tmp_path, options=OPTIONS)
    other = generic(url, tmp_path)
    expected, found = await own.reader.read(), await other.reader.read()
    assert names_of(found) == names_of(expected)
    for mine, theirs in zip(expected.tables, found.tables, strict=True):
        assert [(column.name, column.type, column.default) for column in theirs.columns] == [
            (column.name, column.type, column.default) for column in mine.columns
        ]
        assert [(key.kind, key.columns, key.references) for key in theirs.keys] == [
            (key.kind, key.columns, key.references) for key in mine.keys
        ]
        assert same_definition(theirs.definition, mine.definition, "sqlite")
    assert other.capabilities.comments == frozenset()
    await other.aclose()


async def test_a_comment_is_removed_where_it_stands(postgres_url: str) -> None:
    """SQLAlchemy's own statement forgets the schema, and would hit the table of that name."""
    make(
        postgres_url,
        *SHOP,
        "CREATE TABLE public.customer (name text)",
        "COMMENT ON COLUMN public.customer.name IS 'somebody else'",
    )
    database = through_sqlalchemy(postgres_url)
    ref = ObjectRef(schema="shop", table="customer", column="name")
    target = CommentTarget(ref=ref, type=ObjectType.COLUMN)
    assert await database.commenter.execute(target, None) == ""
    other = CommentTarget(
        ref=ObjectRef(schema="public", table="customer", column="name"), type=ObjectType.COLUMN
    )
    live = await database.commenter.current([target, other])
    assert live == {target.ref: None, other.ref: "somebody else"}
    await database.aclose()


async def test_materialized_views_are_commented(postgres_url: str) -> None:
    make(postgres_url, *SHOP)
    database = through_sqlalchemy(postgres_url)
    target = CommentTarget(
        ref=ObjectRef(schema="shop", table="spend"), type=ObjectType.MATERIALIZED_VIEW
    )
    assert await database.commenter.execute(target, "Sums.") == "Sums."
    await database.aclose()


async def test_types_without_order_are_counted(postgres_url: str) -> None:
    make(
        postgres_url,
        "CREATE TABLE public.odd (a int, d json, p point, flag boolean)",
        "INSERT INTO public.odd VALUES (1, '{}', '(1,2)', true), (2, NULL, '(1,2)', NULL)",
    )
    database = through_sqlalchemy(postgres_url)
    (table,) = (await database.reader.read()).tables
    sample = await database.sampler.sample(table, rows=5, full=True)
    assert sample.row_count == 2
    assert (sample.totals["a"].minimum, sample.totals["a"].maximum) == ("1", "2")
    assert (sample.totals["d"].nulls, sample.totals["d"].distinct) == (1, 1)
    assert (sample.totals["p"].distinct, sample.totals["p"].minimum) == (1, None)
    assert (sample.totals["flag"].nulls, sample.totals["flag"].distinct) == (1, 1)
    await database.aclose()


class Guarded(SQLiteDialect_pysqlite):
    """SQLite with a second schema, whose reading SQLite itself refuses."""

    supports_statement_cache = True
    denied = ("vault", "")
    """Schema and table that may not be looked at; an empty table: none of them."""

    def on_connect(self) -> Any:
        def attached(connection: sqlite3.Connection) -> None:
            schema, table = self.denied
            connection.execute("ATTACH ':memory:' AS vault")
            connection.execute("CREATE TABLE vault.gold (a INTEGER)")
            connection.execute("CREATE TABLE vault.lead (b INTEGER)")

            def allow(action: int, first: str, second: str, where: str, _: str) -> int:
                hidden = where == schema and (not table or second == table)
                looks = action == sqlite3.SQLITE_PRAGMA and first.startswith(("table_", "index_"))
                return sqlite3.SQLITE_DENY if hidden and looks else sqlite3.SQLITE_OK

            connection.set_authorizer(allow)

        return attached


class Vaulted(Guarded):
    denied = ("vault", "gold")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Path]:
    registry.register("guarded", __name__, "Guarded")
    registry.register("vaulted", __name__, "Vaulted")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE item (n INTEGER)")
    yield tmp_path / "shop.db"
    for name in ("guarded", "vaulted"):
        registry.deregister(name)


async def test_a_schema_that_may_not_be_read_is_named_and_the_rest_counts(guarded: Path) -> None:
    database = generic(f"guarded:///{guarded}")
    catalog = await database.reader.read()
    assert [table.name for table in catalog.tables] == ["item"]
    assert catalog.unseen == (ObjectRef(schema="vault"),)
    (problem,) = catalog.problems
    assert problem.file == "vault"
    assert "not authorized" in problem.message
    await database.aclose()


async def test_a_table_that_may_not_be_read_is_named_and_the_rest_counts(guarded: Path) -> None:
    database = generic(f"vaulted:///{guarded}")
    catalog = await database.reader.read()
    assert [table.name for table in catalog.tables] == ["item", "lead"]
    assert catalog.unseen == (ObjectRef(schema="vault", table="gold"),)
    await database.aclose()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("trino://u:s3cret@h/c", "pip install 'trino[sqlalchemy]'"),
        ("bigquery://p/d", "pip install 'sqlalchemy-bigquery'"),
        ("snowflake://u:s3cret@a/d", "pip install 'amxwatch[snowflake]'"),
        ("clickhousedb://u:s3cret@h/d", "pip install 'amxwatch[clickhouse]'"),
        ("mssql+pyodbc://u:s3cret@h/d", "pip install 'pyodbc'"),
        ("oracle+oracledb://u:s3cret@h/d", "pip install 'oracledb'"),
    ],
)
def test_a_missing_dialect_or_driver_is_named(url: str, told: str) -> None:
    with pytest.raises(MissingExtraError) as caught:
        databases.connect(url, relative_to=Path(), options=OPTIONS)
    assert told in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "near"),
    [("snowflak", "snowflake://"), ("postgress", "postgresql://"), ("bigqery", "bigquery://")],
)
def test_a_mistyped_scheme_is_told_the_near_ones(scheme: str, near: str) -> None:
    with pytest.raises(UsageError, match="did you mean") as caught:
        databases.connect(f"{scheme}://u:s3cret@h/d", relative_to=Path(), options=OPTIONS)
    assert near in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_scheme_like_no_other_is_told_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"known are: .*dbt://.*every SQLAlchemy dialect"):
        databases.connect("zzzz://h/d", relative_to=Path(), options=OPTIONS)


def test_a_url_that_is_none_is_refused_without_its_secret() -> None:
    with pytest.raises(UsageError) as caught:
        generic("snowflake+x y://u:s3cret@h:notaport/d")
    assert "s3cret" not in str(caught.value)


async def test_no_message_holds_a_secret() -> None:
    url = "postgresql+psycopg://u:s3cret@127.0.0.1:1/d?sslpassword=al5o&application_name=s3cret"
    database = generic(url)
    target = CommentTarget(ref=ObjectRef(schema="s", table="t"), type=ObjectType.TABLE)
    for attempt in (
        database.reader.gate,
        database.reader.read,
        lambda: database.commenter.current([target]),
    ):
        with pytest.raises(DatabaseUnavailableError) as caught:
            await attempt()
        assert "s3cret" not in str(caught.value)
        assert "al5o" not in str(caught.value)
        assert "\n" not in str(caught.value)
    (result,) = await database.commenter.execute_many([(target, "x")])
    assert isinstance(result, DatabaseUnavailableError)
    await database.aclose()


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "mariadb+pymysql"])
async def test_a_refused_login_is_told_from_an_outage(
    request: pytest.FixtureRequest, scheme: str
) -> None:
    if scheme.startswith("postgresql"):
        url = request.getfixturevalue("postgres_url").replace("//postgres@", "//stranger:s3cr3t@")
    else:
        name, server = map(request.getfixturevalue, ("mariadb_name", "mariadb_server"))
        url = server.url(name, user="stranger:s3cr3t")
    database = open_generic(
        f"{scheme}:{url.partition(':')[2]}", relative_to=Path(), options=OPTIONS
    )
    with pytest.raises(LoginRefusedError, match="check the user and the password") as caught:
        await database.reader.gate()
    assert "s3cr3t" not in str(caught.value)
    await database.aclose()
    away = open_generic(f"{scheme}://u:s3cr3t@127.0.0.1:1/d", relative_to=Path(), options=OPTIONS)
    with pytest.raises(DatabaseUnavailableError) as caught:
        await away.reader.gate()
    assert not isinstance(caught.value, LoginRefusedError)
    await away.aclose()


class Driver(Exception):
    """What a driver raises: its arguments, and what it hangs on itself."""

    def __init__(self, *args: object, **given: object) -> None:
        super().__init__(*args)
        self.__dict__.update(given)


@pytest.mark.parametrize(
    ("dialect", "error", "refused"),
    [
        ("mssql", Driver("28000", "[28000] Login failed for user 'x'. (18456)"), True),  # pyodbc
        ("mssql", Driver(18456, b"Login failed"), True),  # pymssql
        ("mssql", Driver("08001", "Connection refused"), False),
        ("oracle", Driver(Driver("ORA-01017: invalid username/password", code=1017)), True),
        ("oracle", Driver(Driver("ORA-12541: no listener", code=12541)), False),
        ("snowflake", Driver("Incorrect username or password was specified.", errno=250001), True),
        ("snowflake", Driver("Could not connect to backend", errno=250003), False),
        ("clickhousedb", Driver("Authentication failed", code=516), True),
        ("clickhousedb", Driver("timeout", code=159), False),
        ("redshift", Driver({"M": "password authentication failed for user"}), True),
        ("trino", Driver("error 401: b'Unauthorized'"), True),
        ("trino", Driver("error 503: b'Service Unavailable'"), False),
        ("teradatasql", Driver("The UserId, Password or Account is invalid.", code=8017), True),
        ("postgresql", Driver("x", sqlstate="28P01"), True),
        ("postgresql", Driver("x", sqlstate="57P03"), False),
    ],
)
def test_what_drivers_say_of_a_login(dialect: str, error: Driver, refused: bool) -> None:
    assert logins.is_login(error, dialect) is refused


async def test_a_long_statement_is_ended_by_the_server(postgres_url: str) -> None:
    make(postgres_url, "CREATE TABLE slow (a int)", "INSERT INTO slow VALUES (1)")
    make(postgres_url, "CREATE VIEW slower AS SELECT a, pg_sleep(600)::text FROM slow")
    options = databases.ConnectOptions(clock=SystemClock(), statement_seconds=0.2)
    url = postgres_url.replace("postgresql://", "postgresql+psycopg://")
    database = open_generic(url, relative_to=Path(), options=options)
    view = (await database.reader.read()).table("public", "slower")
    assert view is not None
    with pytest.raises(DatabaseUnavailableError, match="timeout"):
        await database.sampler.sample(view, rows=1, full=False)
    await database.aclose()


@pytest.mark.parametrize(
    ("schema", "dialect", "system"),
    [
        ("INFORMATION_SCHEMA", "snowflake", True),
        ("information_schema", "trino", True),
        ("pg_catalog", "redshift", True),
        ("db_owner", "mssql", True),
        ("db_owner", "snowflake", False),
        ("system", "chdb", True),
        ("system", "mssql", False),
        ("SYSTEM", "oracle", True),
        ("crm", "oracle", False),
        ("sysop", "trino", False),
    ],
)
def test_schemas_of_the_database_itself_are_left_out(
    schema: str, dialect: str, system: bool
) -> None:
    assert dialects.is_system(schema, dialect) is system


def test_names_of_dialects_are_those_of_sqlglot() -> None:
    names = ("postgresql", "mssql", "awsathena", "clickhousedb", "snowflake", "ibm_db_sa")
    found = [dialects.sqlglot_name(name) for name in names]
    assert found == ["postgres", "tsql", "athena", "clickhouse", "snowflake", ""]


def test_what_loses_parts_of_a_column_is_not_offered() -> None:
    """MySQL's statement repeats the column; SQLAlchemy leaves out what it does not know."""
    assert commentable(mysql.dialect()) == {ObjectType.TABLE}


async def test_what_holds_no_comments_exports_and_refuses(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "shop.db").close()
    database = generic("sqlite:///shop.db", tmp_path)
    target = CommentTarget(ref=ObjectRef(schema="main", table="t"), type=ObjectType.TABLE)
    assert database.commenter.statement(target, "x") == """COMMENT ON TABLE "main"."t" IS 'x';"""
    with pytest.raises(StatementRefusedError, match="SQLite cannot hold a table comment"):
        await database.commenter.execute(target, "x")
    await database.aclose()


@pytest.mark.parametrize(
    ("name", "variable", "packages"),
    [
        ("clickhouse", "AMXWATCH_CLICKHOUSE_PYTHON", "chdb clickhouse-connect chdb-sqlalchemy"),
        ("snowflake", "AMXWATCH_SNOWFLAKE_PYTHON", "fakesnow snowflake-sqlalchemy"),
    ],
)
def test_warehouses_that_are_huge_to_install(
    name: str, variable: str, packages: str, tmp_path: Path
) -> None:
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"huge optional extra: set {variable} to a Python with {packages}")
    done = subprocess.run(
        [
            python,
            "-W",
            "ignore",
            "-m",
            "tests.contracts.generic_elsewhere",
            name,
            tmp_path / "data",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the gate moved with" in done.stdout
