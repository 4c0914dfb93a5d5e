"""The operating system's service of one install."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path

import anyio

from amxwatch.clocks.system import SystemClock
from amxwatch.core.errors import ServiceError
from amxwatch.ports.service import Service, ServicePlan, ServiceStatus
from amxwatch.services import service_of
from amxwatch.settings.folder import service_label

ASK_SECONDS = 2.0

UNWRITABLE = frozenset({"Cc", "Cs", "Cn"})
"""Kinds of characters that some service file cannot hold: controls, broken text, no characters."""


def os_service(root: Path) -> Service:
    """Return the service that runs this very amxwatch for the install in `root`.

    Raises: ServiceError where the system has no service manager that we know, or a path cannot
    be written in its files.
    """
    plan = ServicePlan(
        label=service_label(root),
        folder=_writable(str(root)),
        python=_writable(sys.executable),
        user=f"{os.environ.get('USERDOMAIN', '')}\\{os.environ.get('USERNAME', '')}".strip("\\"),
    )
    return service_of(plan, clock=SystemClock())


def _writable(path: str) -> str:
    if any(unicodedata.category(character) in UNWRITABLE for character in path):
        raise ServiceError(
            f"{path!r} has a line break or another character that no service file can hold:"
            " rename it, or keep `amxwatch daemon` running under a supervisor of your own"
        )
    return path


async def service_status(root: Path) -> ServiceStatus:
    """Return what the system makes of the install's service, soon.

    Where it has no service manager nothing is installed; one that does not answer within
    `ASK_SECONDS` has nothing loaded, as far as can be known.
    """
    try:
        service = os_service(root)
    except ServiceError:
        return ServiceStatus.NOT_INSTALLED
    with anyio.move_on_after(ASK_SECONDS):
        return await service.status()
    return ServiceStatus.INSTALLED
