"""The nouns of a catalog: schemas, tables, columns, keys, and the names that point at them.

Everything here is a frozen value. A back end builds a `Catalog`, the snapshot store compares
two of them, the drafter reads one table of it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import NewType

ObjectId = NewType("ObjectId", int)
"""Points at one table, view, schema or column for ever; survives renames."""

SnapshotNumber = NewType("SnapshotNumber", int)
"""Counts a db profile's snapshots from 1; never reused."""


class ObjectType(enum.StrEnum):
    """What an object is; the spelling is the one of the JSON documents."""

    SCHEMA = "schema"
    TABLE = "table"
    VIEW = "view"
    MATERIALIZED_VIEW = "materialized_view"
    COLUMN = "column"


class KeyKind(enum.StrEnum):
    """The three kinds of key that are kept."""

    PRIMARY = "primary"
    FOREIGN = "foreign"
    UNIQUE = "unique"


@dataclass(frozen=True, kw_only=True, order=True)
class ObjectRef:
    """The name of one object: a schema, a table or view, or a column.

    A missing part is the empty string, so that references sort: a schema before its tables,
    a table before its columns.
    """

    schema: str
    table: str = ""
    column: str = ""

    @property
    def is_column(self) -> bool:
        return bool(self.column)

    @property
    def is_table(self) -> bool:
        return bool(self.table) and not self.column

    @property
    def owner(self) -> ObjectRef:
        """The table of a column; a table or schema is its own owner."""
        return ObjectRef(schema=self.schema, table=self.table)

    def __str__(self) -> str:
        return ".".join(quote_name(part) for part in (self.schema, self.table, self.column) if part)


def quote_name(name: str) -> str:
    """Write a name so that `scope.parse_parts` reads it back as one part.

    Quoted only where it must be: where it holds a dot, comma, colon, semicolon, quote, glob
    character or outer white space, or is empty.
    """
    if name and name == name.strip() and not set(name) & set('.,:;"*?[]'):
        return name
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column. `ordinal` counts from 1 among the live columns of its table.

    `native_num` is a number by which the database knows the column for life (PostgreSQL's
    attnum), or None where it has none. `type` is in the database's canonical spelling.
    """

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    ordinal: int
    comment: str | None = None
    native_num: int | None = None


@dataclass(frozen=True, kw_only=True)
class Key:
    """A primary, foreign or unique key. Column order is the key's own.

    For a foreign key `references` is (schema, table) and `referenced_columns` runs beside
    `columns`. Names made up by the database are kept but never compared.
    """

    kind: KeyKind
    columns: tuple[str, ...]
    name: str | None = None
    references: tuple[str, str] | None = None
    referenced_columns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table or view with everything it owns.

    `columns` are sorted by ordinal, `keys` by (kind, columns). `definition` is a view's SELECT,
    canonical where the back end can make it so. `row_estimate` is None where unknown; it is
    information and never a change. `native_id` is a number that the database keeps through
    renames (PostgreSQL's oid), or None.
    """

    schema: str
    name: str
    type: ObjectType = ObjectType.TABLE
    columns: tuple[Column, ...] = ()
    keys: tuple[Key, ...] = ()
    comment: str | None = None
    definition: str | None = None
    row_estimate: int | None = None
    native_id: int | None = None

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(schema=self.schema, table=self.name)

    def column_ref(self, column: str) -> ObjectRef:
        return ObjectRef(schema=self.schema, table=self.name, column=column)

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, kw_only=True)
class Schema:
    """One schema, without its tables."""

    name: str
    comment: str | None = None


@dataclass(frozen=True, kw_only=True)
class SourceProblem:
    """Something in the source that could not be read; the rest still counts.

    `line` and `column` count from 1; 0 where there is no position.
    """

    file: str
    line: int = 0
    column: int = 0
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.message}"


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """A whole catalog at one moment: schemas sorted by name, tables by (schema, name).

    `reader` names the code that read it and the version of its canonical spelling, for example
    "postgres/1"; when it moves, the next snapshot is a new baseline and no change. `source`
    says which database this is, stable over restarts and free of secrets.
    """

    reader: str
    source: str
    schemas: tuple[Schema, ...] = ()
    tables: tuple[Table, ...] = ()
    problems: tuple[SourceProblem, ...] = field(default=())

    def table(self, schema: str, name: str) -> Table | None:
        return next((t for t in self.tables if t.schema == schema and t.name == name), None)
