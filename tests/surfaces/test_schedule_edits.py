"""`schedule edit`, `schedule backfill`, and what pausing and resuming say."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pexpect
import pytest

from amxwatch.core.errors import UsageError
from amxwatch.settings.edit import set_schedule_values
from amxwatch.settings.file import load
from tests.surfaces.conftest import Inside

PLAN = """
# What runs at night.
[schedules.mine]   # keep me
db_profile = "house"
trigger = { type = "cron", cron = "0 3 * * *", timezone = "Europe/Istanbul" }  # and me

# after it
"""


@pytest.fixture
def mine(shop: Inside) -> Inside:
    """The shop with a schedule in the person's own file."""
    with (shop.folder / "amxwatch.toml").open("a", encoding="utf-8") as file:
        file.write(PLAN)
    shop.run("schedule", "run-due", "--schedule", "mine")
    return shop


def text(install: Inside) -> str:
    return (install.folder / "amxwatch.toml").read_text(encoding="utf-8")


def reasons(install: Inside, name: str) -> list[str]:
    found = [e for e in install.events() if e["action"] == "schedule_armed"]
    return [event["reason"] for event in found if event["schedule"] == name]


def test_an_edit_by_flags_changes_the_parts_and_nothing_else(mine: Inside) -> None:
    before = text(mine)
    done = mine.run("schedule", "edit", "mine", "--cron", "30 4 * * 1-5")
    assert text(mine) == before.replace("0 3 * * *", "30 4 * * 1-5")
    assert "it counts from now on, and fires for nothing that is past; next at" in done.stdout
    assert reasons(mine, "mine") == ["first seen", "edited"]
    document = mine.json(
        "schedule", "edit", "mine", "--scope", "table:main.orders", "--strategy", "auto",
        "--set", "timeout_seconds=60", "--set", 'priority="p0"', "--tz", "Asia/Kolkata",
    )  # fmt: skip
    assert document["trigger"]["cron"] == "30 4 * * 1-5"
    assert (document["scope"], document["review_strategy"]) == ("table:main.orders", "auto")
    assert document["timezone"] == "Asia/Kolkata"
    assert document["changed"] == [
        "priority",
        "review_strategy",
        "scope",
        "timeout_seconds",
        "trigger.timezone",
    ]
    plan = mine.json("schedule", "show", "mine")["plan"]
    assert (plan["timeout_seconds"], plan["priority"]) == (60, "p0")
    assert "# keep me" in text(mine)
    mine.run("schedule", "edit", "mine", "--unset", "timeout_seconds")
    assert "timeout_seconds" not in text(mine)
    assert [e["action"] for e in mine.events()].count("schedule_edited") == 3


def test_an_edit_may_give_another_trigger(mine: Inside) -> None:
    document = mine.json("schedule", "edit", "mine", "--every", "30")
    assert (document["trigger"]["type"], document["trigger"]["minutes"]) == ("every", 30)
    assert document["timezone"] == "Europe/Istanbul"
    assert "cron" not in document["trigger"]
    assert "# and me" in text(mine)
    watch = mine.json("schedule", "edit", "watch", "--settle-seconds", "3")
    assert watch["trigger"]["settle_seconds"] == 3
    document = mine.json("schedule", "edit", "watch", "--at", "2031-01-01 09:00", "--tz", "UTC")
    assert document["next_fire_at"] == "2031-01-01T09:00:00+00:00"


def test_a_trigger_in_a_section_of_its_own_can_be_changed(tmp_path: Path) -> None:
    (tmp_path / "amxwatch.toml").write_text(
        '[db_profiles.a]\nurl = "sqlite:///a.db"\n[schedules.s]\ndb_profile = "a"\n'
        '# when\n[schedules.s.trigger]\ntype = "every"\nminutes = 5  # often\n'
    )
    set_schedule_values(tmp_path, load(tmp_path), "s", {"trigger.minutes": 7, "enabled": False})
    plan = load(tmp_path).settings.schedules["s"]
    assert (plan.trigger.describe(), plan.enabled) == ("every 7 minutes", False)
    assert "# often" in (tmp_path / "amxwatch.toml").read_text()
    trigger = {"type": "cron", "cron": "0 3 * * *"}
    set_schedule_values(tmp_path, load(tmp_path), "s", {"trigger": trigger})
    assert load(tmp_path).settings.schedules["s"].trigger.type == "cron"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "--cron"),
        (("--at", "2020-01-01 10:00"), "passed"),
        (("--cron", "61 * * * *"), "61"),
        (("--cron", "* * * * *", "--every", "5"), "do not go together"),
        (("--scope", "table:main.ordrs"), "main.orders"),
        (("--db", "nope"), "nope"),
        (("--settle-seconds", "3"), "--settle-seconds does not go with"),
        (("--set", "priority"), "KEY=VALUE"),
        (("--set", 'priority="p9"'), "p0"),
        (("--set", "nonsense=1"), "nonsense"),
        (("--unset", "db_profile"), "db_profile"),
        (("--set", 'input_template="{{nope}}"'), "{{date}}"),
        (("--set", 'trigger.timezone="Mars/Olympus"'), "Mars"),
    ],
)
def test_a_wrong_edit_is_one_line_and_changes_nothing(
    mine: Inside, words: tuple[str, ...], says: str
) -> None:
    before = text(mine)
    said = mine.run("schedule", "edit", "mine", *words, status=2).stderr
    assert says in said
    assert said.count("\n") == 1
    assert text(mine) == before


