"""Lineage of a catalog: what each view reads, out of its SQL and of what the source declares.

Views are parsed when they are asked about, and only those that could name the relation in
question; what was parsed once is not parsed again while its text and the columns of what it
reads stay (see `tracing.trace`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from amxwatch.context.qualifying import Relation
from amxwatch.context.tracing import Trace, trace
from amxwatch.context.written import Name, written
from amxwatch.core.catalog import Catalog, ObjectRef, Table
from amxwatch.core.lineage import (
    ALL_USES,
    Edge,
    How,
    Impact,
    Level,
    impact,
    key_edges,
)

_WORD = re.compile(r"\w+")

_DEFAULT_SCHEMA = {
    "postgres": "public",
    "redshift": "public",
    "materialize": "public",
    "risingwave": "public",
    "duckdb": "main",
    "sqlite": "main",
    "tsql": "dbo",
    "fabric": "dbo",
}
"""Where a name without a schema is looked up, before or after the view's own schema."""

_PATH_FIRST = frozenset({"postgres", "redshift", "materialize", "risingwave"})
"""Dialects that look in the default schema before they look beside the view, if ever there."""


class Lineage:
    """What reads what in one catalog. `dialect` is sqlglot's name of its SQL."""

    def __init__(self, catalog: Catalog, dialect: str) -> None:
        self._dialect = dialect
        # dbt's columns come from documents, in any order; the names are what counts there.
        self._by_name = catalog.reader.startswith("dbt")
        self._tables = {(table.schema, table.name): table for table in catalog.tables}
        self._schemas = {table.schema for table in catalog.tables}
        self._loose: dict[str, list[Table]] = defaultdict(list)
        self._readers: dict[str, set[ObjectRef]] = defaultdict(set)
        self._declared: dict[tuple[str, str], set[ObjectRef]] = defaultdict(set)
        self._views: dict[ObjectRef, Table] = {}
        self._edges: dict[ObjectRef, tuple[Edge, ...]] = {}
        self._keys: dict[ObjectRef, list[Edge]] = defaultdict(list)
        for table in catalog.tables:
            self._loose[table.name.casefold()].append(table)
            if table.definition is not None or table.reads:
                self._note_view(table)
        for edge in key_edges(catalog.tables):
            self._keys[edge.source.owner].append(edge)

    def _note_view(self, table: Table) -> None:
        self._views[table.ref] = table
        for name in table.reads:
            self._declared[name].add(table.ref)
        for word in set(_WORD.findall((table.definition or "").casefold())):
            self._readers[word].add(table.ref)

    def impact(
        self, target: ObjectRef, *, uses: frozenset[How] = ALL_USES, depth: int | None = None
    ) -> tuple[Impact, ...]:
        """Return what reads a table or column: see `core.lineage.impact`."""
        return impact(target, self.readers, uses=uses, depth=depth)

    def readers(self, relation: ObjectRef) -> Sequence[Edge]:
        """Return the edges that start at a table or view, or at one of its columns, sorted."""
        found = list(self._keys.get(relation, ()))
        for view in self._candidates(relation):
            found += [edge for edge in self.reads(view) if edge.source.owner == relation]
        return sorted(found, key=_order)

    def reads(self, view: ObjectRef) -> tuple[Edge, ...]:
        """Return the edges that end at a view or at one of its columns; none for a table."""
        if view not in self._edges:
            table = self._views.get(view)
            self._edges[view] = tuple(self._read(table)) if table is not None else ()
        return self._edges[view]

    def _candidates(self, relation: ObjectRef) -> set[ObjectRef]:
        """Return the views that name the relation, as far as words tell, or declare it."""
        words = _WORD.findall(relation.table.casefold())
        naming = [self._readers.get(word, set()) for word in words]
        named = set.intersection(*naming) if naming else set(self._views)
        return named | self._declared.get((relation.schema, relation.table), set())

    # -- one view ------------------------------------------------------------------------------

    def _read(self, view: Table) -> Iterator[Edge]:
        mentioned = written(view.definition or "", self._dialect)
        found = {name: self._find(name, view) for name in mentioned.names}
        meant = {name: table for name, table in found.items() if table is not None}
        traced = self._traced(view, meant) if mentioned.is_parsed else None
        if traced is not None:
            yield from _column_edges(view, list(meant.values()), traced, by_name=self._by_name)
        for table in {table.ref: table for table in meant.values()}.values():
            # A relation whose columns are not known could lose any of them unseen.
            exact = traced is not None and bool(table.columns)
            yield _whole(table.ref, view, Level.COLUMN if exact else Level.TABLE, How.READ)
        named = {table.ref for table in meant.values()}
        for schema, name in view.reads:
            ref = ObjectRef(schema=schema, table=name)
            if ref not in named and ref != view.ref:
                yield _whole(ref, view, Level.TABLE, How.DECLARED)

    def _traced(self, view: Table, meant: dict[Name, Table]) -> Trace | None:
        relations = tuple(
            Relation(name=name, columns=tuple(column.name for column in table.columns))
            for name, table in meant.items()
        )
        wanted = tuple(column.name for column in view.columns)
        return trace(view.definition or "", self._dialect, relations, wanted)

    def _find(self, name: Name, view: Table) -> Table | None:
        """Return the relation that a view means by a name; never the view itself."""
        for table in self._meant(name, view):
            if table.ref != view.ref:
                return table
        return None

    def _meant(self, name: Name, view: Table) -> Iterator[Table]:
        spellings = ((name.folded_schema, name.folded_name), (name.schema, name.name))
        for schema, table in spellings:
            for place in self._path(schema, view, table):
                if (place, table) in self._tables:
                    yield self._tables[place, table]
        if not name.is_exact:
            yield from self._in_any_case(name, view)

    def _path(self, schema: str, view: Table, table: str) -> list[str]:
        """Return the schemas where a relation may be, the likeliest first."""
        if schema and (schema in self._schemas or self._dialect != "duckdb"):
            return [schema]
        default = _DEFAULT_SCHEMA.get(self._dialect, view.schema)
        own = [view.schema, default]
        declared = [place for place, name in view.reads if name == table]
        return declared + (own[::-1] if self._dialect in _PATH_FIRST else own)

    def _in_any_case(self, name: Name, view: Table) -> Iterator[Table]:
        """Yield the one relation that is spelled so but for the case.

        Without a schema that is the one of the name beside the view, else anywhere.
        """
        alike = self._loose.get(name.name.casefold(), [])
        schema = name.schema.casefold()
        if schema and (schema in {one.casefold() for one in self._schemas}):
            alike = [table for table in alike if table.schema.casefold() == schema]
        elif schema:
            return
        near = [table for table in alike if table.schema == view.schema]
        for group in (near, alike):
            if len(group) == 1:
                yield group[0]


