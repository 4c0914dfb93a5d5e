"""A folder that files are dropped in: what is read, what waits, what is put aside."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from amxwatch.clocks.manual import ManualClock
from amxwatch.core.errors import SignalError
from amxwatch.watchers.drops import MAX_BYTES, FolderDrops

pytestmark = pytest.mark.anyio

SETTLE = timedelta(seconds=2)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    return made


@pytest.fixture
def drops(folder: Path) -> FolderDrops:
    return FolderDrops(folder, settle=SETTLE, clock=ManualClock(now()))


def soon() -> datetime:
    return now() + 2 * SETTLE


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


async def test_a_file_is_read_once_it_stands_still_and_moved_only_when_told(
    folder: Path, drops: FolderDrops
) -> None:
    (folder / "a.md").write_text("one")
    waiting = await drops.waiting(now())
    assert waiting.names == ()
    assert waiting.settles_at is not None
    assert now() < waiting.settles_at <= now() + SETTLE
    assert (await drops.waiting(soon())).names == ("a.md",)
    drop = await drops.read("a.md")
    assert drop is not None
    assert (drop.content, drop.fault) == (b"one", None)
    assert below(folder) == {"a.md"}
    await drops.take(drop)
    assert below(folder) == {"taken/a.md"}
    assert (await drops.waiting(soon())).names == ()


async def test_what_is_still_written_is_left_alone(folder: Path, drops: FolderDrops) -> None:
    for name in (".a.md.Xy12", "b.md.part", "c.tmp", "d.md~", "e.crdownload", "done.md"):
        (folder / name).write_text("half")
    (folder / "a folder").mkdir()
    assert (await drops.waiting(soon())).names == ("done.md",)


async def test_the_older_file_comes_first(folder: Path, drops: FolderDrops) -> None:
    for name in ("b", "a", "c"):
        (folder / name).write_text(name)
        os.utime(folder / name, (0, 0))  # the moment of the copy counts, not the content's
    assert (await drops.waiting(soon())).names == ("b", "a", "c")


async def test_a_file_replaced_since_it_was_read_stays(folder: Path, drops: FolderDrops) -> None:
    """Else a signal that nobody ever read would lie among those that were taken."""
    (folder / "a.md").write_text("one")
    drop = await drops.read("a.md")
    (folder / "new").write_text("two")
    (folder / "new").replace(folder / "a.md")
    assert drop is not None
    await drops.take(drop)
    assert below(folder) == {"a.md"}
    assert (folder / "a.md").read_text() == "two"


async def test_what_two_processes_take_is_taken_once(folder: Path, drops: FolderDrops) -> None:
    (folder / "a.md").write_text("one")
    first, second = await drops.read("a.md"), await drops.read("a.md")
    assert first is not None
    assert second is not None
    await drops.take(first)
    await drops.take(second)
    assert below(folder) == {"taken/a.md"}
    assert await drops.read("a.md") is None


async def test_files_of_one_name_do_not_overwrite_each_other(
    folder: Path, drops: FolderDrops
) -> None:
    for text in ("one", "two", "three"):
        (folder / "a.md").write_text(text)
        drop = await drops.read("a.md")
        assert drop is not None
        await drops.take(drop)
    assert below(folder) == {"taken/a.md", "taken/a-2.md", "taken/a-3.md"}
    assert (folder / "taken" / "a-3.md").read_text() == "three"


async def test_what_is_refused_lies_beside_its_reason(folder: Path, drops: FolderDrops) -> None:
    (folder / "a.md").write_text("one")
    drop = await drops.read("a.md")
    assert drop is not None
    await drops.refuse(drop, "it says nothing")
    assert below(folder) == {"refused/a.md", "refused/a.md.reason.txt"}
    assert (folder / "refused" / "a.md.reason.txt").read_text() == "it says nothing\n"


async def test_files_that_are_none_are_refused_unread(folder: Path, drops: FolderDrops) -> None:
    secret = folder.parent / "secret"
    secret.write_text("secret")
    (folder / "link.md").symlink_to(secret)
    (folder / "dangling.md").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.md")
    with (folder / "big.md").open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    faults = {}
    for name in (await drops.waiting(soon())).names:
        drop = await drops.read(name)
        assert drop is not None
        assert drop.content == b""
        faults[name] = drop.fault
        await drops.refuse(drop, drop.fault or "")
    assert faults == {
        "link.md": "it is a symbolic link; drop the file itself",
        "dangling.md": "it is a symbolic link; drop the file itself",
        "pipe.md": "it is no regular file",
        "big.md": f"it has 67,108,864 bytes; allowed: at most {MAX_BYTES:,}",
    }
    assert secret.read_text() == "secret"
    assert (folder / "refused" / "link.md").is_symlink()
    assert not [name for name in below(folder) if "/" not in name]


@pytest.mark.parametrize("name", ["a\nb.md", "a\x1b[31m.md", "\udcff\udcfe.md", "n" * 250])
async def test_odd_names_are_refused_and_put_aside_under_clean_ones(
    folder: Path, drops: FolderDrops, name: str
) -> None:
    (folder / name).write_text("x")
    assert (await drops.waiting(soon())).names == (name,)
    drop = await drops.read(name)
    assert drop is not None
    assert drop.fault is not None
    await drops.refuse(drop, drop.fault)
    left = below(folder)
    assert len(left) == 2
    assert all(each.startswith("refused/") and each.isprintable() for each in left)


@pytest.mark.parametrize("name", ["-rf", "a b.md", "Größe.md", "'; DROP TABLE x.md", "noending"])
async def test_names_that_can_be_printed_are_fine(
    folder: Path, drops: FolderDrops, name: str
) -> None:
    (folder / name).write_text("x")
    drop = await drops.read(name)
    assert drop is not None
    assert drop.fault is None
    await drops.take(drop)
    assert below(folder) == {f"taken/{name}"}


class Writer(ManualClock):
    """Goes on with a half-written file while someone waits."""

    path: Path | None = None

    async def sleep(self, seconds: float) -> None:
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(" more")


async def test_a_clock_that_was_set_back_does_not_make_half_a_file_whole(folder: Path) -> None:
    (folder / "still.md").write_text("whole")
    (folder / "written.md").write_text("half")
    yesterday = now() - timedelta(days=1)
    clock = Writer(yesterday)
    clock.path = folder / "written.md"
    drops = FolderDrops(folder, settle=SETTLE, clock=clock)
    assert (await drops.waiting(yesterday)).names == ("still.md",)
    clock.path = None
    assert set((await drops.waiting(yesterday)).names) == {"still.md", "written.md"}


async def test_a_folder_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    drops = FolderDrops(tmp_path / "gone", settle=SETTLE, clock=ManualClock(now()))
    with pytest.raises(SignalError, match="make the folder") as caught:
        await drops.waiting(now())
    assert "\n" not in str(caught.value)
