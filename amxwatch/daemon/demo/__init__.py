"""The demo: a small shop's warehouse, a real daemon on it, and a schema that moves.

`warehouse.sql` and `moves.sql` are its data. Everything it shows is done by the product itself,
in the folder that it leaves behind.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import anyio
import duckdb

from amxwatch.core.errors import AmxwatchError, UsageError
from amxwatch.ports.clock import Clock

MARK = "demo-warehouse.txt"
"""Names the folder as ours, so that a second demo may replace it, and no other folder."""

WAIT_SECONDS = 60
"""No step of the demo takes longer; past that it says what it waited for."""

CONFIG = """\
# The demo's config. The daemon applies an edit within a second of the save.
[db_profiles.shop]
url = "duckdb:///warehouse.duckdb"

[daemon]
poll_seconds = 2

[schedules.shop_watch]
db_profile = "shop"
llm_profile = "builtin"        # no model, no key, no network
scope = "schema:shop"
trigger = { type = "change", cadence_cap_hours = 0, settle_seconds = 1 }
"""

Say = Callable[[str], None]
Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where the demo plays. `folder` is also the config folder."""

    folder: Path
    clock: Clock
    say: Say

    @property
    def database(self) -> Path:
        return self.folder / "warehouse.duckdb"

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "amxwatch", "--config-dir", str(self.folder), *words]

    def ask(self, *words: str) -> Document:
        """Run a command of amxwatch with `--json` and return its document."""
        done = subprocess.run(
            self.command(*words, "--json"), capture_output=True, text=True, check=False
        )
        if done.returncode not in (0, 1) or not done.stdout.strip():
            raise AmxwatchError(f"`amxwatch {' '.join(words)}` said: {done.stderr.strip()}")
        document: Document = json.loads(done.stdout)
        return document


async def play(folder: Path, clock: Clock, say: Say) -> None:
    """Play the whole line in `folder` and leave it there to go on with.

    Raises: UsageError where the folder holds something that is not a demo; AmxwatchError
    where a step does not come to its end.
    """
    stage = Stage(folder=folder, clock=clock, say=say)
    _build(stage)
    before = _tables(stage)
    say(f"1. A warehouse: {stage.database} ({before} tables and views of a small online shop)")
    with _daemon(stage) as process:
        await _until(stage, process, "the first snapshot", lambda: _armed(stage))
        say(f"2. The daemon watches it (pid {process.pid}, polling every 2 s)\n")
        moved_at = clock.monotonic()
        _move(stage)
        run = await _until(stage, process, "a run", lambda: _completed_run(stage))
        seconds = clock.monotonic() - moved_at
        _show_changes(stage)
        say(
            f"\n4. {seconds:.1f} s after the first of these, run {run['id']} was done: "
            f"{run['drafted']} descriptions drafted, {run['reused']} taken along by a rename, "
            f"cost ${run['cost_usd'] or 0:.2f}\n"
        )
        _review_and_apply(stage)
    _read_back(stage)
    _tell_more(stage)


def _build(stage: Stage) -> None:
    if stage.folder.exists() and any(stage.folder.iterdir()):
        if not (stage.folder / MARK).exists():
            raise UsageError(
                f"{stage.folder} is not empty and not a demo's folder; "
                "give another one with --folder"
            )
        shutil.rmtree(stage.folder)
    stage.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (stage.folder / MARK).write_text("Made by `amxwatch demo`; another demo may replace it.\n")
    config = stage.folder / "amxwatch.toml"
    config.write_text(CONFIG)
    config.chmod(0o600)
    _run_sql(stage, _text("warehouse.sql"))


