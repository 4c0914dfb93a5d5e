"""What the reading commands print: JSON of the promised shape, and tables for people."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from amxwatch.cli.output import json_text, one_line
from tests.plugins.install import Document
from tests.plugins.model_server import ModelServer
from tests.surfaces.conftest import Inside


def fields(names: str) -> set[str]:
    return set(names.split())


SCHEDULE = fields(
    "name kind trigger db_profile llm_profile scope review_strategy status enabled database"
    " timezone next_fire_at last_fired_at last_run_id last_run_status last_error skip_reason"
    " trigger_reason runs success_rate consecutive_failures"
)
RUN = fields(
    "id kind status trigger trigger_reason schedule db_profile database llm_profile scope"
    " queued_at started_at finished_at duration_seconds objects drafted reused cost_usd"
    " input_tokens output_tokens summary failure_category error"
)
DRAFT = fields("id run_id schema table column current alternatives confidence band")
DAEMON = fields(
    "status pid started_at last_heartbeat_at last_cycle_result poll_seconds stale_after_seconds"
)


def times_in(value: object) -> list[str]:
    """Return every text in a document that stands under a key of a time."""
    if isinstance(value, dict):
        own = [v for k, v in value.items() if k.endswith(("_at", "utc")) and isinstance(v, str)]
        return own + [time for v in value.values() for time in times_in(v)]
    if isinstance(value, list):
        return [time for v in value for time in times_in(v)]
    return []


READING = [
    ("status",),
    ("schedule", "status"),
    ("schedule", "list"),
    ("schedule", "show", "nightly"),
    ("schedule", "next", "nightly"),
    ("db", "list"),
    ("db", "test"),
    ("db", "inspect", "--scope", "main.orders"),
    ("llm", "list"),
    ("llm", "test"),
    ("catalog", "show"),
    ("catalog", "show", "main.customer", "--as-of", "1"),
    ("catalog", "log"),
    ("catalog", "diff"),
    ("catalog", "coverage"),
    ("search", "custom"),
    ("review", "--list"),
    ("apply", "--dry-run"),
    ("history", "list"),
    ("costs", "--by", "llm"),
]


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_json_is_one_document_with_times_in_utc(shop_once: Inside, words: tuple[str, ...]) -> None:
    said = shop_once.run(*words, "--json")
    assert said.stderr == ""
    for time in times_in(json.loads(said.stdout)):
        assert datetime.fromisoformat(time).utcoffset() == timedelta(0), time


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_people_get_words(shop_once: Inside, words: tuple[str, ...]) -> None:
    said = shop_once.run(*words)
    assert said.stdout.strip()
    assert not said.stdout.startswith(("{", "["))
    assert said.stderr == ""


def test_schedule_list(shop_once: Inside) -> None:
    found = {one["name"]: one for one in shop_once.json("schedule", "list")["schedules"]}
    assert set(found) == {"nightly", "watch"}
    assert set(found["nightly"]) >= SCHEDULE
    nightly, watch = found["nightly"], found["watch"]
    assert nightly["trigger"]["cron"] == "0 3 * * 1-5"
    assert (nightly["timezone"], nightly["status"]) == ("Europe/Istanbul", "pending")
    assert datetime.fromisoformat(nightly["next_fire_at"]).hour == 0  # 03:00 in Istanbul
    assert (watch["trigger"]["type"], watch["next_fire_at"]) == ("change", None)
    assert watch["scope"] == "schema:main"


def test_schedule_next(shop_once: Inside) -> None:
    document = shop_once.json(
        "schedule", "next", "nightly", "-n", "3", "--after", "2026-12-31T06:00Z"
    )
    assert document == {
        "schedule": "nightly",
        "timezone": "Europe/Istanbul",
        "next": [
            {"utc": f"2027-01-0{day}T00:00:00+00:00", "local": f"2027-01-0{day}T03:00:00+03:00"}
            for day in (1, 4, 5)
        ],
    }


def test_status(shop_once: Inside) -> None:
    document = shop_once.json("status")
    assert set(document["daemon"]) == DAEMON
    assert document["daemon"]["status"] == "never_started"
    assert set(document["service"]) == {"status", "log_size_bytes", "log_mtime"}
    assert document["service"]["status"] == "not_installed"
    assert document["runs"]["completed"] == 1
    assert document["pending_review"] > 0
    assert document["blocked"] == []
    assert document["continuous_session"] is None
    assert shop_once.json("schedule", "status") == document
    sources = {source["profile"]: source for source in document["sources"]}
    assert (sources["house"]["status"], sources["shop"]["status"]) == ("ok", "unseen")


def test_history(shop_once: Inside) -> None:
    [found] = shop_once.json("history", "list")["runs"]
    assert set(found) >= RUN
    assert (found["status"], found["trigger"], found["kind"]) == ("completed", "manual", "analyze")
    assert found["drafted"] > 0
    assert found["duration_seconds"] >= 0
    shown = shop_once.json("history", "show", found["id"][:-2])
    assert shown["id"] == found["id"]
    assert len(shown["drafts"]) == found["drafted"]
    assert [event["action"] for event in shown["events"]][:2] == ["run_queued", "run_started"]
    assert shop_once.json("history", "list", "--status", "failed") == {"runs": []}
    listed = shop_once.json("history", "review", found["id"], "--list")["pending"]
    assert len(listed) == found["drafted"]


def test_review_list(shop_once: Inside) -> None:
    pending = shop_once.pending()
    assert set(pending[0]) >= DRAFT
    names = {(draft["table"], draft["column"]) for draft in pending}
    assert ("customer", None) in names
    assert ("customer", "email") not in names  # a person's
    assert all(draft["alternatives"] and draft["band"] in ("medium", "low") for draft in pending)


def test_catalog_diff(shop_once: Inside) -> None:
    document = shop_once.json("catalog", "diff", "house")
    assert (document["profile"], document["from"], document["to"]) == ("house", 1, 2)
    [change] = document["changes"]
    assert {key: change[key] for key in ("change", "object_type", "schema", "table", "column")} == {
        "change": "added",
        "object_type": "column",
        "schema": "main",
        "table": "customer",
        "column": "phone",
    }
    assert change["before"] is None
    assert isinstance(change["after"], dict)
    assert shop_once.json("catalog", "diff", "--from", "2", "--to", "2")["changes"] == []
    assert json.loads(shop_once.run("catalog", "diff", "--format", "json").stdout) == document


def test_catalog_show_as_of(shop_once: Inside) -> None:
    def columns(*words: str) -> list[str]:
        [table] = shop_once.json("catalog", "show", "main.customer", *words)["tables"]
        return [column["column"] for column in table["columns"]]

    assert columns() == ["customer_id", "email", "status", "phone"]
    assert columns("--as-of", "1") == ["customer_id", "email", "status"]
    log = shop_once.json("catalog", "log", "house")["snapshots"]
    assert [record["snapshot"] for record in log] == [1, 2]
    assert columns("--as-of", log[0]["at"]) == ["customer_id", "email", "status"]


def test_coverage_is_a_gate(shop_once: Inside) -> None:
    document = shop_once.json("catalog", "coverage", "house", "--min", "5")
    assert (document["ok"], document["described"]) == (True, 1)
    missed = shop_once.run("catalog", "coverage", "--min", "99.5", status=1)
    assert "99.5" in missed.stderr
    assert len(missed.stderr.splitlines()) == 1


def test_search(shop_once: Inside) -> None:
    found = shop_once.json("search", "CUSTOMER", "email")["matches"]
    assert [match["object"] for match in found] == ["main.customer.email"]
    by_comment = shop_once.json("search", "written by", "--db", "house")["matches"]
    assert [match["comment"] for match in by_comment] == ["Written by a person"]


def test_events_are_compact_lines(shop_once: Inside) -> None:
    lines = shop_once.run("events", "--json", "--limit", "1000").stdout.splitlines()
    assert '"action":"snapshot_taken"' in lines[0]
    assert any('"trigger":"manual"' in line for line in lines)
    events = [json.loads(line) for line in lines]
    assert [event["id"] for event in events] == sorted(event["id"] for event in events)
    assert all({"id", "at", "action", "schedule", "run_id", "trigger"} <= set(e) for e in events)
    armed = [event for event in events if event["action"] == "schedule_armed"]
    assert {event["schedule"] for event in armed} == {"nightly", "watch"}


def test_doctor(shop_once: Inside) -> None:
    document: Document = shop_once.json("doctor")
    assert document["ok"] is True
    checks = {finding["check"] for finding in document["findings"]}
    assert checks >= {"config", "modes", "disk", "timezones", "clock", "db house", "llm builtin"}


def test_doctor_names_what_is_wrong(shop: Inside) -> None:
    path = shop.folder / "amxwatch.toml"
    text = path.read_text(encoding="utf-8")
    shop.config(text + '\n[db_profiles.far]\nurl = "env:AMXWATCH_NO_SUCH_VARIABLE"\n')
    path.chmod(0o644)
    document = shop.json("doctor", status=1)
    wrong = {
        finding["check"]: finding for finding in document["findings"] if finding["level"] != "ok"
    }
    assert wrong["db far"]["level"] == "error"
    assert wrong["modes"]["remedy"] == f"chmod 600 {path}"
    assert wrong["daemon"]["remedy"] == "amxwatch daemon"


def test_doctor_looks_at_the_folders_of_intake_and_at_the_state(shop: Inside) -> None:
    text = (shop.folder / "amxwatch.toml").read_text(encoding="utf-8")
    shop.config(text + '[intake]\nfolders = ["drops", "models/schema.sql", "absent"]\n')
    (shop.folder / "drops").mkdir()
    findings = shop.json("doctor", status=1)["findings"]
    intake = {each["message"]: each for each in findings if each["check"] == "intake"}
    assert [each["level"] for each in intake.values()] == ["ok", "error", "error"]
    assert f"{shop.folder}/models/schema.sql is no folder" in intake
    absent = intake[f"{shop.folder}/absent does not exist"]
    assert absent["remedy"].startswith(f"mkdir -p {shop.folder}/absent")
    (state,) = [each for each in findings if each["check"] == "state"]
    assert state["level"] == "ok"
    assert state["message"].startswith(f"{shop.folder}/state.db takes ")
    with closing(sqlite3.connect(shop.folder / "state.db")) as ledger, ledger:
        ledger.execute("UPDATE event SET at = '2001-01-01T00:00:00.000000Z' WHERE id = 1")
    findings = shop.json("doctor", status=1)["findings"]
    (state,) = [each for each in findings if each["check"] == "state"]
    assert state["level"] == "warning"
    assert "events_days = 730" in state["message"]
    assert state["remedy"].startswith("amxwatch daemon")


def test_doctor_asks_each_model(shop: Inside, model_server: ModelServer) -> None:
    text = (shop.folder / "amxwatch.toml").read_text(encoding="utf-8")
    model = '[llm_profiles.{}]\nprovider = "openai"\nmodel = "m"\nbase_url = "{}"\n'
    shop.config(
        text
        + model.format("there", model_server.url)
        + model.format("gone", "http://127.0.0.1:9/v1")
    )
    model_server.say('{"ok": true}')
    findings = shop.json("doctor", status=1)["findings"]
    models = {each["check"]: each for each in findings if each["check"].startswith("llm")}
    assert {name: each["level"] for name, each in models.items()} == {
        "llm builtin": "ok",
        "llm there": "ok",
        "llm gone": "error",
    }
    assert models["llm gone"]["remedy"].endswith("amxwatch llm test gone")
    assert model_server.count == 1


def test_a_broken_config_stops_nothing_that_reads(shop: Inside) -> None:
    before = shop.json("schedule", "list")
    shop.config("[db_profiles.house\nurl = 1\n")
    for words in (("schedule", "list"), ("status",), ("catalog", "show"), ("history", "list")):
        done = shop.run(*words, "--json")
        json.loads(done.stdout)
        assert "amxwatch.toml:1" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert shop.json("schedule", "list") == before
    for words in (("schedule", "pause", "watch"), ("run", "main"), ("catalog", "refresh")):
        done = shop.run(*words, status=2)
        assert "amxwatch.toml:1" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    document = shop.json("doctor", status=2)
    assert document["ok"] is False


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("plain", "plain"),
        ("two\nlines\there", "two lines here"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("turn\u202ened", "turn\\u202ened"),
        ("\udcff", "\\udcff"),
        ("[bold]markup[/bold] 🙂 ü", "[bold]markup[/bold] 🙂 ü"),
    ],
)
def test_names_cannot_drive_the_terminal(name: str, line: str) -> None:
    assert one_line(name) == line
    text = json_text({"name": name})
    assert json.loads(text.encode("utf-8", "backslashreplace")) == {"name": name}
    assert not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in text)


def test_an_empty_install_reads_as_empty(tmp_path: Path) -> None:
    fresh = Inside(tmp_path / "fresh")
    assert fresh.json("schedule", "list") == {"schedules": []}
    assert fresh.json("history", "list") == {"runs": []}
    assert fresh.json("db", "list") == {"profiles": []}
    assert fresh.run("events", "--json").stdout == ""
    assert fresh.json("doctor")["ok"] is True
    assert "no db profile" in fresh.run("catalog", "show", status=2).stderr
