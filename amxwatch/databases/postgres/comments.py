"""Reads and writes PostgreSQL's comments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from amxwatch.core.catalog import ObjectRef, ObjectType
from amxwatch.core.errors import DatabaseError, StatementRefusedError
from amxwatch.databases.one_by_one import one_by_one
from amxwatch.databases.postgres.connection import QUERIES, Connection, Session
from amxwatch.databases.sampling import refuse_unwritable
from amxwatch.ports.database import CommentTarget

WORDS = {
    ObjectType.SCHEMA: "SCHEMA",
    ObjectType.TABLE: "TABLE",
    ObjectType.VIEW: "VIEW",
    ObjectType.MATERIALIZED_VIEW: "MATERIALIZED VIEW",
    ObjectType.COLUMN: "COLUMN",
}
FOREIGN = "f"


class PostgresCommenter:
    """Implements `ports.database.Commenter`.

    To the catalog a foreign table is a table; COMMENT ON wants to be told. Which ones are
    foreign is learned from `current`, and asked again before every write.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._foreign: set[ObjectRef] = set()

    async def current(self, targets: Sequence[CommentTarget]) -> dict[ObjectRef, str | None]:
        refs = [target.ref for target in targets]
        return await self._session.run(lambda connection: self._current(connection, refs))

    def statement(self, target: CommentTarget, text: str | None) -> str:
        return self._composed(target, text).as_string(None)

    async def execute(self, target: CommentTarget, text: str | None) -> str:
        self._composed(target, text)  # refuses what cannot be written before connecting

        def work(connection: Connection) -> str:
            if target.ref not in self._current(connection, [target.ref]):
                raise StatementRefusedError(f"{target.ref} does not exist any more")
            with self._session.transaction(connection, read_only=False):
                connection.execute(self._composed(target, text))
            return self._current(connection, [target.ref]).get(target.ref) or ""

        return await self._session.run(work)

    async def execute_many(
        self, rows: Sequence[tuple[CommentTarget, str | None]]
    ) -> list[str | DatabaseError]:
        return await one_by_one(self.execute, rows)

    def _current(
        self, connection: Connection, refs: Sequence[ObjectRef]
    ) -> dict[ObjectRef, str | None]:
        wanted = {
            "schemas": [ref.schema for ref in refs],
            "tables": [ref.table for ref in refs],
            "columns": [ref.column for ref in refs],
        }
        with self._session.transaction(connection, read_only=True):
            rows = connection.execute(QUERIES["comments"], wanted).fetchall()
        found = {}
        for place, kind, comment in rows:
            ref = refs[place - 1]
            found[ref] = comment
            if kind == FOREIGN:
                self._foreign.add(ref)
            else:
                self._foreign.discard(ref)
        return found

    def _composed(self, target: CommentTarget, text: str | None) -> sql.Composed:
        word = WORDS[target.type]
        if target.type is ObjectType.TABLE and target.ref in self._foreign:
            word = "FOREIGN TABLE"
        names = [part for part in _parts(target.ref) if part]
        for name in names:
            refuse_unwritable(name, "a name")
        if text is not None:
            refuse_unwritable(text, "the text")
        return sql.SQL("COMMENT ON {} {} IS {};").format(
            sql.SQL(word), sql.Identifier(*names), sql.NULL if text is None else sql.Literal(text)
        )


def _parts(ref: ObjectRef) -> Iterable[str]:
    return (ref.schema, ref.table, ref.column)
