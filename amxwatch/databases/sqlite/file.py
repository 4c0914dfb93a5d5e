"""One SQLite file, opened read-only for each operation."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from amxwatch.core.errors import DatabaseError, DatabaseUnavailableError, StatementRefusedError
from amxwatch.databases import ConnectOptions
from amxwatch.databases.blocking import BlockingLane
from amxwatch.databases.queries import load_queries

T = TypeVar("T")
QUERIES = load_queries("amxwatch.databases.sqlite", "catalog.sql")

PASSING = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}
    | {sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_PERM}
    | {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_SCHEMA}
)
BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})

RACY_SECONDS = 1.0
"""A file written this recently may be written again within the same tick of its time stamp."""


class SqliteFile:
    """Opens, works, closes; one operation at a time."""

    def __init__(self, path: Path, options: ConnectOptions) -> None:
        self.path = path
        self._options = options
        self._connection: sqlite3.Connection | None = None
        self._lane = BlockingLane(self._interrupt)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Open the file, run `work` in one read transaction, close it.

        Raises: DatabaseError and what `work` raises.
        """
        seconds = self._options.statement_seconds
        try:
            return await self._lane.run(lambda: self._open_and(work), seconds=seconds)
        except TimeoutError:
            raise DatabaseUnavailableError(
                f"{self.path} took longer than {seconds:g} s; it will be tried again"
            ) from None

    def stamp(self) -> str | None:
        """Return the time stamps and sizes of the file and its log, or None where they say nothing.

        While they stand still, so does what is in the file.
        """
        parts = []
        newest = 0
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            try:
                found = path.stat()
            except OSError:
                parts.append("-")
                continue
            newest = max(newest, found.st_mtime_ns)
            # Not the time of the last status change: opening a log for reading moves that.
            parts.append(f"{found.st_mtime_ns}:{found.st_size}:{found.st_ino}:{found.st_dev}")
        racy = self._options.clock.now().timestamp() - newest / 1e9 < RACY_SECONDS
        return None if racy or parts[0] == "-" else "|".join(parts)

    def identity(self) -> str:
        """Return which file it is; another one was put in its place where this moves."""
        try:
            found = self.path.stat()
        except OSError:
            return ""
        return f"{found.st_dev}:{found.st_ino}"

    def _open_and(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if not self.path.is_file():
            raise DatabaseUnavailableError(
                f"there is no SQLite file at {self.path}; check the path in the URL"
            )
        with translated(self.path), closing(self._open()) as connection:
            self._connection = connection
            try:
                connection.execute("BEGIN")
                return work(connection)
            finally:
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode=ro",
            uri=True,
            timeout=self._options.lock_seconds,
            isolation_level=None,
            # Interrupted from another thread.
            check_same_thread=False,
        )
        connection.text_factory = _text
        return connection

    def _interrupt(self) -> None:
        connection = self._connection
        if connection is not None:
            connection.interrupt()


def _text(value: bytes) -> str:
    """Read text as SQLite does: it never checked that it is UTF-8."""
    return value.decode("utf-8", errors="replace")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the driver's exceptions into ours, in one line."""
    try:
        yield
    except sqlite3.Error as error:
        line = " ".join(str(error).split())[:500]
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in BROKEN:
            raise DatabaseError(
                f"{path} is damaged, encrypted or not an SQLite file: {line}; "
                "correct the path in the URL, or restore it from a backup"
            ) from error
        if code in PASSING:
            raise DatabaseUnavailableError(
                f"{path} cannot be read: {line}; check its rights, and who is writing to it"
            ) from error
        raise StatementRefusedError(f"{path} refused: {line}") from error
