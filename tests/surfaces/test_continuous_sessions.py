"""Continuous sessions by real processes: the daemon, the command line, and their deaths."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.plugins.install import Installed
from tests.surfaces.conftest import Inside
from tests.surfaces.witness import Witness

CONFIG = """
[daemon]
poll_seconds = 0.4

[db_profiles.house]
url = "duckdb:///house.duckdb"
{schedule}
"""

PILOT = """
[schedules.pilot]
db_profile = "house"
review_strategy = "{strategy}"
trigger = {{ type = "every", minutes = 0.02 }}

[schedules.pilot.continuous]
enabled = true
vision_path = "VISION.md"
on_idle = "{on_idle}"
{more}
"""

TABLES = ("customer", "orders", "payment")
GOALS = "".join(f"- [ ] `main.{name}`: described\n" for name in TABLES)

Document = dict[str, Any]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Inside]:
    """Three tables without a word, and a goals file that wants each described."""
    made = Inside(tmp_path / "config")
    made.config(CONFIG.format(schedule=""))
    with duckdb.connect(str(made.folder / "house.duckdb")) as connection:
        for name in TABLES:
            connection.execute(f"CREATE TABLE {name} ({name}_id INTEGER, created_at TIMESTAMP)")
    (made.folder / "VISION.md").write_text(GOALS, encoding="utf-8")
    yield made
    made.close()


def fly(house: Installed, *, strategy: str = "auto", on_idle: str = "exit", more: str = "") -> None:
    """Put the continuous schedule in the config."""
    plan = PILOT.format(strategy=strategy, on_idle=on_idle, more=more)
    house.config(CONFIG.format(schedule=plan))


def status_of(house: Installed) -> str | None:
    """Return the status of the open session, from the ledger's file itself."""
    witness = Witness(house.folder)
    if not (house.folder / "state.db").exists():
        return None
    if not witness.count("sqlite_master", "name = 'session'"):
        return None
    found = witness.rows("SELECT status FROM session WHERE ended_at IS NULL")
    return str(found[0][0]) if found else None


def session(house: Installed) -> Document | None:
    found: Document | None = house.json("status")["continuous_session"]
    return found


def vision(house: Installed) -> str:
    return str(house.folder / "VISION.md")


def undescribed(folder: Path) -> int:
    with duckdb.connect(str(folder / "house.duckdb"), read_only=True) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM duckdb_columns() WHERE NOT internal AND comment IS NULL)"
            " + (SELECT count(*) FROM duckdb_tables() WHERE NOT internal AND comment IS NULL)"
        ).fetchone()
    assert row is not None
    return int(row[0])


def lines(done: subprocess.CompletedProcess[str]) -> list[Document]:
    return [json.loads(line) for line in done.stdout.splitlines()]


# -- the command line ------------------------------------------------------------------------


def test_a_session_of_the_command_line_reaches_its_goals(house: Installed) -> None:
    call = ("run", "--continuous", "--vision", vision(house), "--strategy", "auto", "--json")
    said = lines(house.run(*call))
    steps = [line for line in said if "action" in line and "session" in line]
    assert [step["action"] for step in steps] == ["fire"] * 3 + ["ended"]
    assert steps[-1]["session"]["status"] == "completed"
    assert steps[-1]["session"]["runs_completed"] == 3
    assert [goal["met"] for goal in steps[-1]["goals"]] == [True] * 3
    assert undescribed(house.folder) == 0
    assert {run["trigger"] for run in house.runs()} == {"continuous"}
    assert session(house) is None
    again = lines(house.run(*call))
    assert [line["action"] for line in again] == ["ended"]
    assert len(house.runs()) == 3


def test_what_is_not_reached_leaves_with_1_and_says_where_it_stands(house: Installed) -> None:
    bounds = ("--max-idle-cycles", "1", "--poll-seconds", "0.1")
    done = house.run("run", "--continuous", "--vision", vision(house), *bounds, status=1)
    assert "table:main.customer: coverage 100% stands at 0.0%, 3 drafts wait" in done.stderr
    assert len(house.runs()) == 3
    done = house.run(
        "run", "--continuous", "--vision", vision(house), *bounds, "--max-runs", "1", status=1
    )
    assert "what is left waits for a person: amxwatch review" in done.stderr
    assert len(house.runs()) == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--continuous",), "--continuous needs --vision FILE"),
        (("--vision", "VISION.md"), "--vision goes with --continuous"),
        (("--max-runs", "2"), "--max-runs goes with --continuous"),
        (("--continuous", "--vision", "absent.md"), "absent.md cannot be read: No such file"),
        (("--continuous", "--vision", "."), "cannot be read: Is a directory"),
        (("--continuous", "--vision", "x", "--table", "t"), "do not go with --continuous"),
        (("--continuous", "--vision", "x", "--max-usd", "0"), "allowed: an amount above 0"),
        (("--continuous", "--vision", "x", "--max-runs", "0"), "--max-runs"),
    ],
)
def test_wrong_calls_say_what_to_give(house: Installed, words: tuple[str, ...], says: str) -> None:
    done = house.run("run", *words, status=2)
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert house.runs() == []


