"""The real daemon under a real `systemd --user`."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from amxwatch.ports.service import ServicePlan
from amxwatch.services.systemd import unit
from tests.plugins.systemd import Supervised, UserManager

CONFIG = """
[db_profiles.shop]
url = "env:SHOP_URL"

[schedules.watch]
db_profile = "shop"
trigger = { type = "change", cadence_cap_hours = 0, settle_seconds = 0 }
"""


def service_status(install: Supervised) -> str:
    return str(install.json("service", "status")["status"])


@pytest.fixture
def installed(user_manager: UserManager, tmp_path: Path) -> Iterator[Supervised]:
    made = Supervised(tmp_path / "con fig", user_manager)
    made.config(CONFIG)
    yield made
    made.close()


def test_a_service_from_its_install_to_its_end(installed: Supervised, tmp_path: Path) -> None:
    manager, unit = installed.manager, installed.unit
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE item (id INTEGER)")
    assert installed.json("status")["service"]["status"] == "not_installed"

    # The install says what the service would not see; the file it names makes up for it.
    said = installed.run("service", "install").stdout
    assert "The service is loaded." in said
    assert "SHOP_URL" in said
    assert "loginctl enable-linger" in said
    (installed.folder / "service.env").write_text(f"SHOP_URL=sqlite:///{tmp_path}/shop.db\n")
    said = installed.run("schedule", "install-daemon").stdout
    assert "SHOP_URL" not in said

    # READY came after the first turn: the database has been looked at.
    assert manager.show(unit, "ActiveState") == "active"
    told = installed.json("status")
    assert told["service"]["status"] == "loaded"
    assert told["service"]["log_size_bytes"] is not None
    assert told["daemon"]["status"] == "running"
    assert str(told["daemon"]["pid"]) == manager.show(unit, "MainPID")
    assert [source["status"] for source in told["sources"]] == ["ok"]
    assert manager.show(unit, "StatusText") == "a look every 60 s"
    status = installed.json("service", "status")
    assert status["is_current"]
    assert "enable-linger" in status["advice"]
    # The shell of this test does not know SHOP_URL: an error of `doctor`, and not of the service.
    found = installed.json("doctor", status=1)["findings"]
    assert [each["level"] for each in found if each["check"] == "service"] == ["ok"]

    # A new look by reload, and no other process.
    before = manager.show(unit, "MainPID")
    assert manager.ask("reload", unit).returncode == 0
    assert installed.json("status")["daemon"]["status"] == "running"
    assert (manager.show(unit, "MainPID"), manager.show(unit, "NRestarts")) == (before, "0")

    # Stopped by hand it is installed and no more, and nothing starts it again.
    assert manager.ask("stop", unit).returncode == 0
    told = installed.json("status")
    assert told["service"]["status"] == "installed"
    assert told["daemon"]["status"] == "not_running"
    found = installed.json("doctor", status=1)["findings"]
    (finding,) = [each for each in found if each["check"] == "service"]
    assert (finding["level"], finding["remedy"]) == ("warning", "amxwatch service install")

    # Gone, link and all; the schedules are not.
    installed.run("service", "install")
    assert installed.json("schedule", "uninstall-daemon")["removed"] is True
    assert service_status(installed) == "not_installed"
    assert manager.show(unit, "LoadState") == "not-found"
    assert manager.show(unit, "ActiveState") == "inactive"
    assert list((manager.home / ".config/systemd/user").rglob(unit)) == []
    assert [each["name"] for each in installed.json("schedule", "list")["schedules"]] == ["watch"]
    again = installed.run("service", "uninstall").stdout
    assert "no service to remove" in again


def test_a_killed_and_a_hung_daemon_are_started_again(installed: Supervised) -> None:
    manager, unit = installed.manager, installed.unit
    installed.drop_in("RestartSec=0.2\nWatchdogSec=2")
    installed.run("service", "install")
    killed = manager.signal(unit, signal.SIGKILL)
    manager.until(unit, "NRestarts", lambda count: count == "1")
    manager.until(unit, "ActiveState", lambda state: state == "active")
    assert service_status(installed) == "loaded"
    assert manager.show(unit, "MainPID") not in (killed, "0")

    # It beats more often than systemd asks for; one that does not is killed.
    hung = manager.signal(unit, signal.SIGSTOP)
    manager.until(unit, "NRestarts", lambda count: count == "2")
    manager.until(unit, "ActiveState", lambda state: state == "active")
    assert manager.show(unit, "MainPID") != hung
    assert installed.json("status")["daemon"]["status"] == "running"
    assert manager.show(unit, "NRestarts") == "2"
    installed.run("service", "uninstall")


def test_two_installs_never_touch(user_manager: UserManager, tmp_path: Path) -> None:
    prod = Supervised(user_manager.home / ".amxwatch", user_manager)
    dev = Supervised(user_manager.home / ".amxwatch-dev", user_manager)
    units = [prod.unit, dev.unit]
    assert units == ["com.amxwatch.daemon.service", "com.amxwatch-dev.daemon.service"]
    for install in (prod, dev):
        install.run("service", "install")
    dev.run("service", "uninstall")
    assert (service_status(prod), service_status(dev)) == ("loaded", "not_installed")

    # The same account with another HOME means the same label, and another install.
    pid = user_manager.show(prod.unit, "MainPID")
    stranger = Supervised(tmp_path / ".amxwatch", user_manager)
    stranger.env["HOME"] = str(tmp_path)
    assert stranger.unit == prod.unit
    refused = stranger.run("service", "install", status=1)
    assert "systemd reads" in refused.stderr
    assert refused.stderr.count("\n") == 1
    stranger.run("service", "uninstall")
    assert service_status(stranger) == "not_installed"
    assert user_manager.show(prod.unit, "MainPID") == pid
    prod.run("service", "uninstall")


def test_a_daemon_that_cannot_start_is_told(installed: Supervised) -> None:
    installed.drop_in("ExecStart=\nExecStart=/bin/false\nRestartSec=0.1")
    refused = installed.run("service", "install", status=1)
    assert f"journalctl --user -u {installed.unit}" in refused.stderr
    assert refused.stderr.count("\n") == 1
    installed.run("service", "uninstall")
    assert service_status(installed) == "not_installed"


def test_a_service_stands_by_while_a_daemon_runs_by_hand(installed: Supervised) -> None:
    manager, unit = installed.manager, installed.unit

    def beating() -> int | None:
        told = installed.json("status")["daemon"]
        return int(told["pid"]) if told["status"] == "running" else None

    installed.popen()
    by_hand = str(installed.until(beating, "heartbeat of the daemon by hand"))
    installed.run("service", "install")
    assert service_status(installed) == "loaded"
    assert "standing by" in manager.show(unit, "StatusText")
    assert str(beating()) == by_hand
    subprocess.run(manager.inside("kill", by_hand), check=True)
    manager.until(unit, "StatusText", lambda text: text == "a look every 60 s")
    assert str(beating()) == manager.show(unit, "MainPID")
    assert manager.show(unit, "NRestarts") == "0"
    installed.run("service", "uninstall")


NAMES = (
    "two words",
    " blanks about ",
    "100%h %% %n",
    "$HOME ${HOME} $$",
    'a "quoted" name',
    "it's",
    "back\\slash \\x41 \\n",
    "ends so\\",
    "Köpek 数据 🐕",
    "[a-z]*?{x}",
    "@:+!-; # not a comment",
    "a=b,c",
)


def test_systemd_reads_every_path_as_it_is(user_manager: UserManager, tmp_path: Path) -> None:
    """A program of a hostile name, for a folder of a hostile name, tells what it was given."""
    programs, units = [], user_manager.home / ".config" / "systemd" / "user"
    units.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(NAMES):
        folder = tmp_path / str(number) / name
        folder.mkdir(parents=True)
        (folder / "service.env").write_text("FROM_FILE=yes\n")
        program = folder / "python"
        program.write_text(
            '#!/bin/sh\nprintf "%s\\0" "$0" "$@" "$AMXWATCH_CONFIG_DIR" "$FROM_FILE"'
            f" >{tmp_path}/{number}.part && mv {tmp_path}/{number}.part {tmp_path}/{number}.out\n"
        )
        program.chmod(0o755)
        plan = ServicePlan(
            label=f"hostile-{number}", folder=str(folder), python=str(program), user=""
        )
        (units / f"hostile-{number}.service").write_text(unit(plan))
        programs.append(program)
    user_manager.ask("daemon-reload")
    user_manager.ask("start", *(f"hostile-{number}" for number in range(len(NAMES))))
    user_manager.ask("stop", *(f"hostile-{number}" for number in range(len(NAMES))))
    for number, program in enumerate(programs):
        told = (tmp_path / f"{number}.out").read_text().split("\0")[:-1]
        words = [str(program), "-P", "-m", "amxwatch", "daemon"]
        assert told == [*words, str(program.parent), "yes"]
