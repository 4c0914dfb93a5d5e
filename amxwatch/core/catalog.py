"""The nouns of a catalog: schemas, tables, columns, keys, and the names that point at them.

Everything here is a frozen value. A back end builds a `Catalog`, the snapshot store compares
two of them, the drafter reads one table of it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field, fields, make_dataclass
from typing import NewType, TypeVar

T = TypeVar("T")

ObjectId = NewType("ObjectId", int)
"""Points at one table, view, schema or column for ever; survives renames."""

SnapshotNumber = NewType("SnapshotNumber", int)
"""Counts a db profile's snapshots from 1; never reused."""


UNKNOWN_TYPE = "unknown"
"""The type of a column where the source cannot tell it; to learn it later is no change."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column. `ordinal` counts from 1 among the live columns of its table.

    `native_num` is a number by which the database knows the column for life (PostgreSQL's
    attnum), or None where it has none. `type` is in the database's canonical spelling, or
    `UNKNOWN_TYPE`.
    """

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    ordinal: int
    comment: str | None = None
    native_num: int | None = None


def maker(kind: type[T]) -> Callable[..., T]:
    """Return a function that makes frozen values from all their fields, in the fields' order.

    Five times as quick as calling the class, which sets each field past its own guard: for
    readers of a million columns. `kind` is a frozen dataclass with slots.
    """
    names = [each.name for each in fields(kind)]  # type: ignore[arg-type]  # is a dataclass
    plain = make_dataclass(kind.__name__, names, slots=True)

    def make(*values: object) -> T:
        made: T = plain(*values)
        made.__class__ = kind  # the same slots, so the same layout
        return made

    return make


@dataclass(frozen=True, kw_only=True, slots=True)
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table or view with everything it owns.

    `columns` are sorted by ordinal, `keys` by (kind, columns). `definition` is a view's SELECT,
    canonical where the back end can make it so. `row_estimate` is None where unknown; it is
    information and never a change. `native_id` is a number that the database keeps through
    renames (PostgreSQL's oid), or None. `variant` tells tables apart that the words of `type` do
    not: "foreign", "partitioned", a storage engine; never a change. `reads` names the relations
    that its rows come from, as (schema, table) and sorted, where the source itself says so
    (PostgreSQL's dependencies, dbt's graph); what only the definition says is read from that.
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
    variant: str | None = None
    reads: tuple[tuple[str, str], ...] = ()

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

    `unseen` names schemas and tables that exist but could not be read this time: their last
    version stays. `grants` is a digest of the rights that decide which objects are visible at
    all, or None where everybody sees every name (PostgreSQL): what vanished while it moved is
    unseen, not dropped.
    """

    reader: str
    source: str
    schemas: tuple[Schema, ...] = ()
    tables: tuple[Table, ...] = ()
    problems: tuple[SourceProblem, ...] = field(default=())
    unseen: tuple[ObjectRef, ...] = ()
    grants: str | None = None

    def table(self, schema: str, name: str) -> Table | None:
        return next((t for t in self.tables if t.schema == schema and t.name == name), None)
