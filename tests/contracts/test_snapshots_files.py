"""Bad cache files: damaged and foreign ones are moved aside, and nothing of others is lost."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from amxwatch.core.catalog import Catalog, SnapshotNumber
from amxwatch.core.errors import CacheBrokenError
from amxwatch.stores.snapshots import SnapshotCache
from tests.contracts.test_snapshots import Log, catalog, table

pytestmark = pytest.mark.anyio

N = SnapshotNumber
USERS: Catalog = catalog(table("users"))


@pytest.fixture
async def log(tmp_path: Path) -> Log:
    made = Log(tmp_path / "cache" / "prod.duckdb")
    await made.take(USERS)
    return made


def as_text(path: Path) -> None:
    path.write_text("dear diary\n" * 2000)


def as_database_of_another(path: Path) -> None:
    path.unlink()
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE cake (slices INTEGER)")


def as_sqlite(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE cake (slices INTEGER)")


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "letter").write_text("dear")


def as_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def as_nothing(path: Path) -> None:
    path.write_bytes(b"")


async def blamed(cache: SnapshotCache) -> str:
    with pytest.raises(CacheBrokenError) as caught:
        await cache.as_of(N(1))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "spoil", [as_text, as_database_of_another, as_sqlite, as_folder, as_half, as_nothing]
)
async def test_a_bad_file_is_moved_aside_and_rebuilt(
    log: Log, spoil: Callable[[Path], None]
) -> None:
    spoil(log.path)
    is_folder = log.path.is_dir()
    content = None if is_folder else log.path.read_bytes()
    assert str(log.path) in await blamed(log.cache)
    aside = await log.cache.discard()
    assert aside == log.path.with_name("prod.duckdb.bad-1")
    if is_folder:
        assert (aside / "letter").read_text() == "dear"
    else:
        assert aside.read_bytes() == content
    await log.cache.replay(log.deltas)
    assert await log.cache.as_of(N(1)) == USERS


async def test_two_bad_files_are_kept_the_newest_first(log: Log) -> None:
    for word in ("one", "two", "three"):
        log.path.write_text(word * 500)
        await blamed(log.cache)
        await log.cache.discard()
    kept = sorted(log.path.parent.glob("*.bad-*"))
    assert [file.name for file in kept] == ["prod.duckdb.bad-1", "prod.duckdb.bad-2"]
    assert [file.read_text()[:5] for file in kept] == ["three", "twotw"]


async def test_a_folder_of_somebody_is_never_deleted(log: Log) -> None:
    for _ in range(3):
        as_folder(log.path) if log.path.exists() else log.path.mkdir()
        await blamed(log.cache)
        await log.cache.discard()
        await log.cache.replay(log.deltas)
    assert len(list(log.path.parent.glob("*.bad-*"))) == 3
    assert len(list(log.path.parent.glob("*.bad-*/letter"))) == 3


async def test_an_old_format_is_rebuilt_and_not_kept(log: Log) -> None:
    with duckdb.connect(log.path) as connection:
        connection.execute("UPDATE meta SET format = 1")
    assert "another version" in await blamed(log.cache)
    assert await log.cache.discard() is None
    assert not log.path.exists()


async def test_what_another_process_mended_is_left_alone(log: Log) -> None:
    as_text(log.path)
    mine, other = SnapshotCache(log.path), SnapshotCache(log.path)
    for cache in (mine, other):
        await blamed(cache)
    assert await other.discard() is not None
    await other.replay(log.deltas)
    assert await mine.discard() is None
    assert await mine.as_of(N(1)) == USERS
    assert len(list(log.path.parent.glob("*.bad-*"))) == 1


async def test_a_discard_without_blame_removes(log: Log) -> None:
    assert await log.cache.discard() is None
    assert not log.path.exists()
    assert await log.cache.latest() is None


KILLED = """
import os, sys
from pathlib import Path
from amxwatch.stores.snapshots import filing
move = Path.replace
def stop(*_):
    os._exit(9)
Path.replace = stop
filing.forget(Path(sys.argv[1]), 2, wait_seconds=1)
"""


async def test_a_kill_before_the_new_file_is_in_place_leaves_the_old_one(log: Log) -> None:
    await log.take(catalog(table("users"), table("orders")))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(log.path)],
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.returncode == 9
    assert log.path.with_name("prod.duckdb.new").exists()
    assert await log.cache.as_of(N(1)) == USERS
    await log.cache.forget(N(2))
    assert not log.path.with_name("prod.duckdb.new").exists()
    assert len((await log.cache.as_of(N(2))).tables) == 2


async def test_a_log_that_a_kill_left_is_not_lost_when_the_file_is_written_anew(
    log: Log, tmp_path: Path
) -> None:
    """The write was committed and never taken into the file."""
    script = (
        "import os, sys; from pathlib import Path;"
        "from amxwatch.core.change import Delta; from amxwatch.core.catalog import Schema;"
        "from amxwatch.stores.snapshots import opening, replaying; import duckdb;"
        "c = duckdb.connect(':memory:'); opening.attach(c, Path(sys.argv[1]), 'cache');"
        "c.begin(); d = Delta(reader='test/1', source='here', put_schemas=(Schema(name='b'),));"
        "replaying.replay(c, [(2, d)]); c.commit(); os._exit(0)"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", script, str(log.path)], check=True, cwd=root)
    assert Path(f"{log.path}.wal").exists()
    shutil.copytree(log.path.parent, tmp_path / "copy")
    assert await log.cache.latest() == 2
    await log.cache.forget(N(2))
    assert not Path(f"{log.path}.wal").exists()
    assert [schema.name for schema in (await log.cache.as_of(N(2))).schemas] == ["app", "b"]
