"""What a merge would do: real differences told, other spellings passed over."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from amxwatch.core.catalog import Catalog, Column, Key, KeyKind, ObjectType, Schema, Table
from amxwatch.core.change import ChangeKind
from amxwatch.core.equivalence import Sql, equal_defaults, equal_types, equal_views
from amxwatch.core.merge import Merge, Side, compare, matched_schemas
from amxwatch.core.scope import Scope
from tests.core.catalogs import catalogs

ALL = Scope.all()


def table(name: str, *columns: Column, schema: str = "public", **more: object) -> Table:
    made = tuple(replace(each, ordinal=at) for at, each in enumerate(columns, 1))
    given = {"schema": schema, "name": name, "columns": made, **more}
    return Table(**given)  # type: ignore[arg-type]  # as given


def column(name: str, type_: str = "integer", **more: object) -> Column:
    return Column(name=name, type=type_, ordinal=1, **more)  # type: ignore[arg-type]  # as given


def side(*tables: Table, dialect: str = "postgres", **more: bool) -> Side:
    schemas = tuple(Schema(name=name) for name in sorted({t.schema for t in tables}))
    catalog = Catalog(reader="test/1", source="here", schemas=schemas, tables=tables)
    return Side(catalog=catalog, dialect=dialect, **more)


def merged(models: Side, live: Side, *, strict: bool = False, scope: Scope = ALL) -> Merge:
    schemas = matched_schemas(models, live, {})
    return compare(models, live, schemas=schemas, scope=scope, strict=strict)


@pytest.mark.parametrize(
    ("left", "here", "right", "there", "equal"),
    [
        ("VARCHAR(80)", "postgres", "character varying(80)", "postgres", True),
        ("SERIAL", "postgres", "integer", "postgres", True),
        ("CITEXT", "postgres", "citext", "postgres", True),
        ("INT", "postgres", "BIGINT", "postgres", False),
        ("VARCHAR(10)", "postgres", "character varying(20)", "postgres", False),
        ("TEXT", "postgres", "VARCHAR", "duckdb", True),
        ("INT64", "bigquery", "bigint", "postgres", True),
        ("DATETIME", "mysql", "timestamp without time zone", "postgres", True),
        ("STRING", "bigquery", "integer", "postgres", False),
        ("unknown", "postgres", "integer", "postgres", True),
    ],
)
def test_types_across_sources(left: str, here: str, right: str, there: str, equal: bool) -> None:
    assert equal_types(left, here, right, there) is equal


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("'new'", "'new'::text", True),
        ("CURRENT_TIMESTAMP", "now()", True),
        ("-1", "'-1'::integer", True),
        ("0", "0.00", True),
        ("'{}'", "'{}'::text[]", True),
        ("TRUE", "true", True),
        ("'new'", "'old'::text", False),
        ("1", "'1'::text", False),
        (None, "0", False),
    ],
)
def test_defaults_as_a_server_stores_them(left: str | None, right: str, equal: bool) -> None:
    assert equal_defaults(left, "postgres", right, "postgres") is equal


COLUMNS = {
    "public": {
        "orders": {"id": "int", "kind": "varchar", "total": "numeric", "customer_id": "int"},
        "customer": {"id": "int", "email": "varchar"},
    }
}


@pytest.mark.parametrize(
    ("written", "stored", "equal"),
    [
        (
            "SELECT * FROM customer",
            "SELECT id,\n    email\n   FROM customer",
            True,
        ),
        (
            """SELECT o.id, total * 2 AS dbl FROM orders AS o JOIN customer c
            ON c.id = o.customer_id WHERE kind IN ('a', 'b') AND total BETWEEN 1 AND 2""",
            """SELECT o.id, o.total * 2::numeric AS dbl FROM orders o JOIN customer c
            ON c.id = o.customer_id WHERE ((o.kind)::text = ANY (ARRAY['a'::text, 'b'::text]))
            AND o.total >= 1::numeric AND o.total <= 2::numeric""",
            True,
        ),
        (
            "SELECT id FROM orders WHERE total > 100",
            "SELECT id FROM orders WHERE total > 200::numeric",
            False,
        ),
        ("SELECT id FROM orders", "SELECT id FROM customer", False),
        ("this is no SQL (", "SELECT id FROM orders", False),
    ],
)
def test_views_as_a_server_stores_them(written: str, stored: str, equal: bool) -> None:
    sql = Sql(dialect="postgres", default_schema="public", columns=COLUMNS)
    assert equal_views(written, sql, stored, sql) is equal


def test_added_changed_and_removed_columns_are_told() -> None:
    live = side(table("orders", column("id"), column("total"), column("old", "text")))
    models = side(
        table(
            "orders",
            column("id", "INT"),
            column("total", "NUMERIC(10, 2)", comment="What it comes to."),
            column("tax", "NUMERIC"),
        ),
        table("fresh", column("id", "INT", comment="Its number."), comment="New."),
    )
    found = merged(models, live)
    assert [(c.kind, str(c.ref)) for c in found.changes if c.kind != "comment_changed"] == [
        (ChangeKind.ADDED, "public.fresh"),
        (ChangeKind.REMOVED, "public.orders.old"),
        (ChangeKind.ADDED, "public.orders.tax"),
        (ChangeKind.TYPE_CHANGED, "public.orders.total"),
    ]
    assert [str(each.ref) for each in found.undescribed] == ["public.orders.tax"]
    assert (found.touched, found.described) == (4, 3)


def test_a_comment_that_stands_is_kept_where_the_models_have_none() -> None:
    live = side(table("orders", column("id", comment="Its number."), comment="Orders."))
    models = side(table("orders", column("id", "BIGINT")))
    found = merged(models, live)
    assert [c.kind for c in found.changes] == [ChangeKind.TYPE_CHANGED]
    assert found.undescribed == ()


def test_what_the_models_do_not_know_is_removed_only_when_strict() -> None:
    live = side(table("orders", column("id")), table("legacy", column("id")))
    models = side(table("orders", column("id")))
    found = merged(models, live)
    assert (found.changes, [str(n.ref) for n in found.not_in_models]) == ((), ["public.legacy"])
    strict = merged(models, live, strict=True)
    assert [(c.kind, str(c.ref)) for c in strict.removed] == [("removed", "public.legacy")]
    assert strict.not_in_models == ()


def test_default_schemas_are_matched_when_each_side_has_only_its_own() -> None:
    key = Key(kind=KeyKind.FOREIGN, columns=("id",), references=("public", "orders"))
    models = side(table("orders", column("id", "INT")), table("lines", column("id"), keys=(key,)))
    there = replace(key, references=("main", "orders"))
    live = side(
        table("orders", column("id", "INTEGER"), schema="main"),
        table("lines", column("id", "INTEGER"), schema="main", keys=(there,)),
        dialect="duckdb",
    )
    found = merged(models, live)
    assert (found.schemas, found.changes) == ({"public": "main"}, ())
    other = side(
        table("elsewhere", column("code", "text"), schema="main"),
        table("x", column("id"), schema="sales"),
        dialect="duckdb",
    )
    assert matched_schemas(models, other, {}) == {}
    given = matched_schemas(models, other, {"public": "sales"})
    found = compare(models, other, schemas=given, scope=Scope.parse("schema:sales"), strict=True)
    assert [str(c.ref) for c in found.added] == ["sales.lines", "sales.orders"]
    assert [str(c.ref) for c in found.removed] == ["sales.x"]


def test_a_source_that_tells_no_keys_takes_none_away() -> None:
    key = Key(kind=KeyKind.PRIMARY, columns=("id",))
    own = (column("id", nullable=False), column("n", default="1"), column("more"))
    live = side(table("orders", *own, keys=(key,)))
    told = side(table("orders", column("id"), column("n", "unknown")), says_structure=False)
    assert merged(told, live).changes == ()
    assert merged(replace(told, says_structure=True), live).changes != ()


def test_a_renamed_table_is_known_across_spellings() -> None:
    names = ("order_id", "customer_id", "placed_on", "total")
    live = side(table("order_line", *(column(name) for name in names)))
    models = side(table("order_lines", *(column(name, "INT") for name in names)))
    (change,) = merged(models, live).changes
    assert (change.kind, change.object_type) == (ChangeKind.RENAMED, ObjectType.TABLE)
    assert change.confidence is not None
    assert change.confidence < 1


@settings(max_examples=60, deadline=None)
@given(catalogs())
def test_models_that_are_the_live_catalog_change_nothing(now: Catalog) -> None:
    one = Side(catalog=now, dialect="postgres")
    assert merged(one, one, strict=True) == Merge()


@settings(max_examples=60, deadline=None)
@given(catalogs(), catalogs())
def test_every_undescribed_object_is_one_that_the_merge_touches(
    models: Catalog, live: Catalog
) -> None:
    found = merged(Side(catalog=models, dialect="postgres"), Side(catalog=live, dialect="postgres"))
    assert 0 <= len(found.undescribed) <= found.touched
    owners = {change.ref.owner for change in found.changes}
    assert {each.ref.owner for each in found.undescribed} <= owners
    assert not any(c.kind == "removed" and not c.ref.is_column for c in found.changes)
