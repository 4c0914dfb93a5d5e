"""The operating system's own service that keeps the daemon of one install running."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class ServiceStatus(StrEnum):
    """What the operating system makes of the service.

    `installed` means that the file is there and nothing runs by it; `loaded` that the system
    runs the daemon, is starting it, or will do so by itself in a moment.
    """

    NOT_INSTALLED = "not_installed"
    INSTALLED = "installed"
    LOADED = "loaded"


@dataclass(frozen=True, kw_only=True)
class ServicePlan:
    """What is to be run, for whom. All pure generators of service files take this.

    `label` names the service; it holds a-z, 0-9, `.`, `_` and `-` only. `folder` is the
    install's folder and `python` the interpreter, both absolute and as this system writes
    paths. `user` is the account as the system names it, where the file must say so. No text in
    it holds control characters.
    """

    label: str
    folder: str
    python: str
    user: str


@dataclass(frozen=True, kw_only=True)
class ServiceFile:
    """The file that tells the operating system of the service."""

    path: Path
    content: bytes


class Service(Protocol):
    """The service of one install, on one kind of operating system.

    Nothing here touches another install's service, whatever its label.
    """

    @property
    def file(self) -> ServiceFile:
        """The file as `install` would write it now."""

    @property
    def env_file(self) -> Path | None:
        """A file whose lines `NAME=value` the daemon gets as its environment; None: there is none.

        It need not exist. A service sees nothing of the environment that installs it.
        """

    async def status(self) -> ServiceStatus:
        """Ask the operating system; without its file a service is not installed, unasked."""

    async def install(self) -> None:
        """Write the file, and have the service started now and with every log-in.

        Doing it again renews the file and starts the daemon anew. Raises: ServiceError where
        there is no session to install it in (then nothing is written), or it does not start.
        """

    async def uninstall(self) -> bool:
        """Stop and disable the service and remove its file; say whether there was one.

        Raises: ServiceError where it could not be stopped; then its file is kept.
        """

    async def advice(self) -> str | None:
        """Say in a sentence when a loaded service does not run; None: it always does."""
