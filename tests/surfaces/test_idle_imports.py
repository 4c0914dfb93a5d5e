"""What an idle daemon with clock schedules alone does not load."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

HEAVY = ("duckdb", "sqlglot", "httpx", "alembic", "rich", "rapidfuzz", "tomlkit", "tree_sitter")
HEAVY += ("psycopg", "prompt_toolkit", "genai_prices", "amxwatch.flows.analyze")

CONFIG = """
[db_profiles.source]
url = "sqlite:///source.db"

[schedules.nightly]
kind = "cache_refresh"
db_profile = "source"
trigger = { type = "every", minutes = 600 }
"""

TURN = """
import json, sys
from pathlib import Path
import anyio
import amxwatch.cli.daemon, amxwatch.daemon.service
from amxwatch.daemon.turn import take
from amxwatch.daemon.wiring import open_install

async def main():
    async with open_install(Path(sys.argv[1])) as install:
        install.handler()
        turn = await take(install)
        print(json.dumps([turn.ok, [result.action for result in turn.results], [*sys.modules]]))

anyio.run(main)
"""


def turn(folder: Path) -> tuple[bool, list[str], list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", TURN, str(folder)], capture_output=True, text=True, check=True
    )
    ok, actions, modules = json.loads(done.stdout)
    return ok, actions, modules


def test_drivers_and_drafting_are_loaded_when_a_run_needs_them(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir(mode=0o700)
    (folder / "amxwatch.toml").write_text(CONFIG, encoding="utf-8")
    with closing(sqlite3.connect(folder / "source.db")) as connection:
        connection.execute("CREATE TABLE item (item_id INTEGER PRIMARY KEY)")
    assert turn(folder)[:2] == (True, ["idle"])  # takes the first snapshot
    ok, actions, modules = turn(folder)
    assert (ok, actions) == (True, ["idle"])
    assert [name for name in HEAVY if name in modules] == []
