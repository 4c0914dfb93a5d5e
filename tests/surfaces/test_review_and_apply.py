"""The transcripts of docs/review-and-apply.md, on real databases and in a real terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.plugins.install import Installed
from tests.plugins.model_server import ModelServer
from tests.surfaces.conftest import Inside, change_house, comment_in_house
from tests.surfaces.test_cli_terminal import terminal

SALES = """
CREATE SCHEMA sales;
CREATE TABLE sales.customer (customer_sk int PRIMARY KEY, first_name text, x_legacy_status int);
CREATE TABLE sales.customer_address (address_sk int PRIMARY KEY,
    customer_sk int REFERENCES sales.customer, city text);
CREATE TABLE sales.inventory_daily (inv_date date, quantity int);
COMMENT ON TABLE sales.inventory_daily IS 'Stock at the end of each day.';
CREATE TABLE sales.stg_raw (raw_id int, loaded_at timestamptz);
INSERT INTO sales.customer SELECT n, 'name ' || n, n % 8 FROM generate_series(1, 500) n;
ANALYZE;
"""

CONFIG = """
[db_profiles.prod]
url = "{url}"

[llm_profiles.model]
provider = "openai"
model = "priced-by-hand"
base_url = "{model}"
api_key = "sk-local-0123456789abcdef"
input_usd_per_mtok = 2
output_usd_per_mtok = 8
column_batch_size = 2
confidence_signal = "evidence"

[defaults]
db_profile = "prod"
llm_profile = "model"
"""


@pytest.fixture
def prod(tmp_path: Path, postgres_url: str, model_server: ModelServer) -> Installed:
    """An install over a PostgreSQL with a sales schema, and a model that has a price."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(SALES)
    made = Installed(tmp_path / "config")
    made.folder.chmod(0o700)
    made.config(CONFIG.format(url=postgres_url, model=model_server.url))
    (made.folder / "amxwatch.toml").chmod(0o600)
    return made


def comment(url: str, name: str) -> str | None:
    schema, table, *column = name.split(".")
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT CASE WHEN %(c)s = '' THEN obj_description(%(t)s::regclass) ELSE"
            " col_description(%(t)s::regclass, (SELECT attnum FROM pg_attribute WHERE attrelid ="
            " %(t)s::regclass AND attname = %(c)s)) END",
            {"t": f"{schema}.{table}", "c": "".join(column)},
        ).fetchone()
    return found[0] if found else None


def test_the_line_from_the_picker_to_the_audit_trail(
    prod: Installed, postgres_url: str, model_server: ModelServer
) -> None:
    estimate = prod.json("run", "sales.customer,sales.customer_address", "--estimate")
    assert (estimate["objects"], estimate["requests"]) == (8, 4)
    assert estimate["cost_usd"] > 0
    assert model_server.requests == []
    with terminal(prod, "run") as person:
        person.see("Pick a number or name")
        person.say("2")
        person.see("Schemas")
        person.see("Pick ")
        person.say("sales")
        tables = person.see("Pick ")
        assert "customer (TABLE, 500 rows, no comment)" in tables
        assert re.search(r"inventory_daily \(TABLE.*, has comment\)", tables)
        person.say("1,2")
        status, said = person.end()
    assert status == 0
    assert "[Scope] 2 tables · 8 objects" in said
    assert re.search(
        r"\[Profile\] sampling 500 rows from sales.customer \.+ ok \(\d+\.\d s\)", said
    )
    assert "[LLM] drafting 8 descriptions in 4 batches" in said
    batches = re.findall(r"batch (\d)/4: .* ok \(.* in / .* out · (\$[\d.]+)\)", said)
    assert [number for number, _ in batches] == ["1", "2", "3", "4"]
    assert re.search(r"Confidence: high \d · medium \d · low \d", said)
    cost = sum(float(cost.lstrip("$")) for _, cost in batches)
    total = re.search(r"Tokens: .* · Cost: \$([\d.]+) \(at the prices of the run\)", said)
    assert total is not None
    assert float(total[1]) == pytest.approx(cost, abs=0.0003)
    run = prod.runs()[0]["id"]
    assert prod.json("review", "--strategy", "accept-all")["accepted"] == 8
    dry = prod.run("apply", "--dry-run").stdout
    assert '[1/8] COMMENT ON TABLE "sales"."customer" IS :cmt;' in dry
    assert ":cmt = The table" in dry
    assert comment(postgres_url, "sales.customer") is None
    with terminal(prod, "apply") as person:
        assert "total: 6 column and 2 table description(s)" in person.see("[y/N]")
        person.say("y")
        status, said = person.end()
    assert status == 0
    assert f"✓ 8/8 written. Audit trail: amxwatch history show {run}" in said
    assert "[8/8] COMMENT ON COLUMN" in said
    assert (comment(postgres_url, "sales.customer.first_name") or "").startswith("The first")


