"""One DuckDB file, opened anew for each operation."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb

from amxwatch.core.errors import DatabaseError, DatabaseUnavailableError, StatementRefusedError
from amxwatch.databases import ConnectOptions
from amxwatch.databases.blocking import BlockingLane
from amxwatch.databases.queries import load_queries
from amxwatch.ports.clock import Clock

T = TypeVar("T")
Connection = duckdb.DuckDBPyConnection
QUERIES = load_queries("amxwatch.databases.duckdb", "catalog.sql")

LOCK_WAITS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0)
"""Seconds between tries of a file that another process or another mode holds."""

LOCK_SIGNS = ("Could not set lock on file", "different configuration")

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
"""No extension is loaded or downloaded because a view or a type would like one."""

# DuckDB refuses to open one file in two modes within one process.
_path_locks: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)


RESERVED = frozenset({"main", "temp", "system"})


def database_of(path: Path) -> str:
    """Return the name that DuckDB gives to the database in a file."""
    name = path.name.lstrip(".").partition(".")[0]
    return f"{name}_db" if name.lower() in RESERVED else name


class DuckFile:
    """Opens, works, closes; one operation at a time."""

    def __init__(self, path: Path, options: ConnectOptions) -> None:
        self.path = path
        self.clock: Clock = options.clock
        self._seconds = options.statement_seconds
        self._connection: Connection | None = None
        self._lane = BlockingLane(self._interrupt)

    def qualifier(self, schema: str) -> str:
        """Return the database's name where a schema's own name would be ambiguous, else "".

        `sales.duckdb` with a schema `sales` is such a case.
        """
        database = database_of(self.path)
        return database if schema.lower() in {database.lower(), "temp", "system"} else ""

    async def run(self, work: Callable[[Connection], T], *, read_only: bool = True) -> T:
        """Open the file, run `work`, close it; wait for its lock a bounded number of times.

        Raises: DatabaseError and what `work` raises.
        """
        for wait in LOCK_WAITS:
            try:
                return await self._once(work, read_only)
            except _LockedError:
                await self.clock.sleep(wait)
        return await self._once(work, read_only)

    async def _once(self, work: Callable[[Connection], T], read_only: bool) -> T:
        try:
            return await self._lane.run(
                lambda: self._open_and(work, read_only), seconds=self._seconds
            )
        except TimeoutError:
            raise DatabaseUnavailableError(
                f"{self.path} took longer than {self._seconds:g} s; it will be tried again"
            ) from None

    def _open_and(self, work: Callable[[Connection], T], read_only: bool) -> T:
        self.check()
        with _path_locks[self.path.resolve()], translated(self.path):
            self._connection = duckdb.connect(
                str(self.path), read_only=read_only, config=dict(CONFIG)
            )
            try:
                return work(self._connection)
            finally:
                connection, self._connection = self._connection, None
                connection.close()

    def check(self) -> None:
        """Raise DatabaseUnavailableError where there is no file: opening it would make one."""
        if not self.path.is_file():
            raise DatabaseUnavailableError(
                f"there is no DuckDB file at {self.path}; check the path in the URL"
            )

    def _interrupt(self) -> None:
        connection = self._connection
        if connection is not None:
            connection.interrupt()


class _LockedError(DatabaseUnavailableError):
    """Somebody else has the file open in a way that shuts us out."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the driver's exceptions into ours, in one line."""
    try:
        yield
    except duckdb.Error as error:
        line = str(error).partition("\n")[0].strip()[:500]
        if any(sign in line for sign in LOCK_SIGNS):
            raise _LockedError(
                f"{path} is held open by another process or connection ({line}); "
                "close it there, or wait"
            ) from error
        if isinstance(error, duckdb.IOException) and "not a valid" not in line:
            raise DatabaseUnavailableError(f"{path} cannot be opened: {line}") from error
        if isinstance(error, duckdb.InterruptException):
            raise DatabaseUnavailableError(f"{path} was interrupted; try again") from error
        if isinstance(error, duckdb.ProgrammingError):
            raise StatementRefusedError(f"{path} refused: {line}") from error
        raise DatabaseError(f"{path} failed: {line}") from error
