"""Accepted descriptions as files: a migration, dbt's schema.yml, a data dictionary, JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

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
from amxwatch.core.errors import UsageError
from amxwatch.exports import FORMS, render
from amxwatch.exports.schema_yml import described
from amxwatch.ports.database import CommentTarget
from amxwatch.ports.export import Accepted, Dossier

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CATALOG = Catalog(
    reader="test/1",
    source="test",
    schemas=(Schema(name="sales", comment="What we sell."),),
    tables=(
        Table(
            schema="sales",
            name="orders",
            columns=(
                Column(name="order_id", type="bigint", ordinal=1, nullable=False),
                Column(name="Status", type="text", ordinal=2, comment="Old | words."),
            ),
            keys=(Key(kind=KeyKind.PRIMARY, columns=("order_id",)),),
        ),
        Table(schema="sales", name="stg_raw", columns=(Column(name="x", type="int", ordinal=1),)),
    ),
)


def accepted(table: str, column: str, text: str, **values: str | None) -> Accepted:
    type_ = ObjectType.COLUMN if column else ObjectType.TABLE
    target = CommentTarget(ref=ObjectRef(schema="sales", table=table, column=column), type=type_)
    return Accepted(target=target, text=text, run_id="run_1", **values)


def dossier(*rows: Accepted) -> Dossier:
    return Dossier(profile="shop\n; DROP", product="Test", at=AT, catalog=CATALOG, rows=rows)


SHOP = dossier(
    accepted("orders", "", "One row an order.", statement="COMMENT ON TABLE t IS 'One row';"),
    accepted("orders", "order_id", "Identifies: the order.", statement="COMMENT a IS 'x'"),
    accepted("orders", "Status", "Open {{ or }} shut.", found="Open {{ or }} shut."),
)

YAML = """\
version: 2

# The models of the shop.
models:
- name: ORDERS   # kept as it was typed
  description: "Old words."   # by Ann
  config:
      schema: sales
  columns:
  - name: order_id
    tests: [unique, not_null]   # a test
  - name: legacy
    description: '{{ doc("legacy") }}'

sources:
- name: raw
  schema: sales
  tables:
  - name: raw_events
    identifier: stg_raw
"""


def test_a_migration_holds_what_differs_and_no_name_breaks_out() -> None:
    text = render("sql", SHOP, "")
    lines = text.splitlines()
    assert lines[0].startswith("-- Descriptions for shop ; DROP (Test)")
    assert lines[1:] == ["COMMENT ON TABLE t IS 'One row';", "COMMENT a IS 'x';"]
    unable = render("sql", dossier(accepted("orders", "", "Text.")), "")
    assert "-- Test cannot hold this: sales.orders" in unable


def test_json_is_stable() -> None:
    found = json.loads(render("json", SHOP, "not json at all"))
    assert [entry["description"] for entry in found["descriptions"]] == [
        "One row an order.",
        "Identifies: the order.",
        "Open {{ or }} shut.",
    ]
    assert found["descriptions"][0]["column"] is None


def test_a_dictionary_shows_accepted_words_before_comments_and_escapes_names() -> None:
    page = render("markdown", SHOP, "")
    assert "### orders\n\nOne row an order.\n" in page
    assert "| order\\_id | bigint | no | primary | Identifies: the order. |" in page
    assert "What we sell." in page
    assert (
        "| Status | text | yes |  | Open {{ or }} shut. |".replace("{", "\\{").replace("}", "\\}")
        in page
    )
    plain = render("markdown", dossier(), "")
    assert "Old \\| words." in plain


def test_a_properties_file_is_merged_and_keeps_what_people_wrote() -> None:
    rows = (
        *SHOP.rows,
        accepted("orders", "legacy", "Ours."),
        accepted("stg_raw", "x", "A mark."),
        accepted("brand_new", "", "New."),
    )
    merged = render("dbt", dossier(*rows), YAML)
    for kept in (
        "# The models of the shop.",
        "- name: ORDERS   # kept as it was typed",
        "# by Ann",
        "tests: [unique, not_null]   # a test",
        "description: '{{ doc(\"legacy\") }}'",
        "\nsources:\n- name: raw\n",
    ):
        assert kept in merged, merged
    assert 'description: "One row an order."' in merged
    assert "description: 'Identifies: the order.'" in merged
    assert "Open { { or }} shut." in merged, "dbt would run it as Jinja"
    assert "Old words." not in merged
    assert merged.index("A mark.") > merged.index("identifier: stg_raw")
    assert "name: brand_new" in merged
    assert render("dbt", dossier(*rows), merged) == merged, "a second time changes nothing"


def test_a_new_properties_file_begins_with_its_version() -> None:
    assert render("dbt", SHOP, "").startswith("version: 2\nmodels:\n  - name: orders\n")


@pytest.mark.parametrize("text", ["a: [", "- a list\n", "just words\n"])
def test_what_is_no_properties_file_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"no YAML|no properties file"):
        render("dbt", SHOP, text)


def test_which_objects_a_file_describes(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "schema.yml").write_text(YAML, encoding="utf-8")
    found = described(tmp_path, CATALOG)
    assert found == {ObjectRef(schema="sales", table="orders"): "schema.yml"}
    assert described(tmp_path / "models" / "schema.yml", CATALOG) == found
    with pytest.raises(UsageError, match="there is no file or folder"):
        described(tmp_path / "nowhere.yml", CATALOG)
    (tmp_path / "bad.yml").write_text("a: [", encoding="utf-8")
    with pytest.raises(UsageError, match="no YAML"):
        described(tmp_path, CATALOG)


def test_every_form_is_offered_by_the_command() -> None:
    from amxwatch.cli.apply import FORMS as OFFERED

    assert set(OFFERED) == set(FORMS)
