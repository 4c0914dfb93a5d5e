"""Commands that need one schedule of very many: they look at that one, and are never wrong."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from amxwatch.core.errors import ConfigError
from amxwatch.settings import edit, shelf
from amxwatch.settings.file import Loaded, load
from amxwatch.settings.near import Near
from amxwatch.settings.plans import few_names, limits, names_after, of_trigger
from amxwatch.settings.source import LARGE
from tests.plugins.install import Installed

MAIN = '[db_profiles.shop]\nurl = "sqlite:///shop.db"\n[schedules.own]\ndb_profile = "shop"\n'
MAIN += 'trigger = { type = "every", minutes = 7 }\n'
COUNT = LARGE + 20
TRIGGER = {"type": "every", "minutes": 5}


def text(name: str, minutes: int = 60, more: str = "") -> str:
    return (
        f'[schedules."{name}"]\ndb_profile = "shop"\n{more}\n'
        f'[schedules."{name}".trigger]\ntype = "every"\nminutes = {minutes}\n'
    )


def write(folder: Path, file: str, content: str, *, age: float = 10) -> Path:
    path = folder / "schedules.d" / file
    path.write_text(content, encoding="utf-8")
    os.utime(path, (time.time() - age, time.time() - age))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("near")
    (folder / "schedules.d").mkdir()
    (folder / "amxwatch.toml").write_text(MAIN, encoding="utf-8")
    for number in range(COUNT):
        more = "max_concurrent = 3" if number == 5 else ""
        write(folder, f"job-{number:04d}.toml", text(f"job-{number:04d}", more=more))
    time.sleep(2.1)  # the disk's own clock says when an entry was last changed
    load(folder)
    return folder


def near(folder: Path, *about: str) -> Loaded:
    """Load what one command needs, as a new process would."""
    shelf._SHELVES.clear()
    return load(folder, about=about)


def minutes(loaded: Loaded, name: str) -> float:
    return loaded.settings.schedules[name].trigger.minutes  # type: ignore[union-attr]


def test_one_is_as_the_whole_has_it_and_no_other_file_is_read(made: Path) -> None:
    whole = load(made).settings.schedules
    unread = made / "schedules.d" / "job-0400.toml"
    before = unread.read_bytes(), unread.stat()
    unread.write_text("[broken", encoding="utf-8")
    try:
        found = near(made, "job-0003")
        assert isinstance(found.settings.schedules, Near)
        assert not found.whole
        assert found.settings.schedules["job-0003"] == whole["job-0003"]
        assert found.settings.schedules["own"] == whole["own"]
        assert found.schedule_files["job-0003"].name == "job-0003.toml"
        assert "nothing" not in found.settings.schedules
        with pytest.raises(ConfigError, match=r"job-0400\.toml:1"):
            near(made, "job-0400")
        with pytest.raises(ConfigError, match=r"job-0400\.toml:1"):
            list(near(made).settings.schedules)
        # Once it was seen to be wrong, it is told to everybody.
        with pytest.raises(ConfigError, match=r"job-0400\.toml:1"):
            near(made, "job-0003")
    finally:
        unread.write_bytes(before[0])
    assert len(load(made).settings.schedules) == COUNT + 1


def test_what_needs_few_of_them_gets_few(made: Path) -> None:
    load(made)
    plans = near(made).settings.schedules
    whole = sorted(load(made).settings.schedules)
    assert names_after(plans, "", 3) == whole[:3]
    assert names_after(plans, "job-0002", 2) == ["job-0003", "job-0004"]
    assert names_after(plans, whole[-2], 9) == whole[-1:] == ["own"]
    assert limits(plans) == {"job-0005": 3}
    assert of_trigger(plans, "at") == []
    assert sorted(of_trigger(plans, "every")) == whole
    assert len(plans) == COUNT + 1
    assert few_names(plans).endswith(f"and {COUNT + 1 - 20} more")


def test_an_edit_of_it_is_seen_at_once_and_again(made: Path) -> None:
    load(made)
    path = made / "schedules.d" / "job-0007.toml"
    before = path.read_bytes()
    for number in (61, 62, 63):
        path.write_text(text("job-0007", number), encoding="utf-8")
        assert minutes(near(made, "job-0007"), "job-0007") == number
    path.write_text(text("another name"), encoding="utf-8")
    assert "job-0007" not in near(made).settings.schedules
    assert "another name" in near(made, "another name").settings.schedules
    path.write_bytes(before)
    assert minutes(near(made, "job-0007"), "job-0007") == 60


def test_files_that_come_and_go_are_seen(made: Path) -> None:
    load(made)
    path = write(made, "new.toml", text("new one", 5))
    assert minutes(near(made, "new one"), "new one") == 5
    assert "new one" in names_after(near(made).settings.schedules, "job-0519", 9)
    path.unlink()
    assert "new one" not in near(made).settings.schedules
    path.write_text(text("job-0003"), encoding="utf-8")
    try:
        with pytest.raises(ConfigError, match="a second schedule named 'job-0003'"):
            near(made, "job-0001")
    finally:
        path.unlink()
    assert "job-0003" in near(made, "job-0003").settings.schedules


@pytest.mark.parametrize("harm", ["garbage", "wrong table", "gone", "half"])
def test_a_broken_index_is_made_anew(made: Path, harm: str) -> None:
    load(made)
    path = made / ".plans.db"
    shelf._SHELVES.clear()
    if harm == "garbage":
        path.write_bytes(b"not a database" * 500)
    elif harm == "gone":
        path.unlink()
    elif harm == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE body SET text = replace(text, '60', '61')")
    assert minutes(near(made, "job-0003"), "job-0003") == 60
    load(made)
    assert isinstance(near(made, "job-0003").settings.schedules, Near)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a.b.c", "..", "Été 2026 ☃", "x" * 200, "CON", '"q"', "a\\b", "%"]
)
def test_any_name_is_added_found_and_removed(made: Path, name: str) -> None:
    load(made)
    path = edit.write_schedule(made, name, {"db_profile": "shop", "trigger": TRIGGER})
    assert path.parent == made / "schedules.d"
    found = near(made, name)
    assert found.settings.schedules[name].name == name
    assert minutes(found, name) == 5
    again = edit.set_schedule_value(made, found, name, "trigger.minutes", 6)
    assert again == path
    assert minutes(near(made, name), name) == 6
    edit.remove_schedule(made, near(made, name), name)
    assert not path.exists()
    assert name not in near(made).settings.schedules


def test_commands_among_many(made: Path) -> None:
    install = Installed(made)
    added = ("schedule", "add", "--name", "extra", "--every", "5", "--db", "shop")
    install.run(*added)
    assert "extra" in install.run(*added, status=2).stderr
    assert install.json("schedule", "pause", "extra")["status"] == "paused"
    assert install.json("schedule", "edit", "extra", "--every", "9")["trigger"]["minutes"] == 9
    assert install.json("schedule", "show", "own")["name"] == "own"
    said = install.run("schedule", "list", "--limit", "2").stdout
    assert f"these 2, {COUNT + 2} in all" in said
    names = [each["name"] for each in install.json("schedule", "list")["schedules"]]
    assert names == sorted(names)
    assert len(names) == COUNT + 2
    assert "and 502 more" in install.run("schedule", "show", "nobody", status=2).stderr
    install.run("schedule", "rm", "extra", "--yes")
    assert "extra" not in near(made).settings.schedules
