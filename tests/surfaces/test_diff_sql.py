"""`catalog diff --format sql`: the statements are run, and the database is then the newer one.

Real histories go the same way in tests/contracts/test_version_pairs.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest

from amxwatch.core.catalog import (
    UNKNOWN_TYPE,
    Catalog,
    Column,
    Key,
    KeyKind,
    ObjectType,
    Schema,
    Table,
)
from amxwatch.core.change import Change, Moved, explain
from amxwatch.core.ddl import write_statements
from amxwatch.core.ddl.script import Script
from amxwatch.ports.database import Capabilities
from tests.core.test_diff_apply import moved_between
from tests.plugins.schemas import SchemaEngine, without_natives
from tests.surfaces.conftest import HOUSE, Inside

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


def difference(old: Catalog, new: Catalog, able: Capabilities) -> tuple[Change, ...]:
    moved: Moved = moved_between(without_natives(old), without_natives(new))
    return explain(moved, native_ids=False, dialect=able.dialect)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What became of one run of a script."""

    script: Script
    left: tuple[Change, ...]
    """What still differs from the newer side."""


async def migrate(engine: SchemaEngine, url: str, new: Catalog) -> Made:
    """Write the way from a database to a catalog, go it, and say what is left."""
    old, able = await engine.read(url)
    changes = difference(old, new, able)
    script = write_statements(
        without_natives(old),
        without_natives(new),
        changes,
        dialect=able.dialect,
        comments=able.comments,
    )
    engine.run(url, script.statements)
    now, _ = await engine.read(url)
    return Made(script=script, left=difference(now, new, able))


# --- our own ------------------------------------------------------------------------------------
# Each case is a schema and an edit of it; the edit's effect is written as SQL, there and back.

