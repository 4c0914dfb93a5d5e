"""A folder of SQL files as a database, seen from outside, on real files."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest

from amxwatch.core.catalog import Catalog, Column, KeyKind, ObjectRef, ObjectType, Table
from amxwatch.core.errors import (
    DatabaseUnavailableError,
    StatementRefusedError,
    UsageError,
)
from amxwatch.databases.sql_folder import COMMENTS_FILE, SqlFolder, open_sql_folder
from amxwatch.ports.database import CommentTarget, Database

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


def _open(folder: Path, dialect: str = "postgres") -> SqlFolder:
    return open_sql_folder(f"ddl:///{folder}?dialect={dialect}", relative_to=Path("/"))


def _write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    return folder


async def _read(folder: Path, text: str, dialect: str = "postgres") -> Catalog:
    _write(folder, a=text)
    catalog = await _open(folder, dialect).read()
    assert [str(problem) for problem in catalog.problems] == []
    return catalog


def _table(catalog: Catalog, name: str) -> Table:
    schema, _, table = name.rpartition(".")
    found = [t for t in catalog.tables if t.name == table and schema in ("", t.schema)]
    assert len(found) == 1, f"{name} in {[str(t.ref) for t in catalog.tables]}"
    return found[0]


def _names(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def _column(catalog: Catalog, table: str, name: str) -> Column:
    column = _table(catalog, table).column(name)
    assert column is not None
    return column


def _target(ref: ObjectRef, type_: ObjectType | None = None) -> CommentTarget:
    found = ObjectType.COLUMN if ref.column else ObjectType.TABLE if ref.table else None
    return CommentTarget(ref=ref, type=type_ or found or ObjectType.SCHEMA)


# --- URLs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ddl:///models?dialect=postgress", "postgres"),
        ("ddl:///models?dialect=snowflak", "snowflake"),
        ("ddl:///models", "dialect is missing"),
        ("ddl:///?dialect=postgres", "no folder"),
        ("ddl://models?dialect=postgres", "no folder"),
        ("ddl:///models?dialect=postgres&shema=x", "shema"),
    ],
)
def test_a_wrong_url_says_how_to_mend_it(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        open_sql_folder(url, relative_to=Path("/"))


def test_it_is_a_database(tmp_path: Path) -> None:
    database: Database = _open(tmp_path)
    assert database.hints is None
    assert database.capabilities.native_ids is False


async def test_a_relative_url_starts_at_the_given_folder(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    _write(tmp_path / "models", a="create table t (id int);")
    database = open_sql_folder("ddl:///models?dialect=postgres", relative_to=tmp_path)
    assert _names(_table(await database.read(), "public.t")) == ["id"]
    assert database.watch_paths == (tmp_path / "models",)


async def test_a_missing_folder_is_unavailable_and_may_come_back(tmp_path: Path) -> None:
    database = _open(tmp_path / "models")
    for attempt in (database.gate, database.read):
        with pytest.raises(DatabaseUnavailableError, match="models"):
            await attempt()
    (tmp_path / "models").mkdir()
    assert (await database.read()).tables == ()


# --- real schemas -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("project", "dialect"),
    [
        ("osm_website_postgres", "postgres"),
        ("roundcube_postgres", "postgres"),
        ("roundcube_mysql", "mysql"),
        ("roundcube_sqlite", "sqlite"),
    ],
)
async def test_every_version_counts_as_the_real_database_does(
    cases: Path, tmp_path: Path, project: str, dialect: str
) -> None:
    folder = cases / "c_schemas" / project
    expected = json.loads((folder / "expected.json").read_text())
    database = _open(tmp_path, dialect)
    before: Catalog | None = None
    checked = 0
    for version in expected["versions"]:
        (tmp_path / "schema.sql").write_bytes((folder / version["file"]).read_bytes())
        catalog = await database.read()
        if version["load_errors"]:
            before = None  # the real engine refused a statement here that a file can well hold
            continue
        found = (len(catalog.tables), sum(len(table.columns) for table in catalog.tables))
        assert found == (version["tables"], version["columns"]), version["file"]
        assert catalog.problems == ()
        if version["cosmetic"] and before is not None:
            assert catalog.tables == before.tables, f"{version['file']} moved nothing"
        before = catalog
        checked += 1
    assert checked >= len(expected["versions"]) - 1


@pytest.mark.parametrize("dialect", ["postgresql", "duckdb", "sqlite", "snowflake", "bigquery"])
async def test_omop_moves_as_expected(cases: Path, tmp_path: Path, dialect: str) -> None:
    folder = cases / "c_schemas" / "omop_cdm"
    database = _open(tmp_path, dialect.replace("postgresql", "postgres"))
    versions = []
    for version in ("5.3", "5.4"):
        text = (folder / f"omop_{dialect}_{version}.sql").read_bytes()
        (tmp_path / "schema.sql").write_bytes(text)
        catalog = await database.read()
        assert catalog.problems == ()
        versions.append(
            {t.name.lower(): {c.name.lower() for c in t.columns} for t in catalog.tables}
        )
    old, new = versions
    document = json.loads((folder / "expected.json").read_text())
    expected = next(d for d in document["dialects"] if d["dialect"] in (dialect, "postgresql"))
    changes = {(c["op"], c["object"].removeprefix("public.")) for c in expected["changes"]}
    both = set(old) & set(new)
    found = {("add_table", name) for name in set(new) - set(old)}
    found |= {("drop_table", name) for name in set(old) - set(new)}
    found |= {("add_column", f"{t}.{c}") for t in both for c in new[t] - old[t]}
    found |= {("drop_column", f"{t}.{c}") for t in both for c in old[t] - new[t]}
    assert found == {change for change in changes if change[0] in {kind for kind, _ in found}}


async def test_omop_migrated_from_5_3_is_5_4(cases: Path, tmp_path: Path) -> None:
    """As far as the migration goes: it forgets nothing but what it says of tables it makes."""
    source = cases / "c_schemas" / "omop_cdm"

    def text(name: str) -> str:
        return (source / name).read_text().replace("@cdmDatabaseSchema.", "")

    (tmp_path / "new").mkdir()
    (tmp_path / "migrated").mkdir()
    _write(tmp_path / "new", a=text("omop_postgresql_5.4.sql"))
    _write(
        tmp_path / "migrated",
        V5_3=text("omop_postgresql_5.3.sql"),
        V5_4=text("postgresql_migration.sql"),
    )
    new = await _open(tmp_path / "new").read()
    migrated = await _open(tmp_path / "migrated").read()
    assert migrated.problems == ()
    columns = {(t.name, c.name) for t in new.tables for c in t.columns}
    found = {(t.name, c.name) for t in migrated.tables for c in t.columns}
    extra = {name for name in found - columns if name[0] in {table for table, _ in columns}}
    assert (columns - found, extra) == (set(), set())


def _dialect_of(folder_name: str) -> str:
    return {"dialect": "postgres", "identity(generic)": "postgres"}.get(folder_name, folder_name)


async def test_no_statement_of_sqlglots_own_tests_crashes_or_hangs(
    cases: Path, tmp_path: Path
) -> None:
    document = json.loads((cases / "d_ddl" / "sqlglot_ddl.json").read_text())
    for dialect, statements in document["dialects"].items():
        folder = tmp_path / re.sub(r"\W", "_", dialect)
        folder.mkdir()
        for number, statement in enumerate(statements):
            (folder / f"{number}.sql").write_text(statement["sql"])
        catalog = await _open(folder, _dialect_of(dialect)).read()
        broken = len(catalog.problems) / len(statements)
        assert broken < 0.1, [str(problem) for problem in catalog.problems]


@pytest.mark.parametrize(
    "text",
    [
        "CREATE VIEW v AS SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
        "CREATE TABLE t (a " + "ARRAY<" * 50_000 + "int" + ">" * 50_000 + ")",
        "CREATE VIEW v AS SELECT " + "NOT " * 20_000 + "1",
        "CREATE TABLE t (a int" + "[]" * 5_000 + ")",
        "CREATE VIEW v AS SELECT 1" + "::int" * 5_000,
        "CREATE VIEW v AS SELECT " + "CASE WHEN a THEN " * 3_000 + "1" + " END" * 3_000,
        "CREATE VIEW v AS SELECT 1 FROM a" + " JOIN b" * 30,
        "CREATE VIEW v AS SELECT " + "(" * 150 + "1" + ")" * 150,
        "CREATE VIEW v AS SELECT 1" + " + 1" * 200_001,
    ],
    ids=["parentheses", "arrays", "nots", "brackets", "casts", "cases", "joins", "150", "long"],
)
async def test_deep_nesting_is_a_problem_and_no_crash(tmp_path: Path, text: str) -> None:
    _write(tmp_path, a=text, b="create table good (id int);")
    catalog = await _open(tmp_path).read()
    assert len(catalog.problems) == 1
    assert _names(_table(catalog, "good")) == ["id"]


# --- statements ---------------------------------------------------------------------------------


async def test_a_table_with_all_that_it_owns(tmp_path: Path) -> None:
    catalog = await _read(
        tmp_path,
        """
        CREATE SCHEMA sales;
        CREATE TABLE sales.customer (id bigint PRIMARY KEY, email text UNIQUE);
        CREATE TABLE Sales.Orders (
            id bigint GENERATED ALWAYS AS IDENTITY,
            customer_id bigint NOT NULL REFERENCES sales.customer,
            placed timestamp DEFAULT now(),
            note varchar(20) DEFAULT NULL,
            CONSTRAINT orders_pk PRIMARY KEY (id),
            CONSTRAINT one_a_day UNIQUE (customer_id, placed)
        );
        COMMENT ON TABLE sales.orders IS 'What was bought';
        COMMENT ON COLUMN sales.orders.note IS 'it''s free';
        COMMENT ON SCHEMA sales IS 'All about money';
        """,
    )
    assert [(s.name, s.comment) for s in catalog.schemas] == [("sales", "All about money")]
    orders = _table(catalog, "sales.orders")
    assert orders.comment == "What was bought"
    assert orders.columns == (
        Column(
            name="id",
            type="BIGINT",
            nullable=False,
            default="GENERATED ALWAYS AS IDENTITY",
            ordinal=1,
        ),
        Column(name="customer_id", type="BIGINT", nullable=False, ordinal=2),
        Column(name="placed", type="TIMESTAMP", default="CURRENT_TIMESTAMP", ordinal=3),
        Column(name="note", type="VARCHAR(20)", ordinal=4, comment="it's free"),
    )
    keys = [(k.kind, k.columns, k.name, k.references, k.referenced_columns) for k in orders.keys]
    assert keys == [
        (KeyKind.FOREIGN, ("customer_id",), None, ("sales", "customer"), ("id",)),
        (KeyKind.PRIMARY, ("id",), "orders_pk", None, ()),
        (KeyKind.UNIQUE, ("customer_id", "placed"), "one_a_day", None, ()),
    ]


async def test_alter_table_in_all_its_forms(tmp_path: Path) -> None:
    catalog = await _read(
        tmp_path,
        """
        CREATE TABLE p (id int PRIMARY KEY);
        CREATE TABLE t (id int, a text, b text NOT NULL, c int DEFAULT 1, gone int UNIQUE);
        ALTER TABLE t ADD COLUMN d date NOT NULL DEFAULT '2020-01-01', DROP COLUMN gone;
        ALTER TABLE ONLY t ADD COLUMN IF NOT EXISTS a int;
        ALTER TABLE t RENAME COLUMN a TO a2;
        ALTER TABLE t RENAME c TO c2;
        ALTER TABLE t ALTER COLUMN a2 TYPE varchar(5), ALTER b DROP NOT NULL;
        ALTER TABLE t ALTER c2 SET NOT NULL, ALTER c2 DROP DEFAULT, ALTER b SET DEFAULT 'x';
        ALTER TABLE t ADD PRIMARY KEY (id), ADD CONSTRAINT f FOREIGN KEY (c2) REFERENCES p (id);
        ALTER TABLE t ADD CONSTRAINT u UNIQUE (a2), ADD UNIQUE (b), OWNER TO joe;
        ALTER TABLE t DROP CONSTRAINT u, DROP CONSTRAINT t_b_key;
        ALTER TABLE t OWNER TO joe;
        ALTER TABLE t ENABLE ROW LEVEL SECURITY;
        ALTER TABLE t ALTER COLUMN b SET STATISTICS 100;
        ALTER TABLE t RENAME CONSTRAINT f TO f2;
        ALTER TABLE p RENAME COLUMN id TO pid;
        ALTER TABLE p RENAME TO parent;
        ALTER TABLE t SET SCHEMA archive;
        CREATE UNIQUE INDEX i ON archive.t (a2);
        """,
    )
    table = _table(catalog, "archive.t")
    assert [(c.name, c.type, c.nullable, c.default, c.ordinal) for c in table.columns] == [
        ("id", "INT", False, None, 1),
        ("a2", "VARCHAR(5)", True, None, 2),
        ("b", "TEXT", True, "'x'", 3),
        ("c2", "INT", False, None, 4),
        ("d", "DATE", False, "'2020-01-01'", 5),
    ]
    assert [
        (k.kind, k.columns, k.name, k.references, k.referenced_columns) for k in table.keys
    ] == [
        (KeyKind.FOREIGN, ("c2",), "f2", ("public", "parent"), ("pid",)),
        (KeyKind.PRIMARY, ("id",), None, None, ()),
    ]


async def test_drops_and_renames_of_schemas(tmp_path: Path) -> None:
    catalog = await _read(
        tmp_path,
        """
        CREATE TABLE a.t (id int PRIMARY KEY); CREATE TABLE a.u (id int REFERENCES a.t);
        CREATE TABLE b.t (id int); CREATE VIEW b.v AS SELECT id FROM b.t;
        CREATE TABLE c.t (id int REFERENCES a.t (id));
        DROP TABLE IF EXISTS nowhere, b.t; DROP VIEW IF EXISTS b.v CASCADE;
        DROP SCHEMA IF EXISTS a CASCADE;
        ALTER SCHEMA c RENAME TO d;
        """,
    )
    assert [str(table.ref) for table in catalog.tables] == ["d.t"]
    assert _table(catalog, "d.t").keys == ()


async def test_like_inherits_partitions_and_create_table_as(tmp_path: Path) -> None:
    catalog = await _read(
        tmp_path,
        """
        CREATE TABLE src (id int PRIMARY KEY, name text NOT NULL DEFAULT 'x');
        COMMENT ON COLUMN src.name IS 'who';
        CREATE TABLE l1 (LIKE src, more int);
        CREATE TABLE l2 (LIKE src INCLUDING ALL);
        CREATE TABLE child (extra int) INHERITS (src);
        CREATE TABLE part PARTITION OF src FOR VALUES FROM (1) TO (2);
        CREATE TABLE c AS SELECT id, upper(name) AS loud, s.* FROM src s;
        CREATE TABLE IF NOT EXISTS c (other int);
        CREATE TEMP TABLE scratch (id int);
        """,
    )
    assert _names(_table(catalog, "l1")) == ["id", "name", "more"]
    assert _column(catalog, "l1", "name").default is None
    assert _column(catalog, "l1", "name").nullable is False
    assert _column(catalog, "l2", "name").comment == "who"
    assert [key.kind for key in _table(catalog, "l2").keys] == [KeyKind.PRIMARY]
    assert _names(_table(catalog, "child")) == ["id", "name", "extra"]
    assert _names(_table(catalog, "part")) == ["id", "name"]
    assert [(c.name, c.type) for c in _table(catalog, "c").columns] == [
        ("id", "INT"),
        ("loud", "VARCHAR"),
        ("name", "TEXT"),
    ]
    assert all(table.name != "scratch" for table in catalog.tables)


async def test_views(tmp_path: Path) -> None:
    catalog = await _read(
        tmp_path,
        """
        CREATE TABLE o (id int, total numeric(10, 2), placed date);
        CREATE VIEW v1 AS SELECT * FROM o INNER JOIN (SELECT 1 AS one) x ON true;
        CREATE OR REPLACE VIEW v2 (day, revenue) AS
            SELECT placed, sum(total) FROM o GROUP BY 1;
        CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM v2 WITH NO DATA;
        CREATE VIEW broken_source AS SELECT a, b AS c FROM nowhere;
        COMMENT ON VIEW v2 IS 'by day';
        CREATE OR REPLACE VIEW v2 (day, revenue) AS
            select  PLACED, SUM(total) from O group by 1 -- the same, written otherwise
            ;
        """,
    )
    assert [(c.name, c.type) for c in _table(catalog, "v1").columns] == [
        ("id", "INT"),
        ("total", "DECIMAL(10, 2)"),
        ("placed", "DATE"),
        ("one", "INT"),
    ]
    view = _table(catalog, "v2")
    assert (view.type, _names(view), view.comment) == (
        ObjectType.VIEW,
        ["day", "revenue"],
        "by day",
    )
    assert view.definition == "SELECT placed, SUM(total) FROM o GROUP BY 1"
    assert _table(catalog, "m").type is ObjectType.MATERIALIZED_VIEW
    assert [(c.name, c.type) for c in _table(catalog, "m").columns] == [("n", "BIGINT")]
    assert _names(_table(catalog, "broken_source")) == ["a", "c"]


async def test_a_dump_of_pg_dump(tmp_path: Path) -> None:
    catalog = await _read(
        tmp_path,
        r"""
