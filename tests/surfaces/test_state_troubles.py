"""A full disk, a read-only folder, a state file from a newer version, a corrupt one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.plugins.install import Installed

CONFIG = """
[db_profiles.shop]
url = "sqlite:///{file}"

[schedules.tick]
db_profile = "shop"
kind = "cache_refresh"
trigger = {{ type = "every", minutes = 0.02 }}
"""


def mounted(folder: Path, *options: str) -> None:
    """Mount a file system of its own, or skip where this user may not."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk is made by mounting one, which only root may do")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Installed]:
    """An install on a disk of 24 MB; its database lies elsewhere."""
    folder = tmp_path / "small"
    mounted(folder, "size=24m")
    install = Installed(folder / "config")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.execute("CREATE TABLE item (item_id INTEGER PRIMARY KEY)")
    install.config(CONFIG.format(file=tmp_path / "shop.db"))
    try:
        yield install
    finally:
        install.close()
        subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(folder: Path) -> Path:
    """Take all the room there is."""
    ballast = folder.parent / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return ballast


def completed(install: Installed) -> set[str]:
    """Return the runs that completed; none while there is no state yet."""
    path = install.folder / "state.db"
    if not path.exists() or not path.stat().st_size:
        return set()
    with closing(sqlite3.connect(path, timeout=5)) as state:
        tables = state.execute("SELECT name FROM sqlite_master").fetchall()
        if ("run",) not in tables:
            return set()
        rows = state.execute("SELECT id FROM run WHERE status = 'completed'").fetchall()
    return {row[0] for row in rows}


def test_a_full_disk_refuses_new_work_keeps_the_old_and_resumes_by_itself(
    small: Installed, tmp_path: Path
) -> None:
    with (tmp_path / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            small.command("daemon", "--json", "--poll-seconds", "0.3"),
            stdout=log,
            stderr=log,
            env=small.env,
        )
    try:
        small.until(lambda: completed(small), "a run")
        ballast = fill(small.folder)

        def said() -> bool:
            return "make room on the disk" in (tmp_path / "daemon.log").read_text()

        small.until(said, "the word of it")
        before = completed(small)
        assert daemon.poll() is None, "it goes on living"
        done = small.run("schedule", "run-now", "tick", status=None)
        assert done.returncode == 1, "new work is refused"
        assert "room" in done.stderr or "No space" in done.stderr
        assert done.stderr.count("\n") == 1
        ballast.unlink()
        small.until(lambda: completed(small) - before, "a further run, by itself", 100)
        assert before <= completed(small)
        assert daemon.poll() is None
    finally:
        daemon.terminate()
        assert daemon.wait(15) == 0
    with closing(sqlite3.connect(small.folder / "state.db")) as state:
        assert state.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        doubled = "SELECT unique_key FROM run GROUP BY unique_key HAVING count(*) > 1"
        assert state.execute(doubled).fetchall() == []


def test_a_read_only_folder_is_one_line(small: Installed) -> None:
    small.run("schedule", "run-due", "--quiet")
    mount = small.folder.parent
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
    try:
        for words in (("status",), ("schedule", "run-due"), ("daemon", "--max-cycles", "1")):
            done = small.run(*words, status=None)
            assert done.returncode == 1, words
            assert done.stderr.count("\n") == 1
            assert str(small.folder) in done.stderr
            assert "right to write" in done.stderr
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(mount)], check=True)
    assert small.run("status").returncode == 0


COMMANDS = (("status",), ("schedule", "run-due"), ("daemon", "--max-cycles", "1"), ("doctor",))


@pytest.mark.parametrize("damage", ["newer", "torn", "foreign"])
def test_a_state_file_that_cannot_be_used_is_refused_and_left_as_it_is(
    install: Installed, tmp_path: Path, damage: str
) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.execute("CREATE TABLE item (item_id INTEGER PRIMARY KEY)")
    install.config(CONFIG.format(file=tmp_path / "shop.db"))
    install.run("schedule", "run-due", "--quiet")
    path = install.folder / "state.db"
    if damage == "newer":
        with closing(sqlite3.connect(path)) as state:
            state.execute("UPDATE alembic_version SET version_num = '9999'")
            state.commit()
            state.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    elif damage == "torn":
        path.write_bytes(b"\0" * 4096 + path.read_bytes()[4096:])
    else:
        path.write_bytes(b"something else altogether, and long enough" * 100)
    for leftover in ("state.db-wal", "state.db-shm"):
        (install.folder / leftover).unlink(missing_ok=True)
    before = path.read_bytes()
    says = "pip install --upgrade amxwatch" if damage == "newer" else "put a backup in its place"
    for words in COMMANDS:
        done = install.run(*words, status=None)
        assert done.returncode != 0, words
        assert says in done.stderr + done.stdout
        assert path.read_bytes() == before, words
    kept = sorted(each.name for each in install.folder.glob("state.db.*bad*"))
    assert kept == ([] if damage == "newer" else ["state.db.bad-1"]), "once, not at each command"
    if kept:
        assert (install.folder / kept[0]).read_bytes() == before
        assert (install.folder / kept[0]).stat().st_mode & 0o777 == 0o600


def test_the_way_back_from_a_damaged_page(install: Installed, tmp_path: Path) -> None:
    """Found by a read in the middle: said, a copy kept, nothing made anew; a restore mends it."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.execute("CREATE TABLE item (item_id INTEGER PRIMARY KEY)")
    install.config(CONFIG.format(file=tmp_path / "shop.db"))
    install.run("schedule", "run-due", "--quiet")
    events = install.events()
    made = install.json("state", "backup", str(tmp_path / "kept.tar.gz"))
    path = install.folder / "state.db"
    with closing(sqlite3.connect(path)) as state:
        state.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = state.execute("PRAGMA page_size").fetchone()[0]
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'event'"
        root = state.execute(query).fetchone()[0]
    data = bytearray(path.read_bytes())
    data[(root - 1) * size : root * size] = b"\xa5" * size
    path.write_bytes(data)
    for _ in range(2):
        done = install.run("events", status=1)
        assert "a copy of it is kept as state.db.bad-1" in done.stderr
        assert "amxwatch state restore" in done.stderr
        assert done.stderr.count("\n") == 1
    assert path.read_bytes() == data
    assert (install.folder / "state.db.bad-1").read_bytes() == data
    install.run("state", "restore", made["file"], "--yes")
    assert install.events() == events
    assert (install.folder / "state.db.bad-1").exists()
