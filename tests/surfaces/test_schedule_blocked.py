"""Runs that wait for a person, runs that failed, and what is told at the next start."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pexpect
import pytest

from tests.plugins.install import PATIENCE, Document, Installed
from tests.plugins.model_server import ModelServer

CONFIG = """
[db_profiles.shop]
url = "{url}"

[llm_profiles.model]
provider = "openai"
confidence_signal = "evidence"
model = "test-model"
base_url = "{model}"
api_key = "env:MODEL_KEY"

[defaults]
llm_profile = "model"

[schedules.tick]
db_profile = "shop"
trigger = {{ type = "every", minutes = 0.02 }}
max_retries = {retries}
"""


@pytest.fixture
def ticking(install: Installed, model_server: ModelServer, tmp_path: Path) -> Installed:
    """An install whose one schedule is due at every look but the first."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.executescript("CREATE TABLE item (item_id INTEGER PRIMARY KEY, price NUMERIC);")
    install.env["MODEL_KEY"] = "sk-test"
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    install.config(CONFIG.format(url=url, model=model_server.url, retries=0))
    install.run("schedule", "run-due", "--quiet")
    return install


def due(install: Installed, *words: str, status: int = 0) -> Document:
    """Wait until a tick has come due that was not there before, and run it."""
    count = len(install.runs())
    found: Document = {}

    def fired() -> bool:
        done = install.run("schedule", "run-due", "--json", *words, status=None)
        found.update(json.loads(done.stdout), status=done.returncode)
        return len(install.runs()) > count or found["results"][0]["action"] == "blocked"

    install.until(fired, "a due tick")
    assert found["status"] == status, found
    return found


def test_a_refused_key_blocks_its_schedule_until_a_person_mends_it(
    ticking: Installed, model_server: ModelServer
) -> None:
    refused = {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}
    model_server.answer(401, refused)
    (result,) = due(ticking, status=1)["results"]
    recovery = f"amxwatch unblock {result['run_id']}"
    assert (result["status"], result["blocked_category"], result["recovery_action"]) == (
        "blocked",
        "credentials",
        recovery,
    )
    line = f"Schedule blocked: tick (credentials). Recovery: {recovery}"
    assert line in ticking.run("schedule", "run-due").stdout.splitlines()
    assert line in ticking.run("status").stdout.splitlines()
    cycles = ticking.run("daemon", "--max-cycles", "2", "--poll-seconds", "0.2").stdout
    assert cycles.splitlines().count(line) == 1, "told once, not at every poll"
    (blocked,) = ticking.json("status")["blocked"]
    assert (blocked["category"], blocked["recovery_action"]) == ("credentials", recovery)
    (event,) = ticking.events("run_blocked")
    assert event["recovery_action"] == recovery
    assert len(ticking.runs()) == 1, "nothing starts meanwhile, and nothing recovers it"
    passed = ticking.events("schedule_passed_over")
    assert len({event["due_at"] for event in passed}) == len(passed) >= 1
    listed = ticking.json("schedule", "list")["schedules"][0]
    assert (listed["status"], listed["skip_reason"]) == (
        "blocked",
        f"run {result['run_id']} is blocked",
    )
    ticking.run(*recovery.split()[1:])
    ticking.run("schedule", "run-due")
    (done, *_) = [run for run in ticking.runs() if run["id"] == result["run_id"]]
    assert done["status"] == "completed"


def test_a_run_whose_every_object_failed_is_failed(
    ticking: Installed, model_server: ModelServer
) -> None:
    model_server.script = [model_server_garbage(model_server) for _ in range(20)]
    due(ticking, status=1)
    (run,) = ticking.runs()
    assert (run["status"], run["failure_category"], run["drafted"]) == ("failed", "provider", 0)
    assert "no object could be drafted" in run["error"]


def model_server_garbage(server: ModelServer) -> object:
    server.garbage()
    return server.script.pop()


@pytest.mark.parametrize("product", ["postgres", "mariadb"])
def test_a_refused_password_blocks(
    install: Installed, request: pytest.FixtureRequest, product: str
) -> None:
    url: str = request.getfixturevalue(f"{product}_url")
    wrong = re.sub(r"//[^@/]+@", "//locked_out:secret@", url)
    install.config(f'[db_profiles.shop]\nurl = "{url}"\n')
    install.run("catalog", "refresh", "shop")
    install.config(f'[db_profiles.shop]\nurl = "{wrong}"\n')
    done = install.run("run", "--json", status=1)
    run = json.loads(done.stdout.splitlines()[-1])
    assert (run["status"], run["failure_category"]) == ("blocked", "credentials")
    assert "secret" not in done.stdout + done.stderr
    install.config(f'[db_profiles.shop]\nurl = "{url}"\n')
    install.run("unblock", run["id"])
    install.run("schedule", "run-due", "--quiet")
    (mended,) = [each for each in install.runs() if each["id"] == run["id"]]
    assert mended["status"] != "blocked"


# -- the banner ------------------------------------------------------------------------------


def at_a_terminal(install: Installed, *words: str) -> str:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "amxwatch", *words],
        env={**os.environ, **install.env, "TERM": "dumb"},
        encoding="utf-8",
        timeout=PATIENCE,
        dimensions=(40, 200),
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    return str(child.before)


