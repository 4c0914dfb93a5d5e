"""Putting a new file in an old one's place, whole or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amxwatch.core.errors import StoreBusyError, UsageError
from amxwatch.settings.folder import FILE_MODE, Folder, make_folder

LOCK_SECONDS = 10.0


@contextmanager
def file_problems(path: Path) -> Iterator[None]:
    """Say in one line that a file could not be written. Raises: UsageError."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{error.filename or path} cannot be written: {error.strerror or error}"
        ) from None


@contextmanager
def edit_lock(folder: Folder) -> Iterator[None]:
    """Keep every other editing amxwatch out of this folder. Raises: StoreBusyError, UsageError."""
    from filelock import FileLock, Timeout

    with file_problems(folder.path):
        folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = FileLock(folder.edit_lock, timeout=LOCK_SECONDS, mode=FILE_MODE)
        try:
            lock.acquire()
        except Timeout:
            raise StoreBusyError(
                f"another amxwatch has been editing {folder.path} for {LOCK_SECONDS:.0f} s;"
                " try again"
            ) from None
    try:
        yield
    finally:
        lock.release()


def replace_file(path: Path, data: bytes) -> None:
    """Write the file so that a reader sees the old or the new one, never a part.

    A symlink keeps pointing where it did: its target is replaced. The mode is kept; a new file
    is its owner's only. Raises: UsageError.
    """
    with file_problems(path):
        real = path.resolve()
        make_folder(real.parent)
        mode = real.stat().st_mode & 0o7777 if real.exists() else FILE_MODE
        # Hidden, so that neither the drop-in reader nor a watcher takes it for a config.
        handle, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name[:100]}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                if sys.platform != "win32":
                    os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(real)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(real.parent)


def remove_file(path: Path) -> None:
    """Remove a file for good; of a symlink, the link. Raises: UsageError."""
    with file_problems(path):
        path.unlink(missing_ok=True)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
