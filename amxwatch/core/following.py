"""Keys that follow renames: what a foreign key says once what it points at has a new name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from amxwatch.core.catalog import Column, Key, ObjectRef, Table
from amxwatch.core.rename import Match, Matches


@dataclass(frozen=True, kw_only=True)
class TableMatch:
    """A table in both catalogs, and its columns."""

    table: Match[Table]
    columns: Matches[Column]


@dataclass(frozen=True, kw_only=True)
class Renames:
    """Old names to new ones, so that a key that only follows a rename is not a change."""

    tables: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    columns: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, matches: Iterable[TableMatch]) -> Renames:
        tables = {}
        columns = {}
        for match in matches:
            old, new = match.table.old, match.table.new
            tables[old.schema, old.name] = (new.schema, new.name)
            columns[old.schema, old.name] = {
                each.old.name: each.new.name for each in match.columns.kept
            }
        return cls(tables=tables, columns=columns)

    def follow(self, owner: tuple[str, str], key: Key) -> Key:
        """Return the key of the old table `owner` in new names, without its own name."""
        own = self.columns.get(owner, {})
        there = self.columns.get(key.references, {}) if key.references else {}
        return replace(
            key,
            name=None,
            columns=tuple(own.get(column, column) for column in key.columns),
            references=self.tables.get(key.references, key.references) if key.references else None,
            referenced_columns=tuple(there.get(name, name) for name in key.referenced_columns),
        )


def moved_keys(match: Match[Table], renames: Renames) -> bool:
    """Claim that the keys of a table differ by more than what they follow."""
    old, new = match.old, match.new
    before = {renames.follow((old.schema, old.name), key) for key in old.keys}
    return before != {replace(key, name=None) for key in new.keys}


@dataclass(frozen=True, kw_only=True)
class Followers:
    """The tables whose keys are as before but for renames of what they point at."""

    _by_target: Mapping[tuple[str, str], list[tuple[ObjectRef, Key]]]
    """Old name of what is pointed at -> new name of who points at it, and the old key."""

    @classmethod
    def of(cls, matches: Iterable[TableMatch], renames: Renames) -> Followers:
        found: dict[tuple[str, str], list[tuple[ObjectRef, Key]]] = defaultdict(list)
        for match in matches:
            keys = [key for key in match.table.old.keys if key.references in renames.tables]
            if keys and not moved_keys(match.table, renames):
                for key in keys:
                    assert key.references is not None
                    found[key.references].append((match.table.new.ref, key))
        return cls(_by_target=found)

    def named(self, renamed: Table, column: str | None = None) -> list[ObjectRef]:
        """Return the tables with a foreign key to this old table (to this column of it)."""
        near = self._by_target.get((renamed.schema, renamed.name), [])
        return sorted(
            {ref for ref, key in near if column is None or column in key.referenced_columns}
        )
