"""From dbt's documents to a catalog: nodes that are relations, their columns, keys and reads."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from amxwatch.core.catalog import UNKNOWN_TYPE, Column, ObjectType, Schema, Table
from amxwatch.databases.dbt.artifacts import CatalogTable, DeclaredColumn, Manifest, Node
from amxwatch.databases.dbt.code import definition_of
from amxwatch.databases.dbt.keys import Claims, Relation, Relations, claims_by_node, settled

RELATIONS = frozenset({"model", "seed", "snapshot", "source"})
"""Kinds of node that stand in the warehouse."""

TYPES = {
    "view": ObjectType.VIEW,
    "materialized_view": ObjectType.MATERIALIZED_VIEW,
    "dynamic_table": ObjectType.MATERIALIZED_VIEW,
    "streaming_table": ObjectType.MATERIALIZED_VIEW,
}
"""Materialization -> what it makes; every other one makes a table."""

COUNTS = ("row_count", "num_rows", "rows")
"""Names of the statistic that counts rows, by adapter."""


class Assembly:
    """One reading of the documents. `before` are the tables as they were last known."""

    def __init__(
        self,
        manifest: Manifest,
        warehouse: Mapping[str, CatalogTable],
        before: Mapping[Relation, Table],
    ) -> None:
        self._warehouse = warehouse
        self._before = before
        nodes = {**manifest.sources, **manifest.nodes}
        self.relations = Relations(nodes, places_of(nodes))
        self._claims = claims_by_node(self.relations)

    def tables(self) -> tuple[Table, ...]:
        """Return every relation once, sorted; a source that a model makes is one with it."""
        by_place: dict[Relation, list[str]] = defaultdict(list)
        for node_id, place in self.relations.places.items():
            by_place[place].append(node_id)
        return tuple(self._table(place, by_place[place]) for place in sorted(by_place))

    def schemas(self) -> tuple[Schema, ...]:
        """Return the schemas; one that is a single source's has that source's description."""
        told: dict[str, set[str]] = {name: set() for name, _ in self.relations.places.values()}
        for node_id, (schema, _) in self.relations.places.items():
            description = self.relations.nodes[node_id].source_description.strip()
            if description:
                told[schema].add(description)
        return tuple(
            Schema(name=name, comment=next(iter(texts)) if len(texts) == 1 else None)
            for name, texts in sorted(told.items())
        )

    def _table(self, place: Relation, ids: list[str]) -> Table:
        ids = sorted(ids, key=lambda each: (self.relations.nodes[each].source_name != "", each))
        nodes = [self.relations.nodes[each] for each in ids]
        entries = [self._warehouse[each] for each in ids if each in self._warehouse]
        claims = [self._claims[each] for each in ids if each in self._claims]
        before = self._before.get(place)
        columns = _columns(nodes, entries, claims, before)
        spelling = {column.name.casefold(): column.name for column in columns}
        return Table(
            schema=place[0],
            name=place[1],
            type=TYPES.get(nodes[0].config.materialized, ObjectType.TABLE),
            columns=columns,
            keys=settled(chain.from_iterable(claim.keys for claim in claims), spelling),
            comment=_first(node.description for node in nodes),
            definition=self._definition(ids[0], before),
            row_estimate=next(filter(None, map(_rows, entries)), None),
            variant=_variant(nodes[0]),
            reads=tuple(sorted(set(self._reads(ids[0], frozenset())) - {place})),
        )

    def _definition(self, node_id: str, before: Table | None) -> str | None:
        node = self.relations.nodes[node_id]

        def resolve(call: str) -> str:
            found = self.relations.called(call, node.depends_on.nodes)
            return self.relations.nodes[found].relation_name if found else ""

        return definition_of(node, resolve, before.definition if before else None)

    def _reads(self, node_id: str, above: frozenset[str]) -> Iterator[Relation]:
        """Yield what a node reads; an ephemeral model is looked through."""
        for each in self.relations.nodes[node_id].depends_on.nodes:
            if each in self.relations.places:
                yield self.relations.places[each]
            elif each in self.relations.nodes and each not in above:
                yield from self._reads(each, above | {each})


def places_of(nodes: Mapping[str, Node]) -> dict[str, Relation]:
    """Return schema and name of each node that stands in the warehouse, by its id.

    A schema in another database than most models' has that database's name before it.
    """
    standing = {
        node_id: node
        for node_id, node in nodes.items()
        if node.resource_type in RELATIONS and node.config.materialized != "ephemeral"
    }
    own = Counter(node.database for node in standing.values() if not node.source_name)
    every = own or Counter(node.database for node in standing.values())
    home = min(every, key=lambda name: (-every[name], name), default="")

    def schema(node: Node) -> str:
        name = node.schema_name or "default"
        away = node.database and home and node.database.casefold() != home.casefold()
        return f"{node.database}.{name}" if away else name

    return {node_id: (schema(node), node.table) for node_id, node in standing.items()}


def _columns(
    nodes: Iterable[Node],
    entries: Iterable[CatalogTable],
    claims: Iterable[Claims],
    before: Table | None,
) -> tuple[Column, ...]:
    """Return the warehouse's columns in its order, then those that only a yml file names."""
    declared: dict[str, DeclaredColumn] = {}
    names: dict[str, str] = {}
    for node in nodes:
        for key, column in node.columns.items():
            name = column.name or key
            known = declared.get(name.casefold())
            if known is None or not known.description:
                declared[name.casefold()] = column
            names.setdefault(name.casefold(), name)
    types: dict[str, str] = {}
    for entry in entries:
        for key, found in sorted(entry.columns.items(), key=lambda item: item[1].index):
            name = found.name or key
            types.setdefault(name.casefold(), " ".join(found.type.split()))
            names.setdefault(name.casefold(), name)
    held = {column.name.casefold(): column.type for column in before.columns} if before else {}
    filled = {name.casefold() for claim in claims for name in claim.filled}
    order = [*types, *(key for key in names if key not in types)]
    return tuple(
        Column(
            name=names[key],
            type=(
                types.get(key)
                or (key in declared and " ".join(declared[key].data_type.split()))
                or held.get(key, UNKNOWN_TYPE)
            ),
            nullable=key not in filled,
            ordinal=ordinal,
            comment=declared[key].description.strip() or None if key in declared else None,
        )
        for ordinal, key in enumerate(order, start=1)
    )


def _variant(node: Node) -> str | None:
    """Tell how a table came to be, where its type does not say it."""
    if node.resource_type != "model":
        return node.resource_type
    plain = {"", "table", "view", "materialized_view"}
    return None if node.config.materialized in plain else node.config.materialized


def _rows(entry: CatalogTable) -> int | None:
    for name in COUNTS:
        found = entry.stats.get(name)
        value = found.get("value") if isinstance(found, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return int(value)
    return None


def _first(texts: Iterable[str]) -> str | None:
    return next((text.strip() for text in texts if text.strip()), None)