def test_enabled_again_it_counts_from_now(mine: Inside) -> None:
    assert mine.json("schedule", "edit", "mine", "--disable")["status"] == "paused"
    done = mine.run("schedule", "edit", "mine", "--enable")
    assert "it counts from now on" in done.stdout
    assert reasons(mine, "mine") == ["first seen", "re-enabled"]
    file = mine.folder / "amxwatch.toml"
    file.write_text(text(mine).replace("enabled = true", "enabled = false"))
    mine.run("schedule", "run-due", "--schedule", "mine")
    file.write_text(text(mine).replace("enabled = false", "enabled = true"))
    said = mine.run("schedule", "run-due", "--schedule", "mine").stdout
    assert "mine: armed from now on (re-enabled)" in said
    (result,) = mine.json("schedule", "run-due", "--schedule", "mine")["results"]
    assert "armed" not in result


def test_resumed_it_counts_from_now(mine: Inside) -> None:
    mine.run("schedule", "pause", "mine")
    assert "it counts from now on" in mine.run("schedule", "resume", "mine").stdout
    assert reasons(mine, "mine") == ["first seen", "resumed"]
    again = mine.run("schedule", "resume", "mine").stdout
    assert "counts" not in again
    assert "what moved meanwhile is pending" in (
        mine.run("schedule", "pause", "watch") and mine.run("schedule", "resume", "watch").stdout
    )


def test_backfill_lists_queues_and_repeats_nothing(mine: Inside) -> None:
    mine.run("schedule", "edit", "mine", "--set", 'kind="cache_refresh"')
    words = ("schedule", "backfill", "mine", "--from", "2026-01-05", "--to", "2026-01-07 12:00")
    dry = mine.json(*words, "--dry-run")
    assert dry["dry_run"] is True
    assert [tick["local"] for tick in dry["ticks"]] == [
        f"2026-01-0{day}T03:00:00+03:00" for day in (5, 6, 7)
    ]
    assert {tick["action"] for tick in dry["ticks"]} == {"would_queue"}
    assert len(mine.runs()) == 1
    assert "--yes" in mine.run(*words, status=2).stderr
    assert mine.json(*words, "--yes")["queued"] == 3
    done = mine.json("schedule", "run-due", "--schedule", "mine")
    ran = [result for result in done["results"] if result["action"] in ("run", "skip")]
    assert [result["status"] for result in ran] == ["completed"] * 3
    again = mine.json(*words, "-y")
    assert (again["queued"], {tick["action"] for tick in again["ticks"]}) == (0, {"ran"})
    assert mine.json(*words, "-y", "--again")["queued"] == 3
    reasons_of = {run["trigger_reason"] for run in mine.runs() if run["schedule"] == "mine"}
    assert "backfill of 2026-01-05 00:00 UTC" in reasons_of


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("watch", "--from", "2026-01-01"), "no ticks"),
        (("nightly", "--from", "2031-01-01", "--to", "2031-02-01"), "--to"),
        (("nightly", "--from", "yesterday"), "--from"),
        (("nightly", "--from", "2026-01-02", "--to", "2026-01-01"), "--from"),
        (("nope", "--from", "2026-01-02"), "nope"),
    ],
)
def test_a_wrong_backfill_is_one_line(shop_once: Inside, words: tuple[str, ...], says: str) -> None:
    said = shop_once.run("schedule", "backfill", *words, status=2).stderr
    assert says in said
    assert said.count("\n") == 1


def spawn(install: Inside, *words: str, editor: str) -> pexpect.spawn:
    environment = {
        **os.environ,
        "AMXWATCH_CONFIG_DIR": str(install.folder),
        "TERM": "dumb",
        "VISUAL": editor,
    }
    return pexpect.spawn(
        sys.executable, ["-m", "amxwatch", *words], env=environment, encoding="utf-8", timeout=90
    )


def editor(folder: Path, *edits: tuple[str, str]) -> str:
    """Make an editor that does the next of these replacements each time that it is called."""
    script = folder / "editor.py"
    script.write_text(
        "import pathlib, sys\n"
        f"edits = {list(edits)!r}\n"
        f"count = pathlib.Path({str(folder / 'count')!r})\n"
        "at = int(count.read_text()) if count.exists() else 0\n"
        "count.write_text(str(at + 1))\n"
        "file = pathlib.Path(sys.argv[1])\n"
        "file.write_text(file.read_text().replace(*edits[at]))\n"
        "import os; os.utime(file, (2000000000 + at, 2000000000 + at))\n"
    )
    return f"{sys.executable} {script}"


def test_the_editor_is_opened_until_the_file_holds(mine: Inside, tmp_path: Path) -> None:
    command = editor(tmp_path, ("0 3 * * *", "99 * * * *"), ("99 * * * *", "15 5 * * *"))
    child = spawn(mine, "schedule", "edit", "mine", editor=command)
    child.expect("99")
    child.expect("again")
    child.sendline("y")
    child.expect("mine is edited: it counts from now on")
    child.expect(pexpect.EOF)
    assert 'cron = "15 5 * * *"' in text(mine)
    assert "# keep me" in text(mine)
    assert reasons(mine, "mine") == ["first seen", "edited"]


def test_a_past_time_is_refused_in_the_editor_too(mine: Inside, tmp_path: Path) -> None:
    before = text(mine)
    new = 'type = "at", at = "2020-01-01 10:00"'
    command = editor(tmp_path, ('type = "cron", cron = "0 3 * * *"', new))
    child = spawn(mine, "schedule", "edit", "mine", editor=command)
    child.expect("has passed")
    child.expect("again")
    child.sendline("n")
    child.expect("Nothing was changed")
    child.expect(pexpect.EOF)
    assert text(mine) == before


def test_values_are_set_together_or_not_at_all(mine: Inside) -> None:
    before = text(mine)
    loaded = load(mine.folder)
    with pytest.raises(UsageError):
        set_schedule_values(mine.folder, loaded, "mine", {"scope": "all", "nope": 1})
    assert text(mine) == before