COMMON = """
CREATE TABLE customer (id INTEGER NOT NULL PRIMARY KEY, email VARCHAR(80) NOT NULL UNIQUE,
  city VARCHAR(40) DEFAULT 'Ankara', born DATE);
CREATE TABLE orders (id INTEGER NOT NULL PRIMARY KEY, customer_id INTEGER NOT NULL,
  total DECIMAL(10, 2) DEFAULT 0, "when" TIMESTAMP,
  FOREIGN KEY (customer_id) REFERENCES customer (id));
CREATE TABLE "Odd ""name"" x" ("Select" INTEGER, "b c" VARCHAR(10));
CREATE VIEW big AS SELECT id, total FROM orders WHERE total > 100;
CREATE VIEW bigger AS SELECT id FROM big WHERE total > 1000;
"""
EDITS = {
    "columns that no key holds": """
        DROP VIEW bigger;
        DROP VIEW big;
        ALTER TABLE orders DROP COLUMN total;
        ALTER TABLE orders RENAME COLUMN "when" TO "When at";
    """,
    "columns come and go": """
        ALTER TABLE customer ADD COLUMN phone VARCHAR(20);
        ALTER TABLE customer ADD COLUMN score INTEGER DEFAULT 7;
        ALTER TABLE "Odd ""name"" x" DROP COLUMN "b c";
    """,
    "a table comes, another goes": """
        CREATE TABLE line (order_id INTEGER REFERENCES orders (id), place INTEGER,
          PRIMARY KEY (order_id, place), UNIQUE (place));
        CREATE VIEW placed AS SELECT * FROM line;
        DROP TABLE "Odd ""name"" x";
    """,
    "views move": """
        DROP VIEW bigger;
        DROP VIEW big;
        CREATE VIEW big AS SELECT id, total, customer_id FROM orders WHERE total > 200;
        CREATE VIEW bigger AS SELECT id FROM big WHERE total > 1000;
    """,
    "a table turns into a view": """
        DROP TABLE "Odd ""name"" x";
        CREATE VIEW "Odd ""name"" x" AS SELECT id AS "Select" FROM customer;
    """,
    "a column is renamed": """
        DROP VIEW bigger;
        DROP VIEW big;
        ALTER TABLE orders RENAME COLUMN "when" TO ordered_at;
        CREATE VIEW big AS SELECT id, total, ordered_at FROM orders WHERE total > 100;
    """,
}
ALTERING = {
    "types and nulls": """
        DROP VIEW bigger;
        DROP VIEW big;
        ALTER TABLE orders ALTER COLUMN total TYPE VARCHAR(20);
        ALTER TABLE customer ALTER COLUMN born SET NOT NULL;
        ALTER TABLE customer ALTER COLUMN city DROP DEFAULT;
        ALTER TABLE "Odd ""name"" x" ALTER COLUMN "b c" SET DEFAULT '''; DROP';
    """,
    "comments": """
        COMMENT ON TABLE customer IS 'people -- who''s who; "all" of them
over two lines';
        COMMENT ON COLUMN customer.email IS 'where to \\ write';
        COMMENT ON VIEW big IS 'large ones';
    """,
}
POSTGRES = {
    "names are swapped": """
        ALTER TABLE customer RENAME TO aside;
        ALTER TABLE orders RENAME TO customer;
        ALTER TABLE aside RENAME TO orders;
        ALTER TABLE orders RENAME COLUMN email TO aside;
        ALTER TABLE orders RENAME COLUMN city TO email;
        ALTER TABLE orders RENAME COLUMN aside TO city;
    """,
    "names move along a chain": """
        CREATE SCHEMA other;
        ALTER TABLE "Odd ""name"" x" SET SCHEMA other;
        ALTER TABLE other."Odd ""name"" x" RENAME TO customer;
        ALTER TABLE customer RENAME TO orders_2;
        ALTER TABLE orders RENAME TO customer;
        ALTER VIEW big RENAME TO orders;
    """,
    "a schema is renamed": "ALTER SCHEMA public RENAME TO shop; COMMENT ON SCHEMA shop IS 'x'",
    "keys move": """
        ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey;
        ALTER TABLE customer DROP CONSTRAINT customer_pkey;
        ALTER TABLE customer ADD PRIMARY KEY (id, email);
        ALTER TABLE customer ADD UNIQUE (id);
        ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customer (id);
        ALTER TABLE customer DROP CONSTRAINT customer_email_key;
    """,
    "columns are generated": """
        ALTER TABLE customer ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY;
        ALTER TABLE orders ADD COLUMN doubled NUMERIC GENERATED ALWAYS AS (total * 2) STORED;
        CREATE TABLE counted (id SERIAL PRIMARY KEY, other BIGSERIAL);
        ALTER TABLE customer ALTER COLUMN city TYPE TEXT;
        CREATE TABLE nothing ();
        CREATE MATERIALIZED VIEW kept AS SELECT id FROM bigger;
        COMMENT ON MATERIALIZED VIEW kept IS 'kept';
        COMMENT ON COLUMN kept.id IS 'the id';
    """,
    "a circle of keys": """
        CREATE TABLE left_one (id INT PRIMARY KEY, other INT);
        CREATE TABLE right_one (id INT PRIMARY KEY, other INT REFERENCES left_one);
        ALTER TABLE left_one ADD FOREIGN KEY (other) REFERENCES right_one;
    """,
}
MARIADB = {
    "columns move": """
        ALTER TABLE customer MODIFY city TEXT NOT NULL DEFAULT 'x'
          COMMENT 'where; \\\\'' they live';
        ALTER TABLE customer ADD COLUMN seen DATETIME DEFAULT CURRENT_TIMESTAMP
          ON UPDATE CURRENT_TIMESTAMP AFTER id;
        ALTER TABLE orders ADD COLUMN doubled DECIMAL(12, 2) AS (total * 2) STORED;
        ALTER TABLE customer COMMENT = 'people''s \\\\ names';
        ALTER TABLE "Odd ""name"" x" DROP COLUMN "b c", ADD COLUMN n INT AUTO_INCREMENT PRIMARY KEY;
        CREATE TABLE counted (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT 'number',
          mood ENUM('a', 'B') DEFAULT 'B', t VARCHAR(3) COLLATE utf8mb4_bin) COMMENT 'counted';
    """,
    "keys move": """
        ALTER TABLE orders DROP FOREIGN KEY orders_ibfk_1;
        ALTER TABLE customer DROP PRIMARY KEY, ADD PRIMARY KEY (id, email), DROP INDEX email;
        ALTER TABLE customer ADD UNIQUE (id);
        ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customer (id);
    """,
}
SQLITE = {
    "what only a rebuild can do": """
        PRAGMA foreign_keys = OFF;
        DROP VIEW bigger;
        DROP VIEW big;
        DROP TABLE orders;
        CREATE TABLE orders (id INTEGER NOT NULL, customer_id INTEGER,
          total TEXT DEFAULT '5', "when" TIMESTAMP, twice INTEGER AS (id * 2) STORED,
          UNIQUE (id, customer_id), FOREIGN KEY (customer_id) REFERENCES customer (id));
        CREATE VIEW big AS SELECT id, total FROM orders WHERE total > 100;
        CREATE TABLE odd (a INTEGER PRIMARY KEY, b TEXT) STRICT, WITHOUT ROWID;
    """,
}
DUCKDB = {
    "what only a rebuild can do": """
        DROP VIEW bigger;
        DROP VIEW big;
        DROP TABLE orders;
        DROP TABLE customer;
        CREATE SEQUENCE numbers;
        CREATE TABLE customer (id BIGINT NOT NULL DEFAULT nextval('numbers'),
          email VARCHAR NOT NULL,
          city VARCHAR DEFAULT 'Ankara', PRIMARY KEY (id, email), UNIQUE (id));
        CREATE TABLE orders (id INTEGER NOT NULL PRIMARY KEY, customer_id BIGINT,
          total DECIMAL(10, 2), "when" TIMESTAMP, twice INTEGER AS (id * 2),
          FOREIGN KEY (customer_id) REFERENCES customer (id));
        CREATE SCHEMA s;
        CREATE TABLE s.t (m ENUM('a', 'b'), st STRUCT(a INTEGER, b VARCHAR)[]);
        COMMENT ON TABLE orders IS 'o';
        COMMENT ON COLUMN orders.total IS 't';
    """,
}
CASES = [
    *(
        (product, name, edit)
        for product in ("postgres", "duckdb", "sqlite", "mariadb")
        for name, edit in EDITS.items()
    ),
    *((p, name, edit) for p in ("postgres", "duckdb") for name, edit in ALTERING.items()),
    *(("postgres", name, edit) for name, edit in POSTGRES.items()),
    *(("mariadb", name, edit) for name, edit in MARIADB.items()),
    *(("sqlite", name, edit) for name, edit in SQLITE.items()),
    *(("duckdb", name, edit) for name, edit in DUCKDB.items()),
]


