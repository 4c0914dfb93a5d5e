"""One kept connection to MariaDB or MySQL: made when first needed, and again after it broke."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

import pymysql
from pymysql.connections import Connection as PymysqlConnection
from pymysql.cursors import Cursor

from amxwatch.core.errors import DatabaseUnavailableError
from amxwatch.databases import ConnectOptions
from amxwatch.databases.blocking import BlockingLane
from amxwatch.databases.mysql.address import LOST, Address, code_of
from amxwatch.databases.mysql.product import Product, product_of
from amxwatch.databases.queries import load_queries

T = TypeVar("T")
Connection: TypeAlias = "PymysqlConnection[Cursor]"
Rows = list[tuple[Any, ...]]

QUERIES = load_queries("amxwatch.databases.mysql", "catalog.sql")

SYSTEM = ("information_schema", "performance_schema", "mysql", "sys")


class Session:
    """One connection, used by one worker thread at a time.

    `product` is what the server said it is; before the first connection, what the URL says.
    `number` is the server's number of the connection.
    """

    def __init__(self, address: Address, options: ConnectOptions) -> None:
        self.address = address
        self.product: Product = address.expected
        self.number = 0
        self._options = options
        self._connection: Connection | None = None
        self._lane = BlockingLane(self._interrupt)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on the connection in a worker thread.

        It is run a second time where a connection kept from before turns out to be dead, so
        `work` must bear repetition. Raises: DatabaseError and what `work` raises.
        """
        return await self._lane.run(lambda: self._attempt(work))

    def _attempt(self, work: Callable[[Connection], T]) -> T:
        with self.address.translated():
            kept = self._connection
            try:
                return work(kept or self._connect())
            except pymysql.err.MySQLError as error:
                if not self._is_dead(error):
                    raise
                self._forget()
                if kept is None:
                    raise
            try:
                return work(self._connect())
            except pymysql.err.MySQLError as error:
                if self._is_dead(error):
                    self._forget()
                raise

    def _is_dead(self, error: pymysql.err.MySQLError) -> bool:
        connection = self._connection
        return connection is None or not connection.open or code_of(error) in LOST

    def _connect(self) -> Connection:
        try:
            connection: Connection = pymysql.connect(**self.address.settings)
        except RuntimeError as error:  # the driver's word for a package that it lacks
            raise DatabaseUnavailableError(
                f"{self.address.label} cannot be reached: its login needs another package; "
                "pip install 'amxwatch[mysql]', or let the server offer TLS"
            ) from error
        self._connection = connection
        ((version, self.number),) = execute(connection, QUERIES["server"])
        self.product = product_of(str(version))
        settings = self.product.settings(statement_seconds=self._options.statement_seconds)
        pinned = ", ".join(f"{name} = {text}" for name, text in settings.items())
        execute(connection, f"SET SESSION {pinned}")
        return connection

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.open:
            # Says goodbye, to a server that may not be there any more.
            with suppress(pymysql.err.MySQLError, OSError):
                connection.close()

    def _interrupt(self) -> None:
        """Stop the running statement, by a second connection as the protocol wants it."""
        connection = self._connection
        if connection is None or not connection.open:
            return
        with suppress(pymysql.err.MySQLError, OSError, RuntimeError):
            helper: Connection = pymysql.connect(**self.address.settings | {"connect_timeout": 5})
            try:
                execute(helper, f"KILL QUERY {self.number}")
            finally:
                helper.close()

    async def aclose(self) -> None:
        await self._lane.run(self._forget)

    def chosen(self, query: str) -> str:
        """Return a query of `catalog.sql` for the databases that the URL means."""
        if self.address.schema:
            which = f"= {literal(self.address.schema)}"
        else:
            which = f"NOT IN ({', '.join(map(literal, SYSTEM))})"
        return QUERIES[query].replace("$CHOSEN", which)


def execute(connection: Connection, statement: str) -> Rows:
    """Run one statement, without parameters, and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def value(connection: Connection, statement: str) -> object:
    """Return the first value of the first row, or None."""
    rows = execute(connection, statement)
    return rows[0][0] if rows else None


def quoted(name: str) -> str:
    """Write a name as an identifier."""
    return "`" + name.replace("`", "``") + "`"


ESCAPES = str.maketrans(
    {"\\": "\\\\", "'": "''", "\n": "\\n", "\r": "\\r", "\x1a": "\\Z", "\0": "\\0"}
)


def literal(text: str) -> str:
    """Write a string under the sql_mode that we pin, as SHOW CREATE TABLE does."""
    return "'" + text.translate(ESCAPES) + "'"
