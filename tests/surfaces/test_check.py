"""`amxwatch check`: a pull request's folder against live databases, through the real command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import psycopg
import pytest

from tests.plugins.install import Document
from tests.surfaces.conftest import Inside

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "merge"


@pytest.fixture
def shop(postgres_url: str, tmp_path: Path) -> Inside:
    """An install whose models are the pull request and whose `prod` is a real PostgreSQL."""
    made = Inside(tmp_path / "config")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute((FIXTURES / "live" / "shop.sql").read_text(encoding="utf-8"))
    shutil.copytree(FIXTURES / "request", made.folder / "models")
    made.config(
        f'[db_profiles.prod]\nurl = "{postgres_url}"\n'
        '[db_profiles.models]\nurl = "ddl:///models?dialect=postgres"\n'
    )
    return made


def check(install: Inside, *words: str, status: int = 0) -> Document:
    return install.json("check", "--profile", "models", "--against", "prod", *words, status=status)


def names(changes: list[Document]) -> list[tuple[str, str, str | None]]:
    return [(each["change"], each["table"], each["column"]) for each in changes]


def test_only_what_the_request_really_changes_is_told(shop: Inside) -> None:
    found = check(shop)
    assert names(found["added"]) == [
        ("added", "purchase", "channel"),
        ("added", "refund", None),
    ]
    assert names(found["removed"]) == [("removed", "purchase", "legacy_code")]
    (moved,) = found["moved"]
    assert (moved["change"], moved["column"]) == ("type_changed", "amount")
    assert moved["before"] == "numeric(10,2)"
    assert [each["column"] for each in found["undescribed"]] == [
        "refund_id",
        "purchase_id",
        "reason",
    ]
    assert [each["table"] for each in found["not_in_models"]] == ["everything", "loaded_by_hand"]
    assert found["coverage"] == {"objects": 6, "described": 3, "percent": 50.0}
    assert (found["ok"], found["problems"], found["snapshot"]) == (True, [], None)


def test_who_reads_what_moves_is_named(shop: Inside) -> None:
    readers = {each["object"]: each["readers"] for each in check(shop)["readers"]}
    assert "shop.spending.spent" in [each["object"] for each in readers["shop.purchase.amount"]]
    legacy = [each["object"] for each in readers["shop.purchase.legacy_code"]]
    assert legacy == ["shop.everything.legacy_code"]


def test_nothing_is_kept_and_nothing_is_written(shop: Inside) -> None:
    before = sorted(path.name for path in (shop.folder / "models").iterdir())
    check(shop)
    assert shop.json("catalog", "log", "prod")["snapshots"] == []
    assert shop.json("catalog", "log", "models")["snapshots"] == []
    assert sorted(path.name for path in (shop.folder / "models").iterdir()) == before


def test_each_gate_that_is_not_met_is_named(shop: Inside) -> None:
    words = ("--min", "80", "--max-undescribed", "2", "--fail-on", "removed,type_changed,renamed")
    found = check(shop, *words, status=1)
    assert {(each["gate"], each["limit"]): each["ok"] for each in found["gates"]} == {
        ("min", 80.0): False,
        ("max_undescribed", 2): False,
        ("fail_on", "removed"): False,
        ("fail_on", "type_changed"): False,
        ("fail_on", "renamed"): True,
    }
    told = shop.run("check", "--profile", "models", "--against", "prod", *words, status=1)
    lines = [line for line in told.stderr.splitlines() if "gate not met" in line]
    assert len(lines) == 4
    assert "--min 80: 50.0%" in lines[0]
    assert check(shop, "--min", "50", "--max-undescribed", "3")["ok"] is True


def test_strict_counts_what_the_models_do_not_know_as_removed(shop: Inside) -> None:
    found = check(shop, "--strict", "--fail-on", "removed", status=1)
    assert ("removed", "loaded_by_hand", None) in names(found["removed"])
    assert found["not_in_models"] == []
    assert check(shop, "--fail-on", "not_in_models", status=1)["ok"] is False


def test_a_scope_narrows_the_check(shop: Inside) -> None:
    found = check(shop, "--scope", "shop.refund")
    assert (names(found["added"]), found["removed"]) == ([("added", "refund", None)], [])
    wrong = shop.run(
        "check", "--profile", "models", "--against", "prod", "--scope", "shop.refnd", status=2
    )
    assert "no table shop.refnd" in wrong.stderr


def test_what_cannot_be_read_has_its_place_and_may_be_a_gate(shop: Inside) -> None:
    broken = shop.folder / "models" / "04_broken.sql"
    broken.write_text("CREATE TABLE shop.ok (id int);\n\nCREATE TABLE shop.broken (;\n")
    found = check(shop, "--fail-on", "problems", status=1)
    (problem,) = found["problems"]
    assert (problem["file"], problem["line"]) == (str(broken), 3)
    assert problem["column"] > 1
    told = shop.run("check", "--profile", "models", "--against", "prod")
    assert f"{broken}:3:" in told.stderr


def test_markdown_is_a_table_for_a_pull_request(shop: Inside) -> None:
    models = shop.folder / "models"
    (models / "05_odd.sql").write_text('CREATE TABLE shop."a|b `c`" (id int);\n')
    told = shop.run(
        "check", "--profile", "models", "--against", "prod", "--format", "markdown", "--min", "90",
        status=1,
    ).stdout  # fmt: skip
    lines = told.splitlines()
    assert lines[0] == "### models into prod: not ok"
    table = [line for line in lines if line.startswith("|")]
    assert table[:2] == [
        "| change | object | now | after the merge | described |",
        "| --- | --- | --- | --- | --- |",
    ]
    assert {line.replace("\\|", "").count("|") for line in table} == {6}
    assert "| type_changed | column `shop.purchase.amount` | `numeric(10,2)` |" in told
    assert "**Not met**: --min 90" in told


def test_json_by_format_and_by_flag_are_one(shop: Inside) -> None:
    words = ("check", "--profile", "models", "--against", "prod")
    assert json.loads(shop.run(*words, "--format", "json").stdout) == check(shop)


def test_the_cached_catalog_serves_while_the_server_is_away(shop: Inside) -> None:
    words = ("check", "--profile", "models", "--against", "prod", "--cached")
    assert "no snapshot of prod" in shop.run(*words, status=2).stderr
    shop.run("catalog", "refresh", "prod")
    fresh = check(shop)
    text = (shop.folder / "amxwatch.toml").read_text(encoding="utf-8")
    shop.config(text.replace("127.0.0.1:", "127.0.0.1:1"))
    cached = check(shop, "--cached")
    assert cached["snapshot"] == 1
    assert {**cached, "snapshot": None} == fresh
    gone = shop.run("check", "--profile", "models", "--against", "prod", status=1)
    assert gone.stdout == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--profile", "models"), "against"),
        (("--profile", "models", "--against", "models"), "both sides"),
        (("--profile", "nope", "--against", "prod"), "nope"),
        (("--profile", "models", "--against", "prod", "--fail-on", "droped"), "allowed: added"),
        (("--profile", "models", "--against", "prod", "--map", "shop"), "MODELS_SCHEMA=LIVE"),
        (("--profile", "models", "--against", "prod", "--map", "nope=shop"), "no schema nope"),
        (("--profile", "models", "--against", "prod", "--min", "101"), "--min"),
    ],
)
def test_a_wrong_call_says_how_to_mend_it(shop: Inside, words: tuple[str, ...], said: str) -> None:
    wrong = shop.run("check", *words, status=2)
    assert said in wrong.stderr
    assert len(wrong.stderr.splitlines()) == 1


def test_a_folder_in_one_dialect_against_a_file_of_another(tmp_path: Path) -> None:
    """No server at all: PostgreSQL's words against DuckDB, each with its default schema only."""
    made = Inside(tmp_path / "config")
    (made.folder / "models").mkdir()
    (made.folder / "models" / "all.sql").write_text(
        "CREATE TABLE customer (id int PRIMARY KEY, email text NOT NULL, joined timestamptz,"
        " score double precision, note text);\n"
        "CREATE VIEW mails AS SELECT id, email FROM customer WHERE score > 1;\n"
    )
    with duckdb.connect(str(made.folder / "live.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE customer (id INTEGER PRIMARY KEY, email VARCHAR NOT NULL,"
            " joined TIMESTAMP WITH TIME ZONE, score DOUBLE, code BLOB);"
            "CREATE VIEW mails AS SELECT id, email FROM customer WHERE score > 1;"
        )
    made.config(
        '[db_profiles.models]\nurl = "ddl:///models?dialect=postgres"\n'
        '[db_profiles.prod]\nurl = "duckdb:///live.duckdb"\n'
    )
    found = check(made)
    assert found["schemas"] == {"public": "main"}
    assert names(found["added"]) == [("added", "customer", "note")]
    assert names(found["removed"]) == [("removed", "customer", "code")]
    assert found["moved"] == []
    assert any("across dialects" in note for note in found["notes"])
