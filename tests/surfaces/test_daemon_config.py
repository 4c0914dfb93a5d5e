"""Edits of the config while a real daemon runs, and a restart over a broken one."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from tests.plugins.install import Installed
from tests.surfaces.witness import Witness

GOOD = """
[db_profiles.source]
url = "sqlite:///source.db"

[daemon]
poll_seconds = {poll_seconds}

[db_profiles.edit_{number:02d}]
url = "sqlite:///source.db"
"""

BROKEN = (
    ("[daemon\npoll_seconds = 1\n", ":1:"),
    ('[daemon]\npoll_seconds = "soon"\n', ":2:"),
    ("[daemon]\npoll_secconds = 1\n", "poll_secconds"),
    ('[schedules.a]\ndb_profile = "absent"\ntrigger = { type = "change" }\n', "absent"),
    ("[daemon]\npoll_seconds = -5\n", "-5"),
)

MOMENT = 0.1
"""Seconds that an edit lasts which need not be seen; the others stand until they are."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One save. `mark` is what the daemon must say of it where it `stands`."""

    text: str
    mark: str
    is_good: bool
    stands: bool


def edits() -> list[Edit]:
    """Return twenty edits, a third of them broken; some of both stand, the last one broken."""
    made = []
    for number in range(20):
        stands = number in (3, 6, 9, 12, 15, 18, 19)
        if number % 3 == 1 or number == 19 or number == 12:
            text, mark = BROKEN[number % len(BROKEN)]
            # A comment makes each content one of its own.
            made.append(Edit(text=f"{text}# {number}\n", mark=mark, is_good=False, stands=stands))
        else:
            text = GOOD.format(poll_seconds=0.5 + number / 100, number=number)
            made.append(Edit(text=text, mark=f"edit_{number:02d}", is_good=True, stands=stands))
    return made


class Editor:
    """Saves the config as editors do, each time in another way."""

    def __init__(self, install: Installed, elsewhere: Path) -> None:
        self._path = install.folder / "amxwatch.toml"
        self._elsewhere = elsewhere
        elsewhere.mkdir()
        self._count = 0

    @property
    def ways(self) -> tuple[Callable[[str], None], ...]:
        return (self.in_place, self.by_rename, self.by_link, self.behind_the_link)

    def in_place(self, text: str) -> None:
        self._path.write_text(text, encoding="utf-8")

    def by_rename(self, text: str) -> None:
        new = self._path.with_name(".amxwatch.toml.new")
        new.write_text(text, encoding="utf-8")
        new.replace(self._path)

    def by_link(self, text: str) -> None:
        self._count += 1
        target = self._elsewhere / f"config_{self._count}.toml"
        target.write_text(text, encoding="utf-8")
        link = self._path.with_name(".amxwatch.toml.link")
        link.symlink_to(target)
        link.replace(self._path)

    def behind_the_link(self, text: str) -> None:
        self._path.resolve().write_text(text, encoding="utf-8")


def config_events(witness: Witness) -> list[tuple[float, bool, str]]:
    """Return when the daemon took or refused a config, and what it said."""
    found = witness.rows(
        "SELECT at, action, detail FROM event"
        " WHERE action IN ('config_loaded', 'config_rejected') ORDER BY id"
    )
    return [
        (datetime.fromisoformat(at).timestamp(), action == "config_loaded", json.loads(detail))
        for at, action, detail in found
    ]


def test_twenty_edits_in_a_row(install: Installed, tmp_path: Path) -> None:
    """Each that stands is told, and within a second where the machine has one to give."""
    install.config(GOOD.format(poll_seconds=0.5, number=99))
    process = install.daemon()
    witness = Witness(install.folder)
    editor = Editor(install, tmp_path / "elsewhere")
    lags: list[float] = []
    for number, edit in enumerate(edits()):
        saved_at = time.time()
        editor.ways[number % 4](edit.text)
        if edit.stands:
            told = install.until(partial(told_at, witness, saved_at, edit), f"word of {edit}")
            lags.append(told - saved_at)
        else:
            time.sleep(MOMENT)
    assert min(lags) < 1, lags
    last = next(edit for edit in reversed(edits()) if edit.is_good)
    assert process.poll() is None
    assert_in_force(install, process, last)
    assert process.pid == install.json("status")["daemon"]["pid"]


def told_at(witness: Witness, saved_at: float, edit: Edit) -> float | None:
    """Return when the daemon told of the edit; None where it has not."""
    found = (
        at
        for at, good, detail in config_events(witness)
        if at >= saved_at - 0.05 and good is edit.is_good and edit.mark in json.dumps(detail)
    )
    return next(found, None)


def assert_in_force(install: Installed, process: subprocess.Popen[bytes], edit: Edit) -> None:
    """The daemon and the commands that read go by this edit, and say so."""
    poll_seconds = float(edit.text.split("poll_seconds = ")[1].split("\n")[0])

    def beats() -> bool:
        return bool(install.json("status")["daemon"]["poll_seconds"] == poll_seconds)

    install.until(beats, f"a beat every {poll_seconds} s")
    done = install.run("db", "list", "--json")
    assert edit.mark in done.stdout
    assert "warning" in done.stderr


BROKEN_CONFIG = "[daemon]\npoll_seconds = 0\n"


def test_a_restart_over_a_broken_config(install: Installed) -> None:
    install.config(GOOD.format(poll_seconds=0.5, number=7))
    first = install.daemon()
    install.stop(first)
    install.config(BROKEN_CONFIG)
    second = install.daemon()
    status = install.json("status")
    assert status["daemon"]["pid"] == second.pid
    assert status["daemon"]["poll_seconds"] == 0.5
    assert "amxwatch.toml:2:" in install.log()
    assert "last good config" in install.log()


READING: tuple[tuple[str, ...], ...] = (
    ("status",),
    ("db", "list"),
    ("schedule", "list"),
    ("history", "list"),
    ("events",),
)
WRITING: tuple[tuple[str, ...], ...] = (
    ("doctor",),
    ("run", "main.a"),
    ("apply", "-y"),
    ("review", "--strategy", "accept-all"),
    ("schedule", "add", "--name", "n", "--every", "5", "--db", "source"),
    ("catalog", "refresh", "source"),
)


def test_commands_over_a_broken_config(install: Installed) -> None:
    """Those that read use the last good one, and say so in a line; the others refuse in one."""
    install.config(GOOD.format(poll_seconds=0.5, number=7))
    install.run("daemon", "--max-cycles", "1")
    install.config(BROKEN_CONFIG)
    for words in READING:
        done = install.run(*words, "--json")
        for line in done.stdout.splitlines() if words == ("events",) else [done.stdout]:
            json.loads(line)
        assert done.stderr.count("\n") == 1
        assert "amxwatch.toml:2:" in done.stderr
    for words in WRITING:
        done = install.run(*words, status=2)
        assert "amxwatch.toml:2: daemon.poll_seconds" in done.stdout + done.stderr
