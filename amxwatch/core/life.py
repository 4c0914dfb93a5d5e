"""The lives of objects over many snapshots: what stood under a name when, and under which before.

A name is followed backwards: through a rename to the name before it, and no further than to the
snapshot in which the object came. What a baseline moved is another spelling and no event in
anybody's life.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from amxwatch.core.catalog import ObjectRef, ObjectType, SnapshotNumber, Table
from amxwatch.core.change import Change, ChangeKind, former_ref
from amxwatch.core.rename import match_columns, match_tables

type_of_name = tuple[str, str]
"""A table's (schema, name)."""


@dataclass(frozen=True, kw_only=True)
class TableVersion:
    """What stands under a name from a snapshot on; `table` None: nothing does."""

    since: SnapshotNumber
    table: Table | None


@dataclass(frozen=True, kw_only=True)
class Lives:
    """Every version of each name that moved after it came, oldest first.

    A table that stands as it came is absent, unless another went in the same snapshot: it may
    be that one, renamed.
    """

    versions: Mapping[type_of_name, tuple[TableVersion, ...]] = field(default_factory=dict)
    baselines: frozenset[SnapshotNumber] = frozenset()

    def until(self, number: SnapshotNumber) -> Lives:
        """Return the lives as far as they were known at a snapshot."""
        cut = {
            name: tuple(version for version in versions if version.since <= number)
            for name, versions in self.versions.items()
        }
        return Lives(
            versions={name: versions for name, versions in cut.items() if versions},
            baselines=frozenset(each for each in self.baselines if each <= number),
        )


@dataclass(frozen=True, kw_only=True)
class Step:
    """One version in an object's life: its table then and, of a column, its name then."""

    since: SnapshotNumber
    table: Table
    column: str | None = None
    is_baseline: bool = False


class Trails:
    """Follows tables and columns back through their versions; oldest step first."""

    def __init__(self, lives: Lives, *, native_ids: bool, dialect: str) -> None:
        self._lives = lives
        self._native_ids = native_ids
        self._dialect = dialect
        self._former = _former_names(lives, native_ids=native_ids)
        self._left = {(number, old) for (number, _), old in self._former.items()}
        self._tables: dict[type_of_name, list[Step]] = {}
        self._columns: dict[type_of_name, list[dict[str, str]]] = {}

    def of_table(self, table: ObjectRef) -> list[Step]:
        """Return the versions of a table that stands now; none where it never moved."""
        name = (table.schema, table.table)
        if name not in self._tables:
            self._tables[name] = self._walk(name)
        return self._tables[name]

    def of(self, ref: ObjectRef) -> list[Step]:
        """Return the versions of a table or column that stands now."""
        steps = self.of_table(ref.owner)
        return self._of_column(ref, steps) if ref.is_column else steps

    def _walk(self, name: type_of_name) -> list[Step]:
        steps: list[Step] = []
        before: SnapshotNumber | None = None
        while True:
            former = None
            for version, older in _pairs_back(self._lives.versions.get(name, ()), before):
                if version.table is None:
                    break
                at = version.since
                is_baseline = at in self._lives.baselines
                steps.append(Step(since=at, table=version.table, is_baseline=is_baseline))
                former = self._former.get((at, name))
                if former is not None or not self._goes_on(at, name, version, older):
                    before = at
                    break
            if former is None:
                return steps[::-1]
            name = former

    def _goes_on(
        self, at: SnapshotNumber, name: type_of_name, new: TableVersion, old: TableVersion | None
    ) -> bool:
        """Claim that the older version of the same name is the same object."""
        if old is None or old.table is None or new.table is None:
            return False
        return old.table.type == new.table.type and (at, name) not in self._left

    def _of_column(self, ref: ObjectRef, steps: list[Step]) -> list[Step]:
        name = (ref.schema, ref.table)
        if name not in self._columns:
            pairs = pairwise(steps)
            self._columns[name] = [self._column_names(old, new) for old, new in pairs]
        found: list[Step] = []
        column: str | None = ref.column
        for place in range(len(steps) - 1, -1, -1):
            step = steps[place]
            if column is None or step.table.column(column) is None:
                break
            found.append(
                Step(
                    since=step.since,
                    table=step.table,
                    column=column,
                    is_baseline=step.is_baseline,
                )
            )
            column = self._columns[name][place - 1].get(column) if place else None
        return found[::-1]

    def _column_names(self, old: Step, new: Step) -> dict[str, str]:
        """Return each new column's name in the version before."""
        kept = match_columns(
            old.table, new.table, native_ids=self._native_ids, dialect=self._dialect
        ).kept
        return {match.new.name: match.old.name for match in kept}