def test_rows_that_fail_are_listed_again_and_stay_queued(
    prod: Installed, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "CREATE ROLE clerk LOGIN; GRANT USAGE ON SCHEMA sales TO clerk;"
            "GRANT SELECT ON ALL TABLES IN SCHEMA sales TO clerk;"
            "ALTER TABLE sales.stg_raw OWNER TO clerk"
        )
    try:
        text = (prod.folder / "amxwatch.toml").read_text(encoding="utf-8")
        prod.config(text.replace("postgres@127", "clerk@127"))
        prod.run("run", "sales.stg_raw,sales.customer")
        prod.run("review", "--strategy", "accept-all")
        done = prod.run("apply", "-y", status=1)
        assert "✗ 3/7 written, 4 failed, 0 in conflict." in done.stdout
        assert "- sales.customer.first_name: " in done.stdout
        assert "must be owner of relation customer" in done.stdout
        assert "What failed stays queued" in done.stdout
        prod.config(text)
        assert prod.json("apply", "-y")["written"] == 4
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("ALTER TABLE sales.stg_raw OWNER TO postgres")
            connection.execute("DROP OWNED BY clerk; DROP ROLE clerk")


def test_a_locked_table_holds_up_nothing_else(prod: Installed, postgres_url: str) -> None:
    prod.run("run", "sales.stg_raw,sales.customer")
    prod.run("review", "--strategy", "accept-all")
    with psycopg.connect(postgres_url) as other:
        other.execute("LOCK TABLE sales.customer IN SHARE UPDATE EXCLUSIVE MODE")
        done = prod.json("apply", "-y", status=1)
        assert {failure["object"] for failure in done["failed"]} == {
            f"sales.customer{name}"
            for name in ("", ".customer_sk", ".first_name", ".x_legacy_status")
        }
        assert done["written"] == 3, "what is not locked is written"
    assert prod.json("apply", "-y")["written"] == 4
    assert comment(postgres_url, "sales.customer.first_name")


def test_run_apply_with_a_filter(prod: Installed, postgres_url: str) -> None:
    done = prod.run("run-apply", "--filter", "^stg_", "--strategy", "accept-all", "--apply").stdout
    assert "[Review] accept-all: 3 accepted" in done
    assert "[Apply] Write 3 comment(s) to prod" in done
    assert "[3/3] ok" in done
    assert re.search(r"✓ run-apply finished in \d+\.\d s. Audit trail: amxwatch history show", done)
    assert comment(postgres_url, "sales.stg_raw.raw_id")
    assert comment(postgres_url, "sales.customer") is None


def test_rerun_and_compare(prod: Installed) -> None:
    prod.run("run", "sales.customer")
    first = prod.runs()[0]
    before = prod.json("history", "show", first["id"])
    done = prod.run("rerun", first["id"], "sales.customer.x_legacy_status").stdout
    assert f"[Rerun] {first['id']}: db_profile=prod, llm=model, n_alternatives=3" in done
    assert re.search(r"\[Profile\] reusing 500 rows seen .* from sales.customer", done)
    second = prod.runs()[0]
    assert (second["trigger"], second["drafted"]) == ("rerun", 1)
    assert second["cost_usd"] > 0, "asked anew, and paid"
    after = prod.json("history", "show", first["id"])
    for draft, same in zip(before["drafts"], after["drafts"], strict=True):
        assert draft["alternatives"] == same["alternatives"]
    beside = prod.json("compare", first["id"], second["id"])
    [both] = [one for one in beside["objects"] if one["second"]]
    assert both["object"] == "sales.customer.x_legacy_status"
    assert both["first"]["confidence"] > 0
    assert [run["cost_usd"] for run in beside["runs"]] == [first["cost_usd"], second["cost_usd"]]
    assert (
        "sales.customer.x_legacy_status"
        in prod.run("compare", first["id"], second["id"], "--only-different").stdout
        or both["same"]
    )
    refused = prod.run("rerun", first["id"], "sales.nothing", status=2)
    assert "no table sales.nothing" in refused.stderr


# -- DuckDB: the review by hand --------------------------------------------------------------