def _text(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")


def _run_sql(stage: Stage, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(stage.database)) as connection:
        return connection.execute(sql).fetchall()


def _tables(stage: Stage) -> int:
    return len(_run_sql(stage, "SELECT 1 FROM information_schema.tables"))


@contextmanager
def _daemon(stage: Stage) -> Iterator[subprocess.Popen[bytes]]:
    logs = stage.folder / "logs"
    logs.mkdir(exist_ok=True, mode=0o700)
    with (logs / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            stage.command("daemon"), stdout=log, stderr=log, env=os.environ.copy()
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)


async def _until(
    stage: Stage,
    process: subprocess.Popen[bytes],
    what: str,
    find: Callable[[], Document | None],
) -> Document:
    deadline = stage.clock.monotonic() + WAIT_SECONDS
    while stage.clock.monotonic() < deadline:
        found = await anyio.to_thread.run_sync(find)
        if found is not None:
            return found
        if process.poll() is not None:
            raise AmxwatchError(
                f"the daemon ended by itself (status {process.returncode}); "
                f"see {stage.folder / 'logs' / 'daemon.log'}"
            )
        await stage.clock.sleep(0.2)
    raise AmxwatchError(
        f"{what} did not come within {WAIT_SECONDS} s; see {stage.folder / 'logs' / 'daemon.log'}"
    )


def _armed(stage: Stage) -> Document | None:
    daemon: Document = stage.ask("status")["daemon"]
    cycle = daemon.get("last_cycle_result") or {}
    is_armed = any(result["action"] == "idle" for result in cycle.get("results", []))
    return daemon if daemon["status"] == "running" and is_armed else None


def _completed_run(stage: Stage) -> Document | None:
    runs = stage.ask("history", "list")["runs"]
    ended = [run for run in runs if run["status"] in ("completed", "failed", "blocked")]
    if ended and ended[0]["status"] != "completed":
        raise AmxwatchError(f"the run is {ended[0]['status']}: {ended[0]['error']}")
    return ended[0] if ended else None


def _move(stage: Stage) -> None:
    stage.say("3. Now the schema moves:")
    for statement in _statements(_text("moves.sql")):
        first_line = statement.splitlines()[0]
        stage.say(f"     {first_line}{' …' if len(statement.splitlines()) > 1 else ''}")
    _run_sql(stage, _text("moves.sql"))


def _statements(sql: str) -> list[str]:
    lines = [line for line in sql.splitlines() if not line.startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]


def _show_changes(stage: Stage) -> None:
    stage.say("\n   amxwatch catalog diff shop")
    for change in stage.ask("catalog", "diff", "shop")["changes"]:
        name = ".".join(part for part in (change["table"], change["column"]) if part)
        stage.say(f"     {change['change']:<20} {change['object_type']:<7} {name}")


def _review_and_apply(stage: Stage) -> None:
    pending = stage.ask("review", "--list")["pending"]
    stage.say(f"5. In review: {len(pending)} drafts, for example")
    for draft in pending[:6]:
        name = ".".join(part for part in (draft["table"], draft["column"]) if part)
        stage.say(f"     [{draft['band']:<6}] {name}: {draft['alternatives'][0]}")
    stage.ask("review", "--strategy", "accept-all")
    applied = stage.ask("apply", "-y")
    stage.say(
        f"\n6. Accepted and applied: {applied['written']} comments written, "
        f"{len(applied['failed'])} failed, {len(applied['conflicts'])} in conflict"
    )


def _read_back(stage: Stage) -> None:
    """Ask the database itself, not amxwatch."""
    query = (
        "SELECT table_name, column_name, comment FROM duckdb_columns() "
        "WHERE comment IS NOT NULL AND table_name IN ('shipment', 'customer_address') "
        "ORDER BY ALL"
    )
    stage.say("\n7. The database says now:")
    for table, column, comment in _run_sql(stage, query):
        stage.say(f"     {table}.{column}: {comment}")


def _tell_more(stage: Stage) -> None:
    program = (
        "amxwatch" if shutil.which("amxwatch") else _from_here(Path(sys.prefix, "bin/amxwatch"))
    )
    words = f"  {program} --config-dir {_from_here(stage.folder)}"
    stage.say(
        f"\nDone; the daemon is stopped. Everything is in {_from_here(stage.folder)}. To go on:\n"
        f"{words} daemon                      # watch it again; Ctrl-C stops\n"
        f"{words} run shop.orders             # draft what is undescribed there\n"
        f"{words} review                      # answer the drafts one by one\n"
        f"{words} apply                       # write what was accepted\n"
        f"{words} catalog log shop            # what moved, snapshot by snapshot\n"
        f"{words} events                      # everything that happened"
    )


def _from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
