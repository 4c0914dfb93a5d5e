"""The daemon as a service: how it starts, stops, tells of itself and shares its install."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.plugins.install import PATIENCE, Document, Installed
from tests.plugins.model_server import ModelServer
from tests.plugins.postgres import PostgresServer
from tests.surfaces.witness import Witness, repeated

CONFIG = """
[daemon]
poll_seconds = {poll_seconds}

[db_profiles.source]
url = "{url}"

[llm_profiles.model]
provider = "openai"
confidence_signal = "evidence"
model = "test-model"
base_url = "{model}"
max_concurrency = 2

[defaults]
llm_profile = "{llm}"

[schedules.watch]
db_profile = "source"
trigger = {{ type = "change", cadence_cap_hours = 0, settle_seconds = 0 }}
"""


SOON = 30
"""Seconds; the daemon gives its runs five to come to an end. A loaded machine adds its own."""


def config(url: str, *, model: str = "", poll_seconds: float = 0.4) -> str:
    return CONFIG.format(
        url=url,
        model=model or "http://127.0.0.1:9/v1",
        llm="model" if model else "builtin",
        poll_seconds=poll_seconds,
    )


def sqlite_file(path: Path, *tables: str) -> str:
    with closing(sqlite3.connect(path)) as connection:
        script = "".join(f"CREATE TABLE {table} (id INTEGER, email TEXT);" for table in tables)
        connection.executescript(f"BEGIN; {script} COMMIT;")
    return f"sqlite:///{path}"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_file(tmp_path / "source.db", "first")


def test_sigterm_in_the_middle_of_a_drafting_run(
    install: Installed, model_server: ModelServer, url: str
) -> None:
    """It leaves in time; the run goes on after the next start, and nothing is paid twice."""
    model_server.latency = 1.0
    install.config(config(url, model=model_server.url))
    process = install.daemon()
    witness = Witness(install.folder)
    tables = [f"moved_{number}" for number in range(8)]
    sqlite_file(Path(url.removeprefix("sqlite:///")), *tables)
    install.until(lambda: witness.count("request") >= 2, "two replies")
    assert install.stop(process) < SOON
    (run,) = install.runs()
    assert run["status"] == "queued"
    assert install.events("run_released")
    assert install.json("status")["daemon"]["status"] == "not_running"
    model_server.latency = 0.0
    install.daemon()
    assert install.completed_run()["id"] == run["id"]
    assert Counter(draft["table"] for draft in install.pending()) == Counter(tables * 3)
    assert repeated(model_server) == len(install.events("reply_lost")) == 0
    assert install.events("run_recovered") == []


def test_sigterm_while_the_model_hangs(
    install: Installed, model_server: ModelServer, url: str
) -> None:
    install.config(config(url, model=model_server.url))
    process = install.daemon()
    model_server.hang()
    sqlite_file(Path(url.removeprefix("sqlite:///")), "moved")
    install.until(lambda: model_server.in_flight == 1, "a request in flight")
    assert install.stop(process) < SOON
    (run,) = install.runs()
    assert run["status"] == "queued"
    assert len(install.events("reply_lost")) == 1
    install.daemon()
    assert install.completed_run()["id"] == run["id"]
    assert repeated(model_server) == 1


def test_status_of_the_daemon(install: Installed, url: str) -> None:
    def said() -> str:
        return str(install.json("status")["daemon"]["status"])

    install.config(config(url, poll_seconds=30))
    assert said() == "never_started"
    process = install.daemon("--poll-seconds", "0.3")
    assert said() == "running"
    second = install.run("daemon", "--max-cycles", "1", status=1)
    assert second.stderr.count("\n") == 1
    assert f"another daemon (pid {process.pid} on" in second.stderr
    install.stop(process)
    assert said() == "not_running"
    killed = install.daemon("--poll-seconds", "0.3")
    install.kill(killed)
    assert said() == "running"
    age_the_heartbeat(install.folder)
    assert said() == "stale"
    assert install.json("schedule", "status")["daemon"]["status"] == "stale"


def age_the_heartbeat(folder: Path) -> None:
    """Make the last heartbeat an hour old, as it is when a killed daemon is asked about later."""
    with closing(sqlite3.connect(folder / "state.db")) as ledger, ledger:
        query = "SELECT value FROM installation WHERE key = 'daemon'"
        state = json.loads(ledger.execute(query).fetchone()[0])
        beat = datetime.fromisoformat(state["heartbeat_at"])
        state["heartbeat_at"] = datetime.fromtimestamp(beat.timestamp() - 3600, UTC).isoformat()
        ledger.execute(
            "UPDATE installation SET value = ? WHERE key = 'daemon'", [json.dumps(state)]
        )


def test_max_cycles_ends_once_the_runs_have(install: Installed, tmp_path: Path, url: str) -> None:
    install.config(config(url))
    install.run("catalog", "refresh", "source")
    install.run("daemon", "--max-cycles", "1")
    sqlite_file(tmp_path / "source.db", "moved")
    done = install.run("daemon", "--json", "--max-cycles", "2", "--poll-seconds", "0.2")
    cycles = [json.loads(line) for line in done.stdout.splitlines()]
    assert [cycle["cycle"] for cycle in cycles][-1] == 2
    assert "fire" in {result["action"] for cycle in cycles for result in cycle["results"]}
    (run,) = install.runs()
    assert run["status"] == "completed"
    assert install.json("status")["daemon"]["status"] == "not_running"


def test_a_database_that_comes_up_later(
    install: Installed, postgres_server: PostgresServer, postgres_url: str
) -> None:
    """Down at start: said since when; the last snapshot stays; served once it is back."""
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE first (id int)")
    install.config(config(postgres_url))
    install.run("catalog", "refresh", "source")
    install.run("daemon", "--max-cycles", "1")
    postgres_server.stop()
    try:
        install.daemon()
        down = source_of(install)
        assert down["status"] == "down"
        assert down["failing_since"] is not None
        assert "cannot be reached" in down["error"]
        assert down["snapshot"] == 1
        assert "first" in install.run("catalog", "show", "--db", "source").stdout
        (event,) = install.events("source_down")
        assert event["db_profile"] == "source"
    finally:
        postgres_server.resume()
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE moved (id int)")
    install.completed_run()
    assert {draft["table"] for draft in install.pending()} == {"moved"}
    up = source_of(install)
    assert (up["status"], up["failing_since"]) == ("ok", None)
    assert len(install.events("source_up")) == len(install.events("source_down")) == 1


def source_of(install: Installed) -> Document:
    (source,) = install.json("status")["sources"]
    return dict(source)


def test_a_due_tick_fires_once_however_many_look(install: Installed, url: str) -> None:
    tick = """
