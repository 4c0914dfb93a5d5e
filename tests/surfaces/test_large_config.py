"""Very many drop-ins: what did not move is not read again, and what is kept is never wrong."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from amxwatch.clocks.manual import ManualClock
from amxwatch.core.errors import ConfigError
from amxwatch.settings import file, large, shelf
from amxwatch.settings.file import Loaded, load
from amxwatch.settings.folder import Folder
from amxwatch.settings.plans import Plans, outlines
from amxwatch.settings.reload import Reloader
from amxwatch.settings.source import LARGE, read_some
from tests.flows.conftest import NOON
from tests.plugins.install import Installed

MAIN = '[db_profiles.shop]\nurl = "sqlite:///shop.db"\n'
COUNT = LARGE + 20


def text(name: str, minutes: int = 60, db: str = "shop", more: str = "") -> str:
    trigger = f'trigger = {{ type = "every", minutes = {minutes} }}'
    return f'[schedules."{name}"]\ndb_profile = "{db}"\n{more}{trigger}\n'


def drop_in(folder: Path, name: str, content: str, *, age: float = 10) -> Path:
    """Write a drop-in that was last moved so many seconds ago, as far as a file can say so."""
    path = folder / "schedules.d" / f"{name}.toml"
    path.write_text(content, encoding="utf-8")
    os.utime(path, (time.time() - age, time.time() - age))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    (folder / "schedules.d").mkdir()
    (folder / "amxwatch.toml").write_text(MAIN, encoding="utf-8")
    for number in range(COUNT):
        drop_in(folder, f"job-{number:04d}", text(f"job-{number:04d}"))
    time.sleep(2.1)  # the disk's own clock says when an entry was last changed
    load(folder)
    return folder


def read_again(folder: Path) -> Loaded:
    """Load as a new process would."""
    shelf._SHELVES.clear()
    return load(folder)


def shelved(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / ".plans.db")) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM plan")}


def test_what_is_kept_means_what_the_files_mean(made: Path) -> None:
    found = read_again(made)
    plans = found.settings.schedules
    assert isinstance(plans, Plans)
    assert len(plans) == len(shelved(made)) == COUNT
    plain = file.examine(made, read_some(Folder(path=made), large.stats(Folder(path=made)) or ()))
    assert dict(plans) == plain.settings.schedules
    assert dict(found.schedule_files) == dict(plain.schedule_files)
    told = dict(outlines(plans))
    assert {each.trigger for each in told.values()} == {"every"}
    assert (made / ".plans.db").stat().st_mode & 0o777 == 0o600


def test_edits_are_seen_at_once_however_small(made: Path) -> None:
    first = read_again(made)
    path = made / "schedules.d" / "job-0007.toml"
    before = path.stat()
    path.write_text(text("job-0007", minutes=61), encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a careless copy would
    second = read_again(made)
    assert second.settings.schedules["job-0007"].trigger.minutes == 61  # type: ignore[union-attr]
    assert second.digest != first.digest
    # A second edit in the same moment, of the same size: the first was not believed yet.
    path.write_text(text("job-0007", minutes=62), encoding="utf-8")
    third = read_again(made)
    assert third.settings.schedules["job-0007"].trigger.minutes == 62  # type: ignore[union-attr]
    path.write_text(text("job-0007"), encoding="utf-8")
    assert read_again(made).digest == first.digest


def test_files_that_come_and_go(made: Path) -> None:
    path = drop_in(made, "new", text("new one"))
    assert "new one" in read_again(made).settings.schedules
    path.unlink()
    assert "new one" not in read_again(made).settings.schedules


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (text("job-0003"), "a second schedule named 'job-0003'"),
        (text("fine", db="shopp"), "did you mean 'shop'"),
        ("[schedules.x\n", "broken TOML"),
        (text("x", more="colour = 1\n"), "colour"),
    ],
)
def test_mistakes_are_told_as_in_a_small_config(made: Path, content: str, said: str) -> None:
    path = drop_in(made, "wrong", content)
    try:
        with pytest.raises(ConfigError) as caught:
            read_again(made)
        assert said in str(caught.value)
        assert all(problem.line for problem in caught.value.problems)
    finally:
        path.unlink()
    assert len(read_again(made).settings.schedules) == COUNT


def test_what_the_main_file_takes_away_is_missed(made: Path) -> None:
    main = made / "amxwatch.toml"
    main.write_text(MAIN.replace("shop]", "store]"), encoding="utf-8")
    with pytest.raises(ConfigError, match="shop"):
        read_again(made)
    main.write_text("[daemon]\npoll_seconds = -1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="poll_seconds"):
        read_again(made)
    main.write_text(MAIN, encoding="utf-8")
    assert len(read_again(made).settings.schedules) == COUNT


@pytest.mark.parametrize("harm", ["garbage", "another shape", "other rules", "gone"])
def test_a_broken_shelf_is_never_believed(made: Path, harm: str) -> None:
    first = read_again(made)
    path = made / ".plans.db"
    if harm == "garbage":
        path.write_bytes(b"not a database" * 500)
    elif harm == "gone":
        path.unlink()
    else:
        with closing(sqlite3.connect(path)) as connection, connection:
            if harm == "other rules":
                connection.execute("UPDATE shelf SET rules = 'older'")
                connection.execute("UPDATE body SET text = '{}'")
            else:
                connection.execute("ALTER TABLE plan DROP COLUMN mark")
    assert dict(read_again(made).settings.schedules) == dict(first.settings.schedules)
    assert read_again(made).digest == first.digest


@pytest.mark.anyio
async def test_a_reload_after_one_edit(made: Path) -> None:
    clock = ManualClock(NOON)
    current = read_again(made)
    reloader = Reloader(made, clock, current)
    assert await reloader.check() is None
    path = drop_in(made, "job-0011", text("job-0011", minutes=5))
    found = await reloader.check()
    assert isinstance(found, Loaded)
    before, after = (
        dict(outlines(current.settings.schedules)),
        dict(outlines(found.settings.schedules)),
    )
    moved = [name for name in after if before.get(name) != after[name]]
    assert moved == ["job-0011"]
    path.write_text("[schedules", encoding="utf-8")
    assert await reloader.check() is None  # it may be half-written
    assert reloader.is_settling
    clock.advance(timedelta(seconds=1))
    assert isinstance(await reloader.check(), ConfigError)
    assert await reloader.check() is None  # told once
    path.write_text(text("job-0011"), encoding="utf-8")
    assert isinstance(await reloader.check(), Loaded)


def test_commands_and_a_broken_file_among_many(made: Path) -> None:
    install = Installed(made)
    install.run("schedule", "add", "--name", "extra", "--every", "5", "--db", "shop")
    listed = install.json("schedule", "list")["schedules"]
    assert len(listed) == COUNT + 1
    page = install.json("schedule", "list", "--limit", "3")["schedules"]
    assert [each["name"] for each in page] == ["extra", "job-0000", "job-0001"]
    assert "--limit" in install.run("schedule", "list").stdout
    assert install.json("schedule", "pause", "job-0001")["status"] == "paused"
    broken = drop_in(made, "broken", "[schedules")
    again = install.run("schedule", "list", "--json")
    assert "last good config" in again.stderr
    assert install.run("schedule", "resume", "job-0001", status=2).stderr
    broken.unlink()
    install.run("schedule", "rm", "extra", "--yes")
    assert len(install.json("schedule", "list")["schedules"]) == COUNT


def test_files_that_are_alike_are_told_apart(made: Path) -> None:
    """What was found right of one text holds for another only where the name alone differs."""
    like = '[schedules.{0}]\ndb_profile = "shop"\ntrigger_reason = "{1}"\n[schedules.{0}.trigger]\n'
    like += 'type = "every"\nminutes = 9\n'
    files = {
        "a": like.format("a", "x"),
        "b": like.format("b", "x"),
        "c": like.format("c", "[schedules.c"),
        "d": like.format("d", "[schedules.d"),
        "e": like.format('"a.b"', "x"),
        "g": like.format("g", "x").replace("\n", "\r\n"),
    }
    paths = [drop_in(made, f"alike-{file}", content) for file, content in files.items()]
    plans = read_again(made).settings.schedules
    told = {name: plans[name].trigger_reason for name in ("a", "b", "c", "d", "a.b", "g")}
    assert told == {
        "a": "x", "b": "x", "c": "[schedules.c", "d": "[schedules.d", "a.b": "x", "g": "x"
    }  # fmt: skip
    paths[1].write_text(like.format("b", "x").replace("[schedules.b.t", "[schedules.a.t"))
    with pytest.raises(ConfigError, match=r"alike-b\.toml:4: .*a second schedule"):
        read_again(made)
    paths[1].write_text(like.format("b", "x").replace("[schedules.b.t", "[schedules.\0.t"))
    with pytest.raises(ConfigError, match=r"alike-b\.toml:4"):
        read_again(made)
    for path in paths:
        path.unlink()
    assert len(read_again(made).settings.schedules) == COUNT
