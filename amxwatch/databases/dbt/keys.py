"""Keys and nullability: from a model's constraints, and from the tests that say the same."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from amxwatch.core.catalog import Key, KeyKind
from amxwatch.databases.dbt.artifacts import Constraint, Node
from amxwatch.databases.dbt.code import is_named, named_in

_TARGET = re.compile(r"^\s*(?:references\s+)?([^()]+?)\s*\(([^()]*)\)", re.IGNORECASE)

Relation = tuple[str, str]
"""Schema and name."""


@dataclass(kw_only=True)
class Claims:
    """What is claimed of one node: keys, and columns that are never null."""

    keys: list[Key] = field(default_factory=list)
    filled: set[str] = field(default_factory=set)


class Relations:
    """Finds the relation that an id, a call or a quoted name means."""

    def __init__(self, nodes: dict[str, Node], places: dict[str, Relation]) -> None:
        self.nodes = nodes
        self.places = places
        self._by_name = {
            _bare(nodes[node_id].relation_name): place
            for node_id, place in places.items()
            if nodes[node_id].relation_name
        }

    def called(self, call: str, candidates: Iterable[str]) -> str:
        """Return the id among `candidates` that a `ref(…)` or `source(…)` means, or nothing."""
        found = named_in(call)
        if found is None:
            return ""
        fitting = (each for each in candidates if each in self.nodes)
        return next((each for each in fitting if is_named(self.nodes[each], *found)), "")

    def spelled(self, name: str) -> Relation | None:
        """Return the relation of a name as SQL writes it, with its database or without."""
        wanted = _bare(name)
        if wanted in self._by_name:
            return self._by_name[wanted]
        ending = (place for full, place in self._by_name.items() if full.endswith("." + wanted))
        return next(ending, None)


def claims_by_node(relations: Relations) -> dict[str, Claims]:
    """Return what constraints and tests claim, by node id."""
    claims: dict[str, Claims] = defaultdict(Claims)
    for node_id, node in relations.nodes.items():
        if node.test_metadata is not None:
            _read_test(node, relations, claims)
        elif node_id in relations.places:
            _read_constraints(node, relations, claims[node_id])
    return claims


def _read_constraints(node: Node, relations: Relations, claims: Claims) -> None:
    for constraint in node.constraints:
        _add(constraint, constraint.columns, relations, claims)
    for name, column in node.columns.items():
        for constraint in column.constraints:
            _add(constraint, [column.name or name], relations, claims)


def _add(
    constraint: Constraint, columns: Sequence[str], relations: Relations, claims: Claims
) -> None:
    match constraint.type:
        case "not_null":
            claims.filled.update(columns)
        case "primary_key" if columns:
            claims.filled.update(columns)
            claims.keys.append(Key(kind=KeyKind.PRIMARY, columns=tuple(columns)))
        case "unique" if columns:
            claims.keys.append(Key(kind=KeyKind.UNIQUE, columns=tuple(columns)))
        case "foreign_key" if columns:
            claims.keys.append(_foreign(constraint, tuple(columns), relations))
        case _:
            pass


def _foreign(constraint: Constraint, columns: tuple[str, ...], relations: Relations) -> Key:
    """Read `to` and `to_columns` (dbt 1.9), or the older expression `schema.table (column)`."""
    target, others = constraint.to, tuple(constraint.to_columns)
    expressed = _TARGET.match(constraint.expression)
    if not target and expressed is not None:
        target = expressed[1]
        others = tuple(_unquoted(part) for part in expressed[2].split(",") if part.strip())
    called = relations.called(target, relations.places)
    return Key(
        kind=KeyKind.FOREIGN,
        columns=columns,
        references=relations.places.get(called) or (relations.spelled(target) if target else None),
        referenced_columns=others,
    )


def _read_test(test: Node, relations: Relations, claims: dict[str, Claims]) -> None:
    """Read a generic test. One that looks at some rows only claims nothing of the others."""
    meta = test.test_metadata
    if meta is None or test.config.where:
        return
    around = [each for each in test.depends_on.nodes if each in relations.places]
    owner = test.attached_node or relations.called(str(meta.given.get("model", "")), around)
    if owner not in relations.places:
        return
    column = str(meta.given.get("column_name") or test.column_name)
    match meta.name:
        case "not_null" if column:
            claims[owner].filled.add(column)
        case "unique" if column:
            claims[owner].keys.append(Key(kind=KeyKind.UNIQUE, columns=(column,)))
        case "unique_combination_of_columns":
            columns = tuple(str(each) for each in meta.given.get("combination_of_columns") or ())
            if columns:
                claims[owner].keys.append(Key(kind=KeyKind.UNIQUE, columns=columns))
        case "relationships" if column:
            target = relations.called(str(meta.given.get("to", "")), around)
            claims[owner].keys.append(
                Key(
                    kind=KeyKind.FOREIGN,
                    columns=(column,),
                    references=relations.places.get(target),
                    referenced_columns=(str(meta.given.get("field", "")),),
                )
            )
        case _:
            pass


def settled(keys: Iterable[Key], spelling: dict[str, str]) -> tuple[Key, ...]:
    """Return each key once, in canonical order, its columns spelled as the table has them.

    A key over what is no column of the table (an expression) is left out, and so is a foreign
    key whose target is unknown.
    """

    def kept() -> Iterator[Key]:
        for key in keys:
            columns = tuple(spelling.get(_unquoted(name).casefold(), "") for name in key.columns)
            known = key.kind is not KeyKind.FOREIGN or key.references is not None
            if all(columns) and known:
                yield Key(
                    kind=key.kind,
                    columns=columns,
                    references=key.references,
                    referenced_columns=key.referenced_columns,
                )

    def order(key: Key) -> tuple[object, ...]:
        return key.kind, key.columns, key.references or (), key.referenced_columns

    return tuple(sorted(set(kept()), key=order))


def _bare(name: str) -> str:
    return ".".join(_unquoted(part) for part in name.split(".")).casefold()


def _unquoted(name: str) -> str:
    return name.strip().strip('"`[]')
