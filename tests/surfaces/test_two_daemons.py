"""Several processes on one install: one owns the heartbeat, and each firing starts once."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from tests.plugins.install import PATIENCE, Document, Installed
from tests.plugins.model_server import ModelServer
from tests.surfaces.test_daemon_service import config, sqlite_file
from tests.surfaces.witness import Witness

TICKING = """
[schedules.tick]
db_profile = "source"
kind = "cache_refresh"
trigger = { type = "every", minutes = 0.02 }
catch_up = "all"
skip_if_running = false
max_concurrent = 2
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_file(tmp_path / "source.db", "first")


def lines(path: Path) -> list[Document]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


def start(install: Installed, log: Path, *words: str) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            install.command("daemon", "--json", *words), stdout=out, stderr=out, env=install.env
        )


def test_the_second_says_who_owns_the_heartbeat_and_takes_over(
    install: Installed, tmp_path: Path, url: str
) -> None:
    install.config(config(url, poll_seconds=0.5))
    first = install.daemon()
    log = tmp_path / "second.log"
    second = start(install, log)
    try:
        install.until(lambda: log.exists() and lines(log), "the second's first line")
        told = lines(log)[0]
        assert (told["ok"], told["results"]) == (True, [])
        holder = told["standby"]
        assert holder["pid"] == first.pid
        assert holder["host"]
        assert datetime.fromisoformat(holder["since"]) <= datetime.now(UTC)
        said = install.run("daemon", "--max-cycles", "1", status=1)
        assert f"pid {first.pid}" in said.stderr
        assert said.stderr.count("\n") == 1
        assert install.json("status")["daemon"]["pid"] == first.pid
        install.config(config(url, poll_seconds=0.5) + TICKING)  # edited while it stands by
        install.kill(first)
        # Before the first one's beat is stale, which takes half a minute.
        install.until(lambda: len(lines(log)) > 1, "a cycle of the second", 25)
        found = install.until(
            lambda: (said := install.json("status")["daemon"])["pid"] == second.pid and said,
            "the second's heartbeat",
        )
        assert found["status"] == "running"
        install.until(lambda: install.events("run_completed"), "a run of the new config")
    finally:
        second.send_signal(signal.SIGTERM)
        assert second.wait(PATIENCE) == 0
    assert install.json("status")["daemon"]["status"] == "not_running"


def test_one_that_stands_by_leaves_in_good_order(
    install: Installed, tmp_path: Path, url: str
) -> None:
    install.config(config(url))
    first = install.daemon()
    log = tmp_path / "second.log"
    second = start(install, log)
    install.until(lambda: log.exists() and lines(log), "the second's first line")
    second.send_signal(signal.SIGTERM)
    assert second.wait(PATIENCE) == 0
    assert install.json("status")["daemon"]["pid"] == first.pid
    assert install.events("daemon_stopped") == []


def test_everything_at_once_starts_each_firing_once(
    install: Installed, tmp_path: Path, url: str
) -> None:
    """Two daemons, `run-due` from a cron, and people who `run-now`, on one folder."""
    install.config(config(url, poll_seconds=0.2) + TICKING)
    install.run("schedule", "run-due", "--quiet")
    daemons = [start(install, tmp_path / f"{number}.log") for number in range(2)]
    witness = Witness(install.folder)
    ended = "SELECT count(*) FROM run WHERE status = 'completed'"
    try:
        install.until(lambda: witness.rows(ended)[0][0] >= 3, "three runs")
        words = [("run-due", "--quiet"), ("run-due", "--quiet"), ("run-now", "tick")]
        others = [
            subprocess.Popen(
                install.command("schedule", *each), env=install.env, stdout=subprocess.DEVNULL
            )
            for each in words * 2
        ]
        assert [other.wait(PATIENCE) for other in others] == [0] * 6
    finally:
        for daemon in daemons:
            daemon.send_signal(signal.SIGTERM)
        assert [daemon.wait(PATIENCE) for daemon in daemons] == [0, 0]
    runs = witness.rows("SELECT id, unique_key, due_at, trigger FROM run WHERE schedule = 'tick'")
    ticks = [run for run in runs if run[3] == "schedule"]
    assert len([run for run in runs if run[3] == "manual"]) == 2
    assert max(Counter(key for _, key, _, _ in ticks).values()) == 1
    due = sorted(datetime.fromisoformat(at) for _, _, at, _ in ticks)
    gaps = {round((later - earlier).total_seconds(), 3) for earlier, later in pairwise(due)}
    assert gaps == {1.2}, "and none is left out"
    started = Counter(event["run_id"] for event in install.events("run_started"))
    recovered = Counter(event["run_id"] for event in install.events("run_released"))
    assert all(count == 1 + recovered[run] for run, count in started.items())


def test_the_heartbeat_goes_on_while_a_run_and_a_turn_are_slow(
    install: Installed, model_server: ModelServer, tmp_path: Path, url: str
) -> None:
    install.config(config(url, model=model_server.url, poll_seconds=0.3))
    install.daemon()
    model_server.hang()
    sqlite_file(tmp_path / "source.db", "moved")
    install.until(lambda: model_server.in_flight == 1, "a request in flight")
    first = install.json("status")["daemon"]["last_heartbeat_at"]
    install.until(
        lambda: install.json("status")["daemon"]["last_heartbeat_at"] > first, "another beat"
    )
    assert model_server.in_flight == 1
    assert install.json("status")["runs"]["running"] == 1
    model_server.release()
    install.completed_run()
