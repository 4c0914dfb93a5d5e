"""Runs by hand, review and apply, the daemon and the first steps, through the command line."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.plugins.install import Document, Installed
from tests.plugins.model_server import ModelServer
from tests.surfaces.conftest import Inside, build, change_house, comment_in_house

PAID = """
[llm_profiles.local]
provider = "openai"
confidence_signal = "evidence"
model = "nobody-knows-its-price"
base_url = "{url}"
api_key = "sk-local-0123456789abcdef"
"""


def lines_of(done: subprocess.CompletedProcess[str]) -> list[Document]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def draft_of(shop: Installed, table: str, column: str | None) -> Document:
    [found] = [d for d in shop.pending() if (d["table"], d["column"]) == (table, column)]
    return found


def test_the_whole_line_in_real_processes(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    build(folder)
    (folder / "amxwatch.toml").unlink()
    made = Installed(folder)
    done = made.run("init", "--db-url", "house=duckdb:///house.duckdb", "--json")
    assert json.loads(done.stdout)["profiles"][0]["tables"] == 3
    lines = lines_of(made.run("run", "main.orders", "--json"))
    assert {line["stage"] for line in lines[:-1]} >= {"scope", "draft"}
    assert (lines[-1]["status"], lines[-1]["drafted"]) == ("completed", 4)
    assert made.json("review", "--strategy", "accept-all")["accepted"] == 4
    assert "Dry run" in made.run("apply", "--dry-run").stdout
    done = made.run("apply", status=2)
    assert (done.stdout, len(done.stderr.splitlines())) == ("", 1)
    assert "-y" in done.stderr
    applied = made.json("apply", "-y")
    assert applied["written"] == 4 == len(applied["statements"])
    assert comment_in_house(folder, "orders", "total") == "Total of the order."


# -- run -------------------------------------------------------------------------------------


def test_run_says_its_steps_and_what_comes_next(shop: Inside) -> None:
    change_house(shop.folder, "ALTER TABLE orders ADD COLUMN note VARCHAR")
    said = shop.run("run", "--table", "orders", "--columns", "note").stdout
    assert "[Scope] 1 table · 1 object" in said
    assert "[LLM] drafting 1 description in 1 batch" in said
    assert "batch 1/1: main.orders (1 object) ..." in said
    assert "1 drafted" in said
    assert "amxwatch review" in said
    assert shop.runs()[0]["scope"] == "column:main.orders.note"


@pytest.mark.parametrize(
    ("words", "scope"),
    [
        (["main.orders.total"], "column:main.orders.total"),
        (["--scope", "table:main.orders,main.customer"], "table:main.orders,main.customer"),
        (["main", "--table", "orders"], "table:main.orders"),
        (["--db", "models", "--table", "public.dim_user"], "table:public.dim_user"),
        (["main.c*"], "table:main.c*"),
        ([], "all"),
    ],
)
def test_scopes_of_a_run(shop: Inside, words: list[str], scope: str) -> None:
    assert lines_of(shop.run("run", *words, "--json"))[-1]["scope"] == scope


def test_auto_applies_what_is_sure(shop: Inside) -> None:
    change_house(shop.folder, "CREATE TABLE invoice (invoice_id INTEGER PRIMARY KEY)")
    shop.run("run", "main.invoice", "--strategy", "auto")
    assert comment_in_house(shop.folder, "invoice", "invoice_id")


def test_a_run_that_fails_is_exit_1_and_says_why(shop: Inside, model_server: ModelServer) -> None:
    shop.config(paid(shop, model_server))
    model_server.out_of_quota()
    done = shop.run("run", "--llm", "local", "--db", "models", status=1)
    assert "quota" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert shop.runs()[0]["status"] == "failed"


def paid(shop: Inside, server: ModelServer, more: str = "") -> str:
    config = (shop.folder / "amxwatch.toml").read_text(encoding="utf-8")
    return config + PAID.format(url=server.url) + more


def test_blocked_runs_are_let_go_on_or_cancelled(shop: Inside, model_server: ModelServer) -> None:
    plain = (shop.folder / "amxwatch.toml").read_text(encoding="utf-8")
    shop.config(paid(shop, model_server, "\n[budget]\nper_run_usd = 1.0\n"))
    words = ("run", "--llm", "local", "--db", "models", "--table")
    done = shop.run(*words, "dim_user", status=1)
    assert "blocked" in done.stderr
    shop.run(*words, "stg_events", status=1)
    second, first = shop.runs()[:2]
    blocked = {run["id"]: run for run in shop.json("status")["blocked"]}
    assert blocked[first["id"]]["category"] == "unpriced"
    assert first["id"] in blocked[first["id"]]["recovery_action"]
    assert shop.json("cancel", second["id"])["status"] == "cancelled"
    shop.run("cancel", second["id"], status=1)
    shop.config(plain)
    shop.config(paid(shop, model_server))
    assert shop.json("unblock", first["id"])["status"] == "queued"
    shop.run("schedule", "run-due", "--quiet")
    found = shop.json("history", "show", first["id"])
    assert (found["status"], found["cost_usd"]) == ("completed", None)
    costs = shop.json("costs", "--by", "llm")
    assert {group["llm"]: group["unpriced_runs"] for group in costs["groups"]}["local"] == 1
    assert "unpriced" in shop.run("costs").stdout


def test_ctrl_c_cancels_a_run(shop: Inside, model_server: ModelServer) -> None:
    shop.config(paid(shop, model_server))
    model_server.hang()
    outside = shop.outside
    process = subprocess.Popen(
        outside.command("run", "--llm", "local", "--db", "models", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=outside.env,
    )
    outside.until(lambda: model_server.count > 0, "request")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=90)
    assert process.returncode == 130
    assert said == "amxwatch: stopped\n"
    assert shop.runs()[0]["status"] == "cancelled"


def test_run_apply(shop: Inside) -> None:
    words = ("run-apply", "--db", "models", "--filter", "^stg_", "--apply")
    document = lines_of(shop.run(*words, "--strategy", "accept-all", "--json"))[-1]
    assert document["written"] == 3
    assert document["run"]["scope"] == "table:public.stg_events"
    text = "".join(path.read_text() for path in (shop.folder / "models").glob("*.sql"))
    assert text.count("COMMENT ON") == 3
    change_house(shop.folder, "CREATE TABLE plan (plan_id INTEGER)")
    left = lines_of(
        shop.run("run-apply", "main.plan", "--strategy", "accept-all-high", "--apply", "--json")
    )[-1]
    assert (left["written"], left["accepted"], left["left"]) == (0, 0, 2)


# -- review ----------------------------------------------------------------------------------


def test_review_by_flags(shop: Inside) -> None:
    total, status = draft_of(shop, "orders", "total"), draft_of(shop, "customer", "status")
    phone = draft_of(shop, "customer", "phone")
    second = shop.json("review", "--accept", str(total["id"]), "--choice", "2")
    assert second["text"] == total["alternatives"][1]
    own = shop.json("review", "--accept", str(status["id"]), "--text", " Where it stands; it's so ")
    assert (own["status"], own["text"]) == ("edited", "Where it stands; it's so")
    assert shop.json("review", "--skip", str(phone["id"]))["status"] == "pending"
    assert shop.json("review", "--reject", str(phone["id"]))["status"] == "rejected"
    again = shop.run("review", "--accept", str(phone["id"]), status=2)
    assert "does not wait" in again.stderr
    left = {draft["id"] for draft in shop.pending()}
    assert not left & {total["id"], status["id"], phone["id"]}
    rest = shop.json("review", "--strategy", "reject-all", "--run", total["run_id"])
    assert (rest["rejected"], rest["left"]) == (len(left), 0)


# -- apply -----------------------------------------------------------------------------------


def test_a_conflict_is_not_overwritten_and_goes_back_to_review(shop: Inside) -> None:
    shop.run("review", "--accept", str(draft_of(shop, "orders", "total")["id"]))
    change_house(shop.folder, "COMMENT ON COLUMN orders.total IS 'Somebody was quicker'")
    done = shop.run("apply", "-y", "--json", status=1)
    assert json.loads(done.stdout)["conflicts"] == [
        {"object": "main.orders.total", "expected": None, "found": "Somebody was quicker"}
    ]
    assert comment_in_house(shop.folder, "orders", "total") == "Somebody was quicker"
    draft = draft_of(shop, "orders", "total")
    assert (draft["current"], draft["status"]) == ("Somebody was quicker", "conflict")


def test_undo_puts_back_what_was_there(shop: Inside) -> None:
    draft = draft_of(shop, "customer", "status")
    shop.run("review", "--accept", str(draft["id"]), "--text", 'It\'s "so"; -- 100%\nreally')
    assert shop.json("apply", "-y")["written"] == 1
    assert comment_in_house(shop.folder, "customer", "status") == 'It\'s "so"; -- 100%\nreally'
    planned = shop.json("apply", "--undo", draft["run_id"], "--dry-run")
    assert len(planned["statements"]) == 1
    shop.run("apply", "--undo", draft["run_id"], status=2)
    assert shop.json("apply", "--undo", draft["run_id"], "-y")["written"] == 1
    assert comment_in_house(shop.folder, "customer", "status") is None
    assert shop.json("apply", "-y")["written"] == 0


def test_a_database_without_comments_gets_a_file(shop: Inside) -> None:
    shop.run("run", "--db", "shop")
    shop.run("review", "--strategy", "accept-all")
    said = shop.run("apply", "--db", "shop").stdout  # nothing is written there: nothing is asked
    path = shop.folder / "exports" / "shop-comments.sql"
    assert str(path) in said
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text(encoding="utf-8").count("COMMENT ON") == 3
    document = shop.json("apply", "--db", "shop", "-y")
    assert (document["written"], len(document["skipped"])) == (0, 3)
    assert document["exported"] == str(path)


# -- profiles, init, daemon, events ----------------------------------------------------------


def test_use_sets_the_default_and_keeps_comments(shop: Inside) -> None:
    config = shop.folder / "amxwatch.toml"
    config.write_text("# mine\n" + config.read_text())
    shop.run("db", "use", "shop")
    shop.run("llm", "use", "builtin")
    assert config.read_text().startswith("# mine\n")
    profiles = {profile["name"]: profile for profile in shop.json("db", "list")["profiles"]}
    assert profiles["shop"]["default"]
    assert shop.json("db", "test")["profile"] == "shop"


def test_a_database_that_is_down(shop: Inside) -> None:
    (shop.folder / "house.duckdb").rename(shop.folder / "away.duckdb")
    for words in (("db", "test"), ("catalog", "refresh"), ("doctor",)):
        done = shop.run(*words, "--json", status=1)
        json.loads(done.stdout)
    inspected = shop.run("db", "inspect", "--json")  # the last snapshot, with a warning
    assert len(json.loads(inspected.stdout)["tables"]) == 3
    assert "warning" in inspected.stderr
    assert {s["profile"]: s["status"] for s in shop.json("status")["sources"]}["house"] == "down"


def test_init_keeps_a_password_out_of_the_config(tmp_path: Path) -> None:
    fresh = Inside(tmp_path / "fresh")
    url = "postgresql://me:hush-hush@127.0.0.1:9/none"
    done = fresh.run("init", "--db-url", f"far away={url}", status=1)
    config = fresh.folder / "amxwatch.toml"
    assert "hush" not in config.read_text() + done.stdout + done.stderr
    assert config.stat().st_mode & 0o777 == 0o600
    [secret] = (fresh.folder / "secrets").iterdir()
    assert secret.read_text().strip() == url
    assert secret.stat().st_mode & 0o777 == 0o600
    assert "far away" in {profile["name"] for profile in fresh.json("db", "list")["profiles"]}
    assert "hush" not in fresh.run("db", "list", "--json").stdout
    assert "is there already" in fresh.run("init", status=2).stderr


@pytest.mark.parametrize("text", ["nourl", "=sqlite:///x", "a=b", "x=oracle://h/d", "x=sqlite://"])
def test_init_refuses_what_is_no_url(tmp_path: Path, text: str) -> None:
    fresh = Inside(tmp_path / "fresh")
    done = fresh.run("init", "--db-url", text, status=None)
    assert done.returncode in (1, 2)
    assert len(done.stderr.splitlines()) == 1


def test_the_daemon_ends_after_its_cycles(shop: Inside) -> None:
    change_house(shop.folder, "ALTER TABLE orders ADD COLUMN note VARCHAR")
    outside = shop.outside
    shop.run(
        "schedule",
        "add",
        "--name",
        "now",
        "--on-change",
        "--cadence-cap-hours",
        "0",
        "--settle-seconds",
        "0",
    )
    change_house(shop.folder, "ALTER TABLE orders ADD COLUMN memo VARCHAR")
    done = outside.run(
        "daemon", "--max-cycles", "1", "--poll-seconds", "0.2", "--schedule", "now", "--json"
    )
    for cycle in lines_of(done):
        assert set(cycle) >= {"cycle", "ok", "results"}
    daemon = shop.json("status")["daemon"]
    assert daemon["status"] == "not_running"
    assert daemon["last_cycle_result"]["cycle"] == 1
    found = shop.runs()[0]
    assert (found["schedule"], found["status"], found["trigger"]) == ("now", "completed", "change")
    assert shop.json("status")["service"]["log_size_bytes"] is not None


def test_events_follow(shop: Inside) -> None:
    outside = shop.outside
    process = subprocess.Popen(
        outside.command("events", "--follow", "--limit", "1", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=outside.env,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    last = json.loads(process.stdout.readline())
    shop.run("schedule", "pause", "nightly")
    new = json.loads(process.stdout.readline())
    assert (new["action"], new["schedule"]) == ("schedule_paused", "nightly")
    assert new["id"] > last["id"]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=90)
    assert (process.returncode, said) == (130, "amxwatch: stopped\n")


def test_db_test_prints_the_missing_grant(tmp_path: Path, postgres_url: str) -> None:
    """PostgreSQL wants the owner's rights for COMMENT ON."""
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute("DROP ROLE IF EXISTS amxwatch_guest")
        owner.execute("CREATE ROLE amxwatch_guest LOGIN")
        owner.execute("CREATE TABLE theirs (id int)")
    guest = urlsplit(postgres_url)
    url = guest._replace(netloc=f"amxwatch_guest@{guest.hostname}:{guest.port}").geturl()
    fresh = Inside(tmp_path / "fresh")
    fresh.config(f"[db_profiles.guest]\nurl = {json.dumps(url)}\n")
    grant = "GRANT postgres TO amxwatch_guest;"
    assert grant in fresh.json("db", "test")["missing_privileges"]
    assert grant in fresh.run("db", "test").stdout
    fresh.config(f"[db_profiles.owner]\nurl = {json.dumps(postgres_url)}\n")
    assert fresh.json("db", "test")["missing_privileges"] == []
