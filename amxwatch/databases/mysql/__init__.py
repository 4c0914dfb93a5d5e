"""MariaDB 10.11 and newer, MySQL 8 and newer, through PyMySQL: catalog, samples, comments.

`catalog.sql` holds the queries, `product` all in which the two differ; each other file is one
window of `ports.database`. It is imported only when a URL asks for it, and nothing else in the
house imports pymysql. Neither product announces DDL, so there are no hints.
"""

from __future__ import annotations

from pathlib import Path

from amxwatch.core.catalog import ObjectType
from amxwatch.databases import ConnectOptions
from amxwatch.databases.mysql.address import Address
from amxwatch.databases.mysql.comments import MysqlCommenter
from amxwatch.databases.mysql.connection import Session
from amxwatch.databases.mysql.privileges import MysqlPrivileges
from amxwatch.databases.mysql.reader import MysqlReader
from amxwatch.databases.mysql.sampler import MysqlSampler
from amxwatch.ports.database import Capabilities


class MysqlDatabase:
    """Implements `ports.database.Database`. Use `open_mysql`."""

    hints = None

    def __init__(self, address: Address, options: ConnectOptions) -> None:
        self._session = Session(address, options)
        self.reader = MysqlReader(self._session)
        self.sampler = MysqlSampler(self._session)
        self.commenter = MysqlCommenter(self._session, options)
        self.privileges = MysqlPrivileges(self._session)

    @property
    def capabilities(self) -> Capabilities:
        """What the server can hold; before the first connection, what the URL's scheme says."""
        product = self._session.product
        holds = {ObjectType.TABLE, ObjectType.COLUMN}
        return Capabilities(
            product=product.name,
            dialect="mysql",
            comments=frozenset(holds | {ObjectType.SCHEMA} if product.comments_schemas else holds),
            view_columns=False,
        )

    async def aclose(self) -> None:
        await self._session.aclose()


def open_mysql(url: str, *, relative_to: Path, options: ConnectOptions) -> MysqlDatabase:
    """Return a MySQL or MariaDB database, not yet connected. Raises: UsageError."""
    del relative_to  # a server has no path
    return MysqlDatabase(Address(url, options), options)
