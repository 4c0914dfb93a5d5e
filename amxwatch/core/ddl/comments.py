"""COMMENT ON, for the objects that the dialect can comment."""

from __future__ import annotations

from collections.abc import Iterator

from amxwatch.core.catalog import Column, ObjectRef, ObjectType, Schema, Table
from amxwatch.core.ddl.script import Line, cannot, statement
from amxwatch.core.ddl.spelling import Spelling

WORDS = {
    ObjectType.TABLE: "TABLE",
    ObjectType.VIEW: "VIEW",
    ObjectType.MATERIALIZED_VIEW: "MATERIALIZED VIEW",
}


class Comments:
    """Writes the comments of objects as they are to be."""

    def __init__(self, sql: Spelling, able: frozenset[ObjectType]) -> None:
        self._sql = sql
        self._able = able

    def schema(self, schema: Schema) -> Iterator[Line]:
        name = self._sql.name(schema.name)
        ref = ObjectRef(schema=schema.name)
        yield self._line(ObjectType.SCHEMA, ref, f"SCHEMA {name}", schema.comment)

    def whole(self, table: Table) -> Iterator[Line]:
        """Comment a table that was just made, and its columns."""
        if table.comment is not None:
            yield from self.table(table)
        for column in table.columns:
            if column.comment is not None:
                yield from self.column(table, column)

    def table(self, table: Table) -> Iterator[Line]:
        word = "FOREIGN TABLE" if table.variant == "foreign" else WORDS[table.type]
        yield self._line(table.type, table.ref, f"{word} {self._sql.of(table)}", table.comment)

    def column(self, table: Table, column: Column) -> Iterator[Line]:
        place = f"COLUMN {self._sql.of(table)}.{self._sql.name(column.name)}"
        ref = table.column_ref(column.name)
        yield self._line(ObjectType.COLUMN, ref, place, column.comment)

    def _line(self, kind: ObjectType, ref: ObjectRef, place: str, text: str | None) -> Line:
        if kind not in self._able:
            return cannot(f"the comment of {ref}, as there is no statement for it")
        return statement(f"COMMENT ON {place} IS {self._sql.text(text)}")
