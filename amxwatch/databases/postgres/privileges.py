"""Says which owners' objects we may not comment on."""

from __future__ import annotations

from amxwatch.databases.postgres.connection import QUERIES, Connection, Session


class PostgresPrivileges:
    """Implements `ports.privileges.Privileges`.

    COMMENT ON wants the rights of the object's owner, so being made a member of the owning
    role is what is missing. See: PostgreSQL's page on COMMENT, "Notes".
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def missing(self) -> tuple[str, ...]:
        return await self._session.run(self._missing)

    def _missing(self, connection: Connection) -> tuple[str, ...]:
        with self._session.transaction(connection, read_only=True):
            rows = connection.execute(QUERIES["grants"]).fetchall()
        return tuple(row[0] for row in rows)
