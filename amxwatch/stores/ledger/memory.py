"""What persistent schedules carry from run to run."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, or_, select

from amxwatch.core.catalog import ObjectRef
from amxwatch.core.draft import Draft, DraftStatus
from amxwatch.stores.ledger.drafts import SqlDrafts
from amxwatch.stores.ledger.rows import upsert
from amxwatch.stores.ledger.tables import draft, run
from amxwatch.stores.ledger.tables import table_look as table

_ANSWERED = (
    DraftStatus.ACCEPTED,
    DraftStatus.EDITED,
    DraftStatus.REJECTED,
    DraftStatus.WRITING,
    DraftStatus.WRITTEN,
)


class SqlMemory:
    """Implements `ports.memory.Memory`."""

    def __init__(self, connection: Connection, drafts: SqlDrafts) -> None:
        self._connection = connection
        self._drafts = drafts

    def reviewed(self, schedule: str, *, limit: int) -> list[Draft]:
        by_a_person = or_(
            run.c.review_strategy != "auto",
            draft.c.choice.is_(None),
            draft.c.status == DraftStatus.REJECTED,
        )
        query = (
            select(draft.c.id)
            .join(run, run.c.id == draft.c.run_id)
            .where(
                run.c.schedule == schedule,
                draft.c.status.in_(_ANSWERED),
                draft.c.reviewed_at.is_not(None),
                by_a_person,
            )
            .order_by(draft.c.reviewed_at.desc(), draft.c.id.desc())
            .limit(limit)
        )
        return [self._drafts.get(found) for found in self._connection.execute(query).scalars()]

    def statistics(self, schedule: str, table_ref: ObjectRef) -> str | None:
        text: str | None = self._connection.execute(
            select(table.c.statistics).where(
                table.c.schedule == schedule,
                table.c.schema_name == table_ref.schema,
                table.c.table_name == table_ref.table,
            )
        ).scalar()
        return text

    def keep(self, schedule: str, table_ref: ObjectRef, text: str, at: datetime) -> None:
        values = {
            "schedule": schedule,
            "schema_name": table_ref.schema,
            "table_name": table_ref.table,
            "at": at,
            "statistics": text,
        }
        upsert(self._connection, table, values)

    def forget(self, schedule: str) -> None:
        self._connection.execute(delete(table).where(table.c.schedule == schedule))
