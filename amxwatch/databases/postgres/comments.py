"""Reads and writes PostgreSQL's comments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.pq import Escaping
from psycopg.pq.abc import Escaping as Quoting

from amxwatch.core.catalog import ObjectRef, ObjectType
from amxwatch.core.errors import DatabaseError, DatabaseUnavailableError, StatementRefusedError
from amxwatch.databases.postgres.connection import Connection, Session
from amxwatch.databases.postgres.parts import ask
from amxwatch.databases.sampling import refuse_unwritable
from amxwatch.ports.database import CommentTarget

WORDS: dict[ObjectType, LiteralString] = {
    ObjectType.SCHEMA: "SCHEMA",
    ObjectType.TABLE: "TABLE",
    ObjectType.VIEW: "VIEW",
    ObjectType.MATERIALIZED_VIEW: "MATERIALIZED VIEW",
    ObjectType.COLUMN: "COLUMN",
}
FOREIGN = "f"

CHUNK = 250
"""Statements of one transaction: COMMENT ON keeps other DDL from its table until the end."""

CHUNK_BYTES = 4_000_000

Row = tuple[CommentTarget, str | None]


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
        (result,) = await self._session.run(
            lambda connection: self._write(connection, [(target, text)])
        )
        if isinstance(result, DatabaseError):
            raise result
        return result

    async def execute_many(
        self, rows: Sequence[tuple[CommentTarget, str | None]]
    ) -> list[str | DatabaseError]:
        """As the port says. A row whose live comment is the text already is not sent.

        The rest goes some at a time, in one round trip and one transaction; where one of them
        is refused none of those stands, and each is tried by itself.
        """
        if not rows:
            return []
        try:
            results = await self._session.run(lambda connection: self._write(connection, rows))
        except DatabaseError as error:
            return [error] * len(rows)
        # One table that is locked is no outage: the caller may go on with the others.
        return [
            StatementRefusedError(str(result))
            if isinstance(result, DatabaseUnavailableError)
            else result
            for result in results
        ]

    def _write(self, connection: Connection, rows: Sequence[Row]) -> list[str | DatabaseError]:
        live = self._current(connection, [target.ref for target, _ in rows])
        errors: dict[int, DatabaseError] = {}
        due: dict[int, bytes] = {}
        quoting = Escaping(connection.pgconn)
        for place, (target, text) in enumerate(rows):
            if target.ref not in live:
                errors[place] = StatementRefusedError(f"{target.ref} does not exist any more")
            elif (live[target.ref] or "") != (text or ""):
                try:
                    due[place] = self._encoded(quoting, target, text)
                except StatementRefusedError as error:
                    errors[place] = error
        for chunk in _chunks(due):
            errors |= self._send(connection, rows, chunk)
        written = [rows[place][0].ref for place in due]
        live |= self._current(connection, written) if written else {}
        return [
            errors[place] if place in errors else live.get(target.ref) or ""
            for place, (target, _) in enumerate(rows)
        ]

    def _send(
        self, connection: Connection, rows: Sequence[Row], due: Mapping[int, bytes]
    ) -> dict[int, DatabaseError]:
        """Run some statements together, or each by itself; return why some were refused."""
        try:
            self._run(connection, b"\n".join(due.values()))
        except psycopg.errors.QueryCanceled:
            raise  # somebody gave up on us, or the server is too slow for any of them
        except psycopg.Error:
            if connection.closed:
                raise
        else:
            return {}
        errors: dict[int, DatabaseError] = {}
        locked: dict[ObjectRef, DatabaseError] = {}
        for place, statement in due.items():
            owner = rows[place][0].ref.owner
            try:
                if owner in locked:  # one wait for a lock is enough
                    raise locked[owner]
                with self._session.address.translated():
                    self._run(connection, statement)
            except StatementRefusedError as error:
                errors[place] = error
            except DatabaseUnavailableError as error:
                if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                    raise
                locked[owner] = errors[place] = error
        return errors

    def _run(self, connection: Connection, statements: bytes) -> None:
        with self._session.transaction(connection, read_only=False):
            connection.execute(statements)

    def _current(
        self, connection: Connection, refs: Sequence[ObjectRef]
    ) -> dict[ObjectRef, str | None]:
        wanted = {
            "schemas": [ref.schema for ref in refs],
            "tables": [ref.table for ref in refs],
            "columns": [ref.column for ref in refs],
        }
        with self._session.transaction(connection, read_only=True):
            rows = ask(connection, "comments", wanted)
        found = {}
        for place, kind, comment in rows:
            ref = refs[place - 1]
            found[ref] = comment
            if kind == FOREIGN:
                self._foreign.add(ref)
            else:
                self._foreign.discard(ref)
        return found

    def _encoded(self, quoting: Quoting, target: CommentTarget, text: str | None) -> bytes:
        """Return what `statement` returns, quoted by the server's library: much the quicker way."""
        names = [name.encode() for name in self._names(target)]
        if text is not None:
            refuse_unwritable(text, "the text")
        return b"COMMENT ON %b %b IS %b;" % (
            self._word(target).encode(),
            b".".join(map(quoting.escape_identifier, names)),
            b"NULL" if text is None else quoting.escape_literal(text.encode()),
        )

    def _composed(self, target: CommentTarget, text: str | None) -> sql.Composed:
        names = self._names(target)
        if text is not None:
            refuse_unwritable(text, "the text")
        return sql.SQL("COMMENT ON {} {} IS {};").format(
            sql.SQL(self._word(target)),
            sql.Identifier(*names),
            sql.NULL if text is None else sql.Literal(text),
        )

    def _word(self, target: CommentTarget) -> LiteralString:
        if target.type is ObjectType.TABLE and target.ref in self._foreign:
            return "FOREIGN TABLE"
        return WORDS[target.type]

    def _names(self, target: CommentTarget) -> list[str]:
        ref = target.ref
        names = [part for part in (ref.schema, ref.table, ref.column) if part]
        for name in names:
            refuse_unwritable(name, "a name")
        return names


def _chunks(due: Mapping[int, bytes]) -> Iterator[dict[int, bytes]]:
    """Split statements into what is sent at once: few enough to hold their locks for a moment."""
    chunk: dict[int, bytes] = {}
    size = 0
    for place, statement in due.items():
        if chunk and (len(chunk) == CHUNK or size + len(statement) > CHUNK_BYTES):
            yield chunk
            chunk, size = {}, 0
        chunk[place] = statement
        size += len(statement)
    if chunk:
        yield chunk
