"""Which views read which tables, so that they are dropped and made in an order that runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from amxwatch.core.catalog import Catalog, ObjectType, Table
from amxwatch.core.grammar import parsed, within_bounds

_Name = tuple[str, str]


class Readers:
    """The views of a catalog, and what they read: as the source says, else as their SQL does."""

    def __init__(self, catalog: Catalog, *, dialect: str) -> None:
        self._dialect = dialect
        self._spelled = _spellings(catalog.tables)
        self._views = [table for table in catalog.tables if table.type is not ObjectType.TABLE]
        self._reads: dict[_Name, set[_Name]] | None = None

    def above(self, names: Iterable[_Name]) -> list[Table]:
        """Return the views that read any of these, directly or through others."""
        reads = self._known()
        reached = set(names)
        found: dict[_Name, Table] = {}
        grew = True
        while grew:
            grew = False
            for view in self._views:
                name = (view.schema, view.name)
                if name not in found and reads[name] & reached:
                    found[name] = view
                    reached.add(name)
                    grew = True
        return list(found.values())

    def in_order(self, views: Iterable[Table]) -> list[Table]:
        """Sort views so that each stands after all that it reads."""
        wanted = {(view.schema, view.name): view for view in views}
        reads = {name: self._read_by(view) for name, view in wanted.items()}
        return [wanted[name] for name in sorted_by_need(wanted, reads)]

    def _known(self) -> dict[_Name, set[_Name]]:
        if self._reads is None:
            self._reads = {(view.schema, view.name): self._read_by(view) for view in self._views}
        return self._reads

    def _read_by(self, view: Table) -> set[_Name]:
        if view.reads:
            return set(view.reads)
        text = view.definition or ""
        tree = parsed(text, self._dialect) if within_bounds(text, self._dialect) else None
        if tree is None:
            # It may read anything that it mentions.
            words = text.casefold()
            return {name for name in self._spelled.values() if name[1].casefold() in words}
        from sqlglot.expressions import Table as Named

        names = {(named.db or view.schema, named.name) for named in tree.find_all(Named)}
        return {self._spelled.get(_folded(name), name) for name in names}


def _folded(name: _Name) -> _Name:
    return (name[0].casefold(), name[1].casefold())


def _spellings(tables: Iterable[Table]) -> dict[_Name, _Name]:
    return {_folded((table.schema, table.name)): (table.schema, table.name) for table in tables}


def sorted_by_need(names: Iterable[_Name], needs: dict[_Name, set[_Name]]) -> list[_Name]:
    """Sort names so that each stands after what it needs; in a circle, as they came."""
    found: list[_Name] = []
    seen: set[_Name] = set()
    wanted = list(names)
    known = set(wanted)
    users: dict[_Name, int] = defaultdict(int)
    for name in wanted:
        users[name] = 0
    for start in wanted:
        stack = [(start, iter(sorted(needs.get(start, set()) & known)))]
        if start in seen:
            continue
        seen.add(start)
        while stack:
            name, rest = stack[-1]
            following = next((other for other in rest if other not in seen), None)
            if following is None:
                stack.pop()
                found.append(name)
            else:
                seen.add(following)
                stack.append((following, iter(sorted(needs.get(following, set()) & known))))
    return found
