"""Which keys are dropped and which are added, those in the way of others included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from amxwatch.core.catalog import Key, KeyKind, Table
from amxwatch.core.change import ChangeKind
from amxwatch.core.ddl.plan import Move, Plan, is_view, name_of
from amxwatch.core.ddl.reading import sorted_by_need

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
        gone = [table for table in self._plan.removed if not is_view(table)]
        places = {name_of(table): at for at, table in enumerate(in_order_of_keys(gone))}
        dropped = {(name_of(t), k) for t, k in self._dropped}
        lost = {(name_of(table), frozenset(key.columns)) for table, key in self.own_dropped()}
        for table in self._plan.old.tables:
            name = name_of(table)
            for key in table.keys:
                there = key.references
                if there is None or is_view(table) or (name, key) in dropped:
                    continue
                if name in places and places[name] < places.get(there, -1):
                    # A ring of keys: no order of dropping its tables runs.
                    aside.append((table, key))
                elif name not in self._gone and (there, frozenset(key.referenced_columns)) in lost:
                    aside.append((table, key))
                    now = self._after[self._plan.now(name)]
                    self._added.append((now, self._followed(table, key)))
        self._dropped += aside

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


def in_order_of_keys(tables: list[Table]) -> list[Table]:
    """Sort tables so that each stands after those that its foreign keys point at."""
    wanted = {name_of(table): table for table in tables}
    needs = {
        name: {key.references for key in table.keys if key.references and key.references != name}
        for name, table in wanted.items()
    }
    return [wanted[name] for name in sorted_by_need(wanted, needs)]
