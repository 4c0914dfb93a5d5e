"""`amxwatch service` where no session can take one, and what other commands say of services."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from amxwatch.settings.folder import service_label
from tests.plugins.install import Installed
from tests.surfaces.conftest import Inside, build

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these ask systemd")


@pytest.fixture
def alone(install: Installed, tmp_path: Path) -> Installed:
    """An install of somebody with a home folder and no log-in session."""
    for name in ("DBUS_SESSION_BUS_ADDRESS", "XDG_CONFIG_HOME"):
        install.env.pop(name, None)
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    install.env |= {"HOME": str(tmp_path / "home"), "XDG_RUNTIME_DIR": str(runtime)}
    return install


def test_print_shows_the_file_and_writes_nothing(alone: Installed, tmp_path: Path) -> None:
    label = service_label(alone.folder)
    path = tmp_path / "home" / ".config" / "systemd" / "user" / f"{label}.service"
    shown = alone.run("service", "install", "--print")
    assert "Type=notify\n" in shown.stdout
    assert f'Environment="AMXWATCH_CONFIG_DIR={alone.folder}"\n' in shown.stdout
    assert shown.stderr == f"amxwatch: this would be written to {path}\n"
    document = alone.json("schedule", "install-daemon", "--print")
    assert document == {"file": str(path), "content": shown.stdout}
    assert list(alone.folder.iterdir()) == []
    assert not (tmp_path / "home").exists()


def test_without_a_session_it_is_refused(alone: Installed, tmp_path: Path) -> None:
    for words in (("service", "install"), ("schedule", "install-daemon")):
        refused = alone.run(*words, status=1)
        assert refused.stdout == ""
        assert refused.stderr.count("\n") == 1
        assert "no systemd user session here" in refused.stderr
        for way_out in ("`amxwatch daemon`", "cron", "`amxwatch schedule run-due --quiet`"):
            assert way_out in refused.stderr
    assert not (tmp_path / "home").exists()
    assert alone.json("service", "status")["status"] == "not_installed"
    assert alone.json("service", "uninstall")["removed"] is False


def test_a_file_without_a_session_is_installed_and_can_go(alone: Installed) -> None:
    document = alone.json("service", "status")
    assert (document["status"], document["is_current"]) == ("not_installed", False)
    file = Path(document["file"])
    file.parent.mkdir(parents=True)
    file.write_text("of another version")
    assert alone.json("service", "status")["status"] == "installed"
    assert alone.json("status")["service"]["status"] == "installed"
    assert "mend with: amxwatch service install" in alone.run("service", "status").stdout
    assert alone.json("service", "uninstall")["removed"] is True
    assert not file.exists()


def test_a_broken_config_keeps_no_service_installed(alone: Installed) -> None:
    alone.config("[db_profiles")
    assert "amxwatch.toml" in alone.run("service", "install", status=2).stderr
    assert alone.json("service", "uninstall")["removed"] is False
    assert alone.json("service", "status")["status"] == "not_installed"


def test_a_folder_that_no_file_can_name_is_refused(alone: Installed, tmp_path: Path) -> None:
    folder = tmp_path / "two\nlines"
    refused = alone.run("service", "install", "--config-dir", str(folder), status=1)
    assert "two\\nlines' has a line break" in refused.stderr
    assert refused.stderr.count("\n") == 1
    told = alone.json("status", "--config-dir", str(folder))
    assert told["service"]["status"] == "not_installed"


def test_the_heads_up_is_said_once_in_an_install(tmp_path: Path) -> None:
    build(tmp_path / "config")
    shop = Inside(tmp_path / "config")
    words = ("schedule", "add", "--every", "60", "--db", "shop", "--name")
    quiet = shop.run(*words, "first", "--json")
    assert "Heads-up" not in quiet.stdout + quiet.stderr
    said = shop.run(*words, "second").stdout
    assert "it fires only while amxwatch runs" in said
    assert "shown as missed" in said
    assert "amxwatch service install" in said
    assert "Heads-up" not in shop.run(*words, "third").stdout


def test_doctor_says_what_would_fire_the_schedules(shop: Inside) -> None:
    findings = shop.json("doctor", status=None)["findings"]
    (finding,) = [each for each in findings if each["check"] == "service"]
    assert finding == {
        "level": "warning",
        "check": "service",
        "message": "the service is not_installed",
        "remedy": "amxwatch service install",
    }


def test_a_command_needs_no_stream_to_print_on(install: Installed) -> None:
    """As under pythonw.exe, which the Task Scheduler starts."""
    call = subprocess.list2cmdline(install.command("status"))
    for closed in (">&-", ">&- 2>&-"):
        done = subprocess.run(["sh", "-c", f"{call} {closed}"], env=install.env, check=False)
        assert done.returncode == 0