\restrict hGq8
SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public;
COMMENT ON EXTENSION pgcrypto IS 'it''s; not ours';
CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS $_$
BEGIN
  CREATE TABLE public.not_this (id int);
  EXECUTE 'DROP TABLE public.t; --';
END $_$;
CREATE FUNCTION public.g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;
CREATE TYPE public.mood AS ENUM ('sad', 'ok');
CREATE TABLE public.t (
    id bigint NOT NULL,
    feeling public.mood DEFAULT 'ok'::public.mood,
    tags text[] DEFAULT '{}'::text[] NOT NULL
);
ALTER TABLE public.t OWNER TO postgres;
COMMENT ON TABLE public.t IS E'tabs\tand ''quotes''';
ALTER TABLE public.t ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.t_id_seq START WITH 1
);
COPY public.t (id, feeling, tags) FROM stdin;
1	ok	{";","'"}
2	CREATE TABLE public.nor_this (id int);	{}
\.

CREATE TABLE public."after" (id int);
ALTER TABLE ONLY public.t ADD CONSTRAINT t_pkey PRIMARY KEY (id);
GRANT ALL ON TABLE public.t TO PUBLIC;
\unrestrict hGq8
""",
    )
    assert [str(table.ref) for table in catalog.tables] == ["public.after", "public.t"]
    table = _table(catalog, "t")
    assert table.comment == "tabs\tand 'quotes'"
    assert [(c.name, c.type, c.nullable) for c in table.columns] == [
        ("id", "BIGINT", False),
        ("feeling", "public.mood", True),
        ("tags", "TEXT[]", False),
    ]
    assert [key.name for key in table.keys] == ["t_pkey"]


async def test_a_dump_of_mysqldump(tmp_path: Path) -> None:
    catalog = await _read(
        tmp_path,
        r"""
