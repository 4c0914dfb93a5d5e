"""The file watcher, seen from outside, on real files and watchdog's real observer."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from amxwatch.clocks.manual import ManualClock
from amxwatch.clocks.system import SystemClock
from amxwatch.core.errors import UsageError
from amxwatch.watchers.files import FileMarks, digest, watch

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(300),
    # watchdog warns of a harmless race of its own; as an error it would end watchdog's thread
    pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning"),
]

NOTHING: frozenset[str] = frozenset()
SOON = 60.0


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


async def _told_of(wakes: AsyncIterator[str], file: Path) -> None:
    """Edit a file until a wake-up names it: then its folder is surely watched."""
    with anyio.fail_after(SOON):
        edits = 0
        while True:
            edits += 1
            _write(file, f"edit {edits}")
            reason = await _quiet(wakes, 0.2)
            if reason is not None and file.name in reason:
                return


async def _quiet(wakes: AsyncIterator[str], seconds: float) -> str | None:
    with anyio.move_on_after(seconds):
        return await anext(wakes)
    return None


async def _drain(wakes: AsyncIterator[str], seconds: float = 0.2) -> None:
    while await _quiet(wakes, seconds) is not None:
        pass


async def test_twenty_quick_nested_creates_are_all_noticed(tmp_path: Path) -> None:
    async with watch([tmp_path], clock=SystemClock()) as wakes:
        for number in range(20):
            await _drain(wakes, 0.05)
            _write(tmp_path / f"a{number}" / "b" / "c.sql", "select 1")
            with anyio.fail_after(SOON):
                assert await anext(wakes)


async def test_a_new_folder_is_watched_at_once(tmp_path: Path) -> None:
    async with watch([tmp_path], clock=SystemClock()) as wakes:
        await _told_of(wakes, tmp_path / "a" / "b" / "c.sql")


async def test_what_happens_while_nobody_waits_is_told_at_the_next_wait(tmp_path: Path) -> None:
    async with watch([tmp_path], clock=SystemClock()) as wakes:
        for number in range(500):
            _write(tmp_path / f"{number}.sql", "x")
        with anyio.fail_after(SOON):
            assert "sql" in await anext(wakes)
        await _drain(wakes)
        _write(tmp_path / "late.sql", "x")
        with anyio.fail_after(SOON):
            while "late.sql" not in await anext(wakes):
                pass  # of the first ones


async def test_a_cancelled_wait_loses_nothing(tmp_path: Path) -> None:
    async with watch([tmp_path], clock=SystemClock()) as wakes:
        for number in range(20):
            with anyio.move_on_after(0.001):
                await anext(wakes)
            _write(tmp_path / f"{number}.sql", "x")
        with anyio.fail_after(SOON):
            assert await anext(wakes)


async def test_reading_wakes_nobody(tmp_path: Path) -> None:
    file = _write(tmp_path / "a.sql", "x")
    async with watch([tmp_path], clock=SystemClock()) as wakes:
        await _drain(wakes)
        for _ in range(5):
            file.read_text()
            list(tmp_path.iterdir())
        assert await _quiet(wakes, 0.8) is None


async def test_only_wanted_names_wake(tmp_path: Path) -> None:
    async with watch([tmp_path], clock=SystemClock(), only=["*.toml"]) as wakes:
        await _drain(wakes)
        _write(tmp_path / "state.db", "x")
        assert await _quiet(wakes, 0.5) is None
        _write(tmp_path / "part", "x").replace(tmp_path / "amxwatch.toml")
        with anyio.fail_after(SOON):
            assert "amxwatch.toml" in await anext(wakes)


async def test_a_replaced_root_is_noticed_and_watched(tmp_path: Path) -> None:
    root = tmp_path / "models"
    _write(root / "a.sql", "old")
    async with watch([root], clock=SystemClock()) as wakes:
        await _drain(wakes)
        _write(tmp_path / "new" / "a.sql", "new")
        root.rename(tmp_path / "gone")
        (tmp_path / "new").rename(root)
        with anyio.fail_after(SOON):
            while "replaced" not in await anext(wakes):
                pass
        await _told_of(wakes, root / "b.sql")


async def test_a_root_that_is_deleted_and_made_again_is_watched(tmp_path: Path) -> None:
    root = tmp_path / "models"
    async with watch([root], clock=SystemClock()) as wakes:
        assert await _quiet(wakes, 0.7) is None, "it is not there yet"
        for round_ in range(2):
            root.mkdir()
            with anyio.fail_after(SOON):
                assert await anext(wakes)
            await _told_of(wakes, root / f"{round_}.sql")
            (root / f"{round_}.sql").unlink()
            root.rmdir()
            with anyio.fail_after(SOON):
                while "replaced" not in await anext(wakes):
                    pass


async def test_an_edit_behind_a_link_and_a_swapped_link_are_noticed(tmp_path: Path) -> None:
    first = _write(tmp_path / "far" / "one.toml", "a")
    second = _write(tmp_path / "further" / "two.toml", "b")
    link = tmp_path / "config" / "amxwatch.toml"
    link.parent.mkdir()
    link.symlink_to(first)
    async with watch([], critical=[link], clock=SystemClock()) as wakes:
        await _drain(wakes)
        first.write_text("edited in place")
        with anyio.fail_after(SOON):
            assert await anext(wakes)
        await _drain(wakes)
        (tmp_path / "config" / "new").symlink_to(second)
        (tmp_path / "config" / "new").replace(link)
        with anyio.fail_after(SOON):
            assert await anext(wakes)
        await _told_of(wakes, second)


async def test_critical_files_are_looked_at_where_no_event_comes(tmp_path: Path) -> None:
    """A link over two hops: no watched folder sees the edit of the file in between."""
    last = _write(tmp_path / "c" / "last", "a")
    other = _write(tmp_path / "d" / "other", "b")
    middle = tmp_path / "b" / "middle"
    link = tmp_path / "a" / "link"
    middle.parent.mkdir()
    link.parent.mkdir()
    middle.symlink_to(last)
    link.symlink_to(middle)
    async with watch([], critical=[link], clock=SystemClock(), walk_seconds=600) as wakes:
        await _drain(wakes)
        (tmp_path / "b" / "new").symlink_to(other)
        (tmp_path / "b" / "new").replace(middle)
        with anyio.fail_after(SOON):
            assert "link" in await anext(wakes)


async def test_a_walk_is_due_although_nothing_moved(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    async with watch([tmp_path], clock=clock, walk_seconds=10) as wakes:
        reasons = []
        with anyio.fail_after(SOON):
            while "walk" not in reasons:
                clock.advance(timedelta(seconds=0.5))
                if (reason := await _quiet(wakes, 0.01)) is not None:
                    reasons.append(reason)
        assert clock.monotonic() >= 10


async def test_what_the_block_raises_comes_out_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mine"):
        async with watch([tmp_path], clock=SystemClock()):
            raise UsageError("mine")


async def test_closing_is_quick_and_leaves_no_thread(tmp_path: Path) -> None:
    before = {thread.name for thread in threading.enumerate() if "AnyIO" not in thread.name}
    with anyio.fail_after(SOON):
        async with watch([tmp_path], clock=SystemClock()):
            _write(tmp_path / "a" / "b.sql", "x")
    after = {thread.name for thread in threading.enumerate() if "AnyIO" not in thread.name}
    assert after <= before


def test_marks_move_with_content_and_names_only(tmp_path: Path) -> None:
    a = _write(tmp_path / "models" / "a.sql", "one")
    _write(tmp_path / "models" / "deep" / "b.sql", "two")
    _write(tmp_path / "models" / "note.txt", "three")
    patterns = ["models/**/*.sql"]
    first = digest(patterns, tmp_path, leave_out=NOTHING)
    assert [path for path, _ in first.files] == ["models/a.sql", "models/deep/b.sql"]

    os.utime(a, (1, 1))
    _write(tmp_path / "models" / "note.txt", "moved")
    assert digest(patterns, tmp_path, leave_out=NOTHING) == first

    a.write_text("two")
    second = digest(patterns, tmp_path, leave_out=NOTHING)
    assert second.mark != first.mark
    assert second.moved_since(first) == ("models/a.sql",)

    a.rename(tmp_path / "models" / "c.sql")
    third = digest(patterns, tmp_path, leave_out=NOTHING)
    assert third.moved_since(second) == ("models/a.sql", "models/c.sql")

    (tmp_path / "models" / "c.sql").rename(a)
    a.write_text("one")
    assert digest(patterns, tmp_path, leave_out=NOTHING) == first


def test_two_writes_within_one_tick_are_both_seen(tmp_path: Path) -> None:
    file = _write(tmp_path / "a.sql", "aaaa")
    state = file.stat()
    first = digest(["*.sql"], tmp_path, leave_out=NOTHING)
    file.write_text("bbbb")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert digest(["*.sql"], tmp_path, leave_out=NOTHING).mark != first.mark


def test_marks_survive_text(tmp_path: Path) -> None:
    _write(tmp_path / "ä b.sql", "x")
    marks = digest(["*"], tmp_path, leave_out=NOTHING)
    assert FileMarks.from_text(marks.to_text()) == marks
    with pytest.raises(UsageError):
        FileMarks.from_text("{}")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.sql", ["a.sql"]),
        ("**/*.sql", ["a.sql", "m/b.sql", "m/n/c.sql"]),
        ("m/**", ["m/b.sql", "m/n/c.sql", "m/n/d.txt"]),
        ("m", ["m/b.sql", "m/n/c.sql", "m/n/d.txt"]),
        ("m/*", ["m/b.sql"]),
        ("*/n/?.sql", ["m/n/c.sql"]),
        ("m/n/[cd].*", ["m/n/c.sql", "m/n/d.txt"]),
        ("**/n/**/*", ["m/n/c.sql", "m/n/d.txt"]),
        ("./m/b.sql", ["m/b.sql"]),
        (".hidden/*.sql", [".hidden/e.sql"]),
        ("../{root}/a.sql", ["a.sql"]),
        ("absent/**/*.sql", []),
        ("", []),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    for name in ("a.sql", "m/b.sql", "m/n/c.sql", "m/n/d.txt", ".hidden/e.sql"):
        _write(tmp_path / name, name)
    pattern = pattern.replace("{root}", tmp_path.name)
    found = digest([pattern, pattern], tmp_path, leave_out=NOTHING)
    assert [path for path, _ in found.files] == expected


def test_an_absolute_pattern_and_what_is_left_out(tmp_path: Path) -> None:
    _write(tmp_path / "x" / "a.sql", "a")
    _write(tmp_path / "x" / "ours.sql", "b")
    root = tmp_path / "config"
    root.mkdir()
    marks = digest([f"{tmp_path}/x/*.sql"], root, leave_out=frozenset({"ours.sql"}))
    assert [path for path, _ in marks.files] == ["../x/a.sql"]


def test_loops_and_dangling_links_and_folders_named_like_files(tmp_path: Path) -> None:
    _write(tmp_path / "m" / "a.sql", "a")
    (tmp_path / "m" / "again").symlink_to(tmp_path / "m")
    (tmp_path / "m" / "nowhere.sql").symlink_to(tmp_path / "absent.sql")
    (tmp_path / "m" / "folder.sql").mkdir()
    (tmp_path / "m" / "linked.sql").symlink_to(tmp_path / "m" / "a.sql")
    marks = digest(["m/**/*.sql"], tmp_path, leave_out=NOTHING)
    assert [path for path, _ in marks.files] == ["m/a.sql", "m/linked.sql"]


async def test_our_own_reading_of_a_sqlite_file_wakes_nobody(tmp_path: Path) -> None:
    """In WAL mode each read opens the log for writing; a daemon that woke by that never rests."""
    path = tmp_path / "app.db"

    def read() -> None:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
            reader.execute("SELECT * FROM sqlite_master").fetchall()

    with closing(sqlite3.connect(path)) as application:
        application.execute("PRAGMA journal_mode = WAL")
        application.execute("CREATE TABLE first (id INTEGER)")
        files = [path, path.with_name("app.db-wal")]
        async with watch(files, clock=SystemClock()) as wakes:
            await _drain(wakes)
            for _ in range(5):
                read()
                _write(tmp_path / "another.db", "not ours")
            assert await _quiet(wakes, 1.0) is None
            application.execute("CREATE TABLE second (id INTEGER)")
            application.commit()
            with anyio.fail_after(SOON):
                assert "app.db" in await anext(wakes)