def test_ctrl_c_ends_a_session_in_good_order(house: Installed) -> None:
    process = waiting(house)
    shown = session(house)
    assert shown is not None
    assert shown["status"] == "waiting_review"
    assert (shown["owner_type"], shown["vision_path"]) == ("cli", vision(house))
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=90) == 130
    assert session(house) is None
    (event,) = house.events("session_ended")
    assert event["reason"] == "the process that ran it was stopped"


def test_a_session_whose_process_was_killed_is_ended_by_the_next_turn(house: Installed) -> None:
    process = waiting(house)
    process.kill()
    process.wait()
    assert session(house) is None
    house.run("schedule", "run-due")
    (event,) = house.events("session_ended")
    assert event["reason"] == "the process that ran it died"


def waiting(house: Installed) -> subprocess.Popen[bytes]:
    """Start a session that comes to wait for people."""
    process = subprocess.Popen(
        house.command(
            "run", "--continuous", "--vision", vision(house), "--poll-seconds", "60", "--json"
        ),
        stdout=subprocess.DEVNULL,
        env=house.env,
    )
    house.until(lambda: status_of(house) == "waiting_review", "a session that waits")
    return process


# -- the daemon ------------------------------------------------------------------------------


def test_a_daemon_takes_a_session_to_its_goals_through_kills(house: Installed) -> None:
    fly(house)
    witness = Witness(house.folder)
    moments = random.Random(4)
    process = house.popen()
    house.until((house.folder / "state.db").exists, "a state database")
    house.until(lambda: witness.count("sqlite_master", "name = 'session'"), "its tables")
    for runs in (1, 2):
        house.until(lambda n=runs: witness.count("run") >= n, f"run {runs}")  # type: ignore[misc]
        time.sleep(moments.uniform(0, 0.4))
        house.kill(process)
        process = house.popen()
    house.until(lambda: witness.events("session_ended"), "the end of the session")
    first = witness.rows("SELECT id, status, runs_started FROM session ORDER BY started_at")[0]
    assert first[1:] == ("completed", 3)
    keys = [key for (key,) in witness.rows("SELECT unique_key FROM run ORDER BY unique_key")]
    assert keys == [f"{first[0]}:{number}" for number in (1, 2, 3)]
    assert witness.rows("SELECT DISTINCT status FROM run") == [("completed",)]
    assert undescribed(house.folder) == 0
    assert witness.count("session", "ended_at IS NULL") <= 1
    house.stop(process)


def test_with_manual_review_it_waits_and_goes_on_when_people_are_done(house: Installed) -> None:
    fly(house, strategy="manual", on_idle="human_review", more="max_idle_cycles = 2")
    house.popen()
    witness = Witness(house.folder)

    house.until(lambda: status_of(house) == "waiting_review", "a session that waits for review")
    assert witness.count("run") == 3
    polls = witness.value("SELECT value FROM installation WHERE key = 'daemon'")
    cycle = json.loads(polls)["last_cycle_result"]["cycle"]

    def later() -> bool:
        said = witness.value("SELECT value FROM installation WHERE key = 'daemon'")
        return bool(json.loads(said)["last_cycle_result"]["cycle"] >= cycle + 8)

    house.until(later, "eight more polls")
    assert witness.count("run") == 3
    assert status_of(house) == "waiting_review"
    house.run("review", "--strategy", "accept-all")
    house.run("apply", "-y")
    house.until(lambda: witness.events("session_ended"), "the end of the session")
    (event,) = house.events("session_ended")[:1]
    assert (event["status"], event["reason"]) == ("completed", "every goal is met")
    assert [e["goal"] for e in house.events("goal_met")][:3] == [
        f"table:main.{name}: coverage 100%" for name in TABLES
    ]


def test_pause_holds_a_session_and_resume_goes_on_with_it(house: Installed) -> None:
    fly(house, on_idle="perpetual")
    (house.folder / "VISION.md").write_text("# Nothing yet\n", encoding="utf-8")
    house.popen()
    house.until(lambda: status_of(house) == "idle", "a session")
    before = session(house)
    assert before is not None
    house.run("schedule", "pause", "pilot")
    house.until(lambda: status_of(house) == "paused", "a pause")
    (house.folder / "VISION.md").write_text(GOALS, encoding="utf-8")
    assert house.runs() == []
    house.run("schedule", "resume", "pilot")
    witness = Witness(house.folder)
    done = "status = 'completed'"
    house.until(lambda: witness.count("run", done) == 3, "the goals")
    after = session(house)
    assert after is not None
    assert after["session_id"] == before["session_id"]
    assert "session" in house.run("status").stdout
