"""One kept connection to PostgreSQL: made when first needed, and again after it broke."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from amxwatch.core.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    LoginRefusedError,
    StatementRefusedError,
    UsageError,
)
from amxwatch.databases import ConnectOptions, describe
from amxwatch.databases.blocking import BlockingLane
from amxwatch.databases.queries import load_queries

T = TypeVar("T")
Connection = psycopg.Connection[tuple[Any, ...]]

QUERIES = load_queries("amxwatch.databases.postgres", "catalog.sql")

SPELLING = {
    "search_path": "",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "quote_all_identifiers": "off",
    # Compiling a catalog query takes longer than running it.
    "jit": "off",
}
"""Settings that the server's spelling of types, defaults and views depends on, pinned."""


class Address:
    """Where a URL leads, and how to say so without the password."""

    def __init__(self, url: str, options: ConnectOptions) -> None:
        _, _, rest = url.partition("://")
        try:
            parts = conninfo_to_dict(f"postgresql://{rest}")
        except psycopg.Error:
            # The driver's message may quote the URL, password and all.
            raise UsageError(
                f"{describe(url)} is no PostgreSQL URL; write it like "
                "postgresql://USER:PASSWORD@HOST:5432/NAME, special characters as %40 and the like"
            ) from None
        self.label = describe(url)
        self._secrets = [str(parts[key]) for key in ("password", "sslpassword") if parts.get(key)]
        settings: dict[str, Any] = {
            "connect_timeout": max(math.ceil(options.connect_seconds), 2),
            "application_name": options.application_name,
            # A peer that vanished without a word is noticed in about half a minute.
            "keepalives_idle": 15,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
        }
        settings |= parts
        settings["client_encoding"] = "UTF8"
        self.conninfo = make_conninfo(**settings)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the driver's exceptions into ours: one line, no secret."""
        try:
            yield
        except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable) as error:
            raise DatabaseUnavailableError(
                f"{self.label} is busy: {self._line(error)}; it will be tried again"
            ) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            kind = LoginRefusedError if _is_login(error) else DatabaseUnavailableError
            raise kind(
                f"{self.label} cannot be reached: {self._line(error)}; "
                "check the URL, that the server runs, and that this machine may connect"
            ) from error
        except (
            psycopg.ProgrammingError,
            psycopg.DataError,
            psycopg.IntegrityError,
            psycopg.NotSupportedError,
        ) as error:
            raise StatementRefusedError(f"{self.label} refused: {self._line(error)}") from error
        except (psycopg.Error, UnicodeError) as error:
            raise DatabaseError(f"{self.label} failed: {self._line(error)}") from error

    def _line(self, error: Exception) -> str:
        primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
        text = " ".join((primary or str(error)).split()) or type(error).__name__
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:500]


REFUSED = re.compile(
    r"authentication failed|no password supplied|role .* does not exist|is not permitted to log in"
)


def _is_login(error: psycopg.Error) -> bool:
    """Say whether a connection was refused for its user or password.

    For a connection that failed libpq gives no SQLSTATE, only the server's words.
    """
    if error.sqlstate is not None:
        return error.sqlstate.startswith("28")
    asked = error.pgconn is not None and error.pgconn.needs_password
    return asked or REFUSED.search(str(error)) is not None


class Session:
    """One connection, used by one worker thread at a time."""

    def __init__(self, address: Address, options: ConnectOptions) -> None:
        self.address = address
        self._options = options
        self._connection: Connection | None = None
        self.epoch = 0
        """Counts the connections made, so that what was seen over one is told from the next."""
        self._lane = BlockingLane(self._interrupt)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on the connection in a worker thread.

        It is run a second time where a connection kept from before turns out to be dead, so
        `work` must bear repetition. Raises: DatabaseError and what `work` raises.
        """
        return await self._lane.run(lambda: self._attempt(work))

    def _attempt(self, work: Callable[[Connection], T]) -> T:
        with self.address.translated():
            if self._connection is not None:
                try:
                    return work(self._connection)
                except (psycopg.OperationalError, psycopg.InterfaceError):
                    if not self._connection.closed:
                        raise
                    self._forget()
            connection = self._connect()
            try:
                return work(connection)
            finally:
                if connection.closed:
                    self._forget()

    def _connect(self) -> Connection:
        self._connection = open_connection(self.address)
        self.epoch += 1
        return self._connection

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _interrupt(self) -> None:
        connection = self._connection
        if connection is not None and not connection.closed:
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=5)

    @contextmanager
    def transaction(self, connection: Connection, *, read_only: bool) -> Iterator[Connection]:
        """Open a transaction in which our settings hold, and only in it.

        So that a pooler in transaction mode hands nobody our settings. Reading sees one
        moment throughout.
        """
        connection.read_only = read_only
        connection.isolation_level = (
            psycopg.IsolationLevel.REPEATABLE_READ
            if read_only
            else psycopg.IsolationLevel.READ_COMMITTED
        )
        settings = SPELLING | {
            "statement_timeout": f"{round(self._options.statement_seconds * 1000)}ms",
            "lock_timeout": f"{round(self._options.lock_seconds * 1000)}ms",
        }
        with connection.transaction():
            connection.execute(QUERIES["settings"], [list(settings), list(settings.values())])
            yield connection

    async def aclose(self) -> None:
        await self._lane.run(self._forget)


def open_connection(address: Address) -> Connection:
    """Connect, without prepared statements: poolers in transaction mode do not keep them."""
    return psycopg.connect(address.conninfo, autocommit=True, prepare_threshold=None)
