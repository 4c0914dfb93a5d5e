"""Writes comments with the statements that the dialect makes of SQLAlchemy's DDL elements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import schema as ddl
from sqlalchemy.dialects.mysql.base import MySQLDialect
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.engine.reflection import ObjectKind

from amxwatch.core.catalog import ObjectRef, ObjectType
from amxwatch.core.errors import DatabaseError, DatabaseUnavailableError, StatementRefusedError
from amxwatch.databases.generic import dialects
from amxwatch.databases.generic.connection import GenericEngine, told
from amxwatch.databases.sampling import comment_on, refuse_unwritable
from amxwatch.ports.database import CommentTarget

RELATIONS = frozenset({ObjectType.TABLE, ObjectType.VIEW, ObjectType.MATERIALIZED_VIEW})
ABLE = {
    "bigquery": RELATIONS,  # its dialect has no statement for columns
    "mssql": frozenset({ObjectType.TABLE, ObjectType.COLUMN}),
    "oracle": RELATIONS | {ObjectType.COLUMN},
}
"""Where a dialect writes comments on less, or other, than tables, views and their columns."""

ONE_WORD = frozenset({"bigquery", "databricks", "mssql", "oracle", "spark"})
"""Dialects in whose comment statements a view is called a table."""

BACKSLASH = frozenset({"bigquery", "clickhouse", "databricks", "hive", "snowflake", "spark"})
"""Families in whose string literals a backslash escapes; SQLAlchemy does not know that."""

EMPTIED = frozenset({"oracle", "snowflake"})
"""Dialects in which a comment is removed by an empty text, and NULL is refused."""

HALVING = frozenset({"clickhousedb"})
"""Dialects whose driver makes one per cent sign of two, also in a statement without parameters."""


def commentable(dialect: Dialect) -> frozenset[ObjectType]:
    """Return what can be given a comment without losing anything else.

    MySQL and what derives from it repeat the whole column to set its comment, which loses parts.
    """
    if dialects.family(dialect.name) == "clickhouse":
        return RELATIONS | {ObjectType.COLUMN}
    if not dialect.supports_comments:
        return frozenset()
    if isinstance(dialect, MySQLDialect):
        return frozenset({ObjectType.TABLE})
    return ABLE.get(dialect.name, RELATIONS | {ObjectType.COLUMN})


class GenericCommenter:
    """Implements `ports.database.Commenter`."""

    def __init__(self, engine: GenericEngine) -> None:
        self._engine = engine
        self._able = commentable(engine.dialect)

    async def current(self, targets: Sequence[CommentTarget]) -> dict[ObjectRef, str | None]:
        if not targets:
            return {}
        return await self._engine.run(lambda connection: self._current(connection, targets))

    def statement(self, target: CommentTarget, text: str | None) -> str:
        refuse_unwritable(text or "", "the text")
        if target.type not in self._able:
            return comment_on(target, text)
        return self._rendered(target, text) + ";"

    async def execute(self, target: CommentTarget, text: str | None) -> str:
        result = (await self.execute_many([(target, text)]))[0]
        if isinstance(result, DatabaseError):
            raise result
        return result

    async def execute_many(
        self, rows: Sequence[tuple[CommentTarget, str | None]]
    ) -> list[str | DatabaseError]:
        results: list[str | DatabaseError] = []
        down: DatabaseUnavailableError | None = None
        for target, text in rows:
            error = down if down is not None else await self._tried(target, text)
            if isinstance(error, DatabaseUnavailableError):
                down = error
            results.append(error or "")
        written = [target for (target, _), result in zip(rows, results, strict=True) if not result]
        try:
            live = await self.current(written)
        except DatabaseError as error:
            return [result or error for result in results]
        return [
            result or _read_back(live, target, text)
            for (target, text), result in zip(rows, results, strict=True)
        ]

    async def _tried(self, target: CommentTarget, text: str | None) -> DatabaseError | None:
        try:
            refuse_unwritable(text or "", "the text")
            if target.type not in self._able:
                raise StatementRefusedError(
                    f"{dialects.PRODUCTS.get(self._engine.dialect.name, 'this database')} cannot "
                    f"hold a {target.type} comment, so {target.ref} has no place for it"
                )
            await self._engine.run(lambda found: self._write(found, target, text), writes=True)
        except DatabaseError as error:
            return error
        return None

    def _write(self, connection: Connection, target: CommentTarget, text: str | None) -> None:
        if self._engine.dialect.name == "mssql" and text is not None:
            # Its statement adds a property and fails where there is one already.
            if self._current(connection, [target]).get(target.ref):
                _run(connection, self._rendered(target, None))
        elif text is None and target.ref not in self._current(connection, [target]):
            raise StatementRefusedError(f"{target.ref} does not exist any more")
        _run(connection, self._rendered(target, text))
        connection.commit()

    def _rendered(self, target: CommentTarget, text: str | None) -> str:
        """Return the statement, to be run without parameters and without a semicolon."""
        dialect = self._engine.dialect
        if dialects.family(dialect.name) == "clickhouse":
            return self._altering(target, text or "")
        if text is not None and dialect.name in BACKSLASH:
            text = text.replace("\\", "\\\\")
        table = sa.Table(target.ref.table, sa.MetaData(), schema=target.ref.schema, comment=text)
        if target.ref.column:
            column = sa.Column(target.ref.column, sa.String(), comment=text)
            table.append_column(column)
            statement = _compiled_for_column(column, text, dialect)
        else:
            element = ddl.DropTableComment if text is None else ddl.SetTableComment
            statement = str(element(table).compile(dialect=dialect)).strip()
        if dialect.paramstyle in {"format", "pyformat"}:
            # Doubled for drivers that format a statement; without parameters none does.
            statement = statement.replace("%%", "%")
        if target.type in RELATIONS and dialect.name not in ONE_WORD:
            word = target.type.replace("_", " ").upper()
            statement = statement.replace("COMMENT ON TABLE ", f"COMMENT ON {word} ", 1)
        return statement

    def _altering(self, target: CommentTarget, text: str) -> str:
        """Return ClickHouse's own statement, which its dialects lack or spell for tables only."""
        ref = target.ref
        what = f"COMMENT COLUMN {_escaped(ref.column, '`')}" if ref.column else "MODIFY COMMENT"
        name = f"{_escaped(ref.schema, '`')}.{_escaped(ref.table, '`')}"
        return f"ALTER TABLE {name} {what} {_escaped(text, chr(39))}"

    def _current(
        self, connection: Connection, targets: Sequence[CommentTarget]
    ) -> dict[ObjectRef, str | None]:
        """Read the comments of the targets' tables, a schema at a time."""
        look = sa.inspect(connection)
        wanted: dict[str, set[str]] = defaultdict(set)
        for target in targets:
            wanted[target.ref.schema].add(target.ref.table)
        found: dict[ObjectRef, str | None] = {}
        for schema in set(wanted) & set(look.get_schema_names()):
            found[ObjectRef(schema=schema)] = None
            if names := sorted(wanted[schema] - {""}):
                found |= _comments(look, schema, names)
        return {target.ref: found[target.ref] for target in targets if target.ref in found}


