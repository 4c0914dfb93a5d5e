"""The SELECT of a view, or of CREATE TABLE … AS, as a value that needs no sqlglot."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from amxwatch.core.catalog import Column, Table

Lookup: TypeAlias = Callable[[str, str], Table | None]
"""Finds a table by schema ("" for the search path) and name."""

Source: TypeAlias = tuple[tuple[str, str], tuple[str, str], tuple[tuple[str, str], ...]]
"""What a query reads: its (schema, name) as written, as found, and the columns' (name, type)."""

Project: TypeAlias = Callable[[bytes, tuple[Source, ...]], list[tuple[str, str]]]
"""Returns the (name, type) of what a tree selects from these sources; sqlglot's matter."""


class Query:
    """A SELECT whose identifiers have been folded. Its columns are remembered by what it reads.

    `tree` is sqlglot's, pickled: it is needed only where a source has moved. `reads` are the
    tables that it names, as written.
    """

    def __init__(
        self, *, tree: bytes, text: str, names: tuple[str, ...], reads: tuple[tuple[str, str], ...]
    ) -> None:
        self.text = text
        self.reads = reads
        self._tree = tree
        self._names = names
        self._seen: tuple[tuple[Source, ...], tuple[Column, ...]] | None = None

    def columns(self, lookup: Lookup, project: Project) -> tuple[Column, ...]:
        """Return the projection's columns; types are empty where they are not known."""
        found = [(named, lookup(*named)) for named in self.reads]
        sources = tuple(
            (named, (table.schema, table.name), tuple((c.name, c.type) for c in table.columns))
            for named, table in found
            if table is not None
        )
        if self._seen is None or self._seen[0] != sources:
            self._seen = (sources, self._named(project(self._tree, sources)))
        return self._seen[1]

    def _named(self, found: list[tuple[str, str]]) -> tuple[Column, ...]:
        if self._names and len(found) > len(self._names):
            found = found[: len(self._names)]
        types = [type_ for _, type_ in found] + [""] * len(self._names)
        names = [*self._names, *[name for name, _ in found][len(self._names) :]]
        kept = [(n, t) for n, t in zip(names, types, strict=False) if n and n != "*"]
        return tuple(Column(name=n, type=t, ordinal=i) for i, (n, t) in enumerate(kept, start=1))