def test_the_keys_of_a_review(
    shop: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\necho 'Written in an editor.' > \"$1\"\n", encoding="utf-8")
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)
    queue = shop.pending()
    with terminal(shop, "review") as person:
        person.see("Pick a number or name")
        person.say("1")
        for key, seen in (
            ("?", "edit an alternative in $EDITOR"),
            ("w", "schema: main"),
            ("e2", "Accepted your text"),
            ("u", "Back in the queue"),
            ("nonsense", "is none of them"),
            ("t", "accepted, "),
            ("u", "Back in the queue: "),
            ("h", "none of them can be answered so"),
            ("a", "accepted, "),
        ):
            person.see("Pick a description")
            person.say(key)
            person.see(seen)
        status, rest = person.end()
    assert status == 0
    assert f"{len(queue)} accepted; 0 left" in rest
    assert shop.pending() == []


def test_a_review_goes_on_where_it_stopped_and_can_be_narrowed(shop: Inside) -> None:
    queue = shop.pending()
    orders = [draft for draft in queue if draft["table"] == "orders"]
    assert len(shop.json("review", "--list", "--table", "orders")["pending"]) == len(orders)
    assert len(shop.json("review", "--list", "--table", "main.o*")["pending"]) == len(orders)
    assert shop.json("review", "--list", "--band", "high")["pending"] == []
    with terminal(shop, "review", "--table", "orders") as person:
        person.see("Pick a number or name")
        person.say("1")
        person.see(f"Review row 1/{len(orders)}")
        person.say("1")
        person.see("Accepted alternative 1")
        person.see("Pick a description")
        person.say("q")
        assert "left in the queue" in person.end()[1]
    run = shop.runs()[0]["id"]
    with terminal(shop, "history", "review", run, "--table", "orders") as person:
        person.see("Pick a number or name")
        person.say("1")
        person.see(f"Review row 1/{len(orders) - 1}")
        person.say("q")
        person.end()
    shop.run("review", "--reopen", str(orders[0]["id"]))
    assert len(shop.pending()) == len(queue)
    shown = shop.json("review", "--show", str(orders[0]["id"]))
    assert shown["evidence"]["name"] == "orders"
    assert "alternative" not in shop.run("review", "--show", str(orders[0]["id"])).stderr
    assert "has no answer" in shop.run("review", "--reopen", str(orders[0]["id"]), status=2).stderr


def test_what_would_leave_the_machine(shop: Inside) -> None:
    shop.run("review", "--strategy", "reject-all")
    change_house(shop.folder, "ALTER TABLE orders ADD COLUMN note VARCHAR")
    [prompt] = shop.json("run", "main.orders", "--show-prompt")["prompts"]
    assert "note" in prompt["objects"]
    assert '"note"' in prompt["prompt"]
    said = shop.run("run", "public.dim_user", "--db", "models", "--show-prompt").stdout
    assert "--- system" in said
    assert '"full_name"' in said
    assert "Nothing was sent." in said


def test_a_scope_that_names_nothing_fails_fast(shop: Inside) -> None:
    for words in (("main.ordrs",), ("main.orders.totl",), ("--filter", "^zzz")):
        done = shop.run("run", *words, status=2)
        assert len(done.stderr.splitlines()) == 1
        assert re.search("ordrs|totl|zzz", done.stderr)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("run", "--only-missing", "--stale"), "do not go together"),
        (("run", "--estimate", "--show-prompt"), "do not go together"),
        (("apply", "--undo", "run_x", "--force"), "do not go together"),
        (("apply", "--to", "sql", "-", "--force"), "do not go together"),
        (("apply", "--to", "xml", "f"), "xml"),
        (("lock",), "say what to lock"),
        (("review", "--show", "1", "--skip", "1"), "do not go together"),
    ],
)
def test_what_does_not_go_together(shop_once: Inside, words: tuple[str, ...], why: str) -> None:
    assert why in shop_once.run(*words, status=2).stderr


def test_files_instead_of_the_database(shop: Inside, tmp_path: Path) -> None:
    shop.run("review", "--strategy", "accept-all")
    migration, yml = tmp_path / "comments.sql", tmp_path / "schema.yml"
    yml.write_text("version: 2\nmodels:\n  - name: orders  # ours\n", encoding="utf-8")
    shop.run("apply", "--to", "sql", str(migration))
    change = shop.run("apply", "--to", "dbt", str(yml), "--dry-run").stdout
    assert "+    description: " in change
    assert yml.read_text(encoding="utf-8").count("description") == 0
    shop.run("apply", "--to", "dbt", str(yml))
    assert "- name: orders  # ours\n    description: " in yml.read_text(encoding="utf-8")
    assert "### orders" in shop.run("apply", "--to", "markdown", "-").stdout
    rows = json.loads(shop.run("apply", "--to", "json", "-").stdout)["descriptions"]
    assert comment_in_house(shop.folder, "orders", "total") is None
    change_house(shop.folder, migration.read_text(encoding="utf-8"))
    found = {(row["table"], row["column"]): row["description"] for row in rows}
    assert comment_in_house(shop.folder, "orders", "total") == found["orders", "total"]
    done = shop.json("apply", "-y")
    assert (done["written"], done["statements"]) == (len(rows), []), "all of it stands already"
    assert len(shop.events("comments_exported")) == 2
    missing = tmp_path / "nowhere" / "x.sql"
    assert "there is no folder" in shop.run("apply", "--to", "sql", str(missing), status=2).stderr


