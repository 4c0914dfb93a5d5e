"""Every operating system's service, over a stand-in for the system's own tool.

`systemctl` itself is asked in tests/surfaces/test_service_systemd.py. What stands in here keeps
what the real tools keep: which label is known, from which file, and whether it runs.
"""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from amxwatch.clocks.system import SystemClock
from amxwatch.core.errors import ServiceError
from amxwatch.ports.service import Service, ServicePlan, ServiceStatus
from amxwatch.services import SERVICES, service_of
from amxwatch.services.asking import Answer, ask
from amxwatch.services.launchd import Launchd
from amxwatch.services.notify import is_supervised, notify, watchdog_seconds
from amxwatch.services.systemd import Systemd
from amxwatch.services.task_scheduler import TaskScheduler

pytestmark = pytest.mark.anyio

YES = Answer(status=0, said="", complained="")


def no(words: str) -> Answer:
    return Answer(status=1, said="", complained=words)


@dataclass
class Tool:
    """What all stand-ins share. `loaded` is the file that the running service was made from."""

    home: Path
    has_session: bool = True
    starts: bool = True
    loaded: str | None = None
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def __call__(self, *words: str) -> Answer:
        self.asked.append(words)
        return self.answer(*words) if self.has_session else no("nobody is here")

    def answer(self, *words: str) -> Answer:
        return YES


class Systemctl(Tool):
    def answer(self, *words: str) -> Answer:
        match words[2:]:
            case ("show", unit, _):
                found = list(self.home.rglob(unit))
                path = self.loaded or (str(found[0]) if found else "")
                state = "active" if self.loaded else "inactive"
                failed = "" if self.starts else "ActiveState=failed\n"
                said = f"FragmentPath={path}\nActiveState={state}\nNRestarts=0\n{failed}"
                return Answer(status=0, said=said, complained="")
            case ("restart", "--no-block", unit):
                self.loaded = str(next(self.home.rglob(unit))) if self.starts else None
            case ("stop", _):
                self.loaded = None
        return YES


@dataclass
class Launchctl(Tool):
    """A job that is booted out is still there for a while, and cannot be loaded meanwhile."""

    leaving: int = 0

    def answer(self, *words: str) -> Answer:
        match words[1:]:
            case ("print", target) if target.count("/") == 2:
                if self.leaving:
                    self.leaving -= 1
                    self.loaded = self.loaded if self.leaving else None
                if self.loaded is None:
                    return no("Could not find service")
                said = f"{target} = {{\n\tactive count = 1\n\tpath = {self.loaded}\n}}"
                return Answer(status=0, said=said, complained="")
            case ("bootout", _) if self.loaded:
                self.leaving = 2
            case ("bootstrap", _, path):
                if self.loaded or not self.starts:
                    return no("Bootstrap failed: 5: Input/output error")
                self.loaded = path
            case ("kickstart", "-k", _) if self.loaded is None:
                return no("Could not find service")
        return YES


class Schtasks(Tool):
    def answer(self, *words: str) -> Answer:
        match words[1:]:
            case ("/Query", "/TN", *_) if self.loaded is None:
                return no("ERROR: The system cannot find the file specified.")
            case ("/Create", "/TN", _, "/XML", path, "/F"):
                if not self.starts:
                    return no("ERROR: Access is denied.")
                self.loaded = path
            case ("/Delete", *_):
                self.loaded = None
        return YES


@dataclass
class Workshop:
    service: Service
    tool: Tool


