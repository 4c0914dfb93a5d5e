"""A real `systemd --user`, in namespaces of its own, for installs that are services."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import pytest

from tests.plugins.install import Installed

MANAGER = "/lib/systemd/systemd"

# Not `exec`: as process 1 it would be the system's manager. /run is empty and its own, so that
# neither its sockets nor those of the machine's own systemd are met.
BOOT = f"""
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system /run/user/0 && chmod 700 /run/user/0
{MANAGER} --user --log-target=console &
wait $!
"""

RUNTIME = "/run/user/0"


class UserManager:
    """A running user manager. Its units are those of the `home` that it was started with."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
            "HOME": str(home),
            "XDG_RUNTIME_DIR": RUNTIME,
        }
        words = ["unshare", "-m", "-C", "-p", "-f", "--kill-child", "--mount-proc"]
        self._process = subprocess.Popen(
            [*words, "sh", "-c", BOOT],
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._inside: list[str] = []

    def inside(self, *words: str) -> list[str]:
        """Return the call that runs a program where the manager lives."""
        return [*self._inside, *words]

    def boot(self, seconds: float = 60) -> bool:
        """Wait until it answers; say whether it does."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
            first = children.read_text().split()[:1]
            if first:
                self._inside = ["nsenter", "-t", first[0], "-m", "-p", "-C"]
                if self.ask("is-system-running").stdout.strip() in ("running", "degraded"):
                    return True
            time.sleep(0.05)
        return False

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        call = self.inside("systemctl", "--user", *words)
        return subprocess.run(
            call, capture_output=True, text=True, env=self.env, check=False, timeout=90
        )

    def show(self, unit: str, name: str) -> str:
        """Return one property of a unit."""
        return self.ask("show", unit, f"--property={name}", "--value").stdout.strip()

    def until(self, unit: str, name: str, holds: Callable[[str], bool], seconds: int = 90) -> str:
        deadline = time.monotonic() + seconds
        while not holds(value := self.show(unit, name)):
            assert time.monotonic() < deadline, f"{name} is {value}"
            time.sleep(0.05)
        return value

    def signal(self, unit: str, number: signal.Signals) -> str:
        """Send a signal to a unit's main process and return its id, as seen inside."""
        pid = self.show(unit, "MainPID")
        subprocess.run(self.inside("kill", f"-{number}", pid), check=True)
        return pid

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class Supervised(Installed):
    """An install whose commands run where a user manager lives."""

    inside = False

    def __init__(self, folder: Path, manager: UserManager) -> None:
        super().__init__(folder)
        self.manager = manager
        self.env = {**manager.env, "AMXWATCH_CONFIG_DIR": str(folder), "NO_COLOR": "1"}

    def command(self, *words: str) -> list[str]:
        return self.manager.inside(*super().command(*words))

    @cached_property
    def unit(self) -> str:
        """The name of its unit; it stands in what `service status` says."""
        return Path(self.json("service", "status")["file"]).name

    def drop_in(self, text: str) -> None:
        """Change settings of the unit as its user would."""
        folder = self.manager.home / ".config" / "systemd" / "user" / f"{self.unit}.d"
        folder.mkdir(parents=True)
        (folder / "own.conf").write_text(f"[Service]\n{text}\n")


@pytest.fixture(scope="module")
def user_manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserManager]:
    """A user manager with an empty home folder."""
    tools = ("unshare", "nsenter", "systemctl", MANAGER)
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        why = f"no {', '.join(missing)}" if missing else "root is needed to make namespaces"
        pytest.skip(f"no systemd user session can be made: {why}")
    manager = UserManager(tmp_path_factory.mktemp("home"))
    try:
        if not manager.boot():
            pytest.skip("no systemd user session can be made: it does not start in a container")
        yield manager
    finally:
        manager.close()
