"""A folder that files are dropped in: what stands still is read once and then moved away."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import anyio.to_thread

from amxwatch.core.errors import SignalError
from amxwatch.ports.clock import Clock
from amxwatch.ports.signals import Drop, Stamp, Waiting

TAKEN, REFUSED = "taken", "refused"
"""The subfolders that files are moved to."""

REASON = ".reason.txt"

MAX_BYTES = 16 * 1024 * 1024

MAX_NAMES = 500
"""How many files one look lists; the rest waits for the next."""

UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".swp", "~")
"""How names end that editors, browsers and copies give to files they still write."""


class FolderDrops:
    """Implements `ports.signals.Drops` on one folder.

    A file stands still once neither its content nor its name moved for `settle`. Moving away
    is a rename, so a kill leaves the file on one side or the other.
    """

    def __init__(self, folder: Path, *, settle: timedelta, clock: Clock) -> None:
        self._folder = folder
        self._settle = settle
        self._clock = clock

    @property
    def path(self) -> str:
        return str(self._folder)

    async def waiting(self, now: datetime) -> Waiting:
        seen = await anyio.to_thread.run_sync(self._look)
        dated = [(self._settles_at(found, now), name, found) for name, found in seen.items()]
        doubtful = [(name, found) for at, name, found in dated if at is None]
        still = [(at, name) for at, name, _ in dated if at is not None and at <= now]
        if doubtful:
            # They look as if from the future: the clock was set back, so only waiting can tell.
            await self._clock.sleep(self._settle.total_seconds())
            again = await anyio.to_thread.run_sync(self._look)
            still += [(now, name) for name, found in doubtful if _same(found, again.get(name))]
        moving = [at for at, _, _ in dated if at is not None and at > now]
        return Waiting(
            names=tuple(name for _, name in sorted(still)[:MAX_NAMES]),
            settles_at=min(moving, default=None),
        )

    async def read(self, name: str) -> Drop | None:
        return await anyio.to_thread.run_sync(self._read, name)

    async def take(self, drop: Drop) -> None:
        await anyio.to_thread.run_sync(self._move, drop, TAKEN)

    async def refuse(self, drop: Drop, reason: str) -> None:
        await anyio.to_thread.run_sync(partial(self._move, drop, REFUSED, reason=reason))

    def _look(self) -> dict[str, os.stat_result]:
        """Return what lies there and is no folder, nor a file that is still written."""
        seen = {}
        with self._translated("read"), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.endswith(UNFINISHED):
                    continue
                with suppress(FileNotFoundError):  # someone else has just moved it
                    found = entry.stat(follow_symlinks=False)
                    if not stat.S_ISDIR(found.st_mode):
                        seen[entry.name] = found
        return seen

    def _settles_at(self, found: os.stat_result, now: datetime) -> datetime | None:
        """Return when a file has stood still for long enough; None where its times are to come.

        The later of its two times counts: a copy may keep the content's, a rename both.
        """
        times = [datetime.fromtimestamp(at, UTC) for at in (found.st_ctime, found.st_mtime)]
        past = [at for at in times if at <= now + self._settle]
        return max(past) + self._settle if past else None

    def _read(self, name: str) -> Drop | None:
        path = self._folder / name
        try:
            found = os.lstat(path)
            fault = _fault(name, found)
            if fault is not None:
                return Drop(name=name, stamp=_stamp(found), fault=fault)
            with self._translated("read"):
                content, opened = _content(path)
        except FileNotFoundError:
            return None
        if opened is None or _stamp(opened) != _stamp(found):
            return None  # it was replaced, or written to, while it was read
        return Drop(name=name, stamp=_stamp(found), content=content)

    def _move(self, drop: Drop, folder: str, *, reason: str | None = None) -> None:
        """Rename the file into a subfolder, under a free name, and put back what is not it."""
        with self._translated("write"):
            (self._folder / folder).mkdir(exist_ok=True)
            target = _free(self._folder / folder, _clean(drop.name))
            try:
                (self._folder / drop.name).replace(target)
            except FileNotFoundError:  # another process was quicker
                target.unlink()
                return
            if _stamp(os.lstat(target)) != drop.stamp:
                # Someone dropped another file of this name since it was read: that one waits.
                target.replace(_free(self._folder, _clean(drop.name)))
                return
            if reason is not None:
                note = target.with_name(target.name + REASON)
                note.write_text(reason + "\n", encoding="utf-8", errors="backslashreplace")

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SignalError(
                f"intake folder {self._folder}: cannot {what} it: {error.strerror or error};"
                f" make the folder, and give this user the rights to read and write there"
            ) from error


def _content(path: Path) -> tuple[bytes, os.stat_result | None]:
    """Read a file without following a link or waiting for a pipe."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(MAX_BYTES + 1)
        found = os.fstat(descriptor)
    return content, found if len(content) <= MAX_BYTES else None


def _fault(name: str, found: os.stat_result) -> str | None:
    if stat.S_ISLNK(found.st_mode):
        return "it is a symbolic link; drop the file itself"
    if not stat.S_ISREG(found.st_mode):
        return "it is no regular file"
    if found.st_size > MAX_BYTES:
        return f"it has {found.st_size:,} bytes; allowed: at most {MAX_BYTES:,}"
    if _clean(name) != name:
        return "its name is too long, or holds characters that cannot be printed"
    return None


def _same(one: os.stat_result, other: os.stat_result | None) -> bool:
    return other is not None and (_stamp(one), one.st_ctime_ns) == (
        _stamp(other),
        other.st_ctime_ns,
    )


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(inode=found.st_ino, mtime_ns=found.st_mtime_ns, size=found.st_size)


def _clean(name: str) -> str:
    """Return a name that can be printed, with room for a number and an ending."""
    printable = "".join(c if c.isprintable() else "_" for c in name)
    kept = printable.encode("utf-8", "replace")[:200].decode("utf-8", "ignore")
    return kept or "_"


def _free(folder: Path, name: str) -> Path:
    """Return a path that nothing stands at, holding it by an empty file until it is replaced."""
    stem, dot, ending = name.rpartition(".")
    for number in range(1, 1_000_000):
        tried = name if number == 1 else f"{stem or name}-{number}{dot}{ending if stem else ''}"
        with suppress(FileExistsError):
            os.close(os.open(folder / tried, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            return folder / tried
    raise FileExistsError(f"{folder / name} and a million more names are taken")
