"""`amxwatch schedule`: made, steered, run, removed."""

from __future__ import annotations

import sqlite3
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from amxwatch.clocks.system import SystemClock
from tests.plugins.install import Document
from tests.surfaces.conftest import Inside, change_house


def schedules(install: Inside, *words: str) -> dict[str, Document]:
    return {one["name"]: one for one in install.json("schedule", "list", *words)["schedules"]}


def test_add_writes_a_drop_in_and_says_when_it_fires(shop: Inside) -> None:
    done = shop.run(
        "schedule",
        "add",
        "--name",
        "Quarterly ü/1",
        "--at",
        "2031-12-31 09:00",
        "--tz",
        "Europe/Istanbul",
        "--db",
        "house",
        "--llm",
        "builtin",
        "--scope",
        "table:main.orders,main.customer",
        "--strategy",
        "auto",
    )
    assert "Quarterly ü/1 is written: once" in done.stdout
    found = schedules(shop)["Quarterly ü/1"]
    assert found["next_fire_at"] == "2031-12-31T06:00:00+00:00"
    file = Path(shop.json("schedule", "show", "Quarterly ü/1")["file"])
    plan = tomllib.loads(file.read_text(encoding="utf-8"))["schedules"]["Quarterly ü/1"]
    assert plan == {
        "db_profile": "house",
        "llm_profile": "builtin",
        "scope": "table:main.orders,main.customer",
        "review_strategy": "auto",
        "trigger": {"type": "at", "at": "2031-12-31 09:00", "timezone": "Europe/Istanbul"},
    }
    assert "schedule_added" in {event["action"] for event in shop.events()}


@pytest.mark.parametrize(
    ("words", "trigger"),
    [
        (["--every", "90"], {"type": "every", "minutes": 90}),
        (
            ["--on-change", "--cadence-cap-hours", "0.5", "--settle-seconds", "1"],
            {"type": "change", "cadence_cap_hours": 0.5, "settle_seconds": 1},
        ),
        (
            ["--files", "models/**/*.sql", "--files", "*.x"],
            {"type": "files", "paths": ["models/**/*.sql", "*.x"]},
        ),
    ],
)
def test_add_by_other_triggers(shop: Inside, words: list[str], trigger: Document) -> None:
    document = shop.json("schedule", "add", "--name", "new", *words, "--kind", "cache_refresh")
    assert document["kind"] == "cache_refresh"
    assert trigger.items() <= document["trigger"].items()
    shop.json("schedule", "show", "new")


WRONG = [
    (["--name", "x"], "--at"),
    (["--every", "5"], "--name"),
    (["--name", "x", "--every", "5", "--cron", "* * * * *"], "--every"),
    (["--name", "nightly", "--every", "5"], "nightly"),
    (["--name", "x", "--every", "0"], "minutes"),
    (["--name", "x", "--every", "often"], "--every"),
    (["--name", "x", "--at", "2020-01-01 00:00"], "passed"),
    (["--name", "x", "--at", "tomorrow"], "YYYY-MM-DD"),
    (["--name", "x", "--cron", "61 * * * *"], "61"),
    (["--name", "x", "--cron", "0 0 31 2 *"], "never"),
    (["--name", "x", "--every", "5", "--tz", "Mars/Olympus"], "Mars"),
    (["--name", "x", "--every", "5", "--db", "nope"], "nope"),
    (["--name", "x", "--every", "5", "--llm", "nope"], "nope"),
    (["--name", "x", "--every", "5", "--scope", "table:main.ordrs"], "main.orders"),
    (["--name", "x", "--every", "5", "--scope", "tables:a"], "table:"),
    (["--name", "x", "--every", "5", "--settle-seconds", "3"], "--on-change"),
    (["--name", "x", "--on-change", "--tz", "UTC"], "--tz"),
    (["--name", "x", "--on-change", "--cadence-cap-hours", "-1"], "cadence_cap_hours"),
    (["--name", "x", "--every", "5", "--strategy", "maybe"], "maybe"),
    (["--name", "\x1b", "--every", "5"], "name"),
]


