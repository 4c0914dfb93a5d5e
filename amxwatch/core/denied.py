"""Columns of which no value may be seen, as patterns name them."""

from __future__ import annotations

from collections.abc import Iterable

from amxwatch.core.catalog import Table
from amxwatch.core.errors import ScopeError
from amxwatch.core.pattern import Selector, agrees, parse_parts, require_text

MOST_PARTS = 3


def parse_denied(text: str) -> Selector:
    """Read `column`, `table.column` or `schema.table.column`, globs allowed. Raises: ScopeError."""
    # A rule that keeps something back must not miss it for its case.
    selector = tuple(parse_parts(text.casefold()))
    require_text(selector, text)
    if len(selector) > MOST_PARTS:
        raise ScopeError(f"{text!r}: allowed: column, table.column or schema.table.column")
    return selector


def denied_columns(table: Table, patterns: Iterable[str]) -> frozenset[str]:
    """Return the columns of a table that a pattern names; the case of names does not count."""
    selectors = [parse_denied(text) for text in patterns]
    return frozenset(
        column.name
        for column in table.columns
        if any(_names(selector, (table.schema, table.name, column.name)) for selector in selectors)
    )


def _names(selector: Selector, parts: tuple[str, ...]) -> bool:
    ends = tuple(part.casefold() for part in parts[-len(selector) :])
    return agrees(selector, ends)