def test_locks_on_the_command_line(shop: Inside) -> None:
    assert shop.json("lock", "main.orders")["locked"] == ["main.orders"]
    assert [one["object"] for one in shop.json("lock", "--list")["locks"]] == ["main.orders"]
    shop.run("review", "--strategy", "accept-all", "--table", "orders")
    done = shop.json("apply", "-y")
    assert done["written"] == 0
    assert "amxwatch unlock main.orders" in done["skipped"][0]["reason"]
    shop.run("unlock", "main.orders")
    assert shop.json("apply", "-y")["written"] > 0


def test_a_file_of_people_wins(shop: Inside) -> None:
    shop.run("review", "--strategy", "accept-all")
    (shop.folder / "schema.yml").write_text(
        "models:\n  - name: ORDERS\n    columns:\n      - {name: total, description: Ours.}\n",
        encoding="utf-8",
    )
    config = shop.folder / "amxwatch.toml"
    text = config.read_text(encoding="utf-8")
    owner = 'description_owner = "file"\ndescription_file = "schema.yml"\n'
    config.write_text(text.replace('house.duckdb"\n', f'house.duckdb"\n{owner}', 1))
    done = shop.json("apply", "-y")
    assert [(one["object"], one["reason"]) for one in done["skipped"]] == [
        ("main.orders.total", "schema.yml decides its words")
    ]
    assert comment_in_house(shop.folder, "orders", "total") is None


def test_apply_force_restore_and_undo_on_mariadb(tmp_path: Path, mariadb_url: str) -> None:
    pymysql = pytest.importorskip("pymysql")
    from sqlalchemy.engine import make_url

    at = make_url(mariadb_url)

    def ask(sql: str) -> Any:
        where = {"host": at.host, "port": at.port, "user": at.username, "database": at.database}
        with (
            closing(pymysql.connect(**where, autocommit=True)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)
            return cursor.fetchall()

    def said(column: str) -> str:
        return ask(
            "SELECT column_comment FROM information_schema.columns WHERE table_schema = database()"
            f" AND table_name = 'orders' AND column_name = '{column}'"
        )[0][0]

    _walk_mariadb(Installed(tmp_path / "config"), mariadb_url, ask, said)


def _walk_mariadb(
    made: Installed, url: str, ask: Callable[[str], Any], said: Callable[[str], str]
) -> None:
    ask("CREATE TABLE orders (order_id INT PRIMARY KEY, total DECIMAL(10,2) NOT NULL DEFAULT 1.5)")
    made.config(f'[db_profiles.shop]\nurl = "{url}"\n')
    made.folder.chmod(0o700)
    made.run("run")
    run = made.runs()[0]["id"]
    made.run("review", "--strategy", "accept-all")
    dry = made.run("apply", "--dry-run").stdout
    assert "COMMENT :cmt" in dry.replace("COMMENT=", "COMMENT ") or ":cmt" in dry
    ask("ALTER TABLE orders MODIFY total DECIMAL(10,2) NOT NULL DEFAULT 1.5 COMMENT 'By Ann.'")
    done = made.json("apply", "-y", status=1)
    assert [one["found"] for one in done["conflicts"]] == ["By Ann."]
    assert said("total") == "By Ann."
    ours = said("order_id")
    assert ours
    made.run("review", "--accept", str(made.pending()[0]["id"]))
    assert made.json("apply", "-y", "--force")["written"] == 1
    assert said("total") not in ("", "By Ann.")
    ask("ALTER TABLE orders MODIFY order_id INT")
    assert said("order_id") == ""
    assert made.json("apply", "-y", "--restore")["written"] == 1
    assert said("order_id") == ours
    made.run("apply", "--undo", run, "-y")
    assert (said("order_id"), said("total")) == ("", "By Ann.")
    assert ask("SELECT column_default FROM information_schema.columns WHERE column_name = 'total'"
               " AND table_schema = database()")[0][0] == "1.50"  # fmt: skip
