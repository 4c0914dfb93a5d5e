"""Key columns that are the same key in several tables: described once, for all of them.

`customer_id` in orders, payments and customers is one thing with one meaning. It is asked of a
model once, where it is the key itself if that is asked at all, and the others take its words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from amxwatch.core.catalog import Catalog, Column, KeyKind, ObjectRef, Table
from amxwatch.core.naming import read_name
from amxwatch.core.selection import TableWork

_KEYS = frozenset({"ID", "key", "code", "number", "GUID", "UUID"})
"""Last words of names that a key goes by where none is declared."""


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """`members` are, by the column that is asked about, those that take its words."""

    members: Mapping[ObjectRef, tuple[ObjectRef, ...]] = field(default_factory=dict)

    @property
    def taking(self) -> frozenset[ObjectRef]:
        """Every column that is not asked about itself."""
        return frozenset(ref for refs in self.members.values() for ref in refs)

    def asked(self, work: Iterable[TableWork]) -> tuple[TableWork, ...]:
        """Return the work without the columns that take another's words."""
        return _columns_where(work, lambda ref: ref not in self.taking)

    def left(self, work: Iterable[TableWork], drafted: set[ObjectRef]) -> tuple[TableWork, ...]:
        """Return the columns whose words did not come: they are asked about themselves."""
        bare = {
            ref for leader, refs in self.members.items() if leader not in drafted for ref in refs
        }
        only = _columns_where(work, lambda ref: ref in bare)
        return tuple(replace(one, itself=False) for one in only if one.columns)


NOT_SHARED = Sharing()


def _columns_where(
    work: Iterable[TableWork], wanted: Callable[[ObjectRef], bool]
) -> tuple[TableWork, ...]:
    return tuple(
        replace(
            one, columns=tuple(name for name in one.columns if wanted(one.table.column_ref(name)))
        )
        for one in work
    )


def share(catalog: Catalog, work: Sequence[TableWork]) -> Sharing:
    """Find the key columns of a run that are the same key in several tables.

    They have one name, one type, and point to one column, or are it; where no key is declared,
    the name must be that of one table's primary key. A column whose context is its own (a
    comment, a default, an expression) is left alone.
    """
    owners = _primary_columns(catalog)
    groups: dict[tuple[ObjectRef, str, str], list[ObjectRef]] = defaultdict(list)
    for one in work:
        for name in one.columns:
            column = _column(one.table, name)
            target = _target(one.table, column, owners)
            ref = one.table.column_ref(name)
            if target is None or target.column != name:
                continue
            # The key's own default is the sequence that numbers it.
            if not column.comment and (ref == target or not column.default):
                groups[target, name, column.type.casefold()].append(ref)
    found = {}
    for (target, _, _), refs in groups.items():
        leader = target if target in refs else refs[0]
        others = tuple(ref for ref in refs if ref != leader)
        if others:
            found[leader] = others
    return Sharing(members=found)


def _primary_columns(catalog: Catalog) -> dict[tuple[str, str], ObjectRef | None]:
    """Return the one column that is a primary key by itself, by name and type; None for several."""
    found: dict[tuple[str, str], ObjectRef | None] = {}
    for table in catalog.tables:
        for key in table.keys:
            if key.kind is KeyKind.PRIMARY and len(key.columns) == 1:
                column = _column(table, key.columns[0])
                at = (column.name, column.type.casefold())
                found[at] = None if at in found else table.column_ref(column.name)
    return found


def _target(
    table: Table, column: Column, owners: Mapping[tuple[str, str], ObjectRef | None]
) -> ObjectRef | None:
    """Return the key that a column is or points to."""
    for key in table.keys:
        if column.name not in key.columns:
            continue
        if key.kind is KeyKind.FOREIGN and key.references is not None:
            schema, name = key.references
            at = key.columns.index(column.name)
            if at < len(key.referenced_columns):
                return ObjectRef(schema=schema, table=name, column=key.referenced_columns[at])
    words = read_name(column.name).words
    # Every table may have an `id` of its own; only a name that says whose it is says the same.
    tells = len(words) > 1 and words[-1] in _KEYS
    return owners.get((column.name, column.type.casefold())) if tells else None


def _column(table: Table, name: str) -> Column:
    return next(column for column in table.columns if column.name == name)
