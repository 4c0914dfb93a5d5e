"""`kill -9` of a real daemon at random moments under load: zero firings lost, zero doubled.

Two daemons at a time serve and stand by, several schedules fire, an editor process keeps altering
two databases, comments are written by themselves. `AMXWATCH_KILLS` says how often one of them is
killed; `make crash` says 500.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb
import pytest

from tests.plugins.install import Installed
from tests.surfaces.witness import Witness

KILLS = int(os.environ.get("AMXWATCH_KILLS", "30"))
SEED = int(os.environ.get("AMXWATCH_KILLS_SEED", "1"))

DRAIN = 120 + 2 * KILLS
"""Seconds that the work left by all the kills may take."""

SECONDS_TO_START = 60

TICK = timedelta(seconds=3)

CONFIG = """
[daemon]
poll_seconds = 0.4
worker_slots = 3

[db_profiles.lite]
url = "sqlite:///{sqlite}"

[db_profiles.duck]
url = "duckdb:///{duckdb}"

[defaults]
db_profile = "lite"
llm_profile = "builtin"

[schedules.tick]
enabled = {clock}
db_profile = "lite"
scope = "table:main.first"
catch_up = "all"
trigger = {{ type = "every", minutes = 0.05 }}

[schedules.refresh]
enabled = {clock}
kind = "cache_refresh"
db_profile = "duck"
catch_up = "once"
trigger = {{ type = "every", minutes = 0.1 }}

[schedules.minutely]
enabled = {clock}
db_profile = "duck"
scope = "table:main.first"
catch_up = "all"
review_strategy = "auto"
trigger = {{ type = "cron", cron = "* * * * *" }}

[schedules.watch]
db_profile = "lite"
trigger = {{ type = "change", cadence_cap_hours = 0, settle_seconds = 0, initial_run = true }}

