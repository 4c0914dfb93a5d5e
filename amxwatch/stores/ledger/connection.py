"""Connections and transactions: the one file here that knows SQLite.

A write transaction excludes every other writer from its start, so what it looks at stays true
until it commits. Readers see one consistent view and wait for nobody.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from amxwatch.core.errors import StoreBusyError, StoreError, StoreFullError
from amxwatch.stores.ledger.damaged import damaged

READERS = 4
"""Connections beside the writer's."""

_WRITES = "amxwatch_writes"


def make_engine(path: Path, *, wait_seconds: float = 0.0) -> Engine:
    """Return an engine on the file. It does not wait for locks longer than `wait_seconds`.

    Waiting is the caller's: SQLite's own wait is unfair under load.
    """
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        # isolation_level None: no statement but ours begins a transaction.
        connect_args={"timeout": wait_seconds, "isolation_level": None, "check_same_thread": False},
        pool_size=READERS + 1,
        max_overflow=0,
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    # Before anything is written: only an empty file takes it (asked of any other, it wants the
    # writer's lock). Room is given back in small steps.
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # NORMAL loses commits with the power
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def make_shrinkable(engine: Engine) -> None:
    """Rewrite a file of an older version, so that it can give room back to the disk.

    Where there is no room to do that, or others are at work, it stays as it is: it only grows.
    """
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        if raw.execute("PRAGMA auto_vacuum").fetchone() == (_NONE,):
            with suppress(sqlite3.OperationalError):
                raw.execute("PRAGMA auto_vacuum = INCREMENTAL")
                raw.execute("VACUUM")


_NONE = 0


def check_file(path: Path) -> None:
    """Refuse a file that SQLite would take for an empty one and write over. Raises: StoreError."""
    with path.open("rb") as file:
        start = file.read(len(_MAGIC))
    if start not in {b"", _MAGIC}:
        raise damaged(path)


_MAGIC = b"SQLite format 3\0"


@contextmanager
def transaction(engine: Engine, path: Path, *, writes: bool) -> Iterator[Connection]:
    """Yield a connection in a transaction; commit at the end, roll back on any exception.

    Raises: StoreBusyError, StoreError.
    """
    with (
        translated(path),
        engine.connect().execution_options(**{_WRITES: writes}) as connection,
        connection.begin(),
    ):
        yield connection


class Writer:
    """The one connection of a process that writes. For one thread at a time.

    It stays open, for what SQLite tells of others only to a connection that was there before.
    """

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self._path = path
        self._connection: Connection | None = None

    def open(self) -> Connection:
        """Connect, where that has not been done. Raises: StoreBusyError, StoreError."""
        if self._connection is None:
            with translated(self._path):
                self._connection = self._engine.connect().execution_options(**{_WRITES: True})
        return self._connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield the connection in a transaction that excludes all other writers, as above."""
        connection = self.open()
        try:
            with translated(self._path), connection.begin():
                yield connection
        except StoreBusyError:
            raise
        except StoreError:  # what is wrong with the disk may be wrong with the connection
            self.close()
            raise

    def others(self) -> int | None:
        """Return a number that moves whenever any other connection, of any process, commits.

        Our own commits do not move it. None where it cannot be told just now. A look at shared
        memory: it waits for no lock and no disk. See: PRAGMA data_version.
        """
        if self._connection is None:
            return None
        raw = self._connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        try:
            return int(raw.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:  # another process sets the log up, or the disk is in trouble
            return None

    def close(self) -> None:
        """Disconnect; the next transaction connects anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):
                connection.close()


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the driver's exceptions into ours."""
    try:
        yield
    except DBAPIError as error:
        raise _ours(error.orig, path) from error
    except sqlite3.Error as error:  # from a connection that is being set up
        raise _ours(error, path) from error


def _ours(error: Any, path: Path) -> StoreError:
    """Name the fault by SQLite's error code; the low byte is the kind."""
    code = getattr(error, "sqlite_errorcode", None)
    kind = 0 if code is None else code & 0xFF
    if kind in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreBusyError(
            f"the state database {path} is in use by another process; try again in a moment"
        )
    if kind in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return damaged(path)
    says = " ".join(str(error).split())
    if kind == sqlite3.SQLITE_FULL or _is_out_of_room(code, path):
        return StoreFullError(
            f"the state database {path} failed: {says}; make room on the disk, and it goes on by"
            f" itself"
        )
    return StoreError(f"the state database {path} failed: {says}; {_REMEDIES.get(kind, _CHECK)}")


_CHECK = "check that the file is ours and the disk is sound"


def _is_out_of_room(code: int | None, path: Path) -> bool:
    """SQLite cannot always tell a full disk from a broken one: the shared memory is mapped."""
    if code is None or code & 0xFF not in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}:
        return False
    try:
        return shutil.disk_usage(path.parent).free < _LITTLE_ROOM
    except OSError:
        return False


_LITTLE_ROOM = 64 * 1024
"""Bytes; SQLite's shared memory alone takes half as much."""

_REMEDIES = {
    sqlite3.SQLITE_READONLY: "give this user the right to write the file and its folder",
    sqlite3.SQLITE_PERM: "give this user the right to write the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "give this user the right to write the file and its folder",
    sqlite3.SQLITE_IOERR: "check the disk",
}
