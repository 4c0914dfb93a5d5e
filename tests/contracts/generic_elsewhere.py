"""Run the generic back end by a Python that has a database's huge packages; see test_generic.

`python generic_elsewhere.py clickhouse FOLDER` or `snowflake`: asserts, and prints what it saw.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import anyio
import sqlalchemy as sa

from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import ObjectRef, ObjectType
from amxwatch.core.errors import DatabaseError
from amxwatch.databases import ConnectOptions
from amxwatch.databases.generic import GenericDatabase, open_generic
from amxwatch.ports.database import CommentTarget

TEXTS = ("it's 100% \\ ? :x {a} \\' é\n2 %s", "%%", "表 🦆", "x")

CLICKHOUSE = (
    "CREATE DATABASE shop",
    (
        "CREATE TABLE shop.customer (customer_id Int32,"
        " name String DEFAULT 'un\\'known' COMMENT 'full', email Nullable(String),"
        " seen DateTime64(3), tag LowCardinality(String))"
        " ENGINE = MergeTree ORDER BY customer_id COMMENT 'who buys'"
    ),
    "CREATE VIEW shop.names AS SELECT customer_id, name AS full_name FROM shop.customer",
    (
        "CREATE MATERIALIZED VIEW shop.counts ENGINE = MergeTree ORDER BY customer_id AS"
        " SELECT customer_id, count() AS n FROM shop.customer GROUP BY customer_id"
    ),
)
CLICKHOUSE_DDL = (
    "CREATE TABLE shop.extra (a Int32) ENGINE = MergeTree ORDER BY a",
    "ALTER TABLE shop.extra ADD COLUMN b Int32",
    "ALTER TABLE shop.extra RENAME COLUMN b TO c",
    "ALTER TABLE shop.extra MODIFY COLUMN c Int64",
    "ALTER TABLE shop.extra COMMENT COLUMN c 'x'",
    "ALTER TABLE shop.extra MODIFY COMMENT 'x'",
    "ALTER TABLE shop.extra DROP COLUMN c",
    "RENAME TABLE shop.extra TO shop.other",
    "DROP TABLE shop.other",
    "CREATE DATABASE another",
)
SNOWFLAKE = (
    "CREATE TABLE customer (customer_id INT PRIMARY KEY, name VARCHAR(40) NOT NULL, seen DATE)",
    "CREATE VIEW names AS SELECT customer_id, name AS full_name FROM customer",
    "INSERT INTO customer VALUES (1, 'a', NULL), (2, 'b', NULL), (3, 'b', NULL)",
)
SNOWFLAKE_DDL = (
    "CREATE TABLE extra (a INT)",
    "ALTER TABLE extra ADD COLUMN b INT",
    "ALTER TABLE extra RENAME COLUMN b TO c",
    "COMMENT ON TABLE extra IS 'x'",
    "ALTER TABLE extra DROP COLUMN c",
    "ALTER TABLE extra RENAME TO other",
    "DROP TABLE other",
)

Run = Callable[[str], object]


def opened(url: str) -> GenericDatabase:
    return open_generic(url, relative_to=Path(), options=ConnectOptions(clock=SystemClock()))


async def the_gate_moves(database: GenericDatabase, run: Run, statements: tuple[str, ...]) -> None:
    token = await database.reader.gate()
    assert await database.reader.gate() == token
    before = await database.reader.read()
    for statement in statements:
        run(statement)
        moved = await database.reader.gate()
        assert moved != token, statement
        assert await database.reader.read() != before or "COMMENT" in statement, statement
        token, before = moved, await database.reader.read()
    print(f"{database.capabilities.product}: the gate moved with {len(statements)} statements")


async def clickhouse(folder: str, scheme: str) -> None:
    url = f"chdb:///{folder}"
    if scheme == "clickhousedb":
        url = f"clickhousedb://localhost/default?interface=chdb&path={folder}"
    database = opened(url)
    assert database.capabilities.dialect == "clickhouse"
    engine = sa.create_engine(url)

    def run(statement: str) -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    for statement in ("DROP DATABASE IF EXISTS shop", "DROP DATABASE IF EXISTS another"):
        run(statement)
    for statement in CLICKHOUSE:
        run(statement)
    catalog = await database.reader.read()
    found = {table.name: table for table in catalog.tables if table.schema == "shop"}
    assert catalog.problems == ()
    assert {name: str(table.type) for name, table in found.items()} == {
        "counts": "materialized_view",
        "customer": "table",
        "names": "view",
    }
    customer = found["customer"]
    assert customer.comment == "who buys"
    assert [column.name for column in customer.columns][:3] == ["customer_id", "name", "email"]
    assert [column.nullable for column in customer.columns][:3] == [False, False, True]
    assert customer.columns[1].comment == "full"
    assert (found["names"].definition or "").startswith("SELECT customer_id")
    assert {"system", "information_schema"}.isdisjoint(each.name for each in catalog.schemas)
    targets = [
        CommentTarget(ref=customer.ref, type=ObjectType.TABLE),
        CommentTarget(ref=found["names"].ref, type=ObjectType.VIEW),
        CommentTarget(ref=found["counts"].ref, type=ObjectType.MATERIALIZED_VIEW),
        CommentTarget(ref=customer.column_ref("email"), type=ObjectType.COLUMN),
    ]
    for target in targets:
        for text in TEXTS:
            assert await database.commenter.execute(target, text) == text, (target, text)
        assert await database.commenter.execute(target, None) == ""
    gone = CommentTarget(ref=ObjectRef(schema="shop", table="gone"), type=ObjectType.TABLE)
    (refused,) = await database.commenter.execute_many([(gone, "x")])
    assert isinstance(refused, DatabaseError), refused
    await the_gate_moves(database, run, CLICKHOUSE_DDL)
    print(f"{scheme}: {len(found)} tables, {len(targets) * len(TEXTS)} comments read back")
    await database.aclose()


async def snowflake() -> None:
    import snowflake.connector

    login = {"user": "u", "password": "secret", "account": "a", "database": "db1"}
    raw = snowflake.connector.connect(**login, schema="shop")
    cursor = raw.cursor()
    for statement in SNOWFLAKE:
        cursor.execute(statement)
    database = opened("snowflake://u:secret@a/db1/shop")
    catalog = await database.reader.read()
    customer = catalog.table("shop", "customer")
    names = catalog.table("shop", "names")
    assert customer is not None
    assert names is not None
    assert [(column.name, column.nullable) for column in customer.columns] == [
        ("customer_id", False),
        ("name", False),
        ("seen", True),
    ]
    assert [key.columns for key in customer.keys] == [("customer_id",)]
    assert names.type is ObjectType.VIEW
    assert names.definition is not None
    sample = await database.sampler.sample(customer, rows=2, full=True)
    assert (len(sample.rows), sample.row_count, sample.totals["name"].distinct) == (2, 3, 2)
    target = CommentTarget(ref=customer.ref, type=ObjectType.TABLE)
    # fakesnow takes the comment, and does not tell it in SHOW TABLES, which the dialect asks.
    await database.commenter.execute_many([(target, "100% of %s")])
    cursor.execute("SELECT comment FROM information_schema.tables WHERE table_name = 'CUSTOMER'")
    assert cursor.fetchall() == [("100% of %s",)]
    await the_gate_moves(database, cursor.execute, SNOWFLAKE_DDL)
    print(f"snowflake: {len(catalog.tables)} tables; problems: {len(catalog.problems)}")
    await database.aclose()


def main() -> None:
    warnings.simplefilter("ignore")
    if sys.argv[1] == "snowflake":
        import fakesnow

        with fakesnow.patch():
            anyio.run(snowflake)
        return
    for scheme in ("clickhousedb", "chdb"):
        with contextlib.suppress(KeyboardInterrupt):
            anyio.run(clickhouse, sys.argv[2], scheme)


if __name__ == "__main__":
    main()
