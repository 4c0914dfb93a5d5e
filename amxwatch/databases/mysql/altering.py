"""Exchanges one comment in a table's definition, and proves that nothing else moved.

A column's comment is a part of its definition, so it is written by taking the definition from
SHOW CREATE TABLE as it stands and exchanging nothing but the COMMENT clause. The server is told
to do that without touching a row, and afterwards all else must be as before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pymysql

from amxwatch.core.catalog import ObjectRef, ObjectType
from amxwatch.core.errors import DatabaseError, StatementRefusedError
from amxwatch.databases.mysql.address import LOCKED, TableLockedError, code_of
from amxwatch.databases.mysql.connection import (
    QUERIES,
    Connection,
    Session,
    execute,
    literal,
    quoted,
    value,
)
from amxwatch.databases.mysql.definitions import ColumnText, TableText, parse_table
from amxwatch.databases.mysql.spelling import SPATIAL
from amxwatch.ports.database import CommentTarget

REBUILDS = frozenset({1845, 1846})
"""The server would have to copy the table."""

PERIOD = re.compile(r" GENERATED ALWAYS AS ROW (?:START|END)\b")
TYPE = re.compile(r"`(?:[^`]|``)*` (\w+)")


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A table as the server prints it, and the column in question, if it is about one."""

    table: TableText
    column: ColumnText | None

    def rest(self, name: str) -> tuple[str, str]:
        """Return what a change of the comment must leave alone: table, column."""
        bare = self.column.commented(None) if self.column is not None else ""
        return self.table.apart_from(name), bare


def standing(session: Session, connection: Connection, ref: ObjectRef) -> Standing:
    """Ask how a table stands. Raises: StatementRefusedError for what is no base table."""
    name = f"{quoted(ref.schema)}.{quoted(ref.table)}"
    table = parse_table(str(execute(connection, f"SHOW CREATE TABLE {name}")[0][1]))
    if table is None:
        raise StatementRefusedError(f"{ref.owner} is not a table, so it holds no such comment")
    column = table.column(ref.column) if ref.is_column else None
    if ref.is_column and column is None:
        raise StatementRefusedError(f"{ref} does not exist any more")
    return Standing(table=table, column=_whole(session, connection, ref, column))


def _whole(
    session: Session, connection: Connection, ref: ObjectRef, column: ColumnText | None
) -> ColumnText | None:
    """Put in what MariaDB's SHOW CREATE TABLE leaves out: the spatial reference system."""
    found = TYPE.match(column.text) if column is not None else None
    if column is None or found is None or found[1].lower() not in SPATIAL:
        return column
    query = session.product.one_system
    system = value(connection, about(query, ref)) if query else None
    return column.in_system(int(str(system))) if system else column


def about(query: str, ref: ObjectRef) -> str:
    """Return a query of `catalog.sql` about one object."""
    text = QUERIES[query].replace("$SCHEMA", literal(ref.schema))
    return text.replace("$TABLE", literal(ref.table)).replace("$COLUMN", literal(ref.column))


def statement_of(
    target: CommentTarget,
    text: str | None,
    column: ColumnText | None,
    *,
    algorithm: str = "INSTANT",
) -> str:
    """Return the statement that sets a comment, without its semicolon."""
    comment = literal(text or "")
    if target.type is ObjectType.SCHEMA:
        return f"ALTER DATABASE {quoted(target.ref.schema)} COMMENT = {comment}"
    head = f"ALTER TABLE {quoted(target.ref.schema)}.{quoted(target.ref.table)}"
    if column is None:
        return f"{head} COMMENT = {comment}, ALGORITHM={algorithm}"
    definition = column.commented(comment if text else None)
    return f"{head} MODIFY COLUMN {definition}, ALGORITHM={algorithm}"


def alter(
    session: Session, connection: Connection, target: CommentTarget, text: str | None
) -> None:
    """Set the comment of a table or column.

    Raises: TableLockedError at once where somebody holds the table; StatementRefusedError where
    the server would have to copy it, or did more than it was told.
    """
    before = standing(session, connection, target.ref)
    if before.column is not None and PERIOD.search(before.column.text):
        raise StatementRefusedError(
            f"{target.ref} is a column of a period, which MariaDB lets nobody alter"
        )
    forms = _forms(before.column)
    statements = [
        statement_of(target, text, form, algorithm=algorithm)
        for form in forms
        for algorithm in session.product.algorithms
    ]
    _first_taken(session, connection, target, statements)
    after = standing(session, connection, target.ref)
    if after.rest(target.ref.column) != before.rest(target.ref.column):
        _complain(session, connection, target, before, after)


def _forms(column: ColumnText | None) -> list[ColumnText | None]:
    as_json = column.as_json() if column is not None else None
    return [column] if as_json is None else [column, as_json]


def _first_taken(
    session: Session, connection: Connection, target: CommentTarget, statements: Sequence[str]
) -> None:
    """Run the first of the statements that the server takes as a mere change of its catalog."""
    for statement in statements:
        try:
            execute(connection, session.product.at_once(statement))
        except pymysql.err.MySQLError as error:
            if code_of(error) == LOCKED:
                raise TableLockedError(
                    f"{target.ref.owner} is held by another session, so its comment was not "
                    "written; it stays queued, apply again later"
                ) from error
            if code_of(error) not in REBUILDS:
                raise
        else:
            return
    raise StatementRefusedError(
        f"{target.ref}: the server would have to copy the whole table for this comment; run the "
        "statement that apply --dry-run shows, without ALGORITHM=INSTANT, when that suits"
    )


def _complain(
    session: Session,
    connection: Connection,
    target: CommentTarget,
    before: Standing,
    after: Standing,
) -> None:
    """Put the column back where it came out otherwise, and say so. Always raises."""
    (table, column), (table_now, column_now) = (
        each.rest(target.ref.column) for each in (before, after)
    )
    if column == column_now:
        raise DatabaseError(
            f"{target.ref}: its comment was written, and meanwhile something else in the table "
            f"changed, perhaps by somebody else: {_difference(table, table_now)}; look at it"
        )
    head = f"ALTER TABLE {quoted(target.ref.schema)}.{quoted(target.ref.table)}"
    assert before.column is not None
    _first_taken(
        session,
        connection,
        target,
        [
            f"{head} MODIFY COLUMN {form.text}, ALGORITHM=INSTANT"
            for form in _forms(before.column)
            if form is not None
        ],
    )
    raise StatementRefusedError(
        f"{target.ref}: with its comment the server changed its definition from {column} to "
        f"{column_now}; it was put back"
    )


def _difference(before: str, after: str) -> str:
    """Return the first line that is not as it was."""
    former = set(before.splitlines())
    lines = [line.strip() for line in after.splitlines() if line not in former]
    return lines[0][:200] if lines else "something was removed"