def _pairs_back(
    versions: tuple[TableVersion, ...], before: SnapshotNumber | None
) -> Iterable[tuple[TableVersion, TableVersion | None]]:
    """Yield each version that is older than `before` with the one before it, newest first."""
    older = [each for each in versions if before is None or each.since < before]
    for place in range(len(older) - 1, -1, -1):
        yield older[place], older[place - 1] if place else None


def _former_names(
    lives: Lives, *, native_ids: bool
) -> dict[tuple[SnapshotNumber, type_of_name], type_of_name]:
    """Return, by the snapshot of each rename and the new name, the name before it."""
    moved: dict[SnapshotNumber, list[tuple[Table | None, Table | None]]] = defaultdict(list)
    for versions in lives.versions.values():
        before: Table | None = None
        for version in versions:
            if version.since not in lives.baselines:
                moved[version.since].append((before, version.table))
            before = version.table
    found = {}
    for number, pairs in moved.items():
        if not any(_may_be_another(old, new) for old, new in pairs):
            continue
        for match in match_tables(pairs, native_ids=native_ids).kept:
            old, new = (match.old.schema, match.old.name), (match.new.schema, match.new.name)
            if old != new:
                found[number, new] = old
    return found


def _may_be_another(old: Table | None, new: Table | None) -> bool:
    """Claim that a name went, or that the same name may mean another object."""
    return old is not None and (new is None or old.native_id != new.native_id)


def touching(changes: Iterable[Change], ref: ObjectRef) -> tuple[Change, ...]:
    """Return what of the changes of one snapshot an object's own life tells.

    A table's life holds its columns'; a column's begins and ends with its table's, follows the
    renames of it, and holds the keys that it is in.
    """
    found = []
    for change in changes:
        is_inside = ref.is_table and change.ref.owner == ref
        if is_inside or ref in (change.ref, former_ref(change)):
            found.append(change)
        elif ref.is_column and ref.owner in (change.ref, former_ref(change)):
            found += _of_column(change, ref)
    return tuple(found)


def former_name(changes: Iterable[Change], ref: ObjectRef) -> ObjectRef | None:
    """Return what an object was called before these changes; None where it came with them."""
    came = ref
    for change in changes:
        if change.kind is ChangeKind.RENAMED and change.ref == ref:
            return former_ref(change)
        if change.kind is ChangeKind.RENAMED and change.ref == ref.owner:
            owner = former_ref(change)
            came = ObjectRef(schema=owner.schema, table=owner.table, column=ref.column)
        elif change.kind is ChangeKind.ADDED and change.ref in (ref, ref.owner):
            return None
    return came


def _of_column(change: Change, ref: ObjectRef) -> list[Change]:
    """Return what a change of the table means to one of its columns."""
    if change.kind is ChangeKind.RENAMED:
        return [change]
    before, after = _column_in(change.before, ref.column), _column_in(change.after, ref.column)
    if change.kind is ChangeKind.KEY_CHANGED:
        before, after = _keys_with(change.before, ref.column), _keys_with(change.after, ref.column)
    elif change.kind not in (ChangeKind.ADDED, ChangeKind.REMOVED):
        return []
    if before == after:
        return []
    return [
        Change(
            kind=change.kind,
            object_type=ObjectType.COLUMN,
            ref=ref,
            before=before,
            after=after,
        )
    ]


def _column_in(side: object, name: str) -> dict[str, object] | None:
    columns = side.get("columns") if isinstance(side, dict) else None
    for column in columns if isinstance(columns, list) else ():
        if column["name"] == name:
            return {key: value for key, value in column.items() if key != "name"}
    return None


def _keys_with(side: object, column: str) -> dict[str, object] | None:
    """Return the keys of one side of a `key_changed` that hold a column."""
    if not isinstance(side, dict):
        return None
    found: dict[str, object] = {}
    if column in side["primary"]:
        found["primary"] = side["primary"]
    unique = [key for key in side["unique"] if column in key]
    foreign = [key for key in side["foreign"] if column in key["columns"]]
    if unique:
        found["unique"] = unique
    if foreign:
        found["foreign"] = foreign
    return found or None