@pytest.mark.parametrize(
    ("engine", "edit"),
    [pytest.param(product, edit, id=f"{product}: {name}") for product, name, edit in CASES],
)
async def test_an_edit_is_written_there_and_back(
    engine: str, edit: str, request: pytest.FixtureRequest
) -> None:
    schemas: SchemaEngine = request.getfixturevalue(f"{engine}_schemas")
    start = ["SET sql_mode = 'ANSI_QUOTES'"] if engine == "mariadb" else []
    edits = [*start, *(part for part in edit.split(";\n") if part.strip())]
    common = ";".join([*start, COMMON])
    url = schemas.load(common)
    old, able = await schemas.read(url)
    schemas.run(url, edits)
    new, _ = await schemas.read(url)
    for source, target in ((old, new), (new, old)):
        moved = moved_between(source, target)
        changes = explain(moved, native_ids=able.native_ids, dialect=able.dialect)
        assert changes
        script = write_statements(
            source, target, changes, dialect=able.dialect, comments=able.comments
        )
        url = schemas.load(common)
        if source is new:
            schemas.run(url, edits)
        schemas.run(url, script.statements)
        now, _ = await schemas.read(url)
        assert difference(now, target, able) == (), str(script)
        assert script.unwritten == 0


ROWS = """
INSERT INTO customer (id, email) VALUES (1, 'a@b'), (2, 'c@d');
INSERT INTO orders (id, customer_id, total) VALUES (10, 1, 5), (11, 2, 700);
"""


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
async def test_a_rebuild_keeps_the_rows(engine: str, request: pytest.FixtureRequest) -> None:
    schemas: SchemaEngine = request.getfixturevalue(f"{engine}_schemas")
    edit = {"sqlite": SQLITE, "duckdb": DUCKDB}[engine]["what only a rebuild can do"]
    url = schemas.load(COMMON)
    schemas.run(url, [part for part in edit.split(";\n") if part.strip()])
    new, _ = await schemas.read(url)
    filled = schemas.load(COMMON + ROWS)
    made = await migrate(schemas, filled, new)
    assert made.left == ()
    assert "rebuilt" in " ".join(made.script.notes)
    rows = schemas.rows(filled, "SELECT id, customer_id, twice FROM orders ORDER BY id")
    assert rows == [(10, 1, 20), (11, 2, 22)]
    assert schemas.rows(filled, "SELECT id, email FROM customer ORDER BY id") == [
        (1, "a@b"),
        (2, "c@d"),
    ]


