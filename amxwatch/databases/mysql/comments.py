"""Reads and writes the comments of tables, columns and (MariaDB) databases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from amxwatch.core.catalog import ObjectRef, ObjectType
from amxwatch.core.errors import DatabaseError, StatementRefusedError
from amxwatch.databases import ConnectOptions
from amxwatch.databases.mysql.address import TableLockedError
from amxwatch.databases.mysql.altering import about, alter, standing, statement_of
from amxwatch.databases.mysql.connection import Connection, Session, execute
from amxwatch.databases.mysql.definitions import ColumnText
from amxwatch.databases.one_by_one import one_by_one
from amxwatch.databases.sampling import refuse_unwritable
from amxwatch.ports.database import CommentTarget

LONGEST = {ObjectType.TABLE: 2048, ObjectType.COLUMN: 1024, ObjectType.SCHEMA: 1024}
"""Letters; of a schema, bytes: MariaDB 10.11 crashes where 1,024 letters are more bytes."""

LAST_LETTER = "\uffff"
"""Both keep comments in utf8mb3: what is above, such as emoji, would become question marks."""

LOCK_WAITS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between tries of a table that somebody holds, until `lock_seconds` are over."""


class MysqlCommenter:
    """Implements `ports.database.Commenter`.

    The statement for a column needs its definition, which is learned from `current`, and asked
    again before every write.
    """

    def __init__(self, session: Session, options: ConnectOptions) -> None:
        self._session = session
        self._options = options
        self._columns: dict[ObjectRef, ColumnText] = {}

    async def current(self, targets: Sequence[CommentTarget]) -> dict[ObjectRef, str | None]:
        refs = [target.ref for target in targets]
        return await self._session.run(lambda c: self._current(c, refs, learn=True))

    def statement(self, target: CommentTarget, text: str | None) -> str:
        self._refuse(target, text)
        column = self._columns.get(target.ref)
        if target.ref.is_column and column is None:
            raise StatementRefusedError(
                f"the definition of {target.ref} is not known yet, and its comment is a part of "
                "that; read its current comment first"
            )
        return f"{statement_of(target, text, column)};"

    async def execute(self, target: CommentTarget, text: str | None) -> str:
        self._refuse(target, text)  # before connecting
        waited = 0.0
        for wait in LOCK_WAITS:
            try:
                return await self._session.run(lambda c: self._write(c, target, text))
            except TableLockedError:
                if waited + wait > self._options.lock_seconds:
                    raise
            await self._options.clock.sleep(wait)
            waited += wait
        return await self._session.run(lambda c: self._write(c, target, text))

    async def execute_many(
        self, rows: Sequence[tuple[CommentTarget, str | None]]
    ) -> list[str | DatabaseError]:
        return await one_by_one(self.execute, rows)

    def _refuse(self, target: CommentTarget, text: str | None) -> None:
        """Raise StatementRefusedError for what the server could not hold, or would mangle."""
        product = self._session.product
        for name in (target.ref.schema, target.ref.table, target.ref.column):
            refuse_unwritable(name, "a name")
        if target.type not in LONGEST or target.owner_type is not ObjectType.TABLE:
            raise StatementRefusedError(
                f"{target.ref}: {product.name} holds no comment on a view or its columns"
            )
        if target.type is ObjectType.SCHEMA and not product.comments_schemas:
            raise StatementRefusedError(f"{target.ref}: {product.name} comments no schema")
        if text is not None:
            refuse_unwritable(text, "the text")
            _refuse_text(target, text, product.name)

    def _write(self, connection: Connection, target: CommentTarget, text: str | None) -> str:
        if target.ref not in self._current(connection, [target.ref]):
            raise StatementRefusedError(f"{target.ref} does not exist any more")
        if target.ref.table:
            alter(self._session, connection, target, text)
        else:
            self._refuse(target, text)  # by now we know which product it is
            execute(connection, statement_of(target, text, None))
        return self._current(connection, [target.ref]).get(target.ref) or ""

    def _current(
        self, connection: Connection, refs: Sequence[ObjectRef], *, learn: bool = False
    ) -> dict[ObjectRef, str | None]:
        wanted = frozenset(refs)
        found: dict[ObjectRef, str | None] = {}
        if any(not ref.table for ref in refs):
            rows = execute(connection, self._session.chosen(self._session.product.schemas))
            found |= {ObjectRef(schema=name): comment or None for name, comment in rows}
        for owner in dict.fromkeys(ref.owner for ref in refs if ref.table):
            mine = {ref: text for ref, text in _of_table(connection, owner) if ref in wanted}
            found |= mine
            if learn:
                self._learn(connection, [ref for ref in mine if ref.is_column])
        return {ref: comment for ref, comment in found.items() if ref in wanted}

    def _learn(self, connection: Connection, refs: Sequence[ObjectRef]) -> None:
        """Remember the definitions of some columns of one table; a view's has none."""
        if not refs or _is_view(connection, refs[0].owner):
            return
        for ref in refs:
            column = standing(self._session, connection, ref).column
            if column is not None:
                self._columns[ref] = column


def _refuse_text(target: CommentTarget, text: str, product: str) -> None:
    longest = LONGEST[target.type]
    is_schema = target.type is ObjectType.SCHEMA
    size = len(text.encode()) if is_schema else len(text)
    if size > longest:
        raise StatementRefusedError(
            f"{target.ref}: the text has {size:,} {'bytes' if is_schema else 'characters'}; "
            f"{product} holds {longest:,} in the comment of a {target.type}"
        )
    beyond = next((letter for letter in text if letter > LAST_LETTER), None)
    if beyond is not None:
        raise StatementRefusedError(
            f"{target.ref}: the text holds U+{ord(beyond):X}, and {product} keeps only characters "
            "up to U+FFFF in comments; remove it"
        )
    if is_schema and "\n" in text:
        raise StatementRefusedError(
            f"{target.ref}: the text holds a line break, which {product} loses in the comment of "
            "a schema when it restarts; remove it"
        )


def _of_table(connection: Connection, owner: ObjectRef) -> Iterator[tuple[ObjectRef, str | None]]:
    """Yield the comments of one table or view and of its columns; nothing where it is not."""
    rows = execute(connection, about("one_relation", owner))
    # The server may compare names without case; we do not.
    exact = [row for row in rows if row[0] == owner.table]
    if not exact:
        return
    _, kind, comment = exact[0]
    yield owner, None if kind == "VIEW" else comment or None
    for name, text in execute(connection, about("some_columns", owner)):
        yield ObjectRef(schema=owner.schema, table=owner.table, column=name), text or None


def _is_view(connection: Connection, owner: ObjectRef) -> bool:
    return any(row[1] == "VIEW" for row in execute(connection, about("one_relation", owner)))
