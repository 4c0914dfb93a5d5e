"""The changes applied to the older catalog give the newer one.

For everything that counts: schemas, tables, their columns, keys, definitions and comments. What
is no change (see `core.change`) stays as it was; what came has no native number, no estimate
and no name of a key, as changes do not tell them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from amxwatch.core.catalog import Catalog, Column, Key, ObjectRef, ObjectType, Schema, Table
from amxwatch.core.change import Change, ChangeKind, former_ref
from amxwatch.core.content import read_column, read_followers, read_keys, read_table

COLUMN_PARTS = {
    ChangeKind.TYPE_CHANGED: "type",
    ChangeKind.NULLABILITY_CHANGED: "nullable",
    ChangeKind.DEFAULT_CHANGED: "default",
    ChangeKind.COMMENT_CHANGED: "comment",
}
"""The field of a column that a kind of change sets."""

_Name = tuple[str, str]


def apply_changes(catalog: Catalog, changes: Iterable[Change]) -> Catalog:
    """Return the catalog as it stands after these changes, in canonical order.

    They are those that `core.change.explain` found from this very catalog to another; the order
    in which they come is of no matter.
    """
    told = _Told.of(changes)
    tables = _renamed_tables(catalog, told)
    for ref, change in told.added_tables.items():
        tables[ref.schema, ref.table] = read_table(ref, change.object_type, _object(change.after))
    for place, columns in told.columns.items():
        tables[place] = _with_columns(tables[place], columns)
    for place, altered in told.altered.items():
        tables[place] = _altered(tables[place], altered)
    return replace(
        catalog,
        schemas=tuple(sorted(_schemas(catalog, told), key=lambda schema: schema.name)),
        tables=tuple(tables[place] for place in sorted(tables)),
    )


@dataclass(kw_only=True)
class _ColumnsTold:
    """What came and went in one table, under its new name; `names` are old names to new."""

    removed: set[str] = field(default_factory=set)
    added: list[Change] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class _Told:
    """The changes, sorted out: `names` are old references to new ones."""

    names: dict[ObjectRef, ObjectRef] = field(default_factory=dict)
    removed: set[ObjectRef] = field(default_factory=set)
    added_tables: dict[ObjectRef, Change] = field(default_factory=dict)
    schemas: list[Change] = field(default_factory=list)
    followers: set[_Name] = field(default_factory=set)
    columns: dict[_Name, _ColumnsTold] = field(default_factory=dict)
    altered: dict[_Name, list[Change]] = field(default_factory=dict)

    @classmethod
    def of(cls, changes: Iterable[Change]) -> _Told:
        told = cls()
        gone_columns = []
        for change in changes:
            if change.object_type is ObjectType.SCHEMA:
                told.schemas.append(change)
            elif change.kind is ChangeKind.RENAMED:
                told._take_rename(change)
            elif change.kind is ChangeKind.REMOVED and change.ref.is_column:
                gone_columns.append(change.ref)
            elif change.kind is ChangeKind.REMOVED:
                told.removed.add(change.ref)
            elif change.kind is ChangeKind.ADDED and change.ref.is_column:
                told.columns_of(change.ref).added.append(change)
            elif change.kind is ChangeKind.ADDED:
                told.added_tables[change.ref] = change
            else:
                place = (change.ref.schema, change.ref.table)
                told.altered.setdefault(place, []).append(change)
        for ref in gone_columns:
            told.columns_of(told.names.get(ref.owner, ref.owner)).removed.add(ref.column)
        return told

    def _take_rename(self, change: Change) -> None:
        former = former_ref(change)
        self.followers.update(read_followers(change.after))
        self.names[former] = change.ref
        if former.is_column:
            self.columns_of(change.ref).names[former.column] = change.ref.column

    def columns_of(self, ref: ObjectRef) -> _ColumnsTold:
        return self.columns.setdefault((ref.schema, ref.table), _ColumnsTold())

    def table(self, place: _Name) -> _Name:
        """Return what a table is called now."""
        old = ObjectRef(schema=place[0], table=place[1])
        new = self.names.get(old, old)
        return (new.schema, new.table)

    def column(self, place: _Name, name: str) -> str:
        """Return what a column of an old table is called now."""
        old = ObjectRef(schema=place[0], table=place[1], column=name)
        return self.names.get(old, old).column


def _object(value: object) -> Mapping[str, Any]:
    assert isinstance(value, Mapping), "the changes are not those that explain() found"
    return value


def _renamed_tables(catalog: Catalog, told: _Told) -> dict[_Name, Table]:
    """Return what is left of the old tables, by new names; columns still have their old ones."""
    found = {}
    for table in catalog.tables:
        if table.ref in told.removed:
            continue
        place = told.table((table.schema, table.name))
        keys = tuple(_followed(told, table, place, key) for key in table.keys)
        found[place] = replace(table, schema=place[0], name=place[1], keys=keys)
    return found


def _followed(told: _Told, table: Table, place: _Name, key: Key) -> Key:
    """Return an old key in new names: its own columns', and if it followed, the others'."""
    own = (table.schema, table.name)
    columns = tuple(told.column(own, column) for column in key.columns)
    if key.references is None or place not in told.followers:
        return replace(key, columns=columns)
    return replace(
        key,
        columns=columns,
        references=told.table(key.references),
        referenced_columns=tuple(
            told.column(key.references, column) for column in key.referenced_columns
        ),
    )


def _with_columns(table: Table, told: _ColumnsTold) -> Table:
    """Rename, drop and add columns: what came stands at its place, the rest in its old order."""
    kept = iter(
        [
            replace(column, name=told.names.get(column.name, column.name))
            for column in table.columns
            if column.name not in told.removed
        ]
    )
    came: dict[int, Column] = {}
    for change in told.added:
        document = _object(change.after)
        column = read_column(change.ref.column, document, document["ordinal"])
        came[column.ordinal] = column
    total = len(table.columns) - len(told.removed) + len(came)
    columns = tuple(
        came[place] if place in came else replace(next(kept), ordinal=place)
        for place in range(1, total + 1)
    )
    return replace(table, columns=columns)


def _altered(table: Table, changes: Iterable[Change]) -> Table:
    columns = {column.name: column for column in table.columns}
    parts: dict[str, Any] = {}
    for change in changes:
        after: Any = change.after
        if change.ref.is_column:
            part = {COLUMN_PARTS[change.kind]: after}
            columns[change.ref.column] = replace(columns[change.ref.column], **part)
        elif change.kind is ChangeKind.KEY_CHANGED:
            parts["keys"] = read_keys(_object(after))
        elif change.kind is ChangeKind.DEFINITION_CHANGED:
            parts["definition"] = after
        else:
            parts["comment"] = after
    return replace(table, **{**parts, "columns": tuple(columns.values())})


def _schemas(catalog: Catalog, told: _Told) -> Iterable[Schema]:
    found = {schema.name: schema for schema in catalog.schemas}
    for change in told.schemas:
        if change.kind is ChangeKind.REMOVED:
            del found[change.ref.schema]
    renamed = {
        change.ref.schema: found.pop(former_ref(change).schema)
        for change in told.schemas
        if change.kind is ChangeKind.RENAMED
    }
    for name, schema in renamed.items():
        found[name] = replace(schema, name=name)
    for change in told.schemas:
        name = change.ref.schema
        if change.kind is ChangeKind.ADDED:
            found[name] = Schema(name=name, comment=_object(change.after)["comment"])
        elif change.kind is ChangeKind.COMMENT_CHANGED:
            found[name] = replace(found[name], comment=_text(change.after))
    return found.values()


def _text(value: object) -> str | None:
    assert value is None or isinstance(value, str), "the changes are not those explain() found"
    return value