# --- dialects without a server here, and the command --------------------------------------------


def catalog(*tables: Table) -> Catalog:
    return Catalog(
        reader="test/1",
        source="here",
        schemas=(Schema(name="s"),),
        tables=tuple(sorted(tables, key=lambda table: (table.schema, table.name))),
    )


def table(name: str, *columns: str, native_id: int | None = None, **parts: object) -> Table:
    found = tuple(
        Column(name=column, type="INT", ordinal=at, native_num=at)
        for at, column in enumerate(columns, start=1)
    )
    return replace(Table(schema="s", name=name, columns=found, native_id=native_id), **parts)


def written(old: Catalog, new: Catalog, dialect: str, *, can_comment: bool = True) -> Script:
    changes = explain(moved_between(old, new), native_ids=True, dialect=dialect)
    able = frozenset(ObjectType) if can_comment else frozenset()
    return write_statements(old, new, changes, dialect=dialect, comments=able)


def test_names_that_are_swapped_go_through_a_third() -> None:
    old = catalog(table("a", "x", "y", native_id=1), table("b", "z", native_id=2))
    swapped = table("b", "y", "x", native_id=1)
    new = catalog(swapped, table("a", "z", native_id=2))
    for dialect, quote in (("postgres", '"'), ("mysql", "`"), ("snowflake", '"'), ("tsql", "[")):
        statements = [s for s in written(old, new, dialect).statements if " RENAME " in f" {s}"]
        assert len(statements) == 6, statements
        assert "amxwatch_1" in statements[0]
        assert all(quote in each for each in statements)


@pytest.mark.parametrize(
    ("dialect", "said"),
    [
        ("snowflake", 'COMMENT ON COLUMN "s"."t"."x" IS \'it\\\'s \\\\ x\''),
        ("postgres", 'COMMENT ON COLUMN "s"."t"."x" IS \'it\'\'s \\ x\''),
        ("duckdb", 'COMMENT ON COLUMN "s"."t"."x" IS \'it\'\'s \\ x\''),
        ("mysql", "ALTER TABLE `s`.`t`\n  MODIFY COLUMN `x` INT NULL COMMENT 'it''s \\\\ x'"),
    ],
)
def test_a_comment_is_quoted_as_the_dialect_wants(dialect: str, said: str) -> None:
    old = catalog(table("t", "x"))
    told = replace(old.tables[0].columns[0], comment="it's \\ x")
    new = catalog(replace(old.tables[0], columns=(told,)))
    found = written(old, new, dialect)
    assert said in found.statements
    assert found.unwritten == 0


