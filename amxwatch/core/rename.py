"""Which object of the old catalog is which of the new one, when names moved.

Where the database numbers its objects for life (PostgreSQL), identity decides and the
confidence is 1. Elsewhere a rename looks like a removal beside an addition; it is guessed from
what the two have in common, only where no other pair comes near, with a confidence below 1.
Whoever is not sure says removed and added: a description carried to the wrong object is worse
than one drafted anew.

Both sides count alike in every rule, so that the way back mirrors the way there.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from amxwatch.core.catalog import Column, Key, Schema, Table
from amxwatch.core.datatype import same_type

T = TypeVar("T", Table, Column)

THRESHOLD = 0.6
"""The least confidence of a guess."""

MARGIN = 0.1
"""How far a guess must stand above every other pair of the same object."""

CEILING = 0.95
"""A guess is never certain."""

MAX_PAIRS = 2_500
"""With more pairs to weigh than this, a table was rebuilt rather than renamed in."""

_DIGITS = re.compile(r"\d+")

_Place: TypeAlias = tuple[int, str | None, str | None]
"""A column's ordinal, and the names of its neighbours."""


@dataclass(frozen=True, kw_only=True)
class Match(Generic[T]):
    """One object in both catalogs. Its confidence is 1 unless it was guessed."""

    old: T
    new: T
    confidence: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Matches(Generic[T]):
    """Every object of both sides, once."""

    kept: tuple[Match[T], ...]
    removed: tuple[T, ...]
    added: tuple[T, ...]


def match_tables(
    pairs: Iterable[tuple[Table | None, Table | None]], *, native_ids: bool
) -> Matches[Table]:
    """Match the tables and views of moved pairs. What turns into another type is not the same."""
    moved = list(pairs)
    old = [table for table, _ in moved if table is not None]
    new = [table for _, table in moved if table is not None]
    kept: list[Match[Table]] = []
    if native_ids:
        kept += _take(old, new, _identity)
    kept += _take(old, new, lambda table: (table.schema, table.name, table.type))
    if not native_ids:
        kept += _guess_tables(old, new)
    return Matches(kept=tuple(kept), removed=tuple(old), added=tuple(new))


def match_columns(old: Table, new: Table, *, native_ids: bool, dialect: str) -> Matches[Column]:
    """Match the columns of one table. Numbers count only where the table is the very same."""
    before, after = list(old.columns), list(new.columns)
    kept: list[Match[Column]] = []
    if native_ids and old.native_id is not None and old.native_id == new.native_id:
        kept += _take(before, after, lambda column: column.native_num)
    kept += _take(before, after, lambda column: column.name)
    if not native_ids:
        kept += _guess_columns(old, new, before, after, dialect)
    return Matches(kept=tuple(kept), removed=tuple(before), added=tuple(after))


def match_schemas(
    pairs: Iterable[tuple[Schema | None, Schema | None]],
    tables: Iterable[Match[Table]],
    *,
    native_ids: bool,
) -> dict[str, str]:
    """Return new names by old ones: schemas whose tables all went over to a new schema.

    Known only by the identity of the tables; an empty schema is removed and added.
    """
    if not native_ids:
        return {}
    moved = list(pairs)
    gone = {old.name for old, new in moved if old and not new}
    came = {new.name for old, new in moved if new and not old}
    targets: dict[str, set[str]] = defaultdict(set)
    origins: dict[str, set[str]] = defaultdict(set)
    for match in tables:
        targets[match.old.schema].add(match.new.schema)
        origins[match.new.schema].add(match.old.schema)
    return {
        old: new
        for old in sorted(gone)
        for new in targets[old]
        if new in came and targets[old] == {new} and origins[new] == {old}
    }


def _identity(table: Table) -> object:
    return None if table.native_id is None else (table.native_id, table.type)


def _take(old: list[T], new: list[T], mark: Callable[[T], object]) -> list[Match[T]]:
    """Pair what bears the same mark, and take it out of both lists. No mark: no pair."""
    marked = {found: item for item in new if (found := mark(item)) is not None}
    pairs = [
        Match(old=item, new=marked[found])
        for item in old
        if (found := mark(item)) is not None and found in marked
    ]
    _leave_out(old, [match.old for match in pairs])
    _leave_out(new, [match.new for match in pairs])
    return pairs


def _leave_out(items: list[T], taken: Iterable[T]) -> None:
    ids = {id(item) for item in taken}
    items[:] = [item for item in items if id(item) not in ids]


def _guess_tables(old: list[Table], new: list[Table]) -> list[Match[Table]]:
    shapes: dict[object, tuple[list[Table], list[Table]]] = defaultdict(lambda: ([], []))
    for table in old:
        shapes[_shape(table)][0].append(table)
    for table in new:
        shapes[_shape(table)][1].append(table)
    found = [
        match
        for before, after in shapes.values()
        for match in _unambiguous(before, after, _likeness_of_tables)
    ]
    _leave_out(old, [match.old for match in found])
    _leave_out(new, [match.new for match in found])
    return found


