"""Follows each column of a SELECT to the columns that it is computed from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from sqlglot import exp
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.scope import Scope, traverse_scope, walk_in_scope

from amxwatch.context.qualifying import Relation, Spelling, place_of, qualified
from amxwatch.context.written import WRITTEN, NotKnowableError, bounded, folding, parse, written

Leaf = tuple[int, str]
"""A column of a relation: the relation's place in the list that was given, and its name."""

Output = tuple[int, int]
"""A column of a scope: the scope's place in the order of traversal, and its own place."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """`outputs` are the columns of the SELECT in order, each with what it is computed from.

    `is_open` says that a star could not be expanded, so that outputs are missing. `filters`
    are the columns that are used otherwise: in a filter, join, group or order, or for nothing.
    """

    outputs: tuple[tuple[str, frozenset[Leaf]], ...]
    filters: frozenset[Leaf]
    is_open: bool = False


@lru_cache(maxsize=20_000)
def trace(
    definition: str, dialect: str, relations: tuple[Relation, ...], wanted: tuple[str, ...]
) -> Trace | None:
    """Follow the columns of a definition, or return None where sqlglot cannot; never raises.

    `wanted` are the names of the view's columns, for those that a star hides. The same text
    over the same columns is followed once in the life of the process.
    """
    folded = written(definition, dialect).take()
    for alias_refs in (True, False):
        try:
            with bounded():
                folded = folded or parse(definition, folding(dialect))
                tree, spellings = qualified(folded, dialect, relations, alias_refs=alias_refs)
                return _Tracer(tree, spellings).trace(wanted)
        except NotKnowableError as error:
            # Aliases that could as well be columns of unknown tables are the one thing that
            # another try can leave aside.
            if not isinstance(error.__cause__, OptimizeError):
                return None
            folded = None
    return None


@dataclass
class _Uses:
    """Where values come from: columns of relations, and columns of other scopes."""

    leaves: set[Leaf]
    outputs: set[Output]

    def add(self, other: _Uses) -> None:
        self.leaves |= other.leaves
        self.outputs |= other.outputs


def _nothing() -> _Uses:
    return _Uses(leaves=set(), outputs=set())


class _Tracer:
    """One qualified tree. Scopes are known by their place in the order of traversal."""

    def __init__(self, tree: exp.Expr, spellings: list[Spelling]) -> None:
        self._spellings = spellings
        self._scopes = traverse_scope(tree)
        self._places = {id(scope.expression): at for at, scope in enumerate(self._scopes)}
        self._names = [self._names_of(scope) for scope in self._scopes]
        self._parts: dict[Output, _Uses] = {}
        self._seen: dict[int, _Uses] = {}

    def trace(self, wanted: tuple[str, ...]) -> Trace:
        if not self._scopes:
            return Trace(outputs=(), filters=frozenset())
        for at, scope in enumerate(self._scopes):
            for column in range(len(self._names[at])):
                self._parts[at, column] = self._part(scope, column)
        root = len(self._scopes) - 1
        names = self._names[root]
        outputs = tuple(
            (name, self._closed(self._parts[root, column]))
            for column, name in enumerate(names)
            if name != "*"
        )
        if "*" in names:
            hidden = [name for name in wanted if name not in names]
            outputs += tuple((name, self._closed(self._named(root, name))) for name in hidden)
        derived = frozenset(leaf for _, leaves in outputs for leaf in leaves)
        filters = frozenset(leaf for at in range(root + 1) for leaf in self._filters(at))
        return Trace(
            outputs=outputs,
            filters=filters | (self._mentioned() - derived),
            is_open="*" in names,
        )

    # -- the columns of a scope --------------------------------------------------------------

    def _names_of(self, scope: Scope) -> list[str]:
        expression = scope.expression
        named = list(expression.named_selects) if isinstance(expression, exp.Query) else []
        if isinstance(expression, exp.UDTF):
            named = list(expression.named_selects)
        return [*scope.outer_columns, *named[len(scope.outer_columns) :]]

    def _part(self, scope: Scope, column: int) -> _Uses:
        expression = scope.expression
        if isinstance(expression, exp.SetOperation):
            return self._arms(scope, column)
        if isinstance(expression, exp.Select):
            selects = expression.selects
            return self._used_in(selects[column], scope) if column < len(selects) else _nothing()
        if isinstance(expression, exp.Subquery):
            inner = self._places.get(id(expression.unnest()))
            return _Uses(leaves=set(), outputs={(inner, column)} if inner is not None else set())
        return self._of_function(scope, self._names_of(scope)[column])

    def _arms(self, scope: Scope, column: int) -> _Uses:
        """A column of a UNION is the columns of that place, or by name, in both arms."""
        uses = _nothing()
        by_name = bool(scope.expression.args.get("by_name"))
        for arm in scope.set_operation_scopes:
            at = self._place(arm)
            if by_name:
                uses.add(self._named(at, self._names_of(scope)[column]))
            elif column < len(self._names[at]):
                uses.outputs.add((at, column))
        return uses

    def _of_function(self, scope: Scope, name: str) -> _Uses:
        """A function that returns rows: its column `name`, if a subquery has it, else all of it."""
        uses = _nothing()
        for below in scope.subquery_scopes:
            uses.add(self._named(self._place(below), name))
        if not uses.outputs and not uses.leaves:
            uses = self._used_in(scope.expression, scope)
        return uses

    def _named(self, at: int, name: str) -> _Uses:
        """Return what the column of that name is in a scope; a star that stayed may hold it."""
        names = self._names[at]
        if name in names:
            return _Uses(leaves=set(), outputs={(at, names.index(name))})
        folded = [place for place, one in enumerate(names) if one.casefold() == name.casefold()]
        uses = _Uses(leaves=set(), outputs={(at, place) for place in folded})
        scope = self._scopes[at]
        if "*" in names and not folded:
            for source in _sources(scope):
                uses.add(self._in_source(source, name, scope))
        if isinstance(scope.expression, exp.UDTF) and not folded:
            uses.add(self._of_function(scope, name))
        return uses

    # -- what an expression uses -------------------------------------------------------------

    def _used_in(self, node: exp.Expr, scope: Scope) -> _Uses:
        uses = _nothing()
        for each in walk_in_scope(node):
            if isinstance(each, exp.Column | exp.TableColumn):
                uses.add(self._value(each, scope))
            elif each is not scope.expression and (at := self._places.get(id(each))) is not None:
                uses.outputs |= {(at, column) for column in range(len(self._names[at]))}
        return uses

    def _value(self, column: exp.Expr, scope: Scope) -> _Uses:
        """Return what a column of the text is; each is looked up once."""
        if id(column) not in self._seen:
            self._seen[id(column)] = self._column(column, scope)
        return self._seen[id(column)]

    def _column(self, column: exp.Expr, scope: Scope) -> _Uses:
        alias, name = column.text("table"), column.name
        if isinstance(column.this, exp.Star):
            return self._row(alias, scope)
        if isinstance(column, exp.TableColumn) or not alias:
            return self._bare(name, scope)
        for around in _outward(scope):
            source = around.sources.get(alias)
            if source is not None:
                return self._in_source(source, name, around)
        return _nothing()

    def _bare(self, name: str, scope: Scope) -> _Uses:
        """A column without its relation: of any source that has it.

        Else it is the name of a source, which stands for its whole row, or of an output.
        """
        own = self._places.get(id(scope.expression))
        if isinstance(scope.expression, exp.SetOperation) and own is not None:
            return self._named(own, name)
        for around in _outward(scope):
            uses = _nothing()
            for source in _sources(around):
                uses.add(self._in_source(source, name, around))
            if uses.leaves or uses.outputs:
                return uses
        row = self._row(name, scope)
        if not (row.leaves or row.outputs) and own is not None and name in self._names[own]:
            return _Uses(leaves=set(), outputs={(own, self._names[own].index(name))})
        return row

    def _row(self, alias: str, scope: Scope) -> _Uses:
        for around in _outward(scope):
            source = around.sources.get(alias)
            if isinstance(source, Scope):
                at = self._place(source)
                return _Uses(
                    leaves=set(), outputs={(at, place) for place in range(len(self._names[at]))}
                )
            if source is not None:
                place = place_of(source)
                known = self._spellings[place].keys if 0 <= place < len(self._spellings) else {}
                return _Uses(leaves={(place, name) for name in known.values()}, outputs=set())
        return _nothing()

    def _in_source(self, source: exp.Table | Scope, name: str, scope: Scope) -> _Uses:
        if isinstance(source, Scope):
            return self._named(self._place(source), name)
        if isinstance(source.this, exp.Func):
            return self._used_in(source.this, scope)
        place = place_of(source)
        if not 0 <= place < len(self._spellings):
            return _nothing()
        found = self._spellings[place].find(name)
        return _Uses(leaves={(place, column) for column in found}, outputs=set())

    def _place(self, scope: Scope) -> int:
        """Return the place of a scope.

        Inside a recursive CTE its own name stands for a scope that was never traversed, over
        the tree of its first arm: the whole UNION is meant.
        """
        at = self._places[id(scope.expression)]
        found = self._scopes[at]
        if found is not scope and found.parent is not None and found is not self._scopes[-1]:
            above = self._places.get(id(found.parent.expression))
            if above is not None and isinstance(found.parent.expression, exp.SetOperation):
                return above
        return at

    # -- the whole -----------------------------------------------------------------------------

    def _filters(self, at: int) -> frozenset[Leaf]:
        """Return what a scope uses outside of its list of columns."""
        scope = self._scopes[at]
        uses = _nothing()
        selected = {id(item) for item in _projections(scope)}
        if isinstance(scope.expression, exp.UDTF):
            return frozenset()
        for node in walk_in_scope(scope.expression):
            below = self._places.get(id(node)) if node is not scope.expression else None
            is_value = isinstance(node, exp.Column | exp.TableColumn)
            if below is not None and self._scopes[below].is_subquery:
                if not _is_under(node, selected, scope):
                    uses.outputs |= {(below, c) for c in range(len(self._names[below]))}
            elif is_value and not _is_under(node, selected, scope):
                uses.add(self._value(node, scope))
        return self._closed(uses)

    def _mentioned(self) -> frozenset[Leaf]:
        """Return every column of a relation that the text itself names."""
        uses = _nothing()
        for scope in self._scopes:
            for node in walk_in_scope(scope.expression):
                if isinstance(node, exp.Column | exp.TableColumn) and node.meta_get(WRITTEN):
                    uses.add(self._value(node, scope))
        return frozenset(uses.leaves)

    def _closed(self, uses: _Uses) -> frozenset[Leaf]:
        """Follow columns of scopes to columns of relations, round any recursion."""
        leaves = set(uses.leaves)
        seen = set(uses.outputs)
        front = list(uses.outputs)
        while front:
            part = self._parts.get(front.pop())
            if part is not None:
                leaves |= part.leaves
                front.extend(part.outputs - seen)
                seen |= part.outputs
        return frozenset(leaves)


def _outward(scope: Scope) -> Iterator[Scope]:
    """Yield the scope and those around it, whose columns a correlated subquery may use."""
    around: Scope | None = scope
    while around is not None:
        yield around
        around = around.parent


def _sources(scope: Scope) -> list[exp.Table | Scope]:
    """Return what a scope selects from, without the CTEs that only could be."""
    names = {name for name, _ in scope.references}
    return [source for name, source in scope.sources.items() if name in names]


def _projections(scope: Scope) -> list[exp.Expr]:
    return scope.expression.selects if isinstance(scope.expression, exp.Select) else []


def _is_under(node: exp.Expr, above: set[int], scope: Scope) -> bool:
    around: exp.Expr | None = node
    while around is not None and around is not scope.expression:
        if id(around) in above:
            return True
        around = around.parent
    return False
