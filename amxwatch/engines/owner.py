"""Who holds a run: this process, known to others by a lock file held for its life."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

from filelock import FileLock, Timeout

from amxwatch.core.errors import StoreError


class Owner:
    """One process's identity, `HOST/PID/RANDOM`.

    The operating system frees the lock when the process ends, however it ends; a stopped
    process keeps it. So a dead worker is known at once, without waiting for its lease.
    """

    def __init__(self, folder: Path, name: str, lock: FileLock) -> None:
        self._folder = folder
        self._lock = lock
        self.name = name

    @classmethod
    def acquire(cls, folder: Path) -> Owner:
        """Make an identity and hold its lock. Raises: StoreError."""
        mark = secrets.token_hex(8)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = _lock(folder, mark)
            lock.acquire()
        except (OSError, Timeout) as error:
            raise StoreError(
                f"cannot hold a lock file in {folder}: {error}; give this user the right to write"
                f" there, on a disk that knows file locks"
            ) from error
        return cls(folder, f"{_host()}/{os.getpid()}/{mark}", lock)

    def release(self) -> None:
        """Give the lock back in good order. May be called twice."""
        if self._lock.is_locked:
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()

    def is_alive(self, name: str) -> bool | None:
        """Say whether a process that shares our folder lives; None for another host's."""
        host, _, mark = name.rpartition("/")
        if name == self.name:
            return True
        if host.rpartition("/")[0] != _host():
            return None
        lock = _lock(self._folder, mark)
        if not Path(lock.lock_file).exists():
            return False
        try:
            lock.acquire()
        except Timeout:
            return True
        Path(lock.lock_file).unlink(missing_ok=True)  # nobody takes a random name twice
        lock.release()
        return False

    def is_dead(self, name: str) -> bool:
        """Say whether that process is surely gone."""
        return self.is_alive(name) is False


def _host() -> str:
    return socket.gethostname().replace("/", "_")


def _lock(folder: Path, mark: str) -> FileLock:
    # thread_local=False: it may be taken in one thread and given back in another.
    return FileLock(folder / f"{mark}.lock", timeout=0, mode=0o600, thread_local=False)