[schedules.write]
db_profile = "duck"
review_strategy = "auto"
trigger = {{ type = "change", cadence_cap_hours = 0, settle_seconds = 0, initial_run = true }}
"""


class Scene:
    """An install, its two databases, and who alters them."""

    def __init__(self, install: Installed, folder: Path) -> None:
        self.install = install
        self.witness = Witness(install.folder)
        self.sqlite, self.duckdb = folder / "lite.db", folder / "duck.duckdb"
        self.log = folder / "edits.log"
        with closing(sqlite3.connect(self.sqlite)) as connection:
            connection.execute("CREATE TABLE first (customer_id TEXT)")
        with duckdb.connect(str(self.duckdb)) as connection:
            connection.execute("CREATE TABLE first (customer_id TEXT)")
        self.config(clock=True)

    def config(self, *, clock: bool) -> None:
        """Write the config; without `clock` nothing fires but by a change."""
        words = {"sqlite": self.sqlite, "duckdb": self.duckdb, "clock": str(clock).lower()}
        self.install.config(CONFIG.format(**words))

    def edits(self) -> subprocess.Popen[bytes]:
        words = [str(self.sqlite), str(self.duckdb), str(self.log)]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.surfaces.kill_editor", *words], stdin=subprocess.PIPE
        )

    def live_until(self, holds: Callable[[], bool], what: str) -> None:
        """Let a daemon work until it holds, and stop it in good order."""
        daemon = self.install.popen()
        has_looked = partial(self.witness.has_taken_a_turn, daemon)
        self.install.until(lambda: has_looked() and holds(), what, DRAIN)
        self.install.stop(daemon)

    def states(self) -> dict[str, dict[str, object]]:
        names = ("name", "armed_at", "last_due_at", "watermark", "db_profile")
        rows = self.witness.rows(
            "SELECT name, armed_at, last_due_at, watermark, trigger_hash FROM schedule"
        )
        return {row[0]: dict(zip(names, row, strict=True)) for row in rows}

    def is_served(self) -> bool:
        """Claim that every change was seen and served, and that a good deal was fired."""
        if self.witness.count("run") < max(4, KILLS // 2):
            return False
        states = self.states()
        return all(
            name in states
            and states[name]["watermark"] == self.newest(profile)
            and self.seen(profile) == self.standing(profile)
            for name, profile in (("watch", "lite"), ("write", "duck"))
        )

    def newest(self, profile: str) -> object:
        return self.witness.value("SELECT max(number) FROM snapshot WHERE profile = ?", profile)

    def seen(self, profile: str) -> int:
        query = "SELECT tables FROM snapshot WHERE profile = ? ORDER BY number DESC LIMIT 1"
        return int(self.witness.value(query, profile))

    def standing(self, profile: str) -> int:
        return len({table for table, column in self.objects(profile) if not column})

    def objects(self, profile: str) -> set[tuple[str, str]]:
        """Return what stands in a database: tables, with an empty column, and columns."""
        if profile == "lite":
            query = (
                "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c"
                " WHERE m.type = 'table'"
            )
            with closing(sqlite3.connect(self.sqlite, timeout=30)) as connection:
                columns = set(connection.execute(query).fetchall())
        else:
            columns = {(table, column) for table, column in self.comments() if column}
        return columns | {(table, "") for table, _ in columns}

    def comments(self) -> dict[tuple[str, str], str | None]:
        """Return every object of the DuckDB file with its comment."""
        until = time.monotonic() + 30
        while True:
            try:
                with duckdb.connect(str(self.duckdb), read_only=True) as connection:
                    found = connection.execute(
                        "SELECT table_name, '', comment FROM duckdb_tables() UNION ALL"
                        " SELECT table_name, column_name, comment FROM duckdb_columns()"
                        " WHERE schema_name = 'main' AND NOT internal"
                    ).fetchall()
                return {(table, column): comment for table, column, comment in found}
            except duckdb.IOException:
                assert time.monotonic() < until, "the DuckDB file is never free"
                time.sleep(0.05)

    def drafts(self, profile: str, where: str) -> Counter[tuple[str, str]]:
        rows = self.witness.rows(
            "SELECT table_name, column_name FROM draft JOIN object ON object.id = object_id"
            f" WHERE object.profile = ? AND {where}",
            profile,
        )
        return Counter((table, column) for table, column in rows)


@pytest.mark.timeout(120 + 8 * KILLS)
def test_nothing_is_lost_or_doubled(install: Installed, tmp_path: Path) -> None:
    scene = Scene(install, tmp_path)
    editor = scene.edits()
    try:
        killed = kill_again_and_again(scene)
    finally:
        assert editor.stdin is not None
        editor.stdin.close()
        assert editor.wait(60) == 0
    assert killed == KILLS
    scene.live_until(scene.is_served, "end of what moved")
    scene.config(clock=False)
    scene.live_until(lambda: not scene.witness.unfinished(), "end of the runs")
    every_firing_ran_once(scene, "tick", TICK)
    every_firing_ran_once(scene, "minutely", timedelta(minutes=1))
    no_run_is_stuck(scene)
    every_object_is_drafted_once(scene)
    every_comment_is_in_the_trail_once(scene)
    assert scene.witness.value("PRAGMA integrity_check") == "ok"
    snapshots_replay(scene)


def kill_again_and_again(scene: Scene) -> int:
    """Kill one of two daemons: while it starts, stands by, or somewhere in its work.

    The other one takes over, and a third is started beside it.
    """
    chance = random.Random(SEED)
    pair = [scene.install.popen(), scene.install.popen()]
    for _ in range(KILLS):
        drawn = chance.random()
        victim = chance.choice(pair)
        if drawn < 0.2:
            time.sleep(chance.uniform(0.05, 1.0))
        elif drawn < 0.4:
            victim = first_that(scene, partial(beats, scene), pair, "a heartbeat")
            time.sleep(chance.uniform(0.0, 0.5))
        else:
            victim = first_that(scene, scene.witness.has_taken_a_turn, pair, "a turn")
            time.sleep(chance.uniform(0.0, 1.5))
        assert all(process.poll() is None for process in pair), scene.install.log_tail()
        scene.install.kill(victim)
        pair.remove(victim)
        pair.append(scene.install.popen())
    for process in pair:
        scene.install.kill(process)
    return KILLS


Daemon = subprocess.Popen[bytes]


def first_that(
    scene: Scene, holds: Callable[[Daemon], bool], pair: list[Daemon], what: str
) -> Daemon:
    """Return the daemon of the two that owns the heartbeat, once it does what is asked."""

    def found() -> Daemon | None:
        return next((process for process in pair if holds(process)), None)

    daemon: Daemon = scene.install.until(found, what, SECONDS_TO_START)
    return daemon


def beats(scene: Scene, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, scene.install.log_tail()
    path = scene.install.folder / "state.db"
    if not path.exists() or scene.witness.count("sqlite_master", "name = 'installation'") == 0:
        return False
    found = scene.witness.rows("SELECT value FROM installation WHERE key = 'daemon'")
    return bool(found) and json.loads(found[0][0])["pid"] == process.pid


def every_firing_ran_once(scene: Scene, name: str, step: timedelta) -> None:
    """From the arming to the last due time, each tick has one run, and each run one end."""
    rows = scene.witness.rows("SELECT due_at, id FROM run WHERE schedule = ? ORDER BY 1", name)
    state = scene.states()[name]
    last = datetime.fromisoformat(str(state["last_due_at"] or state["armed_at"]))
    due = first_after(datetime.fromisoformat(str(state["armed_at"])), step, is_cron=name != "tick")
    expected = []
    while due <= last:
        expected.append(due)
        due += step
    assert [datetime.fromisoformat(at) for at, _ in rows] == expected
    ends = Counter(
        run_id
        for (run_id,) in scene.witness.rows(
            "SELECT run_id FROM event WHERE schedule = ?"
            " AND action IN ('run_completed', 'run_failed')",
            name,
        )
    )
    assert ends == Counter(run_id for _, run_id in rows)


def first_after(armed_at: datetime, step: timedelta, *, is_cron: bool) -> datetime:
    if is_cron:
        return armed_at.replace(second=0, microsecond=0) + step
    return armed_at + step


def no_run_is_stuck(scene: Scene) -> None:
    """Each run has ended well, but for those whose worker was killed more than three times."""
    rows = scene.witness.rows(
        "SELECT id, failure_category, recovered, error FROM run WHERE status != 'completed'"
    )
    assert [row for row in rows if row[1:3] != ("interrupted", 3)] == []
    starts = scene.witness.events("run_started")
    given_back = scene.witness.events("run_recovered") + scene.witness.events("run_released")
    runs, lost = scene.witness.count("run"), len(rows)
    retried = scene.witness.events("run_retried")
    assert starts == runs + given_back + retried, (starts, runs, lost, given_back, retried)


def every_object_is_drafted_once(scene: Scene) -> None:
    """Completed runs drafted each object once; what a run drafted that its kills ended, stays."""
    done = "draft.run_id IN (SELECT id FROM run WHERE status = 'completed')"
    for profile in ("lite", "duck"):
        objects = scene.objects(profile)
        twice = [name for name, count in scene.drafts(profile, done).items() if count > 1]
        assert twice == []
        assert scene.drafts(profile, "1").keys() == objects


def every_comment_is_in_the_trail_once(scene: Scene) -> None:
    """What the file says is what was drafted; it was put there once, and said so once."""
    assert scene.drafts("duck", "draft.status = 'writing'") == Counter()
    rows = scene.witness.rows(
        "SELECT table_name, column_name, written_text FROM draft"
        " JOIN object ON object.id = object_id WHERE draft.status = 'written'"
    )
    live = {name: comment for name, comment in scene.comments().items() if comment}
    assert {(table, column): text for table, column, text in rows} == live
    told = scene.witness.rows("SELECT detail FROM event WHERE action = 'comment_written'")
    said = [json.loads(detail) for (detail,) in told]
    # A run that comes after one that was given up finds its comments there, and says so too.
    moved = Counter(each["object"] for each in said if each["before"] != each["after"])
    assert moved == Counter(f"main.{table}.{column}".rstrip(".") for table, column in live)
    assert live


def snapshots_replay(scene: Scene) -> None:
    """Without its cache the catalog is built again from the ledger, and is what stands there."""
    shutil.rmtree(scene.install.folder / "catalog")
    for profile in ("lite", "duck"):
        shown = scene.install.json("catalog", "show", "--db", profile)
        columns = {
            (table["table"], column["column"])
            for table in shown["tables"]
            for column in table["columns"]
        }
        assert columns == {each for each in scene.objects(profile) if each[1]}
