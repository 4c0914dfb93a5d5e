"""Changes between two snapshots, named and explained.

The snapshot store finds with SQL which tables moved; `explain` here says what moved in them.
What is not a change: row estimates, names of keys, order of columns, native numbers, another
spelling of the same type, another layout of the same view. All else is told so exactly that the
old catalog and the changes give the new one (see `core.patching`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from amxwatch.core.catalog import (
    Column,
    ObjectRef,
    ObjectType,
    Schema,
    SourceProblem,
    Table,
)
from amxwatch.core.content import followers_document, keys_document, placed_document, table_document
from amxwatch.core.datatype import same_type
from amxwatch.core.following import Followers, Renames, TableMatch, moved_keys
from amxwatch.core.rename import Match, match_columns, match_schemas, match_tables
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
    inside `after` or `before`; a column on its own says its `ordinal` there. A rename has the
    old names in `before` and a `confidence` of 1 where the database itself says so; `after` is
    None, or names under `followed_by` the tables whose foreign keys went along with it.
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
    is not a change of the database. `whole` says that it starts from nothing, as the oldest one
    does once those before it were pruned: what it does not put does not stand.
    """

    reader: str
    source: str
    ignore: tuple[str, ...] = ()
    baseline: bool = False
    whole: bool = False
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
class Patch:
    """What moved in a source since a reader's last read: versions of now, and names gone.

    `put` are whole tables sorted by (schema, name); one of them may turn out to be as it was.
    `gone` are the tables that stand no more under that name. `schemas` and `problems` are
    complete, as in a `Catalog`; so are `reader` and `source`.
    """

    reader: str
    source: str
    schemas: tuple[Schema, ...]
    put: tuple[Table, ...] = ()
    gone: tuple[tuple[str, str], ...] = ()
    problems: tuple[SourceProblem, ...] = ()


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
        TableMatch(
            table=match,
            columns=match_columns(match.old, match.new, native_ids=native_ids, dialect=dialect),
        )
        for match in tables.kept
    ]
    schemas = match_schemas(moved.schemas, tables.kept, native_ids=native_ids)
    renames = Renames.of(matches)
    found = [
        *_explain_schemas(moved.schemas, schemas),
        *(_gone(table) for table in tables.removed),
        *(_came(table) for table in tables.added),
    ]
    followers = Followers.of(matches, renames)
    for match in matches:
        found += _explain_table(match.table, renames, followers, dialect)
        found += _explain_columns(match, followers, dialect)
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
        before=table_document(table),
    )


def _came(table: Table) -> Change:
    return Change(
        kind=ChangeKind.ADDED, object_type=table.type, ref=table.ref, after=table_document(table)
    )


def _renamed(
    kind: ObjectType,
    old: ObjectRef,
    new: ObjectRef,
    confidence: float,
    followers: Sequence[ObjectRef] = (),
) -> Change:
    parts = {"schema": old.schema, "table": old.table, "column": old.column}
    return Change(
        kind=ChangeKind.RENAMED,
        object_type=kind,
        ref=new,
        before={part: name for part, name in parts.items() if name},
        after=followers_document(followers),
        confidence=confidence,
    )


def _explain_table(
    match: Match[Table], renames: Renames, followers: Followers, dialect: str
) -> Iterator[Change]:
    old, new = match.old, match.new
    if old.ref != new.ref:
        along = followers.named(old)
        yield _renamed(new.type, old.ref, new.ref, match.confidence, along)

    def change(kind: ChangeKind, before: type_of_value, after: type_of_value) -> Change:
        return Change(kind=kind, object_type=new.type, ref=new.ref, before=before, after=after)

    if old.comment != new.comment:
        yield change(ChangeKind.COMMENT_CHANGED, old.comment, new.comment)
    if not same_definition(old.definition, new.definition, dialect):
        yield change(ChangeKind.DEFINITION_CHANGED, old.definition, new.definition)
    if moved_keys(match, renames):
        yield change(ChangeKind.KEY_CHANGED, keys_document(old), keys_document(new))


def _explain_gone_and_come(match: TableMatch) -> Iterator[Change]:
    old, new = match.table.old, match.table.new
    places = {column.name: place for place, column in enumerate(old.columns, start=1)}
    for column in match.columns.removed:
        yield Change(
            kind=ChangeKind.REMOVED,
            object_type=ObjectType.COLUMN,
            ref=old.column_ref(column.name),
            before=placed_document(column, places[column.name]),
        )
    places = {column.name: place for place, column in enumerate(new.columns, start=1)}
    for column in match.columns.added:
        yield Change(
            kind=ChangeKind.ADDED,
            object_type=ObjectType.COLUMN,
            ref=new.column_ref(column.name),
            after=placed_document(column, places[column.name]),
        )


def _explain_columns(match: TableMatch, followers: Followers, dialect: str) -> Iterator[Change]:
    old, new = match.table.old, match.table.new
    yield from _explain_gone_and_come(match)
    for pair in match.columns.kept:
        ref = new.column_ref(pair.new.name)
        if pair.old.name != pair.new.name:
            former = old.column_ref(pair.old.name)
            along = followers.named(old, pair.old.name)
            yield _renamed(ObjectType.COLUMN, former, ref, pair.confidence, along)
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
