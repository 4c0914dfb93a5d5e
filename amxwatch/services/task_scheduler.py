"""A task of the Windows Task Scheduler. See: [MS-TSCH] 2.5, schtasks."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path, PureWindowsPath

from amxwatch.core.errors import ServiceError
from amxwatch.ports.clock import Clock
from amxwatch.ports.service import ServiceFile, ServicePlan, ServiceStatus
from amxwatch.services.asking import Ask, ask, demand, remove, write

NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"

FILE = "service.xml"


def xml(plan: ServicePlan) -> bytes:
    """Return the task as UTF-16 XML, its elements in the order of the schema.

    Starts at log-on. RestartOnFailure covers a daemon that could not be started; one that was
    killed is started by the repetition, which passes over a daemon that runs.
    """
    task = ET.Element("Task", {"version": "1.2", "xmlns": NAMESPACE})
    about = _under(task, "RegistrationInfo")
    _under(about, "Description", f"amxwatch daemon ({plan.label})")
    _under(about, "URI", f"\\{plan.label}")
    trigger = _under(_under(task, "Triggers"), "LogonTrigger")
    repetition = _under(trigger, "Repetition")
    _under(repetition, "Interval", "PT5M")
    _under(trigger, "UserId", plan.user)
    principal = _under(_under(task, "Principals"), "Principal", id="Author")
    for name, value in (
        ("UserId", plan.user),
        ("LogonType", "InteractiveToken"),
        ("RunLevel", "LeastPrivilege"),
    ):
        _under(principal, name, value)
    _settings(_under(task, "Settings"))
    action = _under(_under(task, "Actions", Context="Author"), "Exec")
    _under(action, "Command", _windowless(plan.python))
    words = ("-P", "-m", "amxwatch", "daemon", "--config-dir", plan.folder)
    _under(action, "Arguments", subprocess.list2cmdline(words))
    written: bytes = ET.tostring(task, encoding="utf-16", xml_declaration=True)
    return written


def _settings(settings: ET.Element) -> None:
    for name, value in (
        ("MultipleInstancesPolicy", "IgnoreNew"),
        ("DisallowStartIfOnBatteries", "false"),
        ("StopIfGoingOnBatteries", "false"),
        ("AllowHardTerminate", "true"),
        ("StartWhenAvailable", "true"),
        ("ExecutionTimeLimit", "PT0S"),
    ):
        _under(settings, name, value)
    restart = _under(settings, "RestartOnFailure")
    _under(restart, "Interval", "PT1M")
    _under(restart, "Count", "255")


def _under(parent: ET.Element, name: str, text: str | None = None, **values: str) -> ET.Element:
    made = ET.SubElement(parent, name, values)
    made.text = text
    return made


def _windowless(python: str) -> str:
    """Return the interpreter beside this one that opens no console window."""
    path = PureWindowsPath(python)
    return str(path.with_name("pythonw.exe")) if path.name.lower() == "python.exe" else python


class TaskScheduler:
    """Implements `ports.service.Service` with `schtasks`."""

    def __init__(self, plan: ServicePlan, _: Clock, *, ask: Ask = ask) -> None:
        self._plan = plan
        self._ask = ask
        self._path = Path(plan.folder) / FILE

    @property
    def file(self) -> ServiceFile:
        return ServiceFile(path=self._path, content=xml(self._plan))

    @property
    def env_file(self) -> Path | None:
        return None

    async def status(self) -> ServiceStatus:
        if not self._path.exists():
            return ServiceStatus.NOT_INSTALLED
        asked = await self._ask("schtasks", "/Query", "/TN", self._plan.label, "/XML")
        # Nul bytes stand between the letters where it answers in UTF-16.
        is_off = "<Enabled>false</Enabled>" in asked.said.replace("\0", "")
        loaded = asked.is_ok and not is_off
        return ServiceStatus.LOADED if loaded else ServiceStatus.INSTALLED

    async def install(self) -> None:
        await self._require_scheduler()
        await write(self.file)
        name = self._plan.label
        await self._ask("schtasks", "/End", "/TN", name)
        await demand(self._ask, "schtasks", "/Create", "/TN", name, "/XML", str(self._path), "/F")
        await demand(self._ask, "schtasks", "/Run", "/TN", name)

    async def uninstall(self) -> bool:
        name = self._plan.label
        if self._path.exists() and (await self._ask("schtasks", "/Query", "/TN", name)).is_ok:
            await self._ask("schtasks", "/End", "/TN", name)
            await demand(self._ask, "schtasks", "/Delete", "/TN", name, "/F")
        return await remove(self._path)

    async def advice(self) -> str:
        return (
            "it runs while you are logged on; what came due meanwhile is caught up with as each"
            " schedule says"
        )

    async def _require_scheduler(self) -> None:
        answer = await self._ask("schtasks", "/Query", "/FO", "LIST")
        if not answer.is_ok:
            raise ServiceError(
                f"the Task Scheduler does not answer ({answer.reason}): keep `amxwatch daemon`"
                " running by other means, or let it call `amxwatch schedule run-due --quiet`"
            )
