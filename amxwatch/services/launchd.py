"""A launchd agent of one user. See: launchd.plist(5), launchctl(1)."""

from __future__ import annotations

import os
import plistlib
import re
from pathlib import Path

from amxwatch.core.errors import ServiceError
from amxwatch.ports.clock import Clock
from amxwatch.ports.service import ServiceFile, ServicePlan, ServiceStatus
from amxwatch.services.asking import Ask, ask, demand, remove, write

GONE_SECONDS = 20.0
"""How long a job may take to leave; until then it cannot be loaded again."""


def plist(plan: ServicePlan) -> bytes:
    """Return the property list.

    What the daemon says for people is in its log already; what ends it before it can log goes
    to `logs/service.log`.
    """
    return plistlib.dumps(
        {
            "Label": plan.label,
            "ProgramArguments": [plan.python, "-P", "-m", "amxwatch", "daemon"],
            "EnvironmentVariables": {"AMXWATCH_CONFIG_DIR": plan.folder},
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": 10,
            "ExitTimeOut": 15,
            "Umask": 0o077,
            "HardResourceLimits": {"Core": 0},
            "StandardOutPath": "/dev/null",
            "StandardErrorPath": f"{plan.folder.rstrip('/')}/logs/service.log",
        }
    )


class Launchd:
    """Implements `ports.service.Service` with `launchctl`."""

    def __init__(
        self,
        plan: ServicePlan,
        clock: Clock,
        *,
        ask: Ask = ask,
        home: Path | None = None,
        uid: int | None = None,
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._ask = ask
        agents = (home or Path.home()) / "Library" / "LaunchAgents"
        self._path = agents / f"{plan.label}.plist"
        self._domain = f"gui/{os.getuid() if uid is None else uid}"
        self._target = f"{self._domain}/{plan.label}"

    @property
    def file(self) -> ServiceFile:
        return ServiceFile(path=self._path, content=plist(self._plan))

    @property
    def env_file(self) -> Path | None:
        return None

    async def status(self) -> ServiceStatus:
        if not self._path.exists():
            return ServiceStatus.NOT_INSTALLED
        loaded = self._is_ours(await self._printed())
        return ServiceStatus.LOADED if loaded else ServiceStatus.INSTALLED

    async def install(self) -> None:
        await self._require_session()
        printed = await self._printed()
        if printed is not None and not self._is_ours(printed):
            raise ServiceError(
                f"launchd has a service {self._plan.label} of another home folder already:"
                " remove that one first"
            )
        await write(self.file)
        await self._boot_out()
        await demand(self._ask, "launchctl", "enable", self._target)
        await demand(self._ask, "launchctl", "bootstrap", self._domain, str(self._path))
        await demand(self._ask, "launchctl", "kickstart", "-k", self._target)

    async def uninstall(self) -> bool:
        if self._is_ours(await self._printed()):
            await self._boot_out()
        return await remove(self._path)

    async def advice(self) -> str:
        return (
            "it runs while you are logged in, and sleeps with the machine; what came due"
            " meanwhile is caught up with as each schedule says"
        )

    async def _require_session(self) -> None:
        answer = await self._ask("launchctl", "print", self._domain)
        if not answer.is_ok:
            raise ServiceError(
                f"there is no log-in session {self._domain} here ({answer.reason}): log in at the"
                " screen; or keep `amxwatch daemon` running under a supervisor of your own, or"
                " have cron call `amxwatch schedule run-due --quiet`"
            )

    async def _boot_out(self) -> None:
        """Unload the job and wait until it is gone: it leaves in its own time.

        Raises: ServiceError where it stays.
        """
        await self._ask("launchctl", "bootout", self._target)
        deadline = self._clock.monotonic() + GONE_SECONDS
        while await self._printed() is not None:
            if self._clock.monotonic() >= deadline:
                raise ServiceError(
                    f"launchd did not unload {self._target} within {GONE_SECONDS:g} s;"
                    f" try again, or: launchctl bootout {self._target}"
                )
            await self._clock.sleep(0.2)

    async def _printed(self) -> str | None:
        """Return what launchd says of our label; None where it has none."""
        asked = await self._ask("launchctl", "print", self._target)
        return asked.said if asked.is_ok else None

    def _is_ours(self, printed: str | None) -> bool:
        found = re.search(r"^\s*path = (.*)$", printed or "", re.MULTILINE)
        return found is not None and os.path.realpath(found[1]) == os.path.realpath(self._path)