@pytest.fixture(params=["systemd", "launchd", "task_scheduler"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Workshop:
    plan = ServicePlan(
        label="com.amxwatch.daemon", folder=str(tmp_path), python="/py/bin/python", user="me"
    )
    clock = SystemClock()
    tool: Tool
    match request.param:
        case "systemd":
            tool = Systemctl(home=tmp_path)
            environ = {"XDG_CONFIG_HOME": str(tmp_path)}
            return Workshop(Systemd(plan, clock, ask=tool, environ=environ), tool)
        case "launchd":
            tool = Launchctl(home=tmp_path)
            return Workshop(Launchd(plan, clock, ask=tool, home=tmp_path, uid=501), tool)
        case _:
            tool = Schtasks(home=tmp_path)
            return Workshop(TaskScheduler(plan, clock, ask=tool), tool)


async def test_from_install_to_uninstall(shop: Workshop) -> None:
    service, tool = shop.service, shop.tool
    assert await service.status() is ServiceStatus.NOT_INSTALLED
    assert tool.asked == []  # without its file the system is not asked
    await service.install()
    assert await service.status() is ServiceStatus.LOADED
    assert tool.loaded == str(service.file.path)
    assert service.file.path.read_bytes() == service.file.content
    assert service.file.path.stat().st_mode & 0o777 == 0o600
    assert await service.uninstall()
    assert await service.status() is ServiceStatus.NOT_INSTALLED
    assert tool.loaded is None
    assert not service.file.path.exists()


async def test_a_second_install_renews_the_first(shop: Workshop) -> None:
    await shop.service.install()
    shop.service.file.path.write_bytes(b"of an older version")
    await shop.service.install()
    assert shop.service.file.path.read_bytes() == shop.service.file.content
    assert await shop.service.status() is ServiceStatus.LOADED


async def test_a_file_that_the_system_does_not_run_is_installed(shop: Workshop) -> None:
    await shop.service.install()
    shop.tool.loaded = None
    assert await shop.service.status() is ServiceStatus.INSTALLED
    shop.tool.has_session = False
    assert await shop.service.status() is ServiceStatus.INSTALLED
    assert await shop.service.uninstall()
    assert await shop.service.status() is ServiceStatus.NOT_INSTALLED


async def test_nothing_is_written_where_there_is_no_session(shop: Workshop) -> None:
    shop.tool.has_session = False
    with pytest.raises(ServiceError, match=r"amxwatch schedule run-due --quiet") as raised:
        await shop.service.install()
    assert "nobody is here" in str(raised.value)
    assert not shop.service.file.path.exists()


async def test_a_service_that_does_not_start_is_told(shop: Workshop) -> None:
    shop.tool.starts = False
    with pytest.raises(ServiceError):
        await shop.service.install()
    assert await shop.service.status() is ServiceStatus.INSTALLED
    assert await shop.service.uninstall()


async def test_uninstalling_nothing_is_no_error(shop: Workshop) -> None:
    assert not await shop.service.uninstall()


@pytest.mark.parametrize("shop", ["systemd", "launchd"], indirect=True)
async def test_a_service_of_another_home_is_left_alone(shop: Workshop, tmp_path: Path) -> None:
    shop.tool.loaded = other = str(tmp_path / "elsewhere" / shop.service.file.path.name)
    with pytest.raises(ServiceError):
        await shop.service.install()
    assert not await shop.service.uninstall()
    assert shop.tool.loaded == other
    assert not shop.service.file.path.exists()


async def test_launchd_is_asked_in_the_order_that_loads(tmp_path: Path) -> None:
    tool = Launchctl(home=tmp_path)
    plan = ServicePlan(label="com.x.daemon", folder=str(tmp_path), python="/p", user="")
    service = Launchd(plan, SystemClock(), ask=tool, home=tmp_path, uid=501)
    await service.install()
    done = [words[1:] for words in tool.asked if words[1] != "print"]
    assert done == [
        ("bootout", "gui/501/com.x.daemon"),
        ("enable", "gui/501/com.x.daemon"),
        ("bootstrap", "gui/501", str(tmp_path / "Library/LaunchAgents/com.x.daemon.plist")),
        ("kickstart", "-k", "gui/501/com.x.daemon"),
    ]


async def test_what_a_tool_says_and_what_is_wrong_with_it() -> None:
    assert (await ask("sh", "-c", "echo said")).said == "said\n"
    answer = await ask("sh", "-c", "echo one >&2; echo two >&2; exit 3")
    assert (answer.status, answer.is_ok, answer.reason) == (3, False, "one two")
    assert (await ask("sh", "-c", "exit 4")).reason == "it left with 4"
    absent = await ask("/no/such/tool")
    assert (absent.status, absent.reason) == (127, "/no/such/tool: No such file or directory")


def test_every_platform_has_its_module(tmp_path: Path) -> None:
    plan = ServicePlan(label="com.x.daemon", folder=str(tmp_path), python="/p", user="me")
    files = {
        platform: service_of(plan, clock=SystemClock(), platform=platform).file.path.suffix
        for platform in SERVICES
    }
    assert files == {"linux": ".service", "darwin": ".plist", "win32": ".xml"}
    with pytest.raises(ServiceError, match="freebsd"):
        service_of(plan, clock=SystemClock(), platform="freebsd")


# -- what systemd is told --------------------------------------------------------------------


@pytest.mark.parametrize("is_abstract", [False, True])
def test_a_message_comes_whole(tmp_path: Path, is_abstract: bool) -> None:
    name = f"@{uuid.uuid4()}" if is_abstract else str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(name.replace("@", "\0", 1) if is_abstract else name)
        server.settimeout(5)
        environ = {"NOTIFY_SOCKET": name}
        assert is_supervised(environ)
        assert notify("READY=1", "STATUS=a look every 60 s", environ=environ)
        assert server.recv(1000) == b"READY=1\nSTATUS=a look every 60 s"


def test_where_nobody_listens_nothing_happens(tmp_path: Path) -> None:
    assert not is_supervised({})
    assert not notify("READY=1", environ={})
    assert not notify("READY=1", environ={"NOTIFY_SOCKET": "vsock:2:1234"})
    assert not notify("READY=1", environ={"NOTIFY_SOCKET": str(tmp_path / "gone")})


def test_the_watchdog_of_this_process_counts() -> None:
    assert watchdog_seconds({"WATCHDOG_USEC": "2000000"}) == 2
    assert watchdog_seconds({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}) == 2
    assert watchdog_seconds({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}) is None
    for environ in ({}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}):
        assert watchdog_seconds(environ) is None
