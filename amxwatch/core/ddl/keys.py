"""Which keys are dropped and which are added, those in the way of others included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from amxwatch.core.catalog import Key, KeyKind, Table
from amxwatch.core.change import ChangeKind
from amxwatch.core.ddl.plan import Move, Name, Plan, is_view, name_of

type_of_pairs = list[tuple[Table, Key]]


class KeyMoves:
    """Pairs of table and key: old tables for what is dropped, new ones for what is added."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._moves = {name_of(move.old): move for move in plan.table_moves()}
        self._gone = {name_of(table) for table in plan.removed}
        self._after = {name_of(table): table for table in plan.new.tables}
        changed = [m for m in self._moves.values() if ChangeKind.KEY_CHANGED in m.kinds]
        self._dropped = [(m.old, key) for m in changed for key in self._lost(m)]
        self._added = [(m.new, key) for m in changed for key in self._fresh(m)]
        self._set_aside()

    def foreign_dropped(self) -> type_of_pairs:
        return [pair for pair in self._dropped if pair[1].kind is KeyKind.FOREIGN]

    def own_dropped(self) -> type_of_pairs:
        return [pair for pair in self._dropped if pair[1].kind is not KeyKind.FOREIGN]

    def own_added(self) -> type_of_pairs:
        return [pair for pair in self._added if pair[1].kind is not KeyKind.FOREIGN]

    def foreign_added(self) -> type_of_pairs:
        return [pair for pair in self._added if pair[1].kind is KeyKind.FOREIGN]

    def _lost(self, move: Move) -> Iterator[Key]:
        now = set(_bare(move.new.keys))
        seen: set[Key] = set()
        for key in move.old.keys:
            followed = self._followed(move.old, key)
            if followed not in now and key not in seen:
                seen.add(key)
                yield key

    def _fresh(self, move: Move) -> Iterator[Key]:
        before = {self._followed(move.old, key) for key in move.old.keys}
        for key in dict.fromkeys(_bare(move.new.keys)):
            if key not in before:
                yield key

    def _set_aside(self) -> None:
        """Take foreign keys off that stand on a key, or between tables, that are dropped."""
        aside: type_of_pairs = []
        dropped = {(name_of(t), k) for t, k in self._dropped}
        lost = {(name_of(t), k.columns) for t, k in self._dropped if k.kind is not KeyKind.FOREIGN}
        for table in self._plan.old.tables:
            name = name_of(table)
            for key in table.keys:
                there = key.references
                if there is None or is_view(table) or (name, key) in dropped:
                    continue
                is_ring = there in self._gone and name in self._gone and there != name
                if is_ring and self._points_back(there, name):
                    aside.append((table, key))
                elif name not in self._gone and _stands_on(there, key, lost):
                    aside.append((table, key))
                    now = self._after[self._plan.now(name)]
                    self._added.append((now, self._followed(table, key)))
        self._dropped += aside

    def _points_back(self, start: Name, goal: Name) -> bool:
        """Claim that foreign keys lead from one removed table to another."""
        tables = {name_of(table): table for table in self._plan.removed}
        seen: set[Name] = set()
        waiting = [start]
        while waiting:
            name = waiting.pop()
            if name == goal:
                return True
            if name not in seen and name in tables:
                seen.add(name)
                waiting += [key.references for key in tables[name].keys if key.references]
        return False

    def _followed(self, table: Table, key: Key) -> Key:
        """Return an old key in new names, without its own."""
        move = self._moves.get(name_of(table))
        names = move.names if move else {}
        target = self._moves.get(key.references) if key.references else None
        theirs = target.names if target else {}
        return replace(
            key,
            name=None,
            columns=tuple(names.get(column, column) for column in key.columns),
            references=self._plan.now(key.references) if key.references else None,
            referenced_columns=tuple(theirs.get(name, name) for name in key.referenced_columns),
        )


def _bare(keys: Iterable[Key]) -> list[Key]:
    return [replace(key, name=None) for key in keys]


def _stands_on(there: Name, key: Key, lost: set[tuple[Name, tuple[str, ...]]]) -> bool:
    columns = set(key.referenced_columns)
    return any(name == there and set(own) == columns for name, own in lost)