def test_what_a_dialect_cannot_do_is_a_remark() -> None:
    old = catalog(table("t", "x", keys=(Key(kind=KeyKind.PRIMARY, columns=("x",)),)))
    new = catalog(
        table("t", "x", comment="c"), table("f", "x", variant="foreign", type=ObjectType.TABLE)
    )
    found = written(old, new, "oracle", can_comment=False)
    assert found.statements == []
    assert found.unwritten == 3
    assert str(found).count("-- cannot be written: ") == 3
    assert all(line.startswith("-- ") for line in str(found).splitlines())


def test_a_type_that_is_not_known_is_a_remark() -> None:
    def dim(name: str) -> Column:
        return Column(name=name, type=UNKNOWN_TYPE, ordinal=1)

    for old in (catalog(), catalog(table("t", "x"))):
        wide = table("t", "x")
        new = catalog(replace(wide, columns=(*wide.columns, dim("y"))))
        found = written(old, new, "postgres")
        assert found.statements == []
        assert found.unwritten == 1


def test_a_remark_stays_one_line_whatever_names_hold() -> None:
    evil = "x\nDROP TABLE t; --"
    new = catalog(table(evil, "x", variant="foreign"))
    (line,) = str(written(catalog(), new, "postgres")).splitlines()
    assert line.startswith("-- cannot be written: ")


def test_nothing_changed_writes_nothing() -> None:
    one = catalog(table("t", "x"))
    for dialect in ("postgres", "duckdb", "sqlite", "mysql", "bigquery", ""):
        assert str(written(one, one, dialect)) == ""


def test_the_command_prints_statements_that_run(shop: Inside) -> None:
    import duckdb

    printed = shop.run("catalog", "diff", "house", "--format", "sql")
    assert printed.stdout.splitlines() == [
        "BEGIN;",
        *[line for line in printed.stdout.splitlines()[1:-1] if line],
        "COMMIT;",
    ]
    assert 'ALTER TABLE "main"."customer" ADD COLUMN "phone" VARCHAR;' in printed.stdout
    with duckdb.connect() as connection:
        connection.execute(HOUSE)
        connection.execute(printed.stdout)
        assert connection.execute("SELECT phone FROM customer").fetchall() == [(None,), (None,)]
    document = json.loads(shop.run("catalog", "diff", "house", "--format", "sql", "--json").stdout)
    assert document["statements"][0] == "BEGIN"
    assert document["notes"] == []
    assert (document["from"], document["to"]) == (1, 2)
    back = shop.run("catalog", "diff", "house", "--from", "2", "--to", "1", "--format", "sql")
    with duckdb.connect() as connection:
        connection.execute(HOUSE)
        connection.execute(printed.stdout)
        connection.execute(back.stdout)
        columns = connection.execute("DESCRIBE customer").fetchall()
        assert [row[0] for row in columns] == ["customer_id", "email", "status"]
        assert connection.execute("SELECT count(*) FROM customer").fetchall() == [(2,)]


def test_the_command_warns_of_what_cannot_be_written(shop: Inside) -> None:
    with (shop.folder / "amxwatch.toml").open("a", encoding="utf-8") as config:
        config.write('\n[db_profiles.flakes]\nurl = "ddl:///flakes?dialect=snowflake"\n')
    (shop.folder / "flakes").mkdir()
    for key in (" PRIMARY KEY", ""):
        text = f"CREATE TABLE t (a int{key}, b text);"
        (shop.folder / "flakes" / "t.sql").write_text(text, encoding="utf-8")
        shop.run("catalog", "refresh", "flakes")
    printed = shop.run("catalog", "diff", "flakes", "--format", "sql")
    assert "-- cannot be written: dropping the primary key (A) of" in printed.stdout
    assert "1 changes of flakes cannot be written in" in printed.stderr