def _column_edges(
    view: Table, relations: list[Table], traced: Trace, *, by_name: bool
) -> Iterator[Edge]:
    for column, leaves in _aligned(view, traced, by_name=by_name):
        for place, name in sorted(leaves):
            yield Edge(
                source=relations[place].column_ref(name),
                target=view.column_ref(column),
                level=Level.COLUMN,
                how=How.DERIVED,
            )
    for place, name in sorted(traced.filters):
        yield Edge(
            source=relations[place].column_ref(name),
            target=view.ref,
            level=Level.COLUMN,
            how=How.FILTER,
        )


def _aligned(
    view: Table, traced: Trace, *, by_name: bool
) -> Iterator[tuple[str, frozenset[tuple[int, str]]]]:
    """Pair the columns of a view with those of its SELECT: by place, else by name.

    The place is what counts to a database: a view may rename its columns in a list before AS.
    """
    outputs = traced.outputs
    if not by_name and not traced.is_open and len(outputs) == len(view.columns):
        for column, (_, leaves) in zip(view.columns, outputs, strict=True):
            yield column.name, leaves
        return
    known = {column.name.casefold(): column.name for column in view.columns}
    exact = {column.name for column in view.columns}
    for name, leaves in outputs:
        spelled = name if name in exact else known.get(name.casefold())
        if spelled is not None:
            yield spelled, leaves


def _whole(source: ObjectRef, view: Table, level: Level, how: How) -> Edge:
    return Edge(source=source, target=view.ref, level=level, how=how)


def _order(edge: Edge) -> tuple[ObjectRef, ObjectRef, str, str]:
    return edge.source, edge.target, edge.how, edge.level
