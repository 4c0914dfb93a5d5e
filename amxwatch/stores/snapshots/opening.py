"""Open the cache file for one operation: the lock, DuckDB's exceptions, the file's own check.

DuckDB admits one process, and one mode within a process; so every operation holds a lock file
from open to close, and nothing keeps the file open in between.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import anyio.from_thread
import duckdb
from filelock import FileLock, Timeout

from amxwatch.core.errors import StoreBusyError, StoreError
from amxwatch.stores.snapshots.damage import (
    BlamedError,
    DamageError,
    OutdatedError,
    type_of_signature,
)
from amxwatch.stores.snapshots.fingerprint import canary
from amxwatch.stores.snapshots.queries import queries

T = TypeVar("T")
type_of_work = Callable[[duckdb.DuckDBPyConnection], T]

FORMAT = 2
"""Counts the layouts of `schema.sql`; a file of another one is rebuilt."""

_TRIES_A_SECOND = 20

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    # Nothing is downloaded at run time.
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    # An operation takes milliseconds; starting a thread for each core of a server does too.
    "threads": 2,
}

_ROW_GROUP = 8192
"""Rows that are written together: small, so that a small delta rewrites little."""


def read(path: Path, work: type_of_work[T], *, wait_seconds: float) -> T:
    """Run `work` on the cache, or on an empty one where there is no file. Blocks.

    Raises: StoreBusyError, CacheBrokenError, StoreError.
    """
    with locked(path, wait_seconds), translated(path), _connected() as connection:
        if path.exists():
            attach(connection, path, "cache", read_only=True)
            if is_ours(connection):
                return work(connection)
            connection.execute("USE memory")
        lay_out(connection)
        return work(connection)


def write(path: Path, work: type_of_work[T], *, wait_seconds: float) -> tuple[T, type_of_signature]:
    """Run `work` on the cache in one transaction, making the file where there is none. Blocks.

    Returns also the state in which it leaves the file.
    Raises: StoreBusyError, CacheBrokenError, StoreError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(path, wait_seconds), translated(path):
        with _connected() as connection:
            attach(connection, path, "cache")
            path.chmod(0o600)
            connection.begin()
            if not is_ours(connection):
                lay_out(connection)
            # Without commit the close throws the transaction away.
            result = work(connection)
            connection.commit()
        return result, signature(path)


@contextmanager
def _connected() -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(duckdb.connect(":memory:", config=CONFIG)) as connection:
        yield connection


def attach(
    connection: duckdb.DuckDBPyConnection, path: Path, name: str, *, read_only: bool = False
) -> None:
    """Open a file under a name and make it the one that queries mean."""
    mode = "READ_ONLY" if read_only else f"ROW_GROUP_SIZE {_ROW_GROUP}"
    quoted = str(path).replace("'", "''")
    connection.execute(f"ATTACH '{quoted}' AS {name} (TYPE duckdb, {mode})")
    connection.execute(f"USE {name}")


def signature(path: Path) -> type_of_signature:
    """Return which file stands there, with its log, and in which state."""
    state: list[int] = []
    for file in (path, Path(f"{path}.wal")):
        with suppress(FileNotFoundError):
            found = file.stat()
            state += [found.st_ino, found.st_size, found.st_mtime_ns]
    return tuple(state)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the driver's exceptions into ours."""
    try:
        yield
    except duckdb.Error as error:
        raise _ours(error, path) from error
    except UnicodeDecodeError as error:
        raise _broken(path, "its text is damaged") from error
    except DamageError as error:
        raise _broken(path, str(error), outdated=isinstance(error, OutdatedError)) from error
    except OSError as error:
        raise StoreError(
            f"the catalog cache {path} failed: {error.strerror}; give this user the right to"
            f" write the file and its folder"
        ) from error


def _broken(path: Path, why: str, *, outdated: bool = False) -> BlamedError:
    """Return the error of a cache that must be rebuilt."""
    return BlamedError(
        f"the catalog cache {path} cannot be used: {why}; it is rebuilt from the state database"
        f" at the next look, or at once by: amxwatch catalog refresh PROFILE",
        signature(path),
        outdated=outdated,
    )


def _ours(error: duckdb.Error, path: Path) -> StoreError:
    """Name the fault. Whatever is not about locks or room is a file to rebuild."""
    says = " ".join(str(error).split())
    if "set lock on file" in says:
        return StoreBusyError(
            f"the catalog cache {path} is in use by another program; close it and try again"
        )
    if "Read-only file system" in says:
        return StoreError(
            f"the catalog cache {path} cannot be opened; give this user the right to write the"
            f" file and its folder"
        )
    if "Too many open files" in says:
        return StoreError(f"the catalog cache {path} cannot be opened: too many files are open")
    if "No space left" in says:
        return StoreError(f"the catalog cache {path} cannot grow; make room on the disk")
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreError(f"the catalog cache {path} needs more memory than there is; free some")
    if "Permission denied" in says:
        return _broken(path, "this user may not read and write it")
    return _broken(path, says[:200])


@contextmanager
def locked(path: Path, wait_seconds: float) -> Iterator[None]:
    """Hold the lock file; wait at most `wait_seconds`, and no longer than the caller waits."""
    if not path.parent.is_dir():
        yield
        return
    with translated(path):
        lock = FileLock(f"{path}.lock", mode=0o600)
        _acquire(lock, path, wait_seconds)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, path: Path, wait_seconds: float) -> None:
    pause = threading.Event()
    for _ in range(int(wait_seconds * _TRIES_A_SECOND)):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            anyio.from_thread.check_cancelled()
            pause.wait(1 / _TRIES_A_SECOND)
        else:
            return
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise StoreBusyError(
            f"the catalog cache {path} is in use by another process since {wait_seconds:g} s;"
            f" try again in a moment"
        ) from None


def is_ours(connection: duckdb.DuckDBPyConnection) -> bool:
    """Claim that the file holds a cache; False where nothing was ever committed to it.

    Raises: OutdatedError for a cache of another layout, DamageError for another program's file.
    """
    named = queries("schema")
    if connection.execute(named["count_tables"]).fetchall() == [(0,)]:
        return False
    try:
        rows = connection.execute(named["read_meta"]).fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):
        raise DamageError("it is the database of another program") from None
    if rows != [(FORMAT, canary())]:
        raise OutdatedError("another version of amxwatch or of Python wrote it")
    return True


def lay_out(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of an empty cache."""
    for name, query in queries("schema").items():
        if name.startswith("make_"):
            connection.execute(query)
    connection.execute("INSERT INTO meta VALUES (?, ?)", [FORMAT, canary()])
