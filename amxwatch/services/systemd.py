"""A systemd user unit. See: systemd.service(5), systemd.exec(5), systemd.syntax(7)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from amxwatch.core.errors import ServiceError
from amxwatch.ports.clock import Clock
from amxwatch.ports.service import ServiceFile, ServicePlan, ServiceStatus
from amxwatch.services.asking import Ask, ask, demand, remove, write

SYSTEMCTL = ("systemctl", "--user")

RUNNING = frozenset({"active", "activating", "reloading"})
"""States of a unit that runs; `activating` covers the wait before a restart."""

START_SECONDS = 10.0
"""How long `install` waits for the first turn; a longer one goes on without it."""

ENV_FILE = "service.env"

# What an unprivileged manager can do without namespaces of its own, which many machines forbid
# it; and nothing that would hide a database's socket in /tmp or a folder that a URL names.
# No core file: it would hold secrets. The unit's time to start is prolonged by every heartbeat.
UNIT = """\
# Written by `amxwatch service install`, and by each later one anew.
# Put changes of your own in {label}.service.d/*.conf beside this file.
[Unit]
Description=amxwatch daemon ({label})
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={program} -P -m amxwatch daemon
ExecReload=kill -HUP $MAINPID
Environment={environment}
EnvironmentFile=-{env_file}
Restart=on-failure
RestartSec=5
TimeoutStartSec=90
TimeoutStopSec=15
WatchdogSec=120
WatchdogSignal=SIGKILL
KillMode=mixed
UMask=0077
LimitCORE=0
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes

[Install]
WantedBy=default.target
"""


def unit(plan: ServicePlan) -> str:
    """Return the unit's text."""
    return UNIT.format(
        label=plan.label,
        program=_program(plan.python),
        environment=quoted(f"AMXWATCH_CONFIG_DIR={plan.folder}"),
        env_file=globbed(f"{plan.folder.rstrip('/')}/{ENV_FILE}"),
    )


def _program(path: str) -> str:
    """Return the words that start a program; systemd itself starts none with quotes in its path."""
    if not set(path) & set("\"'\\$"):
        return quoted(path)
    return f'/bin/sh -c \'exec "$$0" "$$@"\' {quoted(path).replace("$", "$$")}'


def quoted(text: str) -> str:
    """Return the text as one word of a unit file; % and \\ begin something there."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def globbed(path: str) -> str:
    """Return a path for a setting that takes a pattern and knows no quotes."""
    return re.sub(r"([*?\[\\])", r"\\\1", path).replace("%", "%%")


class Systemd:
    """Implements `ports.service.Service` with `systemctl --user`."""

    def __init__(
        self,
        plan: ServicePlan,
        clock: Clock,
        *,
        ask: Ask = ask,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._ask = ask
        config = environ.get("XDG_CONFIG_HOME") or ""
        home = Path(config) if config.startswith("/") else Path.home() / ".config"
        self._unit = f"{plan.label}.service"
        self._path = home / "systemd" / "user" / self._unit

    @property
    def file(self) -> ServiceFile:
        return ServiceFile(path=self._path, content=unit(self._plan).encode())

    @property
    def env_file(self) -> Path | None:
        return Path(self._plan.folder) / ENV_FILE

    async def status(self) -> ServiceStatus:
        if not self._path.exists():
            return ServiceStatus.NOT_INSTALLED
        shown = await self._shown()
        runs = self._is_ours(shown) and shown["ActiveState"] in RUNNING
        return ServiceStatus.LOADED if runs else ServiceStatus.INSTALLED

    async def install(self) -> None:
        await self._require_session()
        await write(self.file)
        await demand(self._ask, *SYSTEMCTL, "daemon-reload")
        if not self._is_ours(shown := await self._shown()):
            await remove(self._path)
            await demand(self._ask, *SYSTEMCTL, "daemon-reload")
            other = shown.get("FragmentPath") or "no file of that name"
            raise ServiceError(
                f"systemd reads {other} and not {self._path}: start it from a log-in whose HOME"
                " and XDG_CONFIG_HOME are those of the systemd user session"
            )
        await demand(self._ask, *SYSTEMCTL, "enable", self._unit)
        await demand(self._ask, *SYSTEMCTL, "restart", "--no-block", self._unit)
        await self._started()

    async def uninstall(self) -> bool:
        if self._is_ours(await self._shown()):
            await demand(self._ask, *SYSTEMCTL, "stop", self._unit)
            await self._ask(*SYSTEMCTL, "disable", self._unit)
        was_there = await remove(self._path)
        # Stays behind where no session could be asked, or somebody removed the file before us.
        await remove(self._path.parent / "default.target.wants" / self._unit)
        if was_there:
            await self._ask(*SYSTEMCTL, "daemon-reload")
            await self._ask(*SYSTEMCTL, "reset-failed", self._unit)
        return was_there

    async def advice(self) -> str | None:
        asked = await self._ask(
            "loginctl", "show-user", str(os.getuid()), "--property=Linger", "--value"
        )
        if asked.said.strip() == "yes":
            return None
        return (
            "it runs from your first log-in to your last log-out; to have it run from boot on,"
            " and on after you log out: loginctl enable-linger"
        )

    async def _require_session(self) -> None:
        answer = await self._ask(*SYSTEMCTL, "show", "--property=Version")
        if not answer.is_ok:
            raise ServiceError(
                f"there is no systemd user session here ({answer.reason}): log in as yourself,"
                " not by su or sudo; or keep `amxwatch daemon` running under a supervisor of"
                " your own, or have cron call `amxwatch schedule run-due --quiet`"
            )

    async def _shown(self) -> dict[str, str]:
        """Return what systemd says of our unit's name; nothing where it cannot be asked."""
        asked = await self._ask(
            *SYSTEMCTL, "show", self._unit, "--property=ActiveState,FragmentPath,NRestarts"
        )
        if not asked.is_ok:
            return {}
        return dict(line.split("=", 1) for line in asked.said.splitlines() if "=" in line)

    def _is_ours(self, shown: Mapping[str, str]) -> bool:
        """Another home folder of this account may hold a unit of the same name: not ours."""
        path = shown.get("FragmentPath")
        return bool(path) and os.path.realpath(str(path)) == os.path.realpath(self._path)

    async def _started(self) -> None:
        """Wait for the first turn. Raises: ServiceError where the daemon ends instead."""
        deadline = self._clock.monotonic() + START_SECONDS
        while self._clock.monotonic() < deadline:
            shown = await self._shown()
            if shown.get("ActiveState") == "active":
                return
            if shown.get("ActiveState") == "failed" or shown.get("NRestarts", "0") != "0":
                raise ServiceError(
                    f"the service {self._unit} is installed, but its daemon ends when it starts,"
                    f" and is started again every 5 s; see: journalctl --user -u {self._unit}"
                )
            await self._clock.sleep(0.1)
