"""What one statement does to a catalog, as values: made once by parsing, applied at each read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from amxwatch.core.catalog import Column, Key, ObjectType
from amxwatch.databases.sql_folder.query import Query

Name: TypeAlias = tuple[str, str]
"""(schema, table) as folded by the dialect; an empty schema is looked up on the search path."""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """Take over the columns of another table (LIKE, CLONE, INHERITS, PARTITION OF)."""

    source: Name
    defaults: bool = True
    identities: bool = True
    expressions: bool = True
    comments: bool = False
    keys: bool = False


@dataclass(frozen=True, kw_only=True)
class PutTable:
    """CREATE TABLE, VIEW or MATERIALIZED VIEW. Ordinals are given when it is applied.

    `only_new` leaves an existing one as it is (IF NOT EXISTS); `keeps_comments` is for what
    changes a view and does not make a new one.
    """

    name: Name
    type: ObjectType
    columns: tuple[Column, ...] = ()
    keys: tuple[Key, ...] = ()
    comment: str | None = None
    copies: tuple[Copy, ...] = ()
    query: Query | None = None
    only_new: bool = False
    keeps_comments: bool = False


@dataclass(frozen=True, kw_only=True)
class DropTable:
    """DROP TABLE or VIEW, with the foreign keys that reference it."""

    name: Name


@dataclass(frozen=True, kw_only=True)
class RenameTable:
    """RENAME TO, or SET SCHEMA. An empty schema in `to` is the one it had."""

    name: Name
    to: Name


@dataclass(frozen=True, kw_only=True)
class SwapTables:
    """Snowflake's SWAP WITH."""

    name: Name
    other: Name


@dataclass(frozen=True, kw_only=True)
class PutSchema:
    """CREATE SCHEMA; one that exists stays."""

    name: str
    comment: str | None = None


@dataclass(frozen=True, kw_only=True)
class DropSchema:
    """DROP SCHEMA, with all that stands in it."""

    name: str


@dataclass(frozen=True, kw_only=True)
class RenameSchema:
    """ALTER SCHEMA … RENAME TO."""

    name: str
    to: str


@dataclass(frozen=True, kw_only=True)
class AddColumn:
    """`first` or `after` say where; else it goes last. An existing column is left as it is."""

    table: Name
    column: Column
    keys: tuple[Key, ...] = ()
    first: bool = False
    after: str | None = None


@dataclass(frozen=True, kw_only=True)
class DropColumn:
    """DROP COLUMN, with the keys that hold it."""

    table: Name
    column: str


@dataclass(frozen=True, kw_only=True)
class RenameColumn:
    """RENAME COLUMN; keys follow."""

    table: Name
    column: str
    to: str


@dataclass(frozen=True, kw_only=True)
class PutColumn:
    """MODIFY and CHANGE of MySQL: the whole definition is replaced, the place kept."""

    table: Name
    column: str
    to: Column
    first: bool = False
    after: str | None = None


@dataclass(frozen=True, kw_only=True)
class SetColumn:
    """ALTER COLUMN: only what is given moves; `drop_default` wins over `default`."""

    table: Name
    column: str
    type: str | None = None
    nullable: bool | None = None
    default: str | None = None
    drop_default: bool = False


@dataclass(frozen=True, kw_only=True)
class ReplaceColumns:
    """Spark's REPLACE COLUMNS: these instead of all that there were."""

    table: Name
    columns: tuple[Column, ...]


@dataclass(frozen=True, kw_only=True)
class AddKey:
    """ADD CONSTRAINT; a primary key makes its columns NOT NULL."""

    table: Name
    key: Key


@dataclass(frozen=True, kw_only=True)
class DropKey:
    """By name; an empty name is the primary key."""

    table: Name
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class RenameKey:
    """RENAME CONSTRAINT."""

    table: Name
    name: str
    to: str


@dataclass(frozen=True, kw_only=True)
class SetComment:
    """On a schema (both parts of `name` but the first empty), a table, or a column."""

    schema: str = ""
    table: str = ""
    column: str = ""
    text: str | None


@dataclass(frozen=True, kw_only=True)
class SetPath:
    """SET search_path or USE: holds until the end of the file."""

    schemas: tuple[str, ...]


TableEdit: TypeAlias = (
    AddColumn | PutColumn | SetColumn | ReplaceColumns | AddKey | DropKey | RenameKey
)
"""An edit that needs nothing but its own table."""

Edit: TypeAlias = (
    PutTable
    | DropTable
    | RenameTable
    | SwapTables
    | PutSchema
    | DropSchema
    | RenameSchema
    | DropColumn
    | RenameColumn
    | SetComment
    | SetPath
    | TableEdit
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why a statement could not be read. `offset` counts characters from the file's start."""

    offset: int
    message: str


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement that matters to the catalog, read or broken.

    `key` says what it is about ("create public.orders"), the same for a broken statement and
    for its last good version; empty where a broken statement does not even say that. `about`
    is the table that a broken statement names. `loses` says that it may have swallowed others.
    """

    key: str
    edits: tuple[Edit, ...] = ()
    about: Name | None = None
    fault: Fault | None = None
    loses: bool = False


@dataclass(frozen=True, kw_only=True)
class Again:
    """Stands for a statement whose text was read before; `mark` is the text's."""

    mark: bytes


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a file's text was read as: what matters in order, and each text's mark."""

    statements: tuple[Statement | Again, ...]
    seen: dict[bytes, Statement | Again]
