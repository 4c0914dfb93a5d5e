"""Queries out of sqlglot's trees, and what they select from tables that are known."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from amxwatch.databases.sql_folder.query import Query, Source


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


def read_query(tree: exp.Expr, dialect: Dialect, *, names: tuple[str, ...]) -> Query:
    """Make a query of a tree whose identifiers are folded; `names` are its listed columns."""
    return Query(
        tree=pickle.dumps(tree, pickle.HIGHEST_PROTOCOL),
        text=_canonical(tree).sql(dialect=dialect, comments=False),
        names=names,
        reads=_reads(tree),
    )


def _reads(tree: exp.Expr) -> tuple[tuple[str, str], ...]:
    local = {cte.alias for cte in tree.find_all(exp.CTE)}
    found = {(source.db, source.name) for source in tree.find_all(exp.Table) if source.name}
    return tuple(sorted((db, name) for db, name in found if db or name not in local))


def project(pickled: bytes, dialect: Dialect, sources: tuple[Source, ...]) -> list[tuple[str, str]]:
    """Return the (name, type) of what a query's tree selects, as far as it can be known."""
    tree = pickle.loads(pickled)  # noqa: S301 - our own, from a process of ours
    assert isinstance(tree, exp.Expr)
    try:
        with _optimizing():
            return _optimized(tree.copy(), dialect, sources)
    except _NotKnowableError:
        named = tree.named_selects if isinstance(tree, exp.Query) else []
        return [(name, "") for name in named]


def _optimized(
    tree: exp.Expr, dialect: Dialect, sources: tuple[Source, ...]
) -> list[tuple[str, str]]:
    schema = MappingSchema(dialect=dialect, normalize=False)
    for _, (db, name), columns in sources:
        typed = {column: type_ or "unknown" for column, type_ in columns}
        schema.add_table(exp.table_(name, db=db, quoted=True), typed, match_depth=False)
    places = {named: found for named, found, _ in sources}
    for node in tree.find_all(exp.Table):
        if (place := places.get((node.db, node.name))) is not None:
            node.set("catalog", None)
            node.set("db", exp.to_identifier(place[0], quoted=True))
    tree = qualify(
        tree,
        dialect=dialect,
        schema=schema,
        validate_qualify_columns=False,
        quote_identifiers=False,
    )
    annotated = annotate_types(tree, schema=schema, dialect=dialect)
    selects = annotated.selects if isinstance(annotated, exp.Query) else []
    return [(item.alias_or_name, _type_of(item, dialect)) for item in selects]


def _type_of(item: exp.Expr, dialect: Dialect) -> str:
    type_ = item.type
    if type_ is None or type_.this in (exp.DType.UNKNOWN, exp.DType.NULL):
        return ""
    return str(type_.sql(dialect=dialect))


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
