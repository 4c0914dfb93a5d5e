"""What must hold of the state database's file: making, migrating, damage."""

from __future__ import annotations

import dataclasses
import os
import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from amxwatch.clocks.system import SystemClock
from amxwatch.core.errors import (
    StoreError,
)
from amxwatch.core.intake import IntakeItem
from amxwatch.core.run import (
    Run,
)
from amxwatch.core.schedule import ScheduleState
from amxwatch.ports.ledger import (
    RunFilter,
    SourceState,
)
from amxwatch.stores.ledger import open_ledger
from tests.contracts.ledgers import NOW, a_run

pytestmark = pytest.mark.anyio


# The file

OPEN = """
import sys, anyio
from pathlib import Path
from amxwatch.clocks.system import SystemClock
from amxwatch.stores.ledger import open_ledger
ledger = open_ledger(Path(sys.argv[1]), SystemClock())
anyio.run(ledger.read, lambda tx: tx.runs.get)
print("alembic" in sys.modules)
"""


def opened(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OPEN, str(path)], stdout=subprocess.PIPE, text=True
    )


def test_many_processes_may_start_at_once_and_later_ones_are_quick(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.db"
    together = [opened(path) for _ in range(3)]
    says = [process.communicate(timeout=120)[0] for process in together]
    assert [process.returncode for process in together] == [0, 0, 0]
    assert says == ["False\n"] * 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        ledger = open_ledger(tmp_path / "state.db", SystemClock())
        await ledger.write(lambda tx: tx.events.add("run_queued", at=NOW))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(old)
    assert {"state.db", "state.db-wal", "state.db-shm"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    await ledger.aclose()


async def closed(path: Path) -> Path:
    ledger = open_ledger(path, SystemClock())
    await ledger.write(lambda tx: [tx.runs.put(a_run(f"run_{n}")) for n in range(200)])
    await ledger.aclose()
    return path


async def test_a_newer_file_asks_for_an_upgrade(tmp_path: Path) -> None:
    path = await closed(tmp_path / "state.db")
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(StoreError, match=r"newer amxwatch.*pip install --upgrade amxwatch"):
        open_ledger(path, SystemClock())


@pytest.mark.parametrize("content", [b"not a database, but long enough to be one " * 50, b"x"])
def test_a_file_that_is_no_database_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged.*backup.*move") as caught:
        open_ledger(path, SystemClock())
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


async def test_damage_inside_the_file_is_named(tmp_path: Path) -> None:
    path = await closed(tmp_path / "state.db")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(StoreError, match=r"damaged.*backup"):
        await open_ledger(path, SystemClock()).read(lambda tx: tx.runs.list(RunFilter()))


def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE mine (a)")
    raw.close()
    with pytest.raises(StoreError, match="not a state database of amxwatch"):
        open_ledger(path, SystemClock())


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--config-dir"):
        open_ledger(tmp_path / "file" / "state.db", SystemClock())
    (tmp_path / "state.db").mkdir()
    with pytest.raises(StoreError):
        open_ledger(tmp_path / "state.db", SystemClock())


def test_an_empty_file_becomes_a_ledger(tmp_path: Path) -> None:
    (tmp_path / "state.db").touch()
    open_ledger(tmp_path / "state.db", SystemClock())


def test_the_migrations_end_at_the_tables(tmp_path: Path) -> None:
    from alembic import command
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine

    from amxwatch.stores.ledger.migrations import HEAD
    from amxwatch.stores.ledger.tables import metadata

    config = Config()
    config.set_main_option("script_location", "amxwatch.stores.ledger:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD

    engine = create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
        connection.commit()
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()
    open_ledger(tmp_path / "new.db", SystemClock())
    assert structure(tmp_path / "migrated.db") == structure(tmp_path / "new.db")


def structure(path: Path) -> dict[str, list[str]]:
    """Return what each table and index was made with; the order of clauses means nothing."""
    with closing(sqlite3.connect(path)) as raw:
        found = raw.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {name: sorted(re.findall(r"\w+", sql)) for name, sql in found}


OUR_OWN = {"seq"}
"""Columns that the store keeps for itself."""


def test_the_columns_are_the_fields() -> None:
    from amxwatch.stores.ledger import tables

    pairs = [
        (Run, tables.run),
        (ScheduleState, tables.schedule),
        (SourceState, tables.source),
        (IntakeItem, tables.intake),
    ]
    for noun, table in pairs:
        named = [column.name for column in table.c if column.name not in OUR_OWN]
        assert [field.name for field in dataclasses.fields(noun)] == named