def _shape(table: Table) -> object:
    """Return what stays when only the name of a table moves."""
    return (
        table.type,
        table.definition,
        frozenset((column.name, column.type) for column in table.columns),
    )


def _likeness_of_tables(old: Table, new: Table) -> float:
    """Return from 0 to 1 how likely two tables of one shape are one table."""
    if _differ_in_numbers(old.name, new.name):
        return 0.0
    # A table of two columns has many likes; one of four or more hardly any.
    distinct = min(1.0, len(old.columns) / 4)
    return (
        0.35 * distinct
        + 0.10 * (_details(old) == _details(new))
        + 0.10 * (_bare_keys(old.keys) == _bare_keys(new.keys))
        + 0.25 * _likeness_of_names(old.name, new.name)
        + 0.10 * (old.schema == new.schema or old.name == new.name)
        + 0.10 * _likeness_of_comments(old.comment, new.comment)
    )


def _details(table: Table) -> list[tuple[object, ...]]:
    return [(column.name, column.nullable, column.default) for column in table.columns]


def _bare_keys(keys: Iterable[Key]) -> set[tuple[object, ...]]:
    return {(key.kind, key.columns, key.references) for key in keys}


def _guess_columns(
    old: Table, new: Table, before: list[Column], after: list[Column], dialect: str
) -> list[Match[Column]]:
    if not before or not after:
        return []
    roles = (_roles(old), _roles(new))
    places = (_places(old), _places(new))

    def likeness(gone: Column, came: Column) -> float:
        if roles[0].get(gone.name) != roles[1].get(came.name):
            return 0.0
        if not same_type(gone.type, came.type, dialect):
            return 0.0
        if _differ_in_numbers(gone.name, came.name):
            return 0.0
        return (
            0.15 * ((gone.nullable, gone.default) == (came.nullable, came.default))
            + 0.35 * _likeness_of_places(places[0][gone.name], places[1][came.name])
            + 0.40 * _likeness_of_names(gone.name, came.name)
            + 0.10 * _likeness_of_comments(gone.comment, came.comment)
        )

    found = _unambiguous(before, after, likeness)
    _leave_out(before, [match.old for match in found])
    _leave_out(after, [match.new for match in found])
    return found


def _roles(table: Table) -> dict[str, list[tuple[object, ...]]]:
    """Return each column's part in each key, without its name."""
    roles: dict[str, list[tuple[object, ...]]] = defaultdict(list)
    for key in table.keys:
        for place, column in enumerate(key.columns):
            roles[column].append((key.kind.value, len(key.columns), place, key.references or ()))
    return {column: sorted(parts) for column, parts in roles.items()}


def _places(table: Table) -> dict[str, _Place]:
    around = [None, *(column.name for column in table.columns), None]
    return {
        column.name: (column.ordinal, around[at - 1], around[at + 1])
        for at, column in enumerate(table.columns, start=1)
    }


def _likeness_of_places(old: _Place, new: _Place) -> float:
    """Between the same neighbours: 1. The last place proves less: what is added comes there."""
    if old[1:] == new[1:] and old[2] is not None:
        return 1.0
    return 0.5 if old[0] == new[0] else 0.0


def _likeness_of_names(old: str, new: str) -> float:
    from rapidfuzz import fuzz

    return fuzz.ratio(old.casefold(), new.casefold()) / 100


def _likeness_of_comments(old: str | None, new: str | None) -> float:
    if old == new:
        return 1.0 if old else 0.5
    return 0.0


def _differ_in_numbers(old: str, new: str) -> bool:
    """Claim that only digits differ: the next partition or quarter, not a rename."""
    return old != new and _DIGITS.sub("", old) == _DIGITS.sub("", new)


def _unambiguous(
    old: Sequence[T], new: Sequence[T], likeness: Callable[[T, T], float]
) -> list[Match[T]]:
    """Return the pairs in which each is by far the likest of the other."""
    if not old or not new or len(old) * len(new) > MAX_PAIRS:
        return []
    likes = [[likeness(gone, came) for came in new] for gone in old]
    found = []
    for row, gone in enumerate(old):
        for place, came in enumerate(new):
            value = likes[row][place]
            rivals = [likes[row][other] for other in range(len(new)) if other != place]
            rivals += [likes[other][place] for other in range(len(old)) if other != row]
            if value >= THRESHOLD and value - max(rivals, default=0.0) >= MARGIN:
                found.append(Match(old=gone, new=came, confidence=round(min(value, CEILING), 2)))
    return found
