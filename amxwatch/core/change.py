"""Changes between two snapshots, named and explained.

The snapshot store finds with SQL which tables moved; `explain` here says what moved in them.
What is not a change: row estimates, names of keys, order of columns, native numbers, another
spelling of the same type, another layout of the same view.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from amxwatch.core.catalog import (
    Column,
    Key,
    KeyKind,
    ObjectRef,
    ObjectType,
    Schema,
    Table,
)
from amxwatch.core.datatype import same_type
from amxwatch.core.rename import Match, Matches, match_columns, match_schemas, match_tables
from amxwatch.core.view import same_definition

type_of_value = str | bool | dict[str, object] | None


class ChangeKind(enum.StrEnum):
    """The kinds of change; the spelling is the one of the JSON documents and of TOML."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    TYPE_CHANGED = "type_changed"
    NULLABILITY_CHANGED = "nullability_changed"
    DEFAULT_CHANGED = "default_changed"
    KEY_CHANGED = "key_changed"
    DEFINITION_CHANGED = "definition_changed"
    COMMENT_CHANGED = "comment_changed"


TRIGGERING = frozenset(ChangeKind) - {ChangeKind.COMMENT_CHANGED, ChangeKind.REMOVED}
"""What a change trigger counts when its `kinds` are not given."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference between two snapshots.

    `ref` holds the new names (of a removed object, the old ones). `before` and `after` are
    strings, booleans, objects or None. An added or removed table is one change, its columns
    inside `after` or `before`. A rename has the old names in `before` and a `confidence` of 1
    where the database itself says so.
    """

    kind: ChangeKind
    object_type: ObjectType
    ref: ObjectRef
    before: type_of_value = None
    after: type_of_value = None
    confidence: float | None = None


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What SQL found to differ between two snapshots: whole old and new versions.

    `tables` pairs versions of the same name (None on the side where it does not exist);
    `schemas` likewise. Both are sorted by name.
    """

    tables: tuple[tuple[Table | None, Table | None], ...] = ()
    schemas: tuple[tuple[Schema | None, Schema | None], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tables or self.schemas)


@dataclass(frozen=True, kw_only=True)
class Delta:
    """What turns one snapshot into the next: new versions and the names that are gone.

    The ledger keeps it for ever (`core.codec` writes it as text); the cache replays it.
    `baseline` says that the reader, the source or the ignore set moved, so that what differs
    is not a change of the database.
    """

    reader: str
    source: str
    ignore: tuple[str, ...] = ()
    baseline: bool = False
    put_schemas: tuple[Schema, ...] = ()
    put_tables: tuple[Table, ...] = ()
    gone_schemas: tuple[str, ...] = ()
    gone_tables: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(
            self.baseline
            or self.put_schemas
            or self.put_tables
            or self.gone_schemas
            or self.gone_tables
        )


@dataclass(frozen=True, kw_only=True)
class _TableMatch:
    """A table in both catalogs, and its columns."""

    table: Match[Table]
    columns: Matches[Column]


@dataclass(frozen=True, kw_only=True)
class _Renames:
    """Old names to new ones, so that a key that only follows a rename is not a change."""

    tables: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    columns: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, matches: Iterable[_TableMatch]) -> _Renames:
        tables = {}
        columns = {}
        for match in matches:
            old, new = match.table.old, match.table.new
            tables[old.schema, old.name] = (new.schema, new.name)
            columns[old.schema, old.name] = {
                each.old.name: each.new.name for each in match.columns.kept
            }
        return cls(tables=tables, columns=columns)

    def follow(self, owner: tuple[str, str], key: Key) -> Key:
        """Return the key of the old table `owner` in new names, without its own name."""
        own = self.columns.get(owner, {})
        there = self.columns.get(key.references, {}) if key.references else {}
        return replace(
            key,
            name=None,
            columns=tuple(own.get(column, column) for column in key.columns),
            references=self.tables.get(key.references, key.references) if key.references else None,
            referenced_columns=tuple(there.get(name, name) for name in key.referenced_columns),
        )


def explain(moved: Moved, *, native_ids: bool, dialect: str) -> tuple[Change, ...]:
    """Say what moved, sorted by schema, table, column and kind.

    `native_ids` says that the database's own numbers survive renames; without it renames are
    guessed (see `core.rename`). `dialect` is sqlglot's name of the database's SQL.

    A renamed table is one `renamed`, and whatever else moved in it is told beside that under
    its new name. So is a renamed schema: it is one `renamed`, and each of its tables another.
    A table that came back as a view of the same name is removed and added.
    """
    tables = match_tables(moved.tables, native_ids=native_ids)
    matches = [
        _TableMatch(
            table=match,
            columns=match_columns(match.old, match.new, native_ids=native_ids, dialect=dialect),
        )
        for match in tables.kept
    ]
    schemas = match_schemas(moved.schemas, tables.kept, native_ids=native_ids)
    renames = _Renames.of(matches)
    found = [
        *_explain_schemas(moved.schemas, schemas),
        *(_gone(table) for table in tables.removed),
        *(_came(table) for table in tables.added),
    ]
    for match in matches:
        found += _explain_table(match.table, renames, dialect)
        found += _explain_columns(match, dialect)
    return tuple(sorted(found, key=lambda change: (change.ref, change.kind)))


def former_ref(change: Change) -> ObjectRef:
    """Return the name that the object of a change had before it."""
    if change.kind is not ChangeKind.RENAMED or not isinstance(change.before, dict):
        return change.ref
    names = {part: str(name) for part, name in change.before.items()}
    return ObjectRef(**names)


def change_document(change: Change) -> dict[str, object]:
    """Return the change as the JSON documents show it; a missing name is null."""
    document: dict[str, object] = {
        "change": change.kind.value,
        "object_type": change.object_type.value,
        "schema": change.ref.schema,
        "table": change.ref.table or None,
        "column": change.ref.column or None,
        "before": change.before,
        "after": change.after,
    }
    if change.confidence is not None:
        document["confidence"] = change.confidence
    return document


def _explain_schemas(
    pairs: Iterable[tuple[Schema | None, Schema | None]], renames: Mapping[str, str]
) -> Iterator[Change]:
    moved = list(pairs)
    old = {schema.name: schema for schema, _ in moved if schema}
    new = {schema.name: schema for _, schema in moved if schema}
    for before, after in renames.items():
        yield _renamed(ObjectType.SCHEMA, ObjectRef(schema=before), ObjectRef(schema=after), 1.0)
    for name in old.keys() - new.keys() - renames.keys():
        yield _schema_change(ChangeKind.REMOVED, name, {"comment": old[name].comment}, None)
    for name in new.keys() - old.keys() - set(renames.values()):
        yield _schema_change(ChangeKind.ADDED, name, None, {"comment": new[name].comment})
    for name, schema in old.items():
        after_name = renames.get(name, name)
        now = new.get(after_name)
        if now is not None and schema.comment != now.comment:
            yield _schema_change(
                ChangeKind.COMMENT_CHANGED, after_name, schema.comment, now.comment
            )


def _schema_change(
    kind: ChangeKind, name: str, before: type_of_value, after: type_of_value
) -> Change:
    return Change(
        kind=kind,
        object_type=ObjectType.SCHEMA,
        ref=ObjectRef(schema=name),
        before=before,
        after=after,
    )


def _gone(table: Table) -> Change:
    return Change(
        kind=ChangeKind.REMOVED,
        object_type=table.type,
        ref=table.ref,
        before=_table_document(table),
    )


def _came(table: Table) -> Change:
    return Change(
        kind=ChangeKind.ADDED, object_type=table.type, ref=table.ref, after=_table_document(table)
    )


def _renamed(kind: ObjectType, old: ObjectRef, new: ObjectRef, confidence: float) -> Change:
    parts = {"schema": old.schema, "table": old.table, "column": old.column}
    return Change(
        kind=ChangeKind.RENAMED,
        object_type=kind,
        ref=new,
        before={part: name for part, name in parts.items() if name},
        confidence=confidence,
    )


def _explain_table(match: Match[Table], renames: _Renames, dialect: str) -> Iterator[Change]:
    old, new = match.old, match.new
    if old.ref != new.ref:
        yield _renamed(new.type, old.ref, new.ref, match.confidence)

    def change(kind: ChangeKind, before: type_of_value, after: type_of_value) -> Change:
        return Change(kind=kind, object_type=new.type, ref=new.ref, before=before, after=after)

    if old.comment != new.comment:
        yield change(ChangeKind.COMMENT_CHANGED, old.comment, new.comment)
    if not same_definition(old.definition, new.definition, dialect):
        yield change(ChangeKind.DEFINITION_CHANGED, old.definition, new.definition)
    before = {renames.follow((old.schema, old.name), key) for key in old.keys}
    if before != {replace(key, name=None) for key in new.keys}:
        yield change(ChangeKind.KEY_CHANGED, _keys_document(old), _keys_document(new))


def _explain_columns(match: _TableMatch, dialect: str) -> Iterator[Change]:
    old, new = match.table.old, match.table.new
    for column in match.columns.removed:
        yield Change(
            kind=ChangeKind.REMOVED,
            object_type=ObjectType.COLUMN,
            ref=old.column_ref(column.name),
            before=_column_document(column),
        )
    for column in match.columns.added:
        yield Change(
            kind=ChangeKind.ADDED,
            object_type=ObjectType.COLUMN,
            ref=new.column_ref(column.name),
            after=_column_document(column),
        )
    for pair in match.columns.kept:
        ref = new.column_ref(pair.new.name)
        if pair.old.name != pair.new.name:
            former = old.column_ref(pair.old.name)
            yield _renamed(ObjectType.COLUMN, former, ref, pair.confidence)
        yield from _explain_column(ref, pair.old, pair.new, dialect)


def _explain_column(ref: ObjectRef, old: Column, new: Column, dialect: str) -> Iterator[Change]:
    def change(kind: ChangeKind, before: type_of_value, after: type_of_value) -> Change:
        return Change(kind=kind, object_type=ObjectType.COLUMN, ref=ref, before=before, after=after)

    if not same_type(old.type, new.type, dialect):
        yield change(ChangeKind.TYPE_CHANGED, old.type, new.type)
    if old.nullable != new.nullable:
        yield change(ChangeKind.NULLABILITY_CHANGED, old.nullable, new.nullable)
    if old.default != new.default:
        yield change(ChangeKind.DEFAULT_CHANGED, old.default, new.default)
    if old.comment != new.comment:
        yield change(ChangeKind.COMMENT_CHANGED, old.comment, new.comment)


def _table_document(table: Table) -> dict[str, object]:
    document: dict[str, object] = {
        "comment": table.comment,
        "columns": [{"name": column.name, **_column_document(column)} for column in table.columns],
        "keys": _keys_document(table),
    }
    if table.definition is not None:
        document["definition"] = table.definition
    return document


def _column_document(column: Column) -> dict[str, object]:
    return {
        "type": column.type,
        "nullable": column.nullable,
        "default": column.default,
        "comment": column.comment,
    }


def _keys_document(table: Table) -> dict[str, object]:
    """Return all keys: those of a kind in their canonical order, names made up left out."""
    primary = [key for key in table.keys if key.kind is KeyKind.PRIMARY]
    return {
        "primary": [column for key in primary for column in key.columns],
        "unique": [list(key.columns) for key in table.keys if key.kind is KeyKind.UNIQUE],
        "foreign": [
            {"columns": list(key.columns), "references": _reference_document(key)}
            for key in table.keys
            if key.kind is KeyKind.FOREIGN
        ],
    }


def _reference_document(key: Key) -> dict[str, object]:
    schema, table = key.references or ("", "")
    return {"schema": schema, "table": table, "columns": list(key.referenced_columns)}