/*!40101 SET NAMES utf8 */;
CREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop`;
USE `shop`;
CREATE TABLE `t` (
  `id` int unsigned NOT NULL AUTO_INCREMENT COMMENT 'it\'s the key',
  `v` enum('a;b','c') DEFAULT NULL,
  PRIMARY KEY (`id`), UNIQUE KEY `one` (`v`(3)), KEY `i` (`v`)
) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4 COMMENT='what; it is';
INSERT INTO `t` VALUES (1,'CREATE TABLE x (id int);'),(2,'a\';b');
DELIMITER ;;
/*!50003 CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW BEGIN SET NEW.v = ';'; END */;;
DELIMITER ;
# a comment with a ' quote
/*!50001 CREATE VIEW `v` AS select `t`.`id` AS `id` from `t` */;
CREATE PROCEDURE p() BEGIN CASE WHEN 1 THEN SELECT 1; END CASE; IF 1 THEN SELECT 2; END IF; END;
ALTER TABLE t CHANGE v kind varchar(9) NOT NULL COMMENT 'which', ADD COLUMN w int FIRST;
ALTER TABLE t ADD x int AFTER id, MODIFY COLUMN w bigint AFTER kind, COMMENT = 'new words';
RENAME TABLE t TO t2, v TO v2;
""",
        "mysql",
    )
    assert [str(table.ref) for table in catalog.tables] == ["shop.t2", "shop.v2"]
    table = _table(catalog, "t2")
    assert table.comment == "new words"
    assert [(c.name, c.comment, c.nullable) for c in table.columns] == [
        ("id", "it's the key", False),
        ("x", None, True),
        ("kind", "which", False),
        ("w", None, True),
    ]
    assert [(key.kind, key.columns) for key in table.keys] == [
        (KeyKind.PRIMARY, ("id",)),
        (KeyKind.UNIQUE, ("kind",)),
    ]
    assert _names(_table(catalog, "v2")) == ["id"]


@pytest.mark.parametrize(
    ("dialect", "text", "table", "columns"),
    [
        (
            "snowflake",
            (
                "create table Raw.T (Id int comment 'the key', \"q\" text) comment='tt';"
                " alter table raw.t modify column \"q\" comment 'quoted';"
            ),
            "RAW.T",
            {"ID": "the key", "q": "quoted"},
        ),
        (
            "bigquery",
            (
                "create table `proj.Ds.T` (id int64 options(description='the key'), q string)"
                " options(description='tt');"
                " alter table `proj.Ds.T` alter column q set options (description='quoted');"
            ),
            "Ds.T",
            {"id": "the key", "q": "quoted"},
        ),
        (
            "databricks",
            (
                "create table main.ds.t (id int comment 'the key', q string comment 'quoted')"
                " using delta comment 'tt' tblproperties ('a' = 'b');"
            ),
            "ds.t",
            {"id": "the key", "q": "quoted"},
        ),
        (
            "tsql",
            (
                "create table [ds].[t] ([id] int not null, q nvarchar(max))\nGO\n"
                "create table other (id int)\nGO\n"
            ),
            "ds.t",
            {"id": None, "q": None},
        ),
        (
            "oracle",
            (
                "create table ds.t (id number(10), q varchar2(20));\n"
                "create or replace procedure p as begin execute immediate 'x;'; end;\n/\n"
                "comment on column ds.t.q is 'quoted';"
            ),
            "DS.T",
            {"ID": None, "Q": "quoted"},
        ),
        (
            "clickhouse",
            (
                "create table ds.t (id UInt64 COMMENT 'the key', q Nullable(String))"
                " ENGINE = MergeTree ORDER BY id COMMENT 'tt'"
            ),
            "ds.t",
            {"id": "the key", "q": None},
        ),
    ],
)
async def test_dialects(
    tmp_path: Path, dialect: str, text: str, table: str, columns: dict[str, str | None]
) -> None:
    catalog = await _read(tmp_path, text, dialect)
    found = _table(catalog, table)
    assert {column.name: column.comment for column in found.columns} == columns
    if "tt" in text:
        assert found.comment == "tt"


async def test_the_search_path_holds_for_one_file(tmp_path: Path) -> None:
    _write(
        tmp_path,
        a="SET search_path TO one, public; CREATE TABLE t (a int);",
        b="CREATE TABLE t (b int); SET search_path = one; ALTER TABLE t ADD c int;",
    )
    catalog = await _open(tmp_path).read()
    assert _names(_table(catalog, "one.t")) == ["a", "c"]
    assert _names(_table(catalog, "public.t")) == ["b"]


async def test_files_run_in_natural_order_and_undo_scripts_do_not(tmp_path: Path) -> None:
    for name, text in {
        "V10__last.sql": "ALTER TABLE t RENAME COLUMN b TO c;",
        "V2__then.sql": "ALTER TABLE t RENAME COLUMN a TO b;",
        "V1__first.sql": "CREATE TABLE t (a int);",
        "V1.1__between.sql": "ALTER TABLE t ADD COLUMN z int;",
        "R__views.sql": "CREATE VIEW v AS SELECT * FROM t;",
        "V11__x.down.sql": "DROP TABLE t;",
        "U10__undo.sql": "DROP TABLE t;",
        "V12__goose.sql": "-- +goose Up\nCREATE TABLE g (id int);\n"
        "-- +goose Down\nDROP TABLE g;\nDROP TABLE t;\n",
        ".hidden/a.sql": "DROP TABLE t;",
        "notes.txt": "DROP TABLE t;",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    catalog = await _open(tmp_path).read()
    assert catalog.problems == ()
    assert _names(_table(catalog, "t")) == ["c", "z"]
    assert _names(_table(catalog, "v")) == ["c", "z"]
    assert _names(_table(catalog, "g")) == ["id"]


# --- problems and last good versions ------------------------------------------------------------


async def test_a_broken_statement_keeps_its_last_good_version(tmp_path: Path) -> None:
    good = (
        "CREATE TABLE a (id int);\n\nCREATE TABLE b (id int, x text);\nCREATE TABLE c (id int);\n"
    )
    _write(tmp_path, schema=good, later="COMMENT ON TABLE b IS 'kept';")
    database = _open(tmp_path)
    before = await database.read()

    _write(tmp_path, schema=good.replace("id int, x text);", "id int, x text NOT NUL,, );"))
    broken = await database.read()
    assert [t.name for t in broken.tables] == ["a", "b", "c"]
    assert _table(broken, "b") == _table(before, "b")
    [problem] = broken.problems
    assert (Path(problem.file).name, problem.line) == ("schema.sql", 3)
    assert problem.column > 1
    assert "\n" not in str(problem)

    # What else is said about it goes on counting, and so does the rest of the folder.
    _write(tmp_path, zlater="ALTER TABLE b ADD y int; CREATE TABLE d (id int);")
    assert _names(_table(await database.read(), "b")) == ["id", "x", "y"]

    _write(tmp_path, schema=good.replace("x text", "x2 text"))
    mended = await database.read()
    assert mended.problems == ()
    assert _names(_table(mended, "b")) == ["id", "x2", "y"]


@pytest.mark.parametrize(
    "broken",
    [
        "CREATE TABLE b (id int, x text",
        "CREATE TABLE b (id int, x text NOT NULL DEFAULT 'oops);",
        "CREATE TABLE b id int, x text);",
        "CREATE TABLE b (id int, /* x text);",
        "CREATE TABLE (id int, x text);",
        "CREATE TABLE bad,b.b (id int, x text);",
        "CRATE TABLE b (id int, x text);",
        'CREATE TABLE "b (id int, x text);',
    ],
)
async def test_whatever_is_broken_the_rest_stands(tmp_path: Path, broken: str) -> None:
    good = "CREATE TABLE a (id int);\n{}\nCREATE TABLE c (id int);\nCREATE TABLE d (id int);\n"
    _write(tmp_path, schema=good.format("CREATE TABLE b (id int, x text);"))
    database = _open(tmp_path)
    before = await database.read()
    _write(tmp_path, schema=good.format(broken))
    after = await database.read()
    assert after.tables == before.tables
    assert after.problems[0].line == 2


@pytest.mark.parametrize("edit", ["ALTER TABLE b ADD x text", "CREATE TABLE b (id int, x text)"])
async def test_a_broken_statement_keeps_its_version_over_a_restart(
    tmp_path: Path, edit: str
) -> None:
    start = "CREATE TABLE b (id int);\n" if edit.startswith("ALTER") else ""
    _write(tmp_path, a=start + edit + ";\n", b="CREATE TABLE other (id int);")
    before = await _open(tmp_path).read()

    _write(tmp_path, a=start + edit.replace("x text", "x text,, text") + ";\n")
    restarted = _open(tmp_path)
    restarted.remember(before)
    for _ in range(2):
        found = await restarted.read()
        assert found.tables == before.tables
        assert len(found.problems) == 1

    _write(tmp_path, b="DROP TABLE other;")
    assert [t.name for t in (await restarted.read()).tables] == ["b"]

    # What moves now is the truth again, and a mended statement is.
    _write(tmp_path, a=start + edit.replace("x", "y") + ";\n")
    assert _names(_table(await restarted.read(), "b")) == ["id", "y"]


async def test_an_unreadable_file_keeps_what_it_defined(tmp_path: Path) -> None:
    _write(tmp_path, a="CREATE TABLE a (id int);", b="CREATE TABLE b (id int);")
    database = _open(tmp_path)
    before = await database.read()

    (tmp_path / "b.sql").write_bytes(b"-- caf\xe9\nCREATE TABLE b (id int);")
    undecodable = await database.read()
    assert undecodable.tables == before.tables
    assert "UTF-8" in str(undecodable.problems[0])
    restarted = _open(tmp_path)
    restarted.remember(before)
    assert (await restarted.read()).tables == before.tables
    _write(tmp_path, a="-- nothing is left\n")
    assert [table.name for table in (await restarted.read()).tables] == ["b"]

    with (tmp_path / "b.sql").open("wb") as file:
        file.truncate(20 * 1024 * 1024 + 1)
    large = await database.read()
    assert "20 MB" in str(large.problems[0])
    assert [table.name for table in large.tables] == ["b"]

    (tmp_path / "b.sql").unlink()
    assert (await database.read()).tables == ()


async def test_a_thousand_faults_are_told_a_hundred_times(tmp_path: Path) -> None:
    _write(tmp_path, a="CREATE TABLE t (id int,, );\nCREATE TABLE u (id);\n" * 500)
    catalog = await _open(tmp_path).read()
    assert 100 < len(catalog.problems) <= 101
    assert [p.line for p in catalog.problems[:3]] == sorted(p.line for p in catalog.problems[:3])


async def test_links_that_loop_or_dangle_are_passed_over(tmp_path: Path) -> None:
    _write(tmp_path, a="CREATE TABLE a (id int);")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "gone.sql").symlink_to(tmp_path / "nowhere.sql")
    (tmp_path / "self.sql").symlink_to(tmp_path / "self.sql")
    (tmp_path / "named.sql").mkdir()
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    _write(elsewhere, b="CREATE TABLE b (id int);")
    (tmp_path / "linked").symlink_to(elsewhere)
    catalog = await _open(tmp_path).read()
    assert [table.name for table in catalog.tables] == ["a", "b"]


async def test_the_gate_moves_with_content_only(tmp_path: Path) -> None:
    _write(tmp_path, a="CREATE TABLE a (id int);")
    database = _open(tmp_path)
    first = await database.gate()
    assert await database.gate() == first
    assert await _open(tmp_path).gate() == first, "it survives a restart"
    os.utime(tmp_path / "a.sql", (1, 1))
    assert await database.gate() == first

    state = (tmp_path / "a.sql").stat()
    _write(tmp_path, a="CREATE TABLE b (id int);")
    os.utime(tmp_path / "a.sql", ns=(state.st_atime_ns, state.st_mtime_ns))
    second = await database.gate()
    assert second != first
    (tmp_path / "a.sql").rename(tmp_path / "b.sql")
    assert await database.gate() not in (first, second)


async def test_a_file_that_is_being_saved_is_not_empty(tmp_path: Path) -> None:
    """Many editors empty a file before they fill it; a file that stays empty is believed."""
    _write(tmp_path, a="CREATE TABLE a (id int);")
    database = _open(tmp_path)
    stood = await database.gate()
    _write(tmp_path, a="")
    assert await database.gate() == stood
    assert await database.gate() != stood
    assert (await database.read()).tables == ()
    _write(tmp_path, a="CREATE TABLE a (id int, more int);")
    (table,) = (await database.read()).tables
    assert len(table.columns) == 2


async def test_reading_twice_gives_the_same_value(tmp_path: Path) -> None:
    _write(
        tmp_path, a="CREATE TABLE b (id int); CREATE TABLE a (id int); CREATE VIEW v AS SELECT 1 x"
    )
    database = _open(tmp_path)
    assert await database.read() == await database.read() == await _open(tmp_path).read()


# --- comments -----------------------------------------------------------------------------------

NAMES = ['q"uote', "a space", "üñí çødé 🐘", "select", "dot.ted", "back\\slash", "semi;colon", "--"]
TEXTS = ["plain", "it's", "two\nlines\r\nand more", "back\\slash \\n \\", "$$; DROP TABLE t;", "🐘"]


@pytest.mark.parametrize("dialect", ["postgres", "snowflake", "databricks", "duckdb", "redshift"])
async def test_comments_and_names_round_trip(tmp_path: Path, dialect: str) -> None:
    from sqlglot import exp

    def quoted(name: str) -> str:
        return exp.to_identifier(name, quoted=True).sql(dialect=dialect)

    columns = ", ".join(f"{quoted(name)} int" for name in NAMES)
    _write(tmp_path, a="\n".join(f"CREATE TABLE {quoted(name)} ({columns});" for name in NAMES))
    database = _open(tmp_path, dialect)
    catalog = await database.read()
    assert len(catalog.tables) == len(NAMES)
    expected: dict[ObjectRef, str | None] = {}
    for number, table in enumerate(catalog.tables):
        for ref in (table.ref, table.column_ref(table.columns[number].name)):
            text = TEXTS[len(expected) % len(TEXTS)]
            assert await database.execute(_target(ref), text) == text
            expected[ref] = text
    again = _open(tmp_path, dialect)
    targets = [_target(ref) for ref in expected]
    assert await again.current(targets) == expected
    assert (await again.read()).problems == ()


async def test_naughty_strings_survive_as_comments(cases: Path, tmp_path: Path) -> None:
    document = (cases / "f_strings" / "blns.json").read_text()
    strings = sorted(set(re.findall(r'"((?:[^"\\]|\\.)*)"', document)))
    texts = [json.loads(f'"{text}"', strict=False) for text in strings if text][::12]
    _write(tmp_path, a="CREATE TABLE t (id int);")
    database = _open(tmp_path)
    ref = ObjectRef(schema="public", table="t", column="id")
    for text in texts:
        if "\0" in text or any(0xD800 <= ord(char) < 0xE000 for char in text):
            continue
        assert await database.execute(_target(ref), text) == text


async def test_our_file_is_sorted_replaced_whole_and_applied_last(tmp_path: Path) -> None:
    _write(
        tmp_path, zzz="CREATE TABLE b (id int); CREATE TABLE a (id int);", zzzz="CREATE SCHEMA s;"
    )
    database = _open(tmp_path)
    ours = tmp_path / COMMENTS_FILE
    assert database.own_files == (ours,)
    for ref, text in [
        (ObjectRef(schema="public", table="b"), "second"),
        (ObjectRef(schema="public", table="a", column="id"), "key of a"),
        (ObjectRef(schema="public", table="a"), "first"),
        (ObjectRef(schema="s"), "a schema"),
    ]:
        await database.execute(_target(ref), text)
    header, *lines = ours.read_text().splitlines()
    assert header.startswith("--")
    assert "amxwatch" in header
    assert lines == [
        'COMMENT ON TABLE "public"."a" IS \'first\';',
        'COMMENT ON COLUMN "public"."a"."id" IS \'key of a\';',
        'COMMENT ON TABLE "public"."b" IS \'second\';',
        "COMMENT ON SCHEMA \"s\" IS 'a schema';",
    ]
    ours.chmod(0o640)
    inode = ours.stat().st_ino
    await database.execute(_target(ObjectRef(schema="public", table="b")), None)
    assert '"b"' not in ours.read_text()
    assert stat.S_IMODE(ours.stat().st_mode) == 0o640
    assert ours.stat().st_ino != inode
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        COMMENTS_FILE,
        "zzz.sql",
        "zzzz.sql",
    ]


async def test_removing_a_comment_that_another_file_sets(tmp_path: Path) -> None:
    _write(tmp_path, a="CREATE TABLE t (id int); COMMENT ON TABLE t IS 'theirs';")
    database = _open(tmp_path)
    target = _target(ObjectRef(schema="public", table="t"))
    assert await database.execute(target, None) == ""
    assert "IS NULL" in (tmp_path / COMMENTS_FILE).read_text()
    assert await database.current([target]) == {target.ref: None}
    assert await database.execute(target, "ours") == "ours"
    (tmp_path / COMMENTS_FILE).unlink()
    assert await database.current([target]) == {target.ref: "theirs"}


async def test_what_cannot_be_commented_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, a="CREATE TABLE t (id int);")
    database = _open(tmp_path)
    target = _target(ObjectRef(schema="public", table="t"))
    absent = _target(ObjectRef(schema="public", table="absent"))
    with pytest.raises(StatementRefusedError, match="absent"):
        await database.execute(absent, "x")
    assert await database.current([absent]) == {}
    for text in ("nul\0", "lone \ud800"):
        with pytest.raises(StatementRefusedError):
            database.statement(target, text)
    (tmp_path / COMMENTS_FILE).write_text("-- mine\nDROP TABLE t2;\n")
    with pytest.raises(StatementRefusedError, match=f"{COMMENTS_FILE}:2"):
        await database.execute(target, "x")
    assert "DROP" in (tmp_path / COMMENTS_FILE).read_text()


@pytest.mark.parametrize("dialect", ["mysql", "sqlite", "tsql", "bigquery", "clickhouse"])
async def test_a_dialect_without_comment_on_exports_but_does_not_write(
    tmp_path: Path, dialect: str
) -> None:
    _write(tmp_path, a="CREATE TABLE t (id int);")
    database = _open(tmp_path, dialect)
    assert database.capabilities.comments == frozenset()
    [table] = (await database.read()).tables
    assert database.statement(_target(table.ref), "x").startswith("COMMENT ON TABLE ")
    with pytest.raises(StatementRefusedError, match="COMMENT ON"):
        await database.execute(_target(table.ref), "x")
    assert not (tmp_path / COMMENTS_FILE).exists()


async def test_an_edit_of_one_file_moves_one_table(tmp_path: Path) -> None:
    for number in range(300):
        columns = ", ".join(f"c{i} int" for i in range(6))
        comments = "".join(f"COMMENT ON COLUMN t{number}.c{i} IS 'x';\n" for i in range(6))
        (tmp_path / f"{number}.sql").write_text(f"CREATE TABLE t{number} ({columns});\n{comments}")
    database = _open(tmp_path)
    first = await database.read()
    assert len(first.tables) == 300
    (tmp_path / "7.sql").write_text("CREATE TABLE t7 (renamed int);")
    second = await database.read()
    moved = {t.name for t in second.tables} - {t.name for t in first.tables if t in second.tables}
    assert moved == {"t7"}
