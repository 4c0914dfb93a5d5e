"""How tables looked when they were sampled last."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from amxwatch.core.catalog import ObjectRef
from amxwatch.ports.profiles import KeptProfile
from amxwatch.stores.ledger.profile_tables import table_profile as table
from amxwatch.stores.ledger.rows import upsert


class SqlProfiles:
    """Implements `ports.profiles.Profiles`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, db_profile: str, table_ref: ObjectRef) -> KeptProfile | None:
        found = self._connection.execute(
            select(table.c.key, table.c.at, table.c.rows, table.c.statistics).where(
                table.c.db_profile == db_profile,
                table.c.schema_name == table_ref.schema,
                table.c.table_name == table_ref.table,
            )
        ).one_or_none()
        if found is None:
            return None
        key, at, rows, statistics = found
        return KeptProfile(ref=table_ref, key=key, at=at, rows=rows, statistics=statistics)

    def keep(self, db_profile: str, profile: KeptProfile) -> None:
        values = {
            "db_profile": db_profile,
            "schema_name": profile.ref.schema,
            "table_name": profile.ref.table,
            "key": profile.key,
            "at": profile.at,
            "rows": profile.rows,
            "statistics": profile.statistics,
        }
        upsert(self._connection, table, values)

    def forget(self, db_profile: str) -> int:
        gone = self._connection.execute(delete(table).where(table.c.db_profile == db_profile))
        return gone.rowcount
