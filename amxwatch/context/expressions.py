"""What each column of a view is computed by, as its SELECT says it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from sqlglot import exp

from amxwatch.context.written import NotKnowableError, bounded, folding, parse
from amxwatch.core.catalog import Table

_NOTHING: Mapping[str, str] = MappingProxyType({})


def expressions_of(table: Table, dialect: str) -> Mapping[str, str]:
    """Return the expression of each column that is more than another column's value.

    Without comments and in one layout, so that a reformatted view says the same. Nothing where
    there is no definition, where it cannot be parsed, or where it is a UNION.
    """
    if not table.definition:
        return _NOTHING
    return _expressions(table.definition, dialect, tuple(c.name for c in table.columns))


@lru_cache(maxsize=4_096)
def _expressions(definition: str, dialect: str, columns: tuple[str, ...]) -> Mapping[str, str]:
    try:
        with bounded():
            query = parse(definition, folding(dialect)).tree
            if not isinstance(query, exp.Select):
                return _NOTHING
            named = _named(query, columns)
            return MappingProxyType(
                {
                    column: each.sql(dialect=dialect, comments=False)
                    for column, each in named.items()
                    if not isinstance(each, exp.Column | exp.Star)
                }
            )
    except NotKnowableError:
        return _NOTHING


def _named(query: exp.Select, columns: tuple[str, ...]) -> dict[str, exp.Expr]:
    """Pair columns and what is selected: by place, and by name where a star hides some."""
    selected = query.selects
    if len(selected) == len(columns) and not any(each.is_star for each in selected):
        return {name: each.unalias() for name, each in zip(columns, selected, strict=True)}
    known = {column.casefold(): column for column in columns}
    found = ((known.get(each.alias_or_name.casefold()), each.unalias()) for each in selected)
    return {name: each for name, each in found if name is not None}
