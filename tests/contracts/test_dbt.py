"""dbt projects: what manifest.json and catalog.json say, and what they leave out."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amxwatch import databases
from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import Catalog, Key, KeyKind, ObjectRef, ObjectType, Table
from amxwatch.core.change import Change, ChangeKind, Moved, explain
from amxwatch.core.errors import DatabaseUnavailableError, StatementRefusedError, UsageError
from amxwatch.databases.dbt import DbtProject, open_dbt
from amxwatch.ports.database import CommentTarget
from amxwatch.ports.export import Exporter
from amxwatch.ports.partial import PartialReader

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "dbt" / "shop"
OPTIONS = databases.ConnectOptions(clock=SystemClock())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the fixture that a test may edit: dbt wrote its target folder."""
    return Path(shutil.copytree(FIXTURE, tmp_path / "shop"))


def opened(project: Path, options: str = "") -> DbtProject:
    return open_dbt(f"dbt:///{project}{options}", relative_to=Path("/"))


def table_of(catalog: Catalog, name: str) -> Table:
    (found,) = (table for table in catalog.tables if table.name == name)
    return found


def edit(path: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def between(before: Catalog, after: Catalog) -> list[Change]:
    old = {(table.schema, table.name): table for table in before.tables}
    new = {(table.schema, table.name): table for table in after.tables}
    pairs = ((old.get(name), new.get(name)) for name in sorted(old | new))
    moved = Moved(tables=tuple(pair for pair in pairs if pair[0] != pair[1]))
    return list(explain(moved, native_ids=False, dialect="duckdb"))


async def test_a_project_is_read_as_what_stands_in_the_warehouse(project: Path) -> None:
    catalog = await opened(project).reader.read()
    assert catalog.problems == ()
    assert [(table.schema, table.name, table.type, table.variant) for table in catalog.tables] == [
        ("main", "customer_spend", ObjectType.TABLE, None),
        ("main", "orders", ObjectType.TABLE, "incremental"),
        ("main", "product_v1", ObjectType.TABLE, None),
        ("main", "product_v2", ObjectType.TABLE, None),
        ("main_history", "customer_history", ObjectType.TABLE, "snapshot"),
        ("main_raw", "raw_customer", ObjectType.TABLE, "seed"),
        ("main_raw", "raw_order", ObjectType.TABLE, "seed"),
        ("main_staging", "stg_customer", ObjectType.VIEW, None),
        ("main_staging", "stg_order", ObjectType.VIEW, None),
    ]
    spend = table_of(catalog, "customer_spend")
    assert [(column.name, column.type) for column in spend.columns] == [
        ("customer_id", "INTEGER"),
        ("full_name", "VARCHAR"),
        ("spend", "DOUBLE"),
    ]
    assert spend.definition is not None
    assert "coalesce(sum(o.amount), 0) as spend" in spend.definition


async def test_descriptions_are_the_comments(project: Path) -> None:
    catalog = await opened(project).reader.read()
    customer = table_of(catalog, "stg_customer")
    assert customer.comment == "Customers, names cleaned."
    assert [column.comment for column in customer.columns] == [
        "Customer number.",
        "First and last name; it's as typed.",
        None,
    ]
    # A source that a seed makes is one table with it, and described by either.
    assert table_of(catalog, "raw_order").comment == "Orders as the ERP has them."
    schemas = {schema.name: schema.comment for schema in catalog.schemas}
    assert schemas["main_raw"] == "What the ERP exports every night."
    assert schemas["main"] is None


async def test_ephemeral_models_are_looked_through(project: Path) -> None:
    catalog = await opened(project).reader.read()
    assert "paid_order" not in {table.name for table in catalog.tables}
    assert table_of(catalog, "customer_spend").reads == (
        ("main_staging", "stg_customer"),
        ("main_staging", "stg_order"),
    )
    assert table_of(catalog, "stg_order").reads == (("main_raw", "raw_order"),)
    assert table_of(catalog, "raw_order").reads == ()


async def test_tests_and_constraints_give_keys_and_nullability(project: Path) -> None:
    catalog = await opened(project).reader.read()
    order = table_of(catalog, "stg_order")
    assert order.keys == (
        Key(
            kind=KeyKind.FOREIGN,
            columns=("customer_id",),
            references=("main_staging", "stg_customer"),
            referenced_columns=("customer_id",),
        ),
        Key(kind=KeyKind.UNIQUE, columns=("order_id",)),
    )
    # The test of `status` looks at some rows only, so it claims nothing of the others.
    assert [column.nullable for column in order.columns] == [False, True, True, True]
    orders = table_of(catalog, "orders")
    assert orders.keys == (Key(kind=KeyKind.PRIMARY, columns=("order_id",)),)
    assert orders.columns[0].nullable is False


async def test_more_kinds_of_keys(project: Path) -> None:
    def change(manifest: Any) -> None:
        orders = manifest["nodes"]["model.shop.orders"]
        orders["constraints"] += [
            {"type": "foreign_key", "columns": ["customer_id"],
             "expression": 'main_staging.stg_customer ("customer_id")'},
            {"type": "unique", "columns": ["ORDER_ID", "customer_id"]},
            {"type": "check", "expression": "amount > 0"},
        ]  # fmt: skip
        orders["columns"]["status"]["constraints"] = [
            {"type": "foreign_key", "to": '"shop"."main"."product_v1"', "to_columns": ["label"]}
        ]
        name = "test.shop.unique_stg_order_order_id.235a36978f"
        manifest["nodes"][name]["test_metadata"] = {
            "name": "unique_combination_of_columns",
            "namespace": "dbt_utils",
            "kwargs": {"combination_of_columns": ["order_id", "status"],
                       "model": "{{ get_where_subquery(ref('stg_order')) }}"},
        }  # fmt: skip
        manifest["nodes"][name]["column_name"] = None

    edit(project / "target" / "manifest.json", change)
    catalog = await opened(project).reader.read()
    found = [
        (key.kind, key.columns, key.references, key.referenced_columns)
        for key in table_of(catalog, "orders").keys
    ]
    assert found == [
        ("foreign", ("customer_id",), ("main_staging", "stg_customer"), ("customer_id",)),
        ("foreign", ("status",), ("main", "product_v1"), ("label",)),
        ("primary", ("order_id",), None, ()),
        ("unique", ("order_id", "customer_id"), None, ()),
    ]
    keys = [key.columns for key in table_of(catalog, "stg_order").keys if key.kind == "unique"]
    assert keys == [("order_id", "status")]


async def test_without_docs_the_properties_files_say_what_they_can(project: Path) -> None:
    parsed = opened(project, "?target=parsed")
    catalog = await parsed.reader.read()
    order = table_of(catalog, "stg_order")
    assert [(column.name, column.type) for column in order.columns] == [
        ("order_id", "unknown"),
        ("customer_id", "unknown"),
        ("status", "unknown"),
    ]
    assert [column.type for column in table_of(catalog, "orders").columns] == [
        "integer",
        "integer",
        "double",
        "varchar",
    ]
    # Names alone complete most sources; what macros make is left as it was written.
    assert order.definition is not None
    assert order.definition.endswith('from "shop"."main_raw"."raw_order"')
    assert "{{ total('o.amount') }}" in (table_of(catalog, "customer_spend").definition or "")


async def test_types_that_are_learned_later_are_no_change(project: Path) -> None:
    parsed = await opened(project, "?target=parsed").reader.read()
    built = await opened(project).reader.read()
    changes = between(parsed, built)
    assert {change.kind for change in changes} == {ChangeKind.ADDED, ChangeKind.DEFINITION_CHANGED}
    # Only the model that needs a macro: nobody knew its SQL until dbt compiled it.
    moved = [change.ref for change in changes if change.kind is ChangeKind.DEFINITION_CHANGED]
    assert moved == [ObjectRef(schema="main", table="customer_spend")]


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_dbt_did_not_say_this_time_stays(project: Path, restarted: bool) -> None:
    database = opened(project)
    before = await database.reader.read()
    shutil.copy(project / "parsed" / "manifest.json", project / "target" / "manifest.json")
    if restarted:
        database = opened(project)
        database.remember(before)
    else:
        (project / "target" / "catalog.json").unlink()
    after = await database.reader.read()
    assert between(before, after) == []
    assert ["dbt docs generate" in problem.message for problem in after.problems] == (
        [] if restarted else [True]
    )


async def test_sql_that_differs_from_run_to_run_is_not_compiled_sql(project: Path) -> None:
    path = project / "target" / "manifest.json"

    def first(manifest: Any) -> None:
        orders = manifest["nodes"]["model.shop.orders"]
        orders["raw_code"] += "\n{% if is_incremental() %} where order_id > 7 {% endif %}"

    def full_refresh(manifest: Any) -> None:
        orders = manifest["nodes"]["model.shop.orders"]
        orders["compiled_code"] += " where order_id > 7"

    edit(path, first)
    database = opened(project)
    before = await database.reader.read()
    edit(path, full_refresh)
    assert between(before, await database.reader.read()) == []
    definition = table_of(before, "orders").definition
    assert definition is not None
    assert definition.startswith("select order_id")
    assert '"shop"."main_staging"."stg_order"' in definition


@pytest.mark.parametrize("version", [1, 4, 12, 20])
async def test_every_version_of_the_manifest_reads_alike(project: Path, version: int) -> None:
    expected = await opened(project).reader.read()

    def older(manifest: Any) -> None:
        base = "https://schemas.getdbt.com/dbt/manifest"
        manifest["metadata"]["dbt_schema_version"] = f"{base}/v{version}.json"
        for node in manifest["nodes"].values():
            for now, then in (("compiled_code", "compiled_sql"), ("raw_code", "raw_sql")):
                if version < 7 and now in node:
                    node[then] = node.pop(now)
            if version < 9:
                node.pop("attached_node", None)
            if version == 20:
                node |= {key: None for key in ("constraints", "meta", "tags") if not node.get(key)}

    edit(project / "target" / "manifest.json", older)
    database = opened(project)
    assert (await database.reader.read()) == expected
    assert database.capabilities.dialect == "duckdb"


async def test_a_newer_version_is_read_and_said(project: Path) -> None:
    def newer(manifest: Any) -> None:
        manifest["metadata"]["dbt_schema_version"] = "https://x.org/dbt/manifest/v99.json"

    edit(project / "target" / "manifest.json", newer)
    catalog = await opened(project).reader.read()
    (problem,) = catalog.problems
    assert "version 99 is newer" in problem.message
    assert len(catalog.tables) == 9


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("manifest.json", None, "run `dbt parse`"),
        ("manifest.json", '{"metadata": {"dbt_schema', "is cut short"),
        ("manifest.json", "", "is cut short"),
        ("manifest.json", "[]", "of a form that this amxwatch does not know"),
        ("manifest.json", '{"metadata": {}, "nodes": {}}', "not written by dbt"),
        ("manifest.json", '{"metadata": {}, "nodes": {"a": 3}}', "nodes.a"),
        ("catalog.json", '{"nodes": {', "`dbt docs generate`"),
    ],
)
async def test_a_bad_file_is_an_outage_and_the_last_good_reading_stays(
    project: Path, name: str, text: str | None, told: str
) -> None:
    database = opened(project)
    before = await database.reader.read()
    path = project / "target" / name
    whole = path.read_bytes()
    if text is None:
        path.unlink()
    else:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(DatabaseUnavailableError, match=told) as caught:
        await database.reader.read()
    assert "\n" not in str(caught.value)
    path.write_bytes(whole)
    assert await database.reader.read() == before


