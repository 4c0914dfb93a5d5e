"""Reads and writes a DuckDB file's comments."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from amxwatch.core.catalog import ObjectRef, ObjectType
from amxwatch.core.errors import DatabaseError, StatementRefusedError
from amxwatch.databases.duckdb.file import QUERIES, Connection, DuckFile
from amxwatch.databases.sampling import comment_on
from amxwatch.ports.database import CommentTarget

COMMENTED = frozenset({ObjectType.TABLE, ObjectType.VIEW, ObjectType.COLUMN})


class DuckCommenter:
    """Implements `ports.database.Commenter`; schemas cannot hold a comment."""

    def __init__(self, file: DuckFile) -> None:
        self._file = file

    async def current(self, targets: Sequence[CommentTarget]) -> dict[ObjectRef, str | None]:
        wanted = {target.ref for target in targets}
        return await self._file.run(lambda connection: _current(connection, wanted))

    def statement(self, target: CommentTarget, text: str | None) -> str:
        if target.type not in COMMENTED:
            raise StatementRefusedError(f"DuckDB holds no comment on a {target.type}")
        return comment_on(target, text, database=self._file.qualifier(target.ref.schema))

    async def execute(self, target: CommentTarget, text: str | None) -> str:
        statement = self.statement(target, text)

        def work(connection: Connection) -> str:
            connection.execute(statement)
            return _current(connection, {target.ref}).get(target.ref) or ""

        return await self._file.run(work, read_only=False)

    async def execute_many(
        self, rows: Sequence[tuple[CommentTarget, str | None]]
    ) -> list[str | DatabaseError]:
        """Open the file once, and read all comments back in one query."""
        statements = [self._statement_or_refusal(target, text) for target, text in rows]

        def work(connection: Connection) -> list[str | DatabaseError]:
            refusals = [
                each if isinstance(each, DatabaseError) else _run(connection, each)
                for each in statements
            ]
            live = _current(connection, {target.ref for target, _ in rows})
            return [
                refusal or live.get(target.ref) or ""
                for refusal, (target, _) in zip(refusals, rows, strict=True)
            ]

        try:
            return await self._file.run(work, read_only=False)
        except DatabaseError as error:
            return [error] * len(rows)

    def _statement_or_refusal(
        self, target: CommentTarget, text: str | None
    ) -> str | StatementRefusedError:
        try:
            return self.statement(target, text)
        except StatementRefusedError as error:
            return error


def _run(connection: Connection, statement: str) -> StatementRefusedError | None:
    """Run one statement; returns why DuckDB refused it, if it did."""
    try:
        connection.execute(statement)
    except duckdb.Error as error:
        return StatementRefusedError(" ".join(str(error).split()))
    return None


def _current(connection: Connection, wanted: set[ObjectRef]) -> dict[ObjectRef, str | None]:
    names = sorted({ref.table for ref in wanted})
    rows = connection.execute(QUERIES["comments"], {"names": names}).fetchall()
    found = {
        ObjectRef(schema=schema, table=table, column=column): comment
        for schema, table, column, comment in rows
    }
    found |= {
        ObjectRef(schema=name): None
        for (name,) in connection.execute(QUERIES["schemas"]).fetchall()
    }
    return {ref: comment for ref, comment in found.items() if ref in wanted}
