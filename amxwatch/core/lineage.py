"""What reads what: edges between tables, views and their columns, and the walk along them.

Edges come from `context.lineage`, which reads them out of the SQL of views; nothing here knows
SQL. An edge points the way the data flows: from what is read to what reads it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from amxwatch.core.catalog import KeyKind, ObjectRef, ObjectType, Table


class Level(enum.StrEnum):
    """How finely an edge is known; the spelling is the one of the JSON documents."""

    COLUMN = "column"
    """It is known which columns are used, and for what."""
    TABLE = "table"
    """Only that the one reads the other."""


class How(enum.StrEnum):
    """How an object uses the one that it reads; the spelling is the one of the JSON documents."""

    DERIVED = "derived"
    """Its values are computed from it."""
    FILTER = "filter"
    """It decides which rows there are, and in which order: WHERE, JOIN, GROUP BY, ORDER BY."""
    READ = "read"
    """The definition names it."""
    DECLARED = "declared"
    """The source itself says so: PostgreSQL's dependencies, dbt's graph."""
    KEY = "key"
    """A foreign key points at it."""


ALL_USES = frozenset(How)
VALUES_ONLY = frozenset({How.DERIVED, How.READ, How.DECLARED})
"""The uses along which a description can go out of date: not filters, and not keys."""

_STRENGTH = {how: rank for rank, how in enumerate(How)}


@dataclass(frozen=True, kw_only=True)
class Edge:
    """`target` uses `source`.

    A `derived` edge goes from column to column, a `filter` from a column to the view as a
    whole, a `key` from the referenced column to the referring one. `read` and `declared` go
    from table or view to view: at the level `column` where every column that is used of it has
    an edge of its own, else at the level `table`.
    """

    source: ObjectRef
    target: ObjectRef
    level: Level
    how: How


Readers = Callable[[ObjectRef], Sequence[Edge]]
"""Returns every edge that starts at a table or view, or at one of its columns."""


@dataclass(frozen=True, kw_only=True)
class Impact:
    """One object that reads another, directly (`via` is empty) or through others.

    `via` leads from the object asked about to this one, without either. `how` says how this one
    uses the last of them; `level` is `table` where any step of the way is known no better.
    """

    ref: ObjectRef
    via: tuple[ObjectRef, ...]
    level: Level
    how: How

    @property
    def distance(self) -> int:
        return len(self.via) + 1


def impact(
    target: ObjectRef,
    readers: Readers,
    *,
    uses: Collection[How] = ALL_USES,
    depth: int | None = None,
) -> tuple[Impact, ...]:
    """Return what reads a table or column, nearest first, each object once, by a shortest way.

    Of ways of one length the better known one is taken. What is derived leads on to what is
    derived from it; a view that is only filtered by a column leads on to all that reads the
    view, as its rows depend on the column. A foreign key leads no further.
    """
    found: dict[ObjectRef, Impact] = {}
    front: list[tuple[ObjectRef, tuple[ObjectRef, ...], Level]] = [(target, (), Level.COLUMN)]
    while front and (depth is None or depth > 0):
        depth = None if depth is None else depth - 1
        reached = sorted(
            _steps(front, readers, uses), key=lambda one: (one.level, _STRENGTH[one.how], one.ref)
        )
        front = []
        for one in reached:
            if one.ref != target and one.ref not in found:
                found[one.ref] = one
                if one.how is not How.KEY:
                    front.append((one.ref, (*one.via, one.ref), one.level))
    return tuple(found.values())


def _steps(
    front: Iterable[tuple[ObjectRef, tuple[ObjectRef, ...], Level]],
    readers: Readers,
    uses: Collection[How],
) -> Iterator[Impact]:
    for ref, via, level in front:
        for edge in readers(ref.owner):
            if edge.how not in uses or not _starts_at(edge, ref, is_first=not via):
                continue
            weaker = Level.TABLE if Level.TABLE in (level, edge.level) else Level.COLUMN
            yield Impact(ref=edge.target, via=via, level=weaker, how=edge.how)


def _starts_at(edge: Edge, ref: ObjectRef, *, is_first: bool) -> bool:
    """Claim that whoever stands at `ref` goes along this edge."""
    if edge.how is How.KEY:
        return is_first and ref in (edge.source, edge.source.owner)
    if edge.source == ref:
        return True
    # Which columns it uses is not known: perhaps this one.
    return ref.is_column and edge.source == ref.owner and edge.level is Level.TABLE


def key_edges(tables: Iterable[Table]) -> Iterator[Edge]:
    """Yield an edge for each column of a foreign key, from what it points at."""
    for table in tables:
        for key in table.keys:
            if key.kind is not KeyKind.FOREIGN or key.references is None:
                continue
            schema, name = key.references
            there = key.referenced_columns or ("",) * len(key.columns)
            for column, target in zip(key.columns, there, strict=False):
                yield Edge(
                    source=ObjectRef(schema=schema, table=name, column=target),
                    target=table.column_ref(column),
                    level=Level.COLUMN,
                    how=How.KEY,
                )


def type_in(ref: ObjectRef, types: Mapping[ObjectRef, ObjectType]) -> ObjectType:
    """Return what an object is; `types` are those of tables and views."""
    return ObjectType.COLUMN if ref.is_column else types.get(ref, ObjectType.TABLE)


def impact_document(one: Impact, types: Mapping[ObjectRef, ObjectType]) -> dict[str, object]:
    """Return one line of an impact as the JSON documents show it; a missing name is null.

    `types` says of tables and views which they are.
    """
    return {
        "object_type": type_in(one.ref, types).value,
        "schema": one.ref.schema,
        "table": one.ref.table,
        "column": one.ref.column or None,
        "via": [str(ref) for ref in one.via],
        "distance": one.distance,
        "level": one.level.value,
        "how": one.how.value,
    }
