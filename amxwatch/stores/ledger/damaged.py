"""A damaged state file: a copy is kept beside it, and it is never replaced by an empty one."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from amxwatch.core.errors import StoreError

KEPT = 3
"""How many copies are kept at most; the file itself stays where it is, too."""


def damaged(path: Path) -> StoreError:
    """Keep a copy of a file that is damaged or is no database, and return what is said of it.

    Nothing of the file itself is changed. A copy that is there already is not made again.
    """
    try:
        said = f"a copy of it is kept as {_kept(path).name}"
    except OSError as error:
        said = f"no copy of it could be kept beside it ({error.strerror})"
    return StoreError(
        f"the state database {path} is damaged or is no database; {said}; nothing goes on until"
        f" you put a backup in its place (amxwatch state restore FILE), or move it and its -wal"
        f" and -shm files away to start anew"
    )


def _kept(path: Path) -> Path:
    """Return the copy of the file as it is now, made where there is none."""
    found = [path.with_name(f"{path.name}.bad-{number}") for number in range(1, KEPT + 1)]
    there = [each for each in found if each.exists()]
    now = path.stat()
    for each in there:
        if (each.stat().st_size, each.stat().st_mtime_ns) == (now.st_size, now.st_mtime_ns):
            return each
    if len(there) == KEPT:
        return there[-1]
    target = next(each for each in found if each not in there)
    log = path.with_name(f"{path.name}-wal")
    if log.exists():
        _copy(log, target.with_name(f"{target.name}-wal"))
    _copy(path, target)  # last: where the copy stands, it is whole
    return target


def _copy(path: Path, target: Path) -> None:
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    # Left open on purpose: closing any descriptor of a database file gives up all the locks that
    # SQLite holds on it in this process. See: sqlite.org/howtocorrupt.html, section 2.2.
    source = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(source, "rb", closefd=False) as old, os.fdopen(handle, "wb") as new:
            shutil.copyfileobj(old, new, 1 << 20)
        state = os.fstat(source)
        os.utime(part, ns=(state.st_atime_ns, state.st_mtime_ns))
        part.replace(target)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise
