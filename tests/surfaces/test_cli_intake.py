"""Intake through the command line, real folders and repositories, and the daemon."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.test_git_refs import Repo
from tests.plugins.install import Document
from tests.surfaces.conftest import Inside

JUNIT = (
    '<testsuite name="dbt"><testcase name="not_null"><failure message="3"/></testcase></testsuite>'
)


def settle(shop: Inside, **told: Any) -> None:
    """Add an `[intake]` table to the config."""
    text = (shop.folder / "amxwatch.toml").read_text()
    lines = [f"{key} = {json.dumps(value)}" for key, value in told.items() if key != "git"]
    for watch in told.get("git", []):
        lines.append("[[intake.git]]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in watch.items()]
    shop.config("\n".join([text, "[intake]", "settle_seconds = 0", *lines]))


def items(shop: Inside, *words: str) -> list[Document]:
    found: list[Document] = shop.json("intake", "list", *words)["items"]
    return found


def test_an_item_is_added_shown_and_run(shop: Inside) -> None:
    words = ("intake", "add", "Describe the orders", "--scope", "main.orders", "--priority", "p1")
    added = shop.json(*words, "--detail", "Soon.")
    item = added["item"]
    assert (added["is_new"], added["warnings"]) == (True, [])
    assert item["id"].startswith("int_2")
    assert (item["source"], item["state"], item["priority"]) == ("manual", "approved", "p1")
    assert (item["db_profile"], item["scope"]) == ("house", "table:main.orders")
    assert shop.json(*words, "--detail", "Soon.")["item"]["id"] == item["id"]
    assert shop.json("status")["intake"] == {"new": 0, "approved": 1, "planned": 0, "running": 0}
    assert "intake    1 approved" in shop.run("status").stdout
    turn = shop.json("schedule", "run-due")
    assert turn["ok"]
    (planned,) = turn["intake"]["planned"]
    shown = shop.json("intake", "show", item["id"][:26])
    assert (shown["state"], shown["outcome"], shown["run_id"]) == ("resolved", "completed", planned)
    run = next(run for run in shop.runs() if run["id"] == planned)
    assert (run["trigger"], run["scope"]) == ("intake", "table:main.orders")
    assert run["trigger_reason"] == f"intake:{item['id']}: Describe the orders"
    assert items(shop) == []
    assert [each["id"] for each in items(shop, "--all")] == [item["id"]]
    assert "Soon." in shop.run("intake", "show", item["id"]).stdout
    actions = [e["action"] for e in shop.events() if e.get("item") == item["id"]]
    assert actions == ["intake_added", "intake_approved", "intake_planned", "intake_resolved"]


def test_one_turn_starts_the_most_urgent_first(shop: Inside) -> None:
    for priority, scope in (("p3", "orders"), ("p2", "big_orders"), ("p0", "customer")):
        shop.run("intake", "add", scope, "--scope", f"main.{scope}", "--priority", priority)
    turn = shop.json("schedule", "run-due")
    assert [event["run_id"] for event in shop.events("run_started")][-3:] == turn["intake"][
        "planned"
    ]
    scopes = {run["id"]: run["scope"] for run in shop.runs()}
    assert [scopes[run_id] for run_id in turn["intake"]["planned"]] == [
        "table:main.customer", "table:main.big_orders", "table:main.orders",
    ]  # fmt: skip


def test_a_scope_that_names_nothing_warns_and_waits_for_a_person(shop: Inside) -> None:
    done = shop.run("intake", "add", "x", "--scope", "main.ordrs")
    assert "warning: house: no table main.ordrs; did you mean main.orders?" in done.stderr
    (item,) = items(shop, "--state", "new")
    assert "did you mean" in item["reason"]
    assert shop.json("schedule", "run-due")["ok"]
    assert items(shop)[0]["state"] == "new"
    assert shop.json("intake", "reject", item["id"], "--reason", "typo")["reason"] == "typo"
    assert shop.json("intake", "approve", item["id"])["state"] == "approved"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["add"], "give a title"),
        (["add", "x", "--ci", "amxwatch.toml"], "--ci"),
        (["add", "x", "--scope", "tabel:a"], "tabel"),
        (["add", "x", "--db", "nowhere"], "no db profile 'nowhere'"),
        (["add", "x", "--priority", "p9"], "p9"),
        (["add", "  "], "needs a title"),
        (["add", "--ci", "nowhere.xml"], "nowhere.xml"),
        (["show", "int_nowhere"], "there is no intake item int_nowhere"),
        (["approve", "int_nowhere"], "there is no intake item"),
        (["list", "--all", "--state", "new"], "do not go together"),
    ],
)
def test_a_wrong_call_is_told_in_one_line(shop: Inside, words: list[str], says: str) -> None:
    done = shop.run("intake", *words, status=2)
    assert says in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert items(shop, "--all") == []


def test_reports_of_ci_become_items_once(shop: Inside, tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text(JUNIT)
    words = ("intake", "add", "--ci", str(report), "--scope", "schema:main", "--priority", "p0")
    first = shop.json(*words)
    assert first["item"]["source"] == "ci"
    assert first["item"]["title"] == "1 of 1 tests failed in dbt: not_null"
    assert not shop.json(*words)["is_new"]
    report.write_text(JUNIT.replace("<failure", "<skipped"))
    assert shop.json(*words) == {"item": None, "is_new": False, "warnings": []}
    report.write_text('<!DOCTYPE a [<!ENTITY b "b">]><testsuite/>')
    assert "document type" in shop.run(*words, status=2).stderr


def test_the_report_of_a_real_check_becomes_an_item(shop: Inside, tmp_path: Path) -> None:
    checked = shop.run(
        "check", "--profile", "models", "--against", "house", "--min", "100", "--json", status=1
    )
    (tmp_path / "check.json").write_text(checked.stdout)
    item = shop.json("intake", "add", "--ci", str(tmp_path / "check.json"))["item"]
    assert item["db_profile"] == "models"
    assert item["scope"] == "table:public.dim_user,public.stg_events"
    assert item["state"] == "approved"


def test_files_in_a_folder_become_items_and_are_put_away(shop: Inside) -> None:
    inbox = shop.folder / "inbox"
    inbox.mkdir()
    settle(shop, folders=["inbox"], scope="schema:main")
    (inbox / "orders.json").write_text('{"title": "Orders", "scope": "table:main.orders"}')
    (inbox / "note.md").write_text("# Customers\n\nPlease.\n")
    (inbox / "good.xml").write_text("<testsuite><testcase/></testsuite>")
    (inbox / "bad.toml").write_text('title = "x"\ndb_profile = "nowhere"\n')
    (inbox / "link.md").symlink_to("note.md")
    turn = shop.json("schedule", "run-due")
    assert turn["ok"]
    assert len(turn["intake"]["added"]) == 2
    assert {path.name for path in (inbox / "taken").iterdir()} == {
        "orders.json", "note.md", "good.xml",
    }  # fmt: skip
    refused = {path.name: path for path in (inbox / "refused").iterdir()}
    assert set(refused) == {
        "bad.toml", "bad.toml.reason.txt", "link.md", "link.md.reason.txt",
    }  # fmt: skip
    assert "no db profile 'nowhere'" in refused["bad.toml.reason.txt"].read_text()
    assert {item["title"]: item["state"] for item in items(shop, "--all")} == {
        "Orders": "resolved",
        "Customers": "resolved",
    }
    assert len([e for e in shop.events("intake_refused") if e["file"] == "link.md"]) == 1
    assert "intake" not in shop.json("schedule", "run-due")


def test_a_folder_that_is_not_there_fails_the_turn_and_nothing_else(shop: Inside) -> None:
    settle(shop, folders=["nowhere"])
    shop.run("intake", "add", "x")
    turn = shop.json("schedule", "run-due", status=1)
    assert "nowhere" in turn["errors"][0]
    assert len(turn["intake"]["planned"]) == 1


def test_a_ref_that_moves_becomes_an_item_with_its_files(shop: Inside, tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.commit(models__a="1", readme="1")
    watch = {"repository": str(repo.folder), "paths": ["models/**"], "scope": "schema:public"}
    settle(shop, triage="human", git=[{**watch, "db_profile": "models", "priority": "p1"}])
    shop.run("schedule", "run-due")
    assert items(shop) == [], "the first look only remembers the commit"
    repo.commit(readme="2")
    shop.run("schedule", "run-due")
    assert items(shop) == [], "nothing under the paths moved"
    repo.commit(models__a="2")
    commit = repo.commit(models__b="1")
    shop.run("schedule", "run-due")
    shop.run("schedule", "run-due")
    (item,) = items(shop)
    assert (item["source"], item["priority"], item["db_profile"]) == ("git", "p1", "models")
    assert item["title"] == f"refs/heads/main moved to {commit[:12]}"
    assert item["detail"].splitlines()[1:] == [
        "2 files moved under models/**:", "M models/a", "A models/b",
    ]  # fmt: skip


def test_turns_of_several_processes_at_once_plan_an_item_once(shop: Inside) -> None:
    inbox = shop.folder / "inbox"
    inbox.mkdir()
    settle(shop, folders=["inbox"])
    for name in ("orders", "customer", "big_orders"):
        (inbox / f"{name}.json").write_text(
            json.dumps({"title": name, "scope": f"table:main.{name}"})
        )
    outside = shop.outside
    command = outside.command("schedule", "run-due", "--quiet")
    turns = [
        subprocess.Popen(command, env=outside.env, stdout=subprocess.DEVNULL) for _ in range(3)
    ]
    assert [turn.wait(timeout=90) for turn in turns] == [0, 0, 0]
    assert {item["title"] for item in items(shop, "--all")} == {"orders", "customer", "big_orders"}
    runs = [run for run in shop.runs() if run["trigger"] == "intake"]
    assert sorted(run["scope"] for run in runs) == [
        "table:main.big_orders", "table:main.customer", "table:main.orders",
    ]  # fmt: skip


def test_a_daemon_takes_a_dropped_file_and_the_item_to_its_end(shop: Inside) -> None:
    inbox = shop.folder / "inbox"
    inbox.mkdir()
    settle(shop, folders=["inbox"])
    outside = shop.outside
    process = outside.daemon("--poll-seconds", "0.3")
    try:
        (inbox / "a.json").write_text('{"title": "a", "scope": "table:main.orders"}')
        outside.until(
            lambda: [item for item in items(shop, "--all") if item["state"] == "resolved"],
            "resolved item",
        )
    finally:
        outside.stop(process)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ('triage = "maybe"', "intake.triage"),
        ('db_profile = "nowhere"', "intake.db_profile"),
        ("[[intake.git]]\nref = 'refs/heads/main'", "intake.git"),
        ("[[intake.git]]\nrepository = '.'\nref = '--upload-pack=x'", "a whole ref"),
        ("[[intake.git]]\nrepository = '.'\nref = 'main'", "a whole ref"),
        ("[[intake.git]]\nrepository = '.'\npaths = ['../x']", "a glob below"),
        ("[[intake.git]]\nrepository = '.'\ndb_profile = 'nowhere'", "nowhere"),
    ],
)
def test_a_wrong_setting_is_told_with_its_place(shop: Inside, told: str, says: str) -> None:
    text = (shop.folder / "amxwatch.toml").read_text()
    shop.config(f"{text}\n[intake]\n{told}\n")
    done = shop.run("intake", "add", "x", status=2)
    assert says in done.stderr
    assert "amxwatch.toml:" in done.stderr
