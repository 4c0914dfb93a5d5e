"""Alerts from outside: real commands and a real daemon tell a real web server."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import anyio
import pytest

from amxwatch.clocks.system import SystemClock
from amxwatch.ports.ledger import Tx
from amxwatch.stores.ledger import open_ledger
from tests.plugins.install import PATIENCE, Installed
from tests.plugins.webhook import SECRET, Hook
from tests.surfaces.conftest import Inside

CONFIG = """
[db_profiles.shop]
url = "sqlite:///shop.db"

[alerts]
consecutive_failures = 2

[alerts.targets.ops]
type = "webhook"
url = "file:hook.url"
secret = "file:hook.secret"
timeout_seconds = {timeout}
kinds = ["added", "removed"]
ignore = ["*.tmp_*"]

[schedules.sweep]
kind = "cache_refresh"
db_profile = "shop"
max_retries = 0
trigger = {{ type = "every", minutes = {minutes} }}
"""


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Inside]:
    """An install whose commands run in this process, and whose daemons are processes."""
    made = Inside(tmp_path / "config")
    made.folder.chmod(0o700)
    yield made
    made.close()


def configure(
    install: Installed, hook: Hook, *, minutes: float = 0.017, timeout: float = 10
) -> None:
    reach(install, url=hook.url, secret=SECRET)
    install.config(CONFIG.format(minutes=minutes, timeout=timeout))


def reach(install: Installed, **values: str) -> None:
    """Set the url or the secret that the config refers to."""
    for name, value in values.items():
        (install.folder / f"hook.{name}").write_text(value)


def in_shop(install: Installed, *statements: str) -> None:
    connection = sqlite3.connect(install.folder / "shop.db")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def fail_runs(install: Installed, count: int) -> None:
    """Let so many runs fail: there is no such database."""
    install.run("schedule", "run-due", status=None)
    while len([run for run in install.runs() if run["status"] == "failed"]) < count:
        time.sleep(0.5)
        install.run("schedule", "run-due", status=None)


def told(hook: Hook) -> list[str]:
    return [f"{one.document['type']} {one.document['data']['kind']}" for one in hook.posted]


# -- run-due ---------------------------------------------------------------------------------


def test_run_due_tells_of_a_streak_once_and_of_its_end_once(install: Inside, hook: Hook) -> None:
    configure(install, hook)
    fail_runs(install, 1)
    assert told(hook) == []
    fail_runs(install, 4)
    assert told(hook) == ["alert.opened failure_streak"]
    in_shop(install, "CREATE TABLE item (id INTEGER PRIMARY KEY)")
    while not any(run["status"] == "completed" for run in install.runs()):
        time.sleep(0.5)
        install.run("schedule", "run-due", status=None)
    install.run("schedule", "run-due", status=None)
    assert told(hook) == ["alert.opened failure_streak", "alert.recovered failure_streak"]
    opened, recovered = hook.posted
    assert opened.id != recovered.id
    assert opened.document["data"]["schedule"] == "sweep"
    assert opened.document["data"]["id"] == recovered.document["data"]["id"]
    (listed,) = install.json("alerts", "list")["alerts"]
    assert listed["status"] == "recovered"
    assert [one["phase"] for one in listed["told"]] == ["opened", "recovered"]
    assert all(one["told_at"] for one in listed["told"])


def test_a_missed_firing_is_told_until_a_person_decided(install: Inside, hook: Hook) -> None:
    configure(install, hook)
    in_shop(install, "CREATE TABLE item (id INTEGER PRIMARY KEY)")
    text = (install.folder / "amxwatch.toml").read_text()
    (install.folder / "amxwatch.toml").write_text(
        text
        + '[schedules.once]\ndb_profile = "shop"\nkind = "cache_refresh"\n'
        + 'trigger = { type = "at", at = "2026-01-02 03:04", timezone = "Europe/Istanbul" }\n'
    )
    for _ in range(2):
        install.run("schedule", "run-due", "--schedule", "once", status=None)
    assert told(hook) == ["alert.opened missed"]
    shown = install.json("schedule", "show", "once")
    assert shown["skips"][0]["reason"].startswith("missed")
    install.run("schedule", "skip", "once")
    install.run("schedule", "run-due", "--schedule", "once", status=None)
    assert told(hook) == ["alert.opened missed", "alert.recovered missed"]


def test_a_heartbeat_that_stopped_is_told_by_run_due(install: Inside, hook: Hook) -> None:
    configure(install, hook, minutes=600)
    in_shop(install, "CREATE TABLE item (id INTEGER PRIMARY KEY)")
    daemon = install.daemon("--poll-seconds", "1")
    install.kill(daemon)
    age_heartbeat(install.folder)
    assert install.json("status")["daemon"]["status"] == "stale"
    assert told(hook) == []  # reading tells nobody
    for _ in range(2):
        install.run("schedule", "run-due", status=None)
    assert told(hook) == ["alert.opened daemon_stale"]
    install.daemon("--poll-seconds", "1")
    hook.until(2)
    assert told(hook) == ["alert.opened daemon_stale", "alert.recovered daemon_stale"]


def age_heartbeat(folder: Path) -> None:
    """Let the last heartbeat be an hour old."""

    async def age() -> None:
        ledger = open_ledger(folder / "state.db", SystemClock())

        def work(tx: Tx) -> None:
            state = tx.installation.daemon()
            assert state is not None
            hour_ago = state.heartbeat_at - timedelta(hours=1)
            tx.installation.beat(replace(state, heartbeat_at=hour_ago))

        await ledger.write(work)
        await ledger.aclose()

    anyio.run(age)


# -- the daemon ------------------------------------------------------------------------------


def test_the_daemon_tells_of_changes_in_scope(install: Inside, hook: Hook) -> None:
    configure(install, hook, minutes=600)
    in_shop(install, "CREATE TABLE item (id INTEGER PRIMARY KEY)")
    install.daemon("--poll-seconds", "1")
    install.until(lambda: install.events("snapshot_taken"), "first snapshot")
    in_shop(
        install,
        "CREATE TABLE tmp_1 (id INTEGER PRIMARY KEY)",
        "CREATE TABLE invoice (id INTEGER PRIMARY KEY)",
    )
    hook.until(1)
    changes = [line for one in hook.posted for line in one.document["data"]["changes"]]
    assert changes == ["added table main.invoice"]
    assert {one["status"] for one in install.json("alerts", "list")["alerts"]} == {"noted"}


def test_a_webhook_that_hangs_delays_no_poll(install: Inside, hook: Hook) -> None:
    configure(install, hook, timeout=300)
    hook.hold.clear()
    install.daemon("--poll-seconds", "0.5")
    hook.until(1)
    began = cycle(install)
    install.until(lambda: cycle(install) >= began + 6, "six more polls")
    assert len(hook.posted) == 1  # it still waits for its answer
    hook.hold.set()
    install.until(lambda: install.events("alert_sent"), "told alert")


def cycle(install: Installed) -> int:
    result = install.json("status")["daemon"]["last_cycle_result"]
    return int(result["cycle"]) if result else 0


def test_a_kill_between_telling_and_recording_tells_again_under_one_id(
    install: Inside, hook: Hook
) -> None:
    configure(install, hook, timeout=300)
    hook.hold.clear()
    daemon = install.daemon("--poll-seconds", "1")
    hook.until(1)
    install.kill(daemon)  # the request has come; that it has, is recorded nowhere
    hook.hold.set()
    assert install.events("alert_sent") == []
    install.daemon("--poll-seconds", "1")
    install.until(lambda: install.events("alert_sent"), "told alert")
    assert len(hook.posted) == 2
    assert hook.posted[0].id == hook.posted[1].id
    assert hook.posted[0].document == hook.posted[1].document
    seen = cycle(install)
    install.until(lambda: cycle(install) >= seen + 2, "two more polls")  # that tell nothing
    assert len(hook.posted) == 2
    assert len(install.events("alert_opened")) == 1


def test_a_kill_before_telling_loses_nothing(install: Inside, hook: Hook) -> None:
    configure(install, hook)
    reach(install, url="http://127.0.0.1:9/nobody-listens")
    daemon = install.daemon("--poll-seconds", "1")
    install.until(lambda: install.events("alert_failed"), "failed telling")
    install.kill(daemon)
    (waiting,) = install.json("alerts", "list", "--open")["alerts"]
    assert waiting["told"][0]["error"].startswith("the webhook at http://127.0.0.1:9 cannot")
    reach(install, url=hook.url)
    install.daemon("--poll-seconds", "1")
    (one,) = hook.until(1)
    assert one.id == waiting["told"][0]["id"]


def test_a_daemon_that_ends_by_itself_tells_what_its_runs_came_to(
    install: Inside, hook: Hook
) -> None:
    configure(install, hook)
    fail_runs(install, 1)
    time.sleep(1.2)
    done = install.popen("--poll-seconds", "1", "--max-cycles", "1")
    assert done.wait(timeout=PATIENCE) == 0, install.log_tail()
    assert told(hook) == ["alert.opened failure_streak"]


def test_a_standby_tells_that_the_owner_fell_silent(install: Inside, hook: Hook) -> None:
    configure(install, hook, minutes=600)
    in_shop(install, "CREATE TABLE item (id INTEGER PRIMARY KEY)")
    owner = install.daemon("--poll-seconds", "1")
    install.popen("--poll-seconds", "1")
    install.until(lambda: '"standby"' in install.log(), "a standby")
    owner.send_signal(SIGSTOP)
    try:
        age_heartbeat(install.folder)
        hook.until(1)
    finally:
        owner.send_signal(SIGCONT)
    hook.until(2)
    assert told(hook) == ["alert.opened daemon_stale", "alert.recovered daemon_stale"]


# -- the commands ----------------------------------------------------------------------------


def test_a_test_alert_is_marked_and_leaves_no_alert(install: Inside, hook: Hook) -> None:
    configure(install, hook)
    sent = install.json("alerts", "test", "ops")
    (one,) = hook.posted
    assert sent == {"target": "ops", "id": one.id, "sent": True}
    assert one.document["type"] == "alert.test"
    assert one.document["data"]["is_test"] is True
    assert install.json("alerts", "list")["alerts"] == []


@pytest.mark.parametrize(
    ("wrong", "status", "says"),
    [
        ({"url": "http://127.0.0.1:9/S3CRET-path"}, 1, "cannot be reached"),
        ({"url": "http://example.com/S3CRET-path"}, 1, "use https"),
        ({"secret": "whsec_S3CRET"}, 1, "Standard Webhooks"),
        ({"secret": "whsec_" + "S3CRETxx" * 5}, 1, "check its url and secret"),
        ({"secret": ""}, 2, "file:hook.secret"),
    ],
)
def test_a_target_that_cannot_be_told_says_why_and_no_secret(
    install: Installed, hook: Hook, wrong: dict[str, str], status: int, says: str
) -> None:
    configure(install, hook)
    reach(install, **wrong)
    done = install.run("alerts", "test", "ops", status=status)
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert "S3CRET" not in done.stderr + done.stdout
    assert "T0KEN" not in done.stderr + done.stdout
    every = (install.folder / "state.db").read_bytes()
    logs = b"".join(path.read_bytes() for path in (install.folder / "logs").iterdir())
    assert b"S3CRET" not in every + logs


def test_an_unknown_target_names_those_there_are(install: Inside, hook: Hook) -> None:
    configure(install, hook)
    done = install.run("alerts", "test", "opps", status=2)
    assert "there are: ops" in done.stderr


def test_what_is_listed_shows_no_address_and_no_secret(install: Inside, hook: Hook) -> None:
    text = CONFIG.format(minutes=1, timeout=5)
    text = text.replace("file:hook.url", f"{hook.url}").replace("file:hook.secret", SECRET)
    install.config(text)
    listed = install.run("alerts", "list", "--json").stdout + install.run("alerts", "list").stdout
    assert "T0KEN" not in listed
    assert SECRET not in listed
    doctor = install.run("doctor", "--json", status=None).stdout
    assert "alerts.targets.ops.secret is a plain secret" in doctor
    assert SECRET not in doctor
    # The stored copy of the last good config holds neither.
    assert SECRET.encode() not in (install.folder / "state.db").read_bytes()
    assert b"T0KEN" not in (install.folder / "state.db").read_bytes()


def test_schedule_show_counts_what_went_wrong(install: Inside, hook: Hook) -> None:
    configure(install, hook)
    fail_runs(install, 2)
    in_shop(install, "CREATE TABLE item (id INTEGER PRIMARY KEY)")
    while not any(run["status"] == "completed" for run in install.runs()):
        time.sleep(0.5)
        install.run("schedule", "run-due", status=None)
    shown = install.json("schedule", "show", "sweep")
    record = shown["record"]
    assert record["failures"]["database"] == record["failed"] >= 2
    assert record["completed"] == 1
    assert record["success_rate"] == shown["success_rate"]
    assert 0 < record["success_rate"] < 0.5
    assert record["durations"]["longest_seconds"] >= record["durations"]["p50_seconds"]
    assert len(shown["last_runs"]) == record["runs"]
    assert shown["next"]["timezone"] == "UTC"
    assert isinstance(shown["next"]["in_seconds"], float)
    words = install.run("schedule", "show", "sweep").stdout
    assert "failures by kind" in words
    assert "next run" in words


def test_the_rate_counts_the_window_alone(install: Inside, hook: Hook) -> None:
    configure(install, hook, minutes=600)
    in_shop(install, "CREATE TABLE item (id INTEGER PRIMARY KEY)")
    install.run("schedule", "run-now", "sweep")
    connection = sqlite3.connect(install.folder / "state.db")
    with connection:
        connection.execute("UPDATE run SET queued_at = '2020-01-01T00:00:00.000000Z'")
    connection.close()
    shown = install.json("schedule", "show", "sweep")
    assert shown["record"]["runs"] == 0
    assert shown["success_rate"] is None
    assert len(shown["last_runs"]) == 1
    (listed,) = install.json("schedule", "list")["schedules"]
    assert listed["success_rate"] is None