async def test_only_what_moved_is_given_again(project: Path) -> None:
    reader = opened(project).reader
    assert isinstance(reader, PartialReader)
    assert await reader.read_moved() is None
    before = await reader.read()
    patch = await reader.read_moved()
    assert patch is not None
    assert (patch.put, patch.gone) == ((), ())

    def change(manifest: Any) -> None:
        manifest["nodes"]["model.shop.orders"]["description"] = "Other words."
        del manifest["nodes"]["model.shop.product.v1"]

    edit(project / "target" / "manifest.json", change)
    patch = await reader.read_moved()
    assert patch is not None
    assert [(table.name, table.comment) for table in patch.put] == [("orders", "Other words.")]
    assert patch.gone == (("main", "product_v1"),)
    assert (patch.reader, patch.source, patch.schemas) == (
        before.reader,
        before.source,
        before.schemas,
    )

    (project / "target" / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(DatabaseUnavailableError):
        await reader.read_moved()
    assert await reader.read_moved() is None


async def test_the_gate_reads_nothing_while_the_files_stand(project: Path) -> None:
    reader = opened(project).reader
    token = await reader.gate()
    for name in ("manifest.json", "catalog.json"):
        path = project / "target" / name
        os.utime(path, ns=(1, 1))  # touched, and not changed
        assert await reader.gate() == token
        assert await reader.gate() == token
        # The stamp was seen twice: what bears it is not read again.
        text = path.read_bytes()
        path.write_bytes(text[:-2] + b" }")
        os.utime(path, ns=(1, 1))
        assert await reader.gate() == token
        os.utime(path, ns=(2, 2))
        assert await reader.gate() != token
        token = await reader.gate()


async def test_nodes_of_other_databases_bear_its_name(project: Path) -> None:
    def change(manifest: Any) -> None:
        source = manifest["sources"]["source.shop.erp.orders"]
        source |= {"database": "lake", "relation_name": '"lake"."main_raw"."raw_order"'}

    edit(project / "target" / "manifest.json", change)
    catalog = await opened(project).reader.read()
    assert {table.schema for table in catalog.tables if table.name == "raw_order"} == {
        "lake.main_raw",
        "main_raw",
    }
    assert table_of(catalog, "stg_order").reads == (("lake.main_raw", "raw_order"),)


def target_of(catalog: Catalog, name: str, column: str = "") -> CommentTarget:
    table = table_of(catalog, name)
    if column:
        return CommentTarget(ref=table.column_ref(column), type=ObjectType.COLUMN)
    return CommentTarget(ref=table.ref, type=table.type)


async def test_descriptions_are_offered_as_a_properties_file(project: Path) -> None:
    database = opened(project)
    catalog = await database.reader.read()
    assert isinstance(database.commenter, Exporter)
    rows = [
        (target_of(catalog, "orders"), 'Orders: "all" of {{ them }}.'),
        (target_of(catalog, "orders", "amount"), "In euro,\nwith tax."),
        (target_of(catalog, "product_v2", "label"), "What it says."),
        (target_of(catalog, "raw_customer"), "Raw."),
        (target_of(catalog, "customer_history"), "Then."),
    ]
    export = await database.commenter.export(rows)
    assert export.ending == ".yml"
    assert export.text.split("version: 2\n")[1] == (
        "\nmodels:\n"
        '  - name: "orders"\n'
        '    description: "Orders: \\"all\\" of { { them }}."\n'
        "    columns:\n"
        '      - name: "amount"\n'
        '        description: "In euro,\\nwith tax."\n'
        '  - name: "product"\n'
        "    versions:\n"
        "      - v: 2\n"
        "        columns:\n"
        '          - name: "label"\n'
        '            description: "What it says."\n'
        "\nseeds:\n"
        '  - name: "raw_customer"\n'
        '    description: "Raw."\n'
        "\nsnapshots:\n"
        '  - name: "customer_history"\n'
        '    description: "Then."\n'
    )
    line = database.commenter.statement(rows[1][0], "In euro.")
    assert json.loads(line) == {
        "name": "orders",
        "columns": [{"name": "amount", "description": "In euro."}],
    }


async def test_sources_are_offered_under_their_source(project: Path) -> None:
    edit(
        project / "target" / "manifest.json",
        lambda manifest: manifest["nodes"].pop("seed.shop.raw_order"),
    )
    database = opened(project)
    target = target_of(await database.reader.read(), "raw_order", "order_id")
    export = await database.commenter.export([(target, "Number.")])
    assert export.text.split("version: 2\n")[1] == (
        "\nsources:\n"
        '  - name: "erp"\n'
        "    tables:\n"
        '      - name: "orders"\n'
        "        columns:\n"
        '          - name: "order_id"\n'
        '            description: "Number."\n'
    )


async def test_nothing_is_written_into_the_project(project: Path) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    database = opened(project)
    target = target_of(await database.reader.read(), "orders")
    with pytest.raises(StatementRefusedError, match=r"schema\.yml"):
        await database.commenter.execute(target, "x")
    schema = CommentTarget(ref=ObjectRef(schema="main"), type=ObjectType.SCHEMA)
    with pytest.raises(StatementRefusedError, match="describes no schemas"):
        database.commenter.statement(schema, "x")
    assert database.capabilities.comments == frozenset()
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


def test_the_url_names_the_project_and_its_target(tmp_path: Path) -> None:
    watched = databases.watch_paths("dbt:///shop", relative_to=tmp_path)
    target = tmp_path / "shop" / "target"
    assert watched == (target / "manifest.json", target / "catalog.json")
    elsewhere = databases.watch_paths("dbt:///shop?target=../out", relative_to=tmp_path)
    assert elsewhere[0] == tmp_path / "out" / "manifest.json"
    absolute = databases.watch_paths("dbt:///shop?target=/var/out", relative_to=tmp_path)
    assert absolute[0] == Path("/var/out/manifest.json")
    with pytest.raises(UsageError, match="unknown option 'dialect'"):
        databases.connect("dbt:///shop?dialect=x", relative_to=tmp_path, options=OPTIONS)
    with pytest.raises(UsageError, match="names no file"):
        databases.connect("dbt:///", relative_to=tmp_path, options=OPTIONS)


async def test_a_project_that_was_never_built_says_what_to_run(tmp_path: Path) -> None:
    database = databases.connect("dbt:///none", relative_to=tmp_path, options=OPTIONS)
    assert database.capabilities.dialect == ""
    with pytest.raises(DatabaseUnavailableError, match="dbt parse"):
        await database.reader.gate()
    assert list(tmp_path.iterdir()) == []
