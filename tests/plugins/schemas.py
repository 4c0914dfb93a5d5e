"""Real engines that a script can fill: each load is a database of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest

from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import Catalog
from amxwatch.databases import ConnectOptions, connect
from amxwatch.ports.database import Capabilities, Database
from tests.plugins.mariadb import MariadbServer
from tests.plugins.postgres import PostgresServer

NUMBERS = count(1)


@dataclass(frozen=True, kw_only=True)
class SchemaEngine:
    """`load` makes a database out of a script and returns its URL; `run` runs more in it."""

    product: str
    load: Callable[[str], str]
    run: Callable[[str, list[str]], None]

    rows: Callable[[str, str], list[tuple[object, ...]]] = lambda _url, _query: []
    is_single: bool = False
    """Whether a load takes the place of the one before it."""

    def able(self, url: str) -> Capabilities:
        return self._database(url).capabilities

    async def read(self, url: str) -> tuple[Catalog, Capabilities]:
        database = self._database(url)
        try:
            return await database.reader.read(), database.capabilities
        finally:
            await database.aclose()

    def _database(self, url: str) -> Database:
        options = ConnectOptions(clock=SystemClock(), statement_seconds=300)
        return connect(url, relative_to=Path("/"), options=options)


@pytest.fixture
def sqlite_schemas(tmp_path: Path) -> SchemaEngine:
    def run(url: str, statements: list[str]) -> None:
        path = url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    def load(script: str) -> str:
        path = tmp_path / f"schema_{next(NUMBERS)}.sqlite"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(script)
        return f"sqlite:///{path}"

    def rows(url: str, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return connection.execute(query).fetchall()

    return SchemaEngine(product="sqlite", load=load, run=run, rows=rows)


@pytest.fixture
def duckdb_schemas(tmp_path: Path) -> SchemaEngine:
    import duckdb

    def run(url: str, statements: list[str]) -> None:
        with duckdb.connect(url.removeprefix("duckdb:///")) as connection:
            for statement in statements:
                connection.execute(statement)

    def load(script: str) -> str:
        path = tmp_path / f"schema_{next(NUMBERS)}.duckdb"
        with duckdb.connect(path) as connection:
            connection.execute(script)
        return f"duckdb:///{path}"

    def rows(url: str, query: str) -> list[tuple[object, ...]]:
        with duckdb.connect(url.removeprefix("duckdb:///")) as connection:
            return connection.execute(query).fetchall()

    return SchemaEngine(product="duckdb", load=load, run=run, rows=rows)


@pytest.fixture
def postgres_schemas(postgres_server: PostgresServer) -> Iterator[SchemaEngine]:
    psycopg = pytest.importorskip("psycopg", reason="pip install 'amxwatch[postgres]'")
    made: list[str] = []

    def run(url: str, statements: list[str]) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def load(script: str) -> str:
        name = f"schema_{next(NUMBERS)}"
        run(postgres_server.url("postgres"), [f"CREATE DATABASE {name} TEMPLATE template0"])
        made.append(name)
        url = postgres_server.url(name)
        run(url, [script])
        return url

    yield SchemaEngine(product="postgres", load=load, run=run)
    for name in made:
        drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
        run(postgres_server.url("postgres"), [drop])


@pytest.fixture
def mariadb_schemas(mariadb_server: MariadbServer) -> Iterator[SchemaEngine]:
    from pymysql.constants import CLIENT

    def run(url: str, statements: list[str]) -> None:
        del url
        opened = mariadb_server.connect(client_flag=CLIENT.MULTI_STATEMENTS)
        with closing(opened) as connection, connection.cursor() as cursor:
            for statement in ["CREATE DATABASE IF NOT EXISTS t", "USE t", *statements]:
                cursor.execute(statement)
                while cursor.nextset():
                    pass

    def load(script: str) -> str:
        # Under one name, as that is the schema's too.
        run("", ["DROP DATABASE t", "CREATE DATABASE t", "USE t", script])
        return mariadb_server.url("t")

    yield SchemaEngine(product="mariadb", load=load, run=run, is_single=True)
    run("", ["DROP DATABASE t"])


def without_natives(catalog: Catalog) -> Catalog:
    """Two loads of one script have other numbers."""
    return replace(
        catalog,
        tables=tuple(
            replace(
                table,
                native_id=None,
                columns=tuple(replace(column, native_num=None) for column in table.columns),
            )
            for table in catalog.tables
        ),
    )
