"""Which objects a run drafts: what moved, or what has no description yet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from amxwatch.core.catalog import Catalog, Column, Key, KeyKind, ObjectRef, ObjectType, Table
from amxwatch.core.change import Change, ChangeKind, former_ref
from amxwatch.core.lineage import Impact
from amxwatch.core.scope import Scope


@dataclass(frozen=True, kw_only=True)
class Carry:
    """A renamed object: its description comes along, and is not drafted again."""

    ref: ObjectRef
    former: ObjectRef
    confidence: float


@dataclass(frozen=True, kw_only=True)
class TableWork:
    """What a run drafts of one table: perhaps the table itself, and some of its columns.

    `columns` are in the table's order. `carried` are renamed objects of this table.
    """

    table: Table
    itself: bool = False
    columns: tuple[str, ...] = ()
    carried: tuple[Carry, ...] = ()

    @property
    def refs(self) -> tuple[ObjectRef, ...]:
        own = (self.table.ref,) if self.itself else ()
        return own + tuple(self.table.column_ref(column) for column in self.columns)


@dataclass(frozen=True, kw_only=True)
class Downstream:
    """A view, or a column of one, that is drafted again because of what it reads.

    `cause` is what changed, `change` how; `way` leads from there to `ref`.
    """

    ref: ObjectRef
    cause: ObjectRef
    change: ChangeKind
    way: Impact


def from_changes(
    changes: Iterable[Change], catalog: Catalog, scope: Scope
) -> tuple[TableWork, ...]:
    """Return what these changes ask to be drafted, in the order of the catalog.

    A new table is drafted with its columns; a changed column or definition by itself; a key
    that came or went touches the table and the columns in it. Removed objects ask for nothing.
    """
    wanted: set[ObjectRef] = set()
    carried: dict[ObjectRef, Carry] = {}
    tables = {table.ref: table for table in catalog.tables}
    for change in changes:
        table = tables.get(change.ref.owner)
        if table is None:
            continue
        if change.kind is ChangeKind.RENAMED:
            carried[change.ref] = Carry(
                ref=change.ref, former=former_ref(change), confidence=change.confidence or 0.0
            )
        else:
            wanted.update(_asked(change, table))
    in_scope = {ref for ref in wanted if scope.covers(ref)}
    # What was renamed and changed besides is drafted anew, not carried.
    only_renamed = {ref: carry for ref, carry in carried.items() if ref not in in_scope}
    return _by_table(catalog, in_scope, only_renamed)


def downstream_of(
    changes: Iterable[Change],
    catalog: Catalog,
    scope: Scope,
    readers: Callable[[ObjectRef], Sequence[Impact]],
) -> tuple[Downstream, ...]:
    """Return what else these changes ask to be drafted, each object once, in catalog order.

    `readers` says what depends on the values of an object. Of a changed column that is each
    column computed from it, or the whole view where no more is known than that it reads the
    table; of a new, renamed or redefined table or view, each view that reads it. Objects that
    the changes name themselves are not among them, nor what is no view, nor what was removed.
    """
    counted = [change for change in changes if change.object_type is not ObjectType.SCHEMA]
    tables = {table.ref: table for table in catalog.tables}
    own = {work.ref for work in counted}
    own |= {ref for one in from_changes(counted, catalog, scope) for ref in one.refs}
    found: dict[ObjectRef, Downstream] = {}
    for change in counted:
        for cause in _moved_by(change, tables.get(change.ref.owner)):
            for way in readers(cause):
                owner = tables.get(way.ref.owner)
                if owner is None or way.ref in own or not scope.covers(way.ref):
                    continue
                if not is_defined(owner) or _is_nearer(found.get(way.ref), way):
                    continue
                found[way.ref] = Downstream(ref=way.ref, cause=cause, change=change.kind, way=way)
    return tuple(found[ref] for ref in objects_in_scope(catalog, scope) if ref in found)


def _moved_by(change: Change, table: Table | None) -> Iterator[ObjectRef]:
    """Yield the objects whose readers a change concerns; a comment concerns none."""
    if table is None or change.kind in (ChangeKind.REMOVED, ChangeKind.COMMENT_CHANGED):
        return
    if change.kind is ChangeKind.RENAMED:
        yield change.ref
        return
    for ref in sorted(_asked(change, table)):
        # A key that came or went says something of its columns, and nothing of other views.
        if change.kind is not ChangeKind.KEY_CHANGED or ref.is_column:
            yield ref


def _is_nearer(held: Downstream | None, way: Impact) -> bool:
    return held is not None and (held.way.distance, held.way.level) <= (way.distance, way.level)


def _asked(change: Change, table: Table) -> Iterable[ObjectRef]:
    if change.kind is ChangeKind.REMOVED:
        return ()
    if change.kind is ChangeKind.ADDED and change.ref.is_table:
        return (table.ref, *(table.column_ref(column.name) for column in table.columns))
    if change.kind is ChangeKind.KEY_CHANGED:
        before, after = _keys(change.before), _keys(change.after)
        moved = [key for key in before if key not in after]
        moved += [key for key in after if key not in before]
        names = {name for _, key in moved for name in _columns_of(key)}
        return (table.ref, *(table.column_ref(name) for name in names if table.column(name)))
    return (change.ref,)


def _keys(side: object) -> list[tuple[str, object]]:
    """Return (kind, key) for each key of one side of a `key_changed`."""
    if not isinstance(side, dict):
        return []
    found: list[tuple[str, object]] = []
    for kind, keys in side.items():
        whole = kind == KeyKind.PRIMARY
        found += [(kind, keys)] if whole else [(kind, key) for key in keys]
    return found


def _columns_of(key: object) -> list[str]:
    columns = key.get("columns") if isinstance(key, dict) else key
    return list(columns) if isinstance(columns, list | tuple) else []


def without_description(
    catalog: Catalog, scope: Scope, described: Collection[ObjectRef], stale: Collection[ObjectRef]
) -> tuple[TableWork, ...]:
    """Return the objects in scope that have no description, or one that went stale."""
    wanted = {
        ref
        for ref in objects_in_scope(catalog, scope)
        if ref.table and (ref not in described or ref in stale)
    }
    return _by_table(catalog, wanted, {})


def exactly(
    catalog: Catalog, wanted: Collection[ObjectRef], carried: Iterable[Carry] = ()
) -> tuple[TableWork, ...]:
    """Return work for these objects, as far as they exist."""
    return _by_table(catalog, set(wanted), {carry.ref: carry for carry in carried})


def objects_in_scope(catalog: Catalog, scope: Scope) -> list[ObjectRef]:
    """Return every table and column that a scope covers, in the order of the catalog."""
    found = []
    for table in catalog.tables:
        if scope.covers(table.ref):
            found.append(table.ref)
        found.extend(
            ref
            for ref in (table.column_ref(column.name) for column in table.columns)
            if scope.covers(ref)
        )
    return found


def _by_table(
    catalog: Catalog, wanted: Collection[ObjectRef], carried: dict[ObjectRef, Carry]
) -> tuple[TableWork, ...]:
    owners = {ref.owner for ref in wanted} | {ref.owner for ref in carried}
    return tuple(
        TableWork(
            table=table,
            itself=table.ref in wanted,
            columns=tuple(
                column.name for column in table.columns if table.column_ref(column.name) in wanted
            ),
            carried=tuple(
                carried[ref]
                for ref in (table.ref, *(table.column_ref(c.name) for c in table.columns))
                if ref in carried
            ),
        )
        for table in catalog.tables
        if table.ref in owners
    )


def structure_hash(table: Table, column: str | None, computed: str | None = None) -> str:
    """Return a hash of what an object is, without its name, its comment and its rows.

    `computed` is the expression of a view's column, where it is more than another's value.

    It stands for a description's input: when it moves, a description is stale, and a rejected
    draft may be made again. A rename alone makes nothing stale.
    """
    found = table.column(column) if column is not None else None
    document = _column_document(table, found) if found is not None else _table_document(table)
    if computed is not None:
        document.append(computed)
    text = json.dumps(document, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _table_document(table: Table) -> list[object]:
    return [
        table.type,
        table.definition,
        [[column.name, column.type] for column in table.columns],
        [_key_document(key) for key in table.keys],
    ]


def _column_document(table: Table, column: Column) -> list[object]:
    keys = [
        [key.kind, len(key.columns), list(key.references or ())]
        for key in table.keys
        if column.name in key.columns
    ]
    return [column.type, column.nullable, column.default, keys]


def _key_document(key: Key) -> list[object]:
    return [key.kind, list(key.columns), list(key.references or ()), list(key.referenced_columns)]


def is_defined(table: Table) -> bool:
    """Claim that the object's rows come out of a definition: a view, or a model of dbt."""
    return is_view(table) or table.definition is not None


def is_view(table: Table) -> bool:
    """Claim that the object has a definition rather than rows of its own."""
    return table.type in (ObjectType.VIEW, ObjectType.MATERIALIZED_VIEW)
