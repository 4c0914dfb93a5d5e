"""Lineage: which columns the SQL of a view reads, in every shape and dialect, and never raising."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch.context.lineage import Lineage
from amxwatch.core.catalog import Catalog, Column, Key, KeyKind, ObjectRef, ObjectType, Table
from amxwatch.core.lineage import VALUES_ONLY, Edge, How, Level

DIALECTS = ("postgres", "duckdb", "sqlite", "mysql", "snowflake", "bigquery")


def table(name: str, columns: str = "", *, schema: str = "shop", **values: Any) -> Table:
    """Make a table; columns are names with blanks between."""
    made = tuple(
        Column(name=column, type="integer", ordinal=at)
        for at, column in enumerate(columns.split(), 1)
    )
    return Table(schema=schema, name=name, columns=made, **values)


def view(name: str, columns: str, sql: str | None, **values: Any) -> Table:
    return table(name, columns, type=ObjectType.VIEW, definition=sql, **values)


ORDERS = table("orders", "id customer_id total placed data")
CUSTOMER = table("customer", "id name region")
MIXED = table("Mixed Case", "Id Val val")
SHOP = (ORDERS, CUSTOMER, MIXED)


def lineage(*tables: Table, dialect: str = "postgres", reader: str = "test/1") -> Lineage:
    ordered = tuple(sorted(tables, key=lambda each: (each.schema, each.name)))
    return Lineage(Catalog(reader=reader, source="test", tables=ordered), dialect)


def told(edges: tuple[Edge, ...]) -> set[str]:
    """Write edges as `source > target how`, the schema `shop` left out."""
    return {
        f"{edge.source} > {edge.target} {edge.how}".replace("shop.", "")
        for edge in edges
        if edge.how in (How.DERIVED, How.FILTER)
    }


def read(sql: str, columns: str, dialect: str = "postgres", *tables: Table) -> set[str]:
    """Return the column edges of one view `v`, all of whose columns must be known."""
    made = view("v", columns, sql)
    edges = lineage(*SHOP, *tables, made, dialect=dialect).reads(made.ref)
    assert {edge.level for edge in edges} == {Level.COLUMN}, edges
    return told(edges)


SHAPES = {
    "star": (
        "SELECT * FROM shop.customer",
        "id name region",
        {"customer.id > v.id", "customer.name > v.name", "customer.region > v.region"},
        set(),
    ),
    "aliases": (
        "SELECT o.total AS t, c.name FROM shop.orders AS o, shop.customer c",
        "t name",
        {"orders.total > v.t", "customer.name > v.name"},
        set(),
    ),
    "join and filter": (
        (
            "SELECT total FROM shop.orders o JOIN shop.customer c ON o.customer_id = c.id"
            " WHERE c.region = 'x' ORDER BY placed"
        ),
        "total",
        {"orders.total > v.total"},
        {"orders.customer_id", "customer.id", "customer.region", "orders.placed"},
    ),
    "group": (
        (
            "SELECT customer_id, SUM(total) AS spent FROM shop.orders GROUP BY customer_id"
            " HAVING MAX(placed) > 1"
        ),
        "customer_id spent",
        {"orders.customer_id > v.customer_id", "orders.total > v.spent"},
        {"orders.customer_id", "orders.placed"},
    ),
    "using": (
        "SELECT id, total FROM shop.orders JOIN shop.customer USING (id)",
        "id total",
        {"orders.id > v.id", "customer.id > v.id", "orders.total > v.total"},
        {"orders.id", "customer.id"},
    ),
    "cte": (
        (
            "WITH paid AS (SELECT customer_id AS who, total + 1 AS more FROM shop.orders"
            " WHERE placed > 0) SELECT more FROM paid"
        ),
        "more",
        {"orders.total > v.more"},
        {"orders.placed", "orders.customer_id"},
    ),
    "a cte named as what it reads": (
        "WITH orders AS (SELECT id, total FROM shop.orders) SELECT total AS t FROM orders",
        "t",
        {"orders.total > v.t"},
        {"orders.id"},
    ),
    "star of a cte": (
        "WITH a AS (SELECT * FROM shop.customer), b AS (SELECT * FROM a) SELECT name FROM b",
        "name",
        {"customer.name > v.name"},
        set(),
    ),
    "derived table": (
        "SELECT s.n FROM (SELECT name AS n, region FROM shop.customer) AS s WHERE s.region = 1",
        "n",
        {"customer.name > v.n"},
        {"customer.region"},
    ),
    "union": (
        "SELECT total AS x FROM shop.orders UNION ALL SELECT region FROM shop.customer",
        "x",
        {"orders.total > v.x", "customer.region > v.x"},
        set(),
    ),
    "window": (
        "SELECT ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY placed) AS n FROM shop.orders",
        "n",
        {"orders.customer_id > v.n", "orders.placed > v.n"},
        set(),
    ),
    "correlated": (
        (
            "SELECT c.name, (SELECT MAX(o.total) FROM shop.orders o WHERE o.customer_id = c.id)"
            " AS top FROM shop.customer c"
        ),
        "name top",
        {"customer.name > v.name", "orders.total > v.top"},
        {"orders.customer_id", "customer.id"},
    ),
    "exists": (
        (
            "SELECT name FROM shop.customer c WHERE EXISTS"
            " (SELECT 1 FROM shop.orders o WHERE o.customer_id = c.id)"
        ),
        "name",
        {"customer.name > v.name"},
        {"orders.customer_id", "customer.id"},
    ),
    "in": (
        "SELECT name FROM shop.customer WHERE id IN (SELECT customer_id FROM shop.orders)",
        "name",
        {"customer.name > v.name"},
        {"customer.id", "orders.customer_id"},
    ),
    "case": (
        "SELECT CASE WHEN region = 1 THEN name ELSE 'x' END AS k FROM shop.customer",
        "k",
        {"customer.region > v.k", "customer.name > v.k"},
        set(),
    ),
    "recursion": (
        (
            "WITH RECURSIVE r AS (SELECT id AS a, total AS b FROM shop.orders UNION ALL"
            " SELECT r.b, c.region FROM r JOIN shop.customer c ON c.id = r.a) SELECT a FROM r"
        ),
        "a",
        {"orders.id > v.a", "orders.total > v.a", "customer.region > v.a"},
        {"customer.id", "orders.id", "orders.total", "customer.region"},
    ),
    "renamed by place": (
        "SELECT name, region FROM shop.customer",
        "region name",
        {"customer.name > v.region", "customer.region > v.name"},
        set(),
    ),
    "no column at all": ("SELECT COUNT(*) AS n FROM shop.orders", "n", set(), set()),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_read_in_every_dialect(shape: str, dialect: str) -> None:
    sql, columns, derived, filters = SHAPES[shape]
    tables = (ORDERS, CUSTOMER)
    if dialect == "snowflake":
        upper = [spelled(each, str.upper) for each in tables]
        made = view("V", columns.upper(), sql, schema="SHOP")
        edges = lineage(*upper, made, dialect=dialect).reads(made.ref)
        found = {line.replace("SHOP.", "").lower() for line in told(edges)}
    else:
        made = view("v", columns, sql)
        found = told(lineage(*tables, made, dialect=dialect).reads(made.ref))
    assert found == {f"{edge} derived" for edge in derived} | {
        f"{column} > v filter" for column in filters
    }


def spelled(one: Table, spell: Any) -> Table:
    names = " ".join(spell(column.name) for column in one.columns)
    return table(spell(one.name), names, schema=spell(one.schema))


@pytest.mark.parametrize(
    ("dialect", "sql", "columns", "edges"),
    [
        (
            "postgres",
            (
                "SELECT x.s FROM orders o CROSS JOIN LATERAL (SELECT o.total + c.region AS s"
                " FROM customer c) x"
            ),
            "s",
            {"orders.total > v.s derived", "customer.region > v.s derived"},
        ),
        (
            "postgres",
            "SELECT g.k FROM orders o, generate_series(1, o.total) AS g(k)",
            "k",
            {"orders.total > v.k derived", "orders.total > v filter"},
        ),
        (
            "postgres",
            "SELECT row_to_json(c) AS j FROM customer c",
            "j",
            {
                "customer.id > v.j derived",
                "customer.name > v.j derived",
                "customer.region > v.j derived",
            },
        ),
        (
            "postgres",
            'SELECT "Val" AS a, val AS b FROM "Mixed Case"',
            "a b",
            {"Mixed Case.Val > v.a derived", "Mixed Case.val > v.b derived"},
        ),
        (
            "postgres",
            "SELECT DISTINCT ON (region) name FROM customer",
            "name",
            {"customer.name > v.name derived", "customer.region > v filter"},
        ),
        (
            "duckdb",
            "FROM customer",
            "id name region",
            {
                "customer.id > v.id derived",
                "customer.name > v.name derived",
                "customer.region > v.region derived",
            },
        ),
        (
            "duckdb",
            "SELECT * EXCLUDE (id) REPLACE (upper(region) AS region) FROM Customer",
            "name region",
            {"customer.name > v.name derived", "customer.region > v.region derived"},
        ),
        (
            "duckdb",
            (
                "SELECT total AS a, 1 AS b FROM orders UNION ALL BY NAME"
                " SELECT name AS b, 2 AS a FROM customer"
            ),
            "a b",
            {"orders.total > v.a derived", "customer.name > v.b derived"},
        ),
        (
            "duckdb",
            "SELECT o.total FROM memory.shop.orders o SEMI JOIN customer c ON o.customer_id = c.id",
            "total",
            {
                "orders.total > v.total derived",
                "orders.customer_id > v filter",
                "customer.id > v filter",
            },
        ),
        (
            "mysql",
            (
                "select `shop`.`orders`.`Total` AS `t` from `shop`.`orders`"
                " where (`shop`.`orders`.`PLACED` = 1)"
            ),
            "t",
            {"orders.total > v.t derived", "orders.placed > v filter"},
        ),
        (
            "sqlite",
            'SELECT [total] AS t FROM "ORDERS" WHERE id = 1',
            "t",
            {"orders.total > v.t derived", "orders.id > v filter"},
        ),
        (
            "bigquery",
            "SELECT data.k.j AS j, x FROM `project.shop.orders`, UNNEST(data) AS x",
            "j x",
            {
                "orders.data > v.j derived",
                "orders.data > v.x derived",
                "orders.data > v filter",
            },
        ),
        (
            "bigquery",
            "SELECT * EXCEPT (id) FROM shop.customer",
            "name region",
            {"customer.name > v.name derived", "customer.region > v.region derived"},
        ),
        (
            "snowflake",
            (
                "SELECT total AS t, t + 1 AS u, f.value AS w"
                " FROM shop.orders, LATERAL FLATTEN(input => data) f"
            ),
            "t u w",
            {
                "orders.total > v.t derived",
                "orders.total > v.u derived",
                "orders.data > v.w derived",
                "orders.data > v filter",
            },
        ),
    ],
)
def test_what_only_one_dialect_says(dialect: str, sql: str, columns: str, edges: set[str]) -> None:
    assert read(sql, columns, dialect) == edges


def test_a_view_over_a_view_is_read_through_it() -> None:
    found = lineage(
        *SHOP,
        view("spent", "who total", "SELECT customer_id, sum(total) FROM orders GROUP BY 1"),
        view("top", "name", "SELECT name FROM customer JOIN spent ON id = who WHERE total > 9"),
        view("report", "title", "SELECT upper(name) FROM top"),
    )
    total = found.impact(ORDERS.column_ref("total"))
    assert [(str(one.ref), [str(ref) for ref in one.via], one.how) for one in total] == [
        ("shop.spent.total", [], "derived"),
        ("shop.top", ["shop.spent.total"], "filter"),
        ("shop.report", ["shop.spent.total", "shop.top"], "read"),
    ]
    assert [str(one.ref) for one in found.impact(CUSTOMER.column_ref("name"))] == [
        "shop.top.name",
        "shop.report.title",
    ]
    assert {one.level for one in total} == {Level.COLUMN}
    assert [one.distance for one in found.impact(ORDERS.ref)] == [1, 2, 3]
    assert [str(one.ref) for one in found.impact(ORDERS.ref, depth=1)] == ["shop.spent"]


def test_drafts_follow_values_only() -> None:
    sql = "SELECT name FROM customer WHERE region = 1"
    found = lineage(*SHOP, view("v", "name", sql))
    assert [one.how for one in found.impact(CUSTOMER.column_ref("region"))] == ["filter"]
    assert found.impact(CUSTOMER.column_ref("region"), uses=VALUES_ONLY) == ()


def test_foreign_keys_are_references_and_lead_no_further() -> None:
    key = Key(
        kind=KeyKind.FOREIGN,
        columns=("customer_id",),
        references=("shop", "customer"),
        referenced_columns=("id",),
    )
    orders = table("orders", "id customer_id", keys=(key,))
    found = lineage(orders, CUSTOMER, view("v", "c", "SELECT customer_id FROM orders"))
    for target in (CUSTOMER.ref, CUSTOMER.column_ref("id")):
        assert [(str(one.ref), one.how) for one in found.impact(target)] == [
            ("shop.orders.customer_id", "key")
        ]
    assert found.impact(CUSTOMER.column_ref("name")) == ()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT total FROM orders, customer WHERE (",
        "SELECT * FROM orders o JOIN customer PIVOT (sum(id) FOR name IN ('x'))",
        "SELECT o.total, COLUMNS('n.*') FROM orders o, customer c JOIN (SELECT 1",
        'MERGE INTO what FROM shop.orders INNER JOIN "shop"."customer" ON ~~',
    ],
)
def test_what_cannot_be_followed_is_known_by_table(sql: str) -> None:
    made = view("v", "total", sql)
    found = lineage(*SHOP, made)
    edges = found.reads(made.ref)
    assert {str(edge.source) for edge in edges} == {"shop.orders", "shop.customer"}
    assert {(edge.level, edge.how) for edge in edges} == {(Level.TABLE, How.READ)}
    [one] = found.impact(ORDERS.column_ref("placed"))
    assert (one.ref, one.level, one.how) == (made.ref, Level.TABLE, How.READ)


def test_what_the_source_declares_is_known_without_sql() -> None:
    model = table("model", "a", reads=(("shop", "orders"),))
    jinja = view("v", "x", "SELECT * FROM {{ ref('model') }}", reads=(("shop", "model"),))
    found = lineage(*SHOP, model, jinja)
    assert [
        (str(one.ref), one.level, one.how) for one in found.impact(ORDERS.column_ref("id"))
    ] == [("shop.model", "table", "declared"), ("shop.v", "table", "declared")]


def test_a_name_without_a_schema_is_looked_up_as_its_database_does() -> None:
    near, far = table("t", "a", schema="mart"), table("t", "a", schema="public")
    sql = "SELECT a FROM t"
    made = view("v", "a", sql, schema="mart")
    for dialect, expected in (("postgres", "public.t"), ("snowflake", "mart.t")):
        edges = lineage(near, far, made, dialect=dialect).reads(made.ref)
        assert {str(edge.source.owner) for edge in edges} == {expected}
    declared = view("v", "a", sql, schema="mart", reads=(("mart", "t"),))
    edges = lineage(near, far, declared).reads(made.ref)
    assert {str(edge.source.owner) for edge in edges} == {"mart.t"}
    elsewhere = view("v", "a", "SELECT a FROM other.t", schema="mart")
    assert lineage(near, far, elsewhere).reads(made.ref) == ()


def test_quoted_names_keep_their_case_where_the_dialect_keeps_it() -> None:
    plain, quoted = table("thing", "a"), table("Thing", "a")
    for name, expected in (("Thing", "shop.thing"), ('"Thing"', "shop.Thing")):
        made = view("v", "a", f"SELECT a FROM shop.{name}")
        edges = lineage(plain, quoted, made).reads(made.ref)
        assert {str(edge.source.owner) for edge in edges} == {expected}
    made = view("v", "a", 'SELECT a FROM shop."THING"')
    assert lineage(plain, made).reads(made.ref) == ()
    assert lineage(plain, made, dialect="duckdb").reads(made.ref) != ()


def test_tables_outside_of_the_catalog_do_not_hide_the_others() -> None:
    sql = "SELECT q.x, * FROM elsewhere.q JOIN orders ON q.i = orders.id"
    assert {
        "orders.total > v.total derived",
        "orders.id > v filter",
    } <= read(sql, "x i total")


def test_dbt_models_are_matched_by_name() -> None:
    made = view("m", "total id", "SELECT id, total FROM orders")
    edges = lineage(*SHOP, made, reader="dbt/1").reads(made.ref)
    assert told(edges) == {"orders.id > m.id derived", "orders.total > m.total derived"}


def test_a_dialect_that_sqlglot_does_not_know_is_known_by_table() -> None:
    made = view("v", "a", "SELECT total FROM shop.orders")
    edges = lineage(*SHOP, made, dialect="nonsense").reads(made.ref)
    assert [(str(edge.source), edge.level) for edge in edges] == [("shop.orders", Level.TABLE)]


def test_a_table_whose_columns_are_unknown_is_known_by_table() -> None:
    made = view("v", "a", "SELECT a FROM bare")
    edges = lineage(table("bare"), made).reads(made.ref)
    assert [(edge.level, edge.how) for edge in edges] == [(Level.TABLE, How.READ)]


# -- hostile SQL -----------------------------------------------------------------------------

DEEP = 2000
HOSTILE = {
    "parentheses": "SELECT " + "(" * DEEP + "1" + ")" * DEEP,
    "not": "SELECT " + "NOT " * DEEP + "a FROM t",
    "case": "SELECT " + "CASE WHEN a THEN " * DEEP + "1" + " END" * DEEP + " FROM t",
    "and": "SELECT a FROM t WHERE " + " AND ".join(["a"] * DEEP),
    "union": " UNION ALL ".join(["SELECT a FROM t"] * DEEP),
    "subqueries": "SELECT a FROM (" * DEEP + "SELECT a FROM t" + ") x" * DEEP,
    "calls": "SELECT " + "f(" * DEEP + "a" + ")" * DEEP + " FROM t",
    "subscripts": "SELECT a" + "[b]" * DEEP + " FROM t",
    "types": "SELECT CAST(a AS " + "STRUCT<x " * DEEP + "INT" + ">" * DEEP + ") FROM t",
    "ctes": "WITH c AS (" * DEEP + "SELECT a FROM t",
    "stars": "SELECT " + ",".join(["*"] * DEEP * 4) + " FROM t",
    "from": "FROM " * DEEP,
    "strings": "SELECT '" + "'" * DEEP + "x",
    "comments": "SELECT a /* " * DEEP + "FROM t",
    "jinja": "SELECT * FROM {{ ref('x') }} {% if a %} " * DEEP,
    "dots": "SELECT a FROM " + "t." * DEEP + "t",
    "nothing": "",
    "nul": "SELECT \x00 FROM t",
    "surrogate": "SELECT '\ud800' FROM t",
}


MOST_CALLS = 25_000_000
"""Calls and returns of functions; what takes most here takes a third of them."""


class TooManyCallsError(BaseException):
    """More work than there may be. No exception that the code under test would catch."""


@contextmanager
def counted_calls(most: int) -> Iterator[None]:
    """Stop what calls more functions than so many: a bound on work that no machine moves."""
    left = most

    def count(frame: FrameType, event: str, arg: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise TooManyCallsError

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)


@pytest.mark.parametrize("shape", HOSTILE)
def test_hostile_sql_neither_raises_nor_hangs(shape: str) -> None:
    t = table("t", "a b c d e")
    for dialect in DIALECTS:
        made = view("v", "a", HOSTILE[shape])
        with counted_calls(MOST_CALLS):
            for edge in lineage(t, made, dialect=dialect).reads(made.ref):
                assert edge.target.owner == made.ref


def test_no_definition_of_the_cases_raises(cases: Path) -> None:
    document = json.loads((cases / "d_ddl" / "sqlglot_ddl.json").read_text(encoding="utf-8"))
    tables = [table(name, "a b c x y z id") for name in ("x", "y", "t", "tbl", "a", "b")]
    count = 0
    for dialect, statements in document["dialects"].items():
        for statement in statements:
            made = view("v of cases", "a b", statement["sql"])
            known = dialect if dialect.isalnum() else ""
            assert isinstance(lineage(*tables, made, dialect=known).reads(made.ref), tuple)
            count += 1
    assert count > 1000


@given(st.text(max_size=60))
def test_any_text_is_a_definition(text: str) -> None:
    made = view("v", "a", text)
    assert isinstance(lineage(*SHOP, made).reads(made.ref), tuple)


# -- by construction -------------------------------------------------------------------------


@st.composite
def views(draw: st.DrawFn) -> tuple[str, list[str], set[tuple[str, str]], set[str]]:
    """Make a SELECT, its columns, and what is known of it: (source, column) and filters.

    Sources are tables `t0` to `t2` of three columns, each with an alias of its own; columns are
    sums of columns of sources, out of the tables themselves, a subquery or a CTE.
    """
    aliases = [f"s{at}" for at in range(draw(st.integers(1, 3)))]
    tables = {alias: f"t{draw(st.integers(0, 2))}" for alias in aliases}
    styles = {
        alias: draw(st.sampled_from(["table", "subquery", "cte", "star"])) for alias in tables
    }
    column = st.builds(lambda a, c: (a, f"c{c}"), st.sampled_from(aliases), st.integers(0, 2))
    outputs = draw(st.lists(st.lists(column, min_size=1, max_size=3), min_size=1, max_size=4))
    filters = draw(st.lists(column, max_size=2))
    ctes, sources = [], []
    for alias, name in tables.items():
        inner = f"SELECT {'*' if styles[alias] == 'star' else 'c0, c1, c2'} FROM {name}"
        if styles[alias] == "cte":
            ctes.append(f"{alias}_cte AS ({inner})")
        body = {"table": name, "cte": f"{alias}_cte"}.get(styles[alias], f"({inner})")
        sources.append(f"{body} AS {alias}")
    items = [
        f"{' + '.join(f'{alias}.{name}' for alias, name in output)} AS out{at}"
        for at, output in enumerate(outputs)
    ]
    sql = f"SELECT {', '.join(items)} FROM {' CROSS JOIN '.join(sources)}"
    if filters:
        sql += f" WHERE {' AND '.join(f'{alias}.{name} > 1' for alias, name in filters)}"
    if ctes:
        sql = f"WITH {', '.join(ctes)} {sql}"
    derived = {
        (f"{tables[alias]}.{name}", f"out{at}")
        for at, output in enumerate(outputs)
        for alias, name in output
    }
    # What a subquery or CTE lists and nobody takes is mentioned, and so counts as used.
    listed = {
        f"{tables[alias]}.c{at}"
        for alias in aliases
        for at in range(3)
        if styles[alias] in ("subquery", "cte")
    }
    used = {f"{tables[alias]}.{name}" for alias, name in filters}
    used |= listed - {source for source, _ in derived}
    return sql, [f"out{at}" for at in range(len(outputs))], derived, used


@given(views(), st.sampled_from(["postgres", "duckdb", "mysql", "bigquery"]))
def test_the_edges_are_those_that_a_view_was_made_of(
    made: tuple[str, list[str], set[tuple[str, str]], set[str]], dialect: str
) -> None:
    sql, columns, derived, used = made
    one = view("v", " ".join(columns), sql)
    tables = [table(f"t{at}", "c0 c1 c2") for at in range(3)]
    edges = lineage(*tables, one, dialect=dialect).reads(one.ref)
    assert {
        (f"{edge.source.table}.{edge.source.column}", edge.target.column)
        for edge in edges
        if edge.how is How.DERIVED
    } == derived
    assert {
        f"{edge.source.table}.{edge.source.column}" for edge in edges if edge.how is How.FILTER
    } == used


VIEWS = 200


def test_many_views_read_twice_say_the_same() -> None:
    """A second look at the same views finds the same; a table that moved is found by its views."""
    width = " ".join(f"c{at}" for at in range(10))
    items = ", ".join(f"coalesce(a.c{at}, b.c{at})" for at in range(10))
    tables = [table(f"t{at}", width) for at in range(50)]
    made = [
        view(
            f"v{at}",
            width,
            f"SELECT {items} FROM t{at % 50} a JOIN t{at % 7} b ON a.c0 = b.c0 AND a.c1 <> {at}",
        )
        for at in range(VIEWS)
    ]
    first = lineage(*tables, *made)
    edges = sum(len(first.reads(one.ref)) for one in made)
    again = lineage(*tables, *made)
    assert sum(len(again.reads(one.ref)) for one in made) == edges > VIEWS * 20
    moved = table("t0", f"{width} new")
    found = lineage(moved, *tables[1:], *made).impact(ObjectRef(schema="shop", table="t0"))
    assert len(found) == len([at for at in range(VIEWS) if at % 50 == 0 or at % 7 == 0])
