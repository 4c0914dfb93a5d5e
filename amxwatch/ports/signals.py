"""Where signals come from without anyone typing them: folders, and git refs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """What tells one version of a file from another, also after a rename."""

    inode: int
    mtime_ns: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Drop:
    """One file as it was read. `fault` says in words why its content is not to be used."""

    name: str
    stamp: Stamp
    content: bytes = b""
    fault: str | None = None


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The files that stand still, oldest first, and when the first of the others will."""

    names: tuple[str, ...]
    settles_at: datetime | None = None


class Drops(Protocol):
    """A folder that people and programs drop files in.

    Its errors are SignalErrors: the folder is missing, or cannot be read or written.
    """

    @property
    def path(self) -> str: ...

    async def waiting(self, now: datetime) -> Waiting:
        """List what waits; temporary and hidden files and folders are none of it."""

    async def read(self, name: str) -> Drop | None:
        """Read a file once; None where it is gone, or moved while it was read."""

    async def take(self, drop: Drop) -> None:
        """Put the file away, once what it says is safe. One that was replaced meanwhile stays."""

    async def refuse(self, drop: Drop, reason: str) -> None:
        """Put the file aside, beside a file that says why."""


@dataclass(frozen=True, kw_only=True)
class Touched:
    """The files that moved between two commits, as `M path`.

    `files` holds the first of `total`; `lost` says that the earlier commit is gone from the
    repository, so that nobody knows.
    """

    files: tuple[str, ...] = ()
    total: int = 0
    lost: bool = False


class Repository(Protocol):
    """A git repository on this machine; only ever read, never fetched into.

    Its errors are SignalErrors.
    """

    async def commit(self, ref: str) -> str:
        """Return the commit that a ref means now."""

    async def touched(self, before: str, after: str, paths: tuple[str, ...]) -> Touched:
        """Return what moved under these globs from one commit to another."""