def _compiled_for_column(column: sa.Column[str], text: str | None, dialect: Dialect) -> str:
    """Return the dialect's statement. SQLAlchemy's DROP forgets the schema: NULL is set instead."""
    if text is not None:
        return str(ddl.SetColumnComment(column).compile(dialect=dialect)).strip()
    column.comment = ""
    statement = str(ddl.SetColumnComment(column).compile(dialect=dialect)).strip()
    if not statement.startswith("COMMENT ON COLUMN "):
        return str(ddl.DropColumnComment(column).compile(dialect=dialect)).strip()
    return statement if dialect.name in EMPTIED else statement.removesuffix("''") + "NULL"


def _escaped(text: str, mark: str) -> str:
    """Quote as ClickHouse does: a backslash escapes, in names too."""
    doubled = text.replace("\\", "\\\\")
    return mark + doubled.replace(mark, f"\\{mark}") + mark


def _run(connection: Connection, statement: str) -> None:
    if connection.dialect.name in HALVING:
        statement = statement.replace("%", "%%")
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def _comments(look: sa.Inspector, schema: str, names: list[str]) -> dict[ObjectRef, str | None]:
    kind = ObjectKind.ANY
    columns = look.get_multi_columns(schema=schema, filter_names=names, kind=kind)
    tables: dict[Any, Any] = told(
        lambda: look.get_multi_table_comment(schema=schema, filter_names=names, kind=kind), {}
    )
    texts = {name: answer.get("text") or None for (_, name), answer in tables.items()}
    found: dict[ObjectRef, str | None] = {}
    for (_, name), rows in columns.items():
        found[ObjectRef(schema=schema, table=name)] = texts.get(name)
        for row in rows:
            ref = ObjectRef(schema=schema, table=name, column=str(row["name"]))
            found[ref] = row.get("comment") or None
    return found


def _read_back(
    live: dict[ObjectRef, str | None], target: CommentTarget, text: str | None
) -> str | DatabaseError:
    if target.ref not in live:
        return StatementRefusedError(f"{target.ref} does not exist any more")
    if text and not live[target.ref]:
        return StatementRefusedError(
            f"the comment on {target.ref} was taken without an error and does not stand: "
            "this database holds none there"
        )
    return live[target.ref] or ""
