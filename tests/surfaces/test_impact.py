"""`catalog impact` and `include_downstream`, through the command line, on real sources."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import psycopg
import pytest

from tests.plugins.install import Document
from tests.surfaces.conftest import Inside, change_house

CONFIG = """
[db_profiles.source]
url = "{url}"

[schedules.watch]
db_profile = "source"

[schedules.watch.trigger]
type = "change"
cadence_cap_hours = 0
settle_seconds = 0
include_downstream = true

[defaults]
db_profile = "source"
"""

TABLES = """
CREATE TABLE {s}.customer (id int PRIMARY KEY, name text, region text);
CREATE TABLE {s}.orders (
    id int PRIMARY KEY, customer_id int REFERENCES {s}.customer (id), total numeric(10, 2),
    placed date);
"""

VIEWS = """
CREATE VIEW {s}.spent AS
    SELECT customer_id AS who, sum(total) AS spent FROM {s}.orders
    WHERE placed IS NOT NULL GROUP BY customer_id;
CREATE VIEW {s}."Best Customers" AS
    SELECT c.name AS "Full Name", s.spent FROM {s}.customer c JOIN {s}.spent s ON s.who = c.id
    WHERE s.spent > 100;
CREATE VIEW {s}.report AS SELECT upper("Full Name") AS title FROM {s}."Best Customers";
"""


def installed(folder: Path, url: str) -> Inside:
    made = Inside(folder)
    made.config(CONFIG.format(url=url))
    return made


def told(install: Inside, name: str, *words: str) -> list[Document]:
    document = install.json("catalog", "impact", name, *words)
    assert document["profile"] == "source"
    found: list[Document] = document["impact"]
    return found


def named(found: list[Document]) -> dict[str, tuple[str, str]]:
    """Return how and how finely each object is known, by its table and column."""
    return {
        ".".join(filter(None, (one["table"], one["column"]))): (one["how"], one["level"])
        for one in found
    }


@pytest.fixture
def on_postgres(postgres_url: str, tmp_path: Path) -> Inside:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute((TABLES + VIEWS).format(s="public"))
    install = installed(tmp_path / "config", postgres_url)
    install.run("schedule", "run-due")
    return install


def test_views_over_views_on_postgresql(on_postgres: Inside) -> None:
    found = told(on_postgres, "public.orders.total")
    assert named(found) == {
        "spent.spent": ("derived", "column"),
        "Best Customers.spent": ("derived", "column"),
        "Best Customers": ("filter", "column"),
        "report": ("read", "column"),
    }
    assert [one["distance"] for one in found] == [1, 2, 2, 3]
    [last] = [one for one in found if one["table"] == "report"]
    assert last["via"] == ["public.spent.spent", "public.Best Customers"]
    assert last["object_type"] == "view"
    assert last["column"] is None
    assert named(told(on_postgres, "public.orders.total", "--depth", "1")) == {
        "spent.spent": ("derived", "column")
    }
    assert named(told(on_postgres, "public.customer.id")) == {
        "Best Customers": ("filter", "column"),
        "orders.customer_id": ("key", "column"),
        "report": ("read", "column"),
    }
    assert named(told(on_postgres, 'public."Best Customers"."Full Name"')) == {
        "report.title": ("derived", "column")
    }
    assert set(named(told(on_postgres, "public.orders"))) == {"spent", "Best Customers", "report"}


def test_a_renamed_base_column_is_followed(on_postgres: Inside, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE orders RENAME total TO grand_total")
        connection.execute("ALTER VIEW spent RENAME COLUMN spent TO sum_of_all")
    on_postgres.run("catalog", "refresh")
    assert set(named(told(on_postgres, "public.orders.grand_total"))) == {
        "spent.sum_of_all",
        "Best Customers.spent",
        "Best Customers",
        "report",
    }


def test_downstream_on_postgresql(on_postgres: Inside, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE customer ALTER id SET DEFAULT 7")
        connection.execute("ALTER TABLE orders ALTER placed SET NOT NULL")
        connection.execute("ALTER TABLE orders ALTER total SET NOT NULL")
    dry = on_postgres.json("schedule", "run-now", "watch", "--dry-run")["pending"]
    assert {(one["object"], one["because"]) for one in dry["downstream"]} == {
        ("public.spent.spent", "public.orders.total"),
        ("public.Best Customers.spent", "public.orders.total"),
    }
    assert {one["column"] for one in dry["changes"]} == {"id", "placed", "total"}
    text = on_postgres.run("schedule", "run-now", "watch", "--dry-run").stdout
    assert "is computed from public.spent.spent, and so from public.orders.total" in text
    on_postgres.run("schedule", "run-due")
    assert {(draft["table"], draft["column"]) for draft in on_postgres.pending()} == {
        ("customer", "id"),
        ("orders", "placed"),
        ("orders", "total"),
        ("spent", "spent"),
        ("Best Customers", "spent"),
    }


def test_downstream_on_duckdb(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    install = installed(folder, "duckdb:///house.duckdb")
    change_house(folder, (TABLES + VIEWS).format(s="main"))
    install.run("schedule", "run-due")
    with duckdb.connect(str(folder / "house.duckdb")) as connection:
        connection.execute("ALTER TABLE orders ALTER total SET DEFAULT 0")
    install.run("schedule", "run-due")
    assert {(draft["table"], draft["column"]) for draft in install.pending()} == {
        ("orders", "total"),
        ("spent", "spent"),
        ("Best Customers", "spent"),
    }


def test_a_folder_of_sql(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    install = installed(folder, "ddl:///models?dialect=postgres")
    (folder / "models").mkdir()
    (folder / "models" / "a.sql").write_text(TABLES.format(s="public"), encoding="utf-8")
    bare = VIEWS.replace("{s}.", "")
    (folder / "models" / "b.sql").write_text(bare, encoding="utf-8")
    install.run("catalog", "refresh")
    assert set(named(told(install, "public.orders.total"))) == {
        "spent.spent",
        "Best Customers.spent",
        "Best Customers",
        "report",
    }


def test_the_tree_for_people(on_postgres: Inside) -> None:
    lines = on_postgres.run("catalog", "impact", "public.orders.total").stdout.splitlines()
    assert lines[0].startswith("public.orders.total of source, snapshot ")
    assert lines[1:] == [
        "  column public.spent.spent: is computed from it",
        "    column public.Best Customers.spent: is computed from it",
        "    view public.Best Customers: filters, joins, groups or sorts by it",
        "      view public.report: reads it",
    ]
    assert "nothing reads it" in on_postgres.run("catalog", "impact", "public.report").stdout


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("public.ordrs.total", "did you mean public.orders?"),
        ("public.orders.totl", "did you mean public.orders.total?"),
        ("orders", "did you mean the table public.orders?"),
        ("public", "allowed: a table or column"),
        ("public.*", "allowed: one schema, table or column"),
    ],
)
def test_a_name_that_is_not_there_is_refused(on_postgres: Inside, name: str, hint: str) -> None:
    done = on_postgres.run("catalog", "impact", name, "--json", status=2)
    assert done.stdout == ""
    assert hint in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_view_over_a_real_schema(cases: Path, tmp_path: Path) -> None:
    dumps = sorted((cases / "c_schemas" / "osm_website_postgres").glob("v*.sql"))
    folder = tmp_path / "config"
    install = installed(folder, "ddl:///models?dialect=postgres")
    (folder / "models").mkdir()
    text = dumps[-1].read_text(encoding="utf-8")
    (folder / "models" / "osm.sql").write_text(
        f"{text}\nCREATE VIEW public.of_the_test AS"
        " SELECT n.id, u.display_name FROM public.nodes n"
        " JOIN public.changesets c ON c.id = n.changeset_id"
        " JOIN public.users u ON u.id = c.user_id;",
        encoding="utf-8",
    )
    install.run("catalog", "refresh", status=None)
    found = json.loads(install.run("catalog", "impact", "public.users.id", "--json").stdout)
    named_keys = {one["how"] for one in found["impact"]}
    assert named_keys == {"key", "filter"}
    assert ("of_the_test", None) in {(one["table"], one["column"]) for one in found["impact"]}
