"""The SELECT of a view, or of CREATE TABLE … AS: its canonical text and its columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from amxwatch.core.catalog import Column, Table

Lookup = Callable[[str, str], Table | None]
"""Finds a table by schema ("" for the search path) and name."""


class _NotKnowableError(Exception):
    """The optimizer has given up; the names that the text itself says are used."""


@contextmanager
def _optimizing() -> Iterator[None]:
    # sqlglot's optimizer is built for queries that run; on a half-known schema it may fail in
    # any of these ways, and a view without column types is still a view.
    try:
        yield
    except (SqlglotError, RecursionError, ValueError, TypeError) as error:
        raise _NotKnowableError from error
    except (AttributeError, LookupError, AssertionError) as error:
        raise _NotKnowableError from error


class Query:
    """A SELECT whose identifiers have been folded. Its columns are remembered by what it reads."""

    def __init__(self, tree: exp.Expr, dialect: Dialect, *, names: tuple[str, ...]) -> None:
        self._tree = tree
        self._dialect = dialect
        self._names = names
        self._seen: tuple[tuple[object, ...], tuple[Column, ...]] | None = None
        self.text = _canonical(tree).sql(dialect=dialect, comments=False)

    def columns(self, lookup: Lookup) -> tuple[Column, ...]:
        """Return the projection's columns; types are empty where they are not known."""
        sources = self._sources(lookup)
        signature = tuple(
            (key, table.schema, table.name, tuple((c.name, c.type) for c in table.columns))
            for key, table in sorted(sources.items())
        )
        if self._seen is None or self._seen[0] != signature:
            self._seen = (signature, self._named(self._projection(sources)))
        return self._seen[1]

    def _named(self, found: list[tuple[str, str]]) -> tuple[Column, ...]:
        if self._names and len(found) > len(self._names):
            found = found[: len(self._names)]
        types = [type_ for _, type_ in found] + [""] * len(self._names)
        names = [*self._names, *[name for name, _ in found][len(self._names) :]]
        kept = [(n, t) for n, t in zip(names, types, strict=False) if n and n != "*"]
        return tuple(Column(name=n, type=t, ordinal=i) for i, (n, t) in enumerate(kept, start=1))

    def _sources(self, lookup: Lookup) -> dict[tuple[str, str], Table]:
        local = {cte.alias for cte in self._tree.find_all(exp.CTE)}
        found: dict[tuple[str, str], Table] = {}
        for source in self._tree.find_all(exp.Table):
            if (source.name in local and not source.db) or not source.name:
                continue
            if (table := lookup(source.db, source.name)) is not None:
                found[(source.db, source.name)] = table
        return found

    def _projection(self, sources: dict[tuple[str, str], Table]) -> list[tuple[str, str]]:
        try:
            with _optimizing():
                return self._optimized(sources)
        except _NotKnowableError:
            named = self._tree.named_selects if isinstance(self._tree, exp.Query) else []
            return [(name, "") for name in named]

    def _optimized(self, sources: dict[tuple[str, str], Table]) -> list[tuple[str, str]]:
        tree = self._tree.copy()
        schema = MappingSchema(dialect=self._dialect, normalize=False)
        for table in sources.values():
            columns = {column.name: column.type or "unknown" for column in table.columns}
            schema.add_table(
                exp.table_(table.name, db=table.schema, quoted=True), columns, match_depth=False
            )
        for node in tree.find_all(exp.Table):
            if (found := sources.get((node.db, node.name))) is not None:
                node.set("catalog", None)
                node.set("db", exp.to_identifier(found.schema, quoted=True))
        tree = qualify(
            tree,
            dialect=self._dialect,
            schema=schema,
            validate_qualify_columns=False,
            quote_identifiers=False,
        )
        typed = annotate_types(tree, schema=schema, dialect=self._dialect)
        selects = typed.selects if isinstance(typed, exp.Query) else []
        return [(item.alias_or_name, self._type_of(item)) for item in selects]

    def _type_of(self, item: exp.Expr) -> str:
        type_ = item.type
        unknown = (exp.DType.UNKNOWN, exp.DType.NULL)
        if type_ is None or type_.this in unknown:
            return ""
        return str(type_.sql(dialect=self._dialect))


def _canonical(tree: exp.Expr) -> exp.Expr:
    """Drop the words INNER and OUTER, which say nothing."""
    if not any(join.args.get("kind") for join in tree.find_all(exp.Join)):
        return tree
    copy = tree.copy()
    for join in copy.find_all(exp.Join):
        kind, side = join.args.get("kind"), join.args.get("side")
        if kind == "INNER" or (kind == "OUTER" and side):
            join.set("kind", None)
    return copy