def test_what_happened_meanwhile_is_told_once_at_the_next_start(
    install: Installed, model_server: ModelServer, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.executescript("CREATE TABLE item (item_id INTEGER PRIMARY KEY, price NUMERIC);")
    install.env["MODEL_KEY"] = "sk-test"
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    install.config(CONFIG.format(url=url, model=model_server.url, retries=0))
    model_server.hang()
    daemon = install.daemon("--poll-seconds", "0.3")
    install.until(lambda: model_server.in_flight == 1, "a request in flight")
    install.kill(daemon)
    model_server.release()
    for name in ("once", "twice"):
        install.run("schedule", "add", "--name", name, "--at", "2031-01-01 00:00", "--db", "shop")
    with closing(sqlite3.connect(install.folder / "state.db")) as state, state:
        # As if these had come due while nothing ran.
        for name in ("once", "twice"):
            (file,) = (install.folder / "schedules.d").glob(f"{name}*.toml")
            file.write_text(file.read_text().replace("2031-01-01", "2026-01-01"))
            mark = state.execute(
                "SELECT trigger_hash FROM schedule WHERE name = ?", [name]
            ).fetchone()[0]
            state.execute(
                "UPDATE schedule SET armed_at = '2026-01-01T00:00:00.000000Z', trigger_hash = ?"
                " WHERE name = ?",
                [mark.replace("2031-01-01", "2026-01-01"), name],
            )
    line = (
        "amxwatch: 1 interrupted run recovered; 2 schedules missed while amxwatch was not running."
        " See: amxwatch schedule list"
    )
    for words in (("schedule", "list"), ("schedule", "list", "--json")):
        done = install.run(*words)
        assert "interrupted" not in done.stdout + done.stderr, "not in pipes"
    assert "interrupted" not in at_a_terminal(install, "schedule", "list", "--json")
    assert "interrupted" not in at_a_terminal(install, "--help")
    assert line in at_a_terminal(install, "schedule", "list").splitlines()
    assert "interrupted" not in at_a_terminal(install, "schedule", "list"), "once"
    listed = {one["name"]: one["status"] for one in install.json("schedule", "list")["schedules"]}
    assert (listed["once"], listed["twice"]) == ("missed", "missed")
    assert install.json("schedule", "skip", "once")["status"] == "cancelled"
    install.run("schedule", "run-now", "twice")
    assert install.json("status")["missed"] == []


# -- a schedule whose config went wrong ------------------------------------------------------


def test_a_profile_that_vanished_is_told_of_its_schedule_and_the_others_go_on(
    ticking: Installed,
) -> None:
    text = (ticking.folder / "amxwatch.toml").read_text()
    lost = text + '\n[schedules.lost]\ndb_profile = "other"\nkind = "cache_refresh"\n'
    lost += 'trigger = { type = "every", minutes = 0.02 }\n'
    other = '\n[db_profiles.other]\nurl = "sqlite:///other.db"\n'
    with closing(sqlite3.connect(ticking.folder / "other.db")) as database:
        database.execute("CREATE TABLE a (id INTEGER)")
    ticking.config(lost + other)
    ticking.daemon("--poll-seconds", "0.3")
    ticking.config(lost)
    ticking.until(lambda: ticking.events("config_rejected"), "the refusal")

    def told() -> bool:
        cycles = [json.loads(line) for line in ticking.log().splitlines() if line[:1] == "{"]
        results = [result for cycle in cycles for result in cycle["results"]]
        mine = [str(result["skip_reason"]) for result in results if result["schedule"] == "lost"]
        return any("db_profile" in reason for reason in mine)

    ticking.until(told, "the reason in its result")
    listed = {one["name"]: one for one in ticking.json("schedule", "list")["schedules"]}
    assert "'other'" in listed["lost"]["skip_reason"]
    assert "the last good config is used" in listed["lost"]["skip_reason"]
    assert "lost: amxwatch.toml" in ticking.run("schedule", "list").stdout
    count = len(ticking.runs())
    ticking.until(lambda: len(ticking.runs()) > count, "a run of another schedule")


def test_a_zone_whose_data_is_gone_stops_its_schedule_alone(ticking: Installed) -> None:
    text = (ticking.folder / "amxwatch.toml").read_text()
    zoned = '\n[schedules.zoned]\ndb_profile = "shop"\n'
    zoned += 'trigger = { type = "cron", cron = "0 3 * * *", timezone = "Asia/Calcutta" }\n'
    ticking.config(text + zoned)
    ticking.run("schedule", "run-due", "--quiet", status=None)
    listed = {one["name"]: one for one in ticking.json("schedule", "list")["schedules"]}
    assert listed["zoned"]["timezone"] == "Asia/Calcutta", "a name of old is understood"
    # As after an update of the zone data that drops the name: also from the stored config.
    ticking.config(text + zoned.replace("Calcutta", "Nowhere"))
    with closing(sqlite3.connect(ticking.folder / "state.db")) as state, state:
        query = "SELECT value FROM installation WHERE key = 'good_config'"
        kept = state.execute(query).fetchone()[0].replace("Calcutta", "Nowhere")
        state.execute("UPDATE installation SET value = ? WHERE key = 'good_config'", [kept])
    done = ticking.run("schedule", "list", "--json")
    assert {one["name"] for one in json.loads(done.stdout)["schedules"]} == {"tick"}
    assert "schedules.zoned.trigger" in done.stderr
    count = len(ticking.runs())
    ticking.daemon("--poll-seconds", "0.3")
    ticking.until(lambda: len(ticking.runs()) > count, "a run of the other schedule")
