"""PostgreSQL 14 and newer, through psycopg: catalog, samples, comments, notifications.

The `.sql` files hold the queries. `fingerprint` tells what moved, `parts` reads it, `building`
makes tables of it, `memory` is what stays of a read; each other file is one window of
`ports.database` or an optional port. It is imported only when a URL asks for it, and nothing else
in the house imports psycopg.
"""

from __future__ import annotations

from pathlib import Path

from amxwatch.core.catalog import ObjectType
from amxwatch.databases import ConnectOptions
from amxwatch.databases.postgres.comments import PostgresCommenter
from amxwatch.databases.postgres.connection import Address, Session
from amxwatch.databases.postgres.ddl_watch import PostgresDdlWatch
from amxwatch.databases.postgres.hints import PostgresHints
from amxwatch.databases.postgres.privileges import PostgresPrivileges
from amxwatch.databases.postgres.reader import PostgresReader
from amxwatch.databases.postgres.sampler import PostgresSampler
from amxwatch.ports.database import Capabilities


class PostgresDatabase:
    """Implements `ports.database.Database`. Use `open_postgres`."""

    def __init__(self, address: Address, options: ConnectOptions) -> None:
        self._session = Session(address, options)
        self.capabilities = Capabilities(
            product="PostgreSQL",
            dialect="postgres",
            comments=frozenset(ObjectType),
            native_ids=True,
        )
        self.reader = PostgresReader(self._session)
        self.sampler = PostgresSampler(self._session)
        self.commenter = PostgresCommenter(self._session)
        self.privileges = PostgresPrivileges(self._session)
        self.ddl_watch = PostgresDdlWatch(self._session)
        self.hints = PostgresHints(address)

    async def aclose(self) -> None:
        await self._session.aclose()


def open_postgres(url: str, *, relative_to: Path, options: ConnectOptions) -> PostgresDatabase:
    """Return a PostgreSQL database, not yet connected. Raises: UsageError."""
    del relative_to  # a server has no path
    return PostgresDatabase(Address(url, options), options)
