"""What the changes between two catalogs ask for, table by table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from amxwatch.core.catalog import Catalog, Column, ObjectRef, ObjectType, Schema, Table
from amxwatch.core.change import Change, ChangeKind, former_ref
from amxwatch.core.ddl.reading import Readers

Name = tuple[str, str]
"""Schema and table."""


@dataclass(frozen=True, kw_only=True)
class ColumnMove:
    """A column of both catalogs, and the kinds of its changes."""

    old: Column
    new: Column
    kinds: frozenset[ChangeKind] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Move:
    """A table or view of both catalogs that changed. `kept` columns stand in their old order."""

    old: Table
    new: Table
    kinds: frozenset[ChangeKind]
    kept: tuple[ColumnMove, ...]
    removed: tuple[Column, ...]
    added: tuple[Column, ...]

    @property
    def is_renamed(self) -> bool:
        return self.old.ref != self.new.ref

    @property
    def names(self) -> dict[str, str]:
        """Old names of the columns that stayed -> new ones."""
        return {column.old.name: column.new.name for column in self.kept}

    @property
    def changed(self) -> tuple[ColumnMove, ...]:
        return tuple(column for column in self.kept if column.kinds)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that is to be done. Tables and views are told apart by `is_view`."""

    old: Catalog
    new: Catalog
    removed: tuple[Table, ...]
    added: tuple[Table, ...]
    moves: tuple[Move, ...]
    schemas_removed: tuple[Schema, ...] = ()
    schemas_added: tuple[Schema, ...] = ()
    schemas_renamed: Mapping[str, str] = field(default_factory=dict)
    schemas_commented: tuple[Schema, ...] = ()
    readers: Readers

    def table_moves(self) -> list[Move]:
        return [move for move in self.moves if not is_view(move.old)]

    def view_moves(self) -> list[Move]:
        return [move for move in self.moves if is_view(move.old)]

    def now(self, name: Name) -> Name:
        """Return what an old table is called in the end."""
        return self._names.get(name, name)

    @cached_property
    def _names(self) -> dict[Name, Name]:
        return {name_of(move.old): name_of(move.new) for move in self.moves if move.is_renamed}


def name_of(table: Table) -> Name:
    """Return the name of a table or view."""
    return (table.schema, table.name)


def is_view(table: Table) -> bool:
    """Claim that it is a view, materialized or not."""
    return table.type is not ObjectType.TABLE


@dataclass(kw_only=True)
class _Sorted:
    """The changes by what they are about."""

    names: dict[ObjectRef, ObjectRef] = field(default_factory=dict)
    """New references of renamed objects -> old ones."""
    removed: set[ObjectRef] = field(default_factory=set)
    added: set[ObjectRef] = field(default_factory=set)
    kinds: dict[ObjectRef, set[ChangeKind]] = field(default_factory=lambda: defaultdict(set))
    touched: set[ObjectRef] = field(default_factory=set)
    """New references of tables of both sides about which anything is told."""
    lost_columns: set[ObjectRef] = field(default_factory=set)


def plan_of(old: Catalog, new: Catalog, changes: Iterable[Change], *, dialect: str) -> Plan:
    """Sort the changes out."""
    told = list(changes)
    found = _sorted(change for change in told if change.object_type is not ObjectType.SCHEMA)
    before = {table.ref: table for table in old.tables}
    after = {table.ref: table for table in new.tables}
    now = {former: ref for ref, former in found.names.items()}
    found.touched |= {now.get(ref.owner, ref.owner) for ref in found.lost_columns}
    schemas = [change for change in told if change.object_type is ObjectType.SCHEMA]
    return Plan(
        old=old,
        new=new,
        removed=tuple(before[ref] for ref in sorted(found.removed)),
        added=tuple(after[ref] for ref in sorted(found.added)),
        moves=tuple(
            _move(before[found.names.get(ref, ref)], after[ref], found)
            for ref in sorted(found.touched)
        ),
        schemas_removed=_schemas(schemas, ChangeKind.REMOVED, old),
        schemas_added=_schemas(schemas, ChangeKind.ADDED, new),
        schemas_renamed={
            former_ref(change).schema: change.ref.schema
            for change in schemas
            if change.kind is ChangeKind.RENAMED
        },
        schemas_commented=_schemas(schemas, ChangeKind.COMMENT_CHANGED, new),
        readers=Readers(old, dialect=dialect),
    )


def _schemas(changes: Iterable[Change], kind: ChangeKind, catalog: Catalog) -> tuple[Schema, ...]:
    known = {schema.name: schema for schema in catalog.schemas}
    return tuple(known[change.ref.schema] for change in changes if change.kind is kind)


def _sorted(changes: Iterable[Change]) -> _Sorted:
    found = _Sorted()
    for change in changes:
        ref = change.ref
        if change.kind is ChangeKind.RENAMED:
            found.names[ref] = former_ref(change)
        if ref.is_column and change.kind is ChangeKind.REMOVED:
            found.lost_columns.add(ref)
        elif ref.is_table and change.kind is ChangeKind.REMOVED:
            found.removed.add(ref)
        elif ref.is_table and change.kind is ChangeKind.ADDED:
            found.added.add(ref)
        else:
            found.kinds[ref].add(change.kind)
            found.touched.add(ref.owner)
    return found


def _move(old: Table, new: Table, found: _Sorted) -> Move:
    former = {
        column.name: found.names[new.column_ref(column.name)].column
        for column in new.columns
        if new.column_ref(column.name) in found.names
    }
    current = {was: name for name, was in former.items()}
    lost = {c.name for c in old.columns if old.column_ref(c.name) in found.lost_columns}
    fresh = {column.name: column for column in new.columns}
    kept = []
    for column in old.columns:
        if column.name in lost:
            continue
        now = fresh.pop(current.get(column.name, column.name))
        kinds = frozenset(found.kinds.get(new.column_ref(now.name), ()))
        kept.append(ColumnMove(old=column, new=now, kinds=kinds))
    return Move(
        old=old,
        new=new,
        kinds=frozenset(found.kinds.get(new.ref, ())),
        kept=tuple(kept),
        removed=tuple(column for column in old.columns if column.name in lost),
        added=tuple(fresh.values()),
    )