[schedules.tick]
db_profile = "source"
kind = "cache_refresh"
trigger = { type = "cron", cron = "HOUR" }
"""
    # Twelve hours from now: no other tick comes due while this runs.
    due = (datetime.now(UTC) - timedelta(hours=12)).replace(minute=0, second=0, microsecond=0)
    install.config(config(url) + tick.replace("HOUR", f"0 {due.hour} * * *"))
    install.run("schedule", "run-due", "--quiet")
    assert install.events("run_queued") == []
    # A tick came due while nothing ran; now three processes find it at once.
    arm_days_ago(install.folder)
    daemon = install.popen()
    command = install.command("schedule", "run-due", "--quiet")
    others = [subprocess.Popen(command, env=install.env) for _ in range(2)]
    assert [other.wait(PATIENCE) for other in others] == [0, 0]
    witness = Witness(install.folder)
    install.until(lambda: witness.has_taken_a_turn(daemon), "a first turn")
    install.until(lambda: not witness.unfinished(), "end of the run")
    ((due_at, status),) = witness.rows("SELECT due_at, status FROM run WHERE schedule = 'tick'")
    assert datetime.fromisoformat(due_at) == due
    assert status == "completed"
    assert len(install.events("run_started")) == 1
    install.stop(daemon)


def arm_days_ago(folder: Path) -> None:
    """Let the schedule be as old as if nothing had run for two days."""
    armed_at = (datetime.now(UTC) - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    with closing(sqlite3.connect(folder / "state.db")) as ledger, ledger:
        ledger.execute("UPDATE schedule SET armed_at = ? WHERE name = 'tick'", [armed_at])


def test_a_sql_file_that_does_not_parse(install: Installed, tmp_path: Path) -> None:
    """It is reported with its place; the rest of the folder counts, and its own old version."""
    folder = tmp_path / "models"
    folder.mkdir()
    good, bad = folder / "good.sql", folder / "bad.sql"
    good.write_text("CREATE TABLE good (id int);\n", encoding="utf-8")
    bad.write_text("CREATE TABLE bad (id int, email text);\n", encoding="utf-8")
    install.config(config(f"ddl:///{folder}?dialect=postgres"))
    install.daemon()
    bad.write_text(
        "CREATE TABLE bad (\n  id int,\n  email text text text,,\n);\n", encoding="utf-8"
    )
    good.write_text("CREATE TABLE good (id int, happened_at date);\n", encoding="utf-8")
    install.completed_run()
    (event,) = install.events("source_problem")
    assert (event["file"], event["line"]) == (str(bad), 3)
    assert event["column"] > 0
    assert event["error"]
    (problem,) = source_of(install)["problems"]
    assert f"{bad}:3:" in problem
    assert {(d["table"], d["column"]) for d in install.pending()} == {("good", "happened_at")}
    assert "email" in install.run("catalog", "show", "public.bad", "--db", "source").stdout
    bad.write_text("CREATE TABLE bad (id int, email text);\n", encoding="utf-8")
    install.until(lambda: source_of(install)["problems"] == [], "end of the problem")
    assert len(install.runs()) == 1