@pytest.mark.parametrize(("words", "says"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_add_refuses_what_is_wrong_and_writes_nothing(
    shop_once: Inside, words: list[str], says: str
) -> None:
    before = sorted((shop_once.folder / "schedules.d").iterdir())
    said = shop_once.run("schedule", "add", *words, status=2).stderr
    assert len(said.splitlines()) == 1
    assert says in said
    assert sorted((shop_once.folder / "schedules.d").iterdir()) == before


def test_pause_and_resume(shop: Inside) -> None:
    assert shop.json("schedule", "pause", "nightly")["status"] == "paused"
    found = schedules(shop)["nightly"]
    assert (found["status"], found["next_fire_at"]) == ("paused", None)
    assert set(schedules(shop, "--status", "paused")) == {"nightly"}
    [result] = shop.json("schedule", "run-due", "--schedule", "nightly")["results"]
    assert result["action"] == "paused"
    assert shop.json("schedule", "resume", "nightly")["status"] == "pending"


def test_enabled_false_shows_as_paused(shop: Inside) -> None:
    [path] = (shop.folder / "schedules.d").glob("nightly*.toml")
    path.write_text(path.read_text().replace("db_profile", "enabled = false\ndb_profile", 1))
    assert schedules(shop)["nightly"]["status"] == "paused"
    assert "enabled" in shop.run("schedule", "resume", "nightly", status=2).stderr


def test_cancel_and_remove(shop: Inside) -> None:
    assert shop.json("schedule", "cancel", "nightly")["status"] == "cancelled"
    assert "nightly" not in schedules(shop)
    assert set(schedules(shop, "--past")) == {"nightly"}
    assert set(schedules(shop, "--all")) == {"nightly", "watch"}
    assert shop.json("schedule", "rm", "nightly", "-y")["removed"] == "nightly"
    assert set(schedules(shop, "--all")) == {"watch"}
    actions = [event["action"] for event in shop.events()]
    assert actions[-2:] == ["schedule_cancelled", "schedule_removed"]


def test_run_now(shop: Inside) -> None:
    dry = shop.json("schedule", "run-now", "watch", "--dry-run")
    assert (dry["scope"], dry["input"], dry["missing"]) == ("schema:main", None, [])
    assert "main.customer.phone" in dry["objects"]
    assert len(shop.runs()) == 1
    lines = shop.run("schedule", "run-now", "watch", "--json").stdout.splitlines()
    assert '"status":"completed"' in lines[-1]
    found = shop.runs()[0]
    assert (found["schedule"], found["trigger"]) == ("watch", "manual")
    listed = schedules(shop)["watch"]
    assert (listed["last_run_status"], listed["runs"], listed["success_rate"]) == (
        "completed",
        1,
        1,
    )


def test_the_rendered_input(shop: Inside) -> None:
    [path] = (shop.folder / "schedules.d").glob("watch*.toml")
    path.write_text(
        path.read_text().replace(
            "db_profile", 'input_template = "Run {{run_number}} on {{date}}"\ndb_profile', 1
        )
    )
    today = SystemClock().now()
    text = shop.json("schedule", "run-now", "watch", "--dry-run")["input"]
    assert text in {f"Run 1 on {day:%Y-%m-%d}" for day in (today, today + timedelta(days=1))}


def test_run_due_executes_what_a_change_asks_for(shop: Inside) -> None:
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
    [path] = (shop.folder / "schedules.d").glob("watch*.toml")
    path.unlink()
    shop.run("schedule", "rm", "nightly", "-y")
    idle = shop.json("schedule", "run-due")
    assert (idle["ok"], [result["action"] for result in idle["results"]]) == (True, ["idle"])
    change_house(shop.folder, "ALTER TABLE orders ADD COLUMN note VARCHAR")
    done = shop.json("schedule", "run-due")
    assert set(done) >= {"cycle", "ok", "results"}
    [result] = done["results"]
    assert set(result) == {
        "schedule",
        "action",
        "run_id",
        "status",
        "skip_reason",
        "blocked_category",
        "recovery_action",
    }
    assert (result["action"], result["status"]) == ("fire", "completed")
    assert shop.run("schedule", "run-due", "--quiet").stdout == ""
    pending = [draft for draft in shop.pending() if draft["run_id"] == result["run_id"]]
    assert [(draft["table"], draft["column"]) for draft in pending] == [("orders", "note")]


def test_run_due_of_a_database_that_is_gone_is_exit_1(shop: Inside) -> None:
    (shop.folder / "house.duckdb").unlink()
    done = shop.run("schedule", "run-due", status=1)
    assert "house" in done.stderr
    source = {one["profile"]: one for one in shop.json("status")["sources"]}["house"]
    assert source["status"] == "down"
    assert source["failing_since"]
    assert source["snapshot"] == 2


def test_a_missed_one_shot_is_shown_and_dismissed(shop: Inside) -> None:
    shop.run("schedule", "add", "--name", "once", "--at", "2031-01-01 00:00", "--tz", "UTC")
    [path] = (shop.folder / "schedules.d").glob("once*.toml")
    # Armed by `add` for 2031; as if the machine had slept over an earlier time.
    with sqlite3.connect(shop.folder / "state.db") as state:
        state.execute(
            "UPDATE schedule SET missed_due_at = '2026-01-01T00:00:00.000000Z' WHERE name = 'once'"
        )
    state.close()
    assert schedules(shop)["once"]["status"] == "missed"
    assert shop.json("status")["missed"] == ["once"]
    assert shop.json("schedule", "skip", "once")["status"] == "cancelled"
    assert shop.run("schedule", "skip", "once", status=2)
    assert path.exists()
