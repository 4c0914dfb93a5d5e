"""DuckDB: a table is copied aside, dropped and made anew where ALTER TABLE cannot do it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from amxwatch.core.catalog import Catalog, Column, ObjectType, Table
from amxwatch.core.change import ChangeKind
from amxwatch.core.ddl.keys import in_order_of_keys
from amxwatch.core.ddl.plan import ColumnMove, Move, Name, Plan, is_view, name_of
from amxwatch.core.ddl.script import Line, note, statement
from amxwatch.core.ddl.spelling import Spelling, is_generated
from amxwatch.core.ddl.writer import Writer

SEQUENCE = re.compile(r"nextval\('((?:[^']|'')+)'\)")
MILD = frozenset({ChangeKind.DEFAULT_CHANGED, ChangeKind.COMMENT_CHANGED})
"""What may change in a column while a foreign key of another table holds on to it."""


class DuckdbSpelling(Spelling):
    """Takes off the cast that DuckDB puts around the expression of a computed column."""

    def column(self, column: Column, *, nullable: bool | None = None) -> str:
        start, end = "GENERATED ALWAYS AS (CAST(", f" AS {column.type}))"
        default = column.default or ""
        if default.startswith(start) and default.endswith(end):
            bare = default.removeprefix(start).removesuffix(end)
            column = replace(column, default=f"GENERATED ALWAYS AS ({bare})")
        return super().column(column, nullable=nullable)


class DuckdbWriter(Writer):
    """One transaction. A table is rebuilt with what points at it."""

    spelling = DuckdbSpelling
    is_transactional = True
    folds_names = True
    inline_foreign_keys = True

    def __init__(self, plan: Plan, *, dialect: str, comments: frozenset[ObjectType]) -> None:
        self._rebuilt = _rebuilt(plan)
        """Old names of what is rebuilt -> its move."""
        names = sorted(self._rebuilt)
        self._aside = {name: f"amxwatch_{number}" for number, name in enumerate(names, start=1)}
        super().__init__(plan, dialect=dialect, comments=comments)

    def views_in_the_way(self) -> set[Name]:
        touched = [name_of(table) for table in self.plan.removed]
        touched += [name_of(m.old) for m in self.plan.table_moves() if self.disturbs_views(m)]
        return {name_of(v) for v in self.plan.readers.above([*touched, *self._rebuilt])}

    def disturbs_views(self, move: Move) -> bool:
        """A view remembers the columns of what it reads."""
        structural = {kind for column in move.changed for kind in column.kinds} - MILD
        return bool(move.is_renamed or move.removed or move.added or structural)

    def altered_moves(self) -> list[Move]:
        return [m for m in self.plan.table_moves() if name_of(m.old) not in self._rebuilt]

    def set_aside(self) -> set[Name]:
        return set(self._rebuilt)

    def renames(self, move: Move) -> bool:
        return super().renames(move) and name_of(move.old) not in self._rebuilt

    def drop_foreign_keys(self) -> Iterator[Line]:
        yield from ()

    def drop_keys(self) -> Iterator[Line]:
        yield from ()

    def add_keys(self) -> Iterator[Line]:
        yield from ()

    def drop_tables(self) -> Iterator[Line]:
        for name, move in sorted(self._rebuilt.items()):
            aside = self.sql.table(name[0], self._aside[name])
            yield note(
                f"{move.new.ref} is rebuilt: its indexes and checks are not in a catalog and must"
                " be made again"
            )
            yield statement(f"CREATE TABLE {aside} AS FROM {self.sql.of(move.old)}")
        gone = [table for table in self.plan.removed if not is_view(table)]
        gone += [move.old for move in self._rebuilt.values()]
        for table in reversed(in_order_of_keys(gone)):
            yield statement(f"DROP TABLE {self.sql.of(table)}")

    def make_tables(self) -> Iterator[Line]:
        moves = {name_of(move.new): move for move in self._rebuilt.values()}
        came = [table for table in self.plan.added if not is_view(table)]
        for table in in_order_of_keys([*came, *(move.new for move in moves.values())]):
            yield from self.make_table(table)
            move = moves.get(name_of(table))
            if move is not None:
                yield from self._fill(move)

    def _fill(self, move: Move) -> Iterator[Line]:
        old = name_of(move.old)
        aside = self.sql.table(old[0], self._aside[old])
        kept = [c for c in move.kept if not is_generated(c.new.default)]
        if kept:
            into = self.sql.names(c.new.name for c in kept)
            source = self.sql.names(c.old.name for c in kept)
            yield statement(
                f"INSERT INTO {self.sql.of(move.new)} ({into}) SELECT {source} FROM {aside}"
            )
        yield statement(f"DROP TABLE {aside}")

    def needed_by(self, table: Table, columns: Iterable[Column]) -> Iterator[Line]:
        del table
        for column in columns:
            for name in SEQUENCE.findall(column.default or ""):
                yield note("sequences are made where they are missing, but none is dropped")
                yield statement(f"CREATE SEQUENCE IF NOT EXISTS {_sequence(name)}")

    def alter_column(self, table: Table, moved: ColumnMove) -> Iterator[Line]:
        """Take the default off while the type moves: it may not fit both."""
        retyped = ChangeKind.TYPE_CHANGED in moved.kinds and moved.old.default is not None
        if retyped:
            yield self.altering(table, moved.new, "DROP DEFAULT")
        yield from super().alter_column(table, moved)
        if retyped and ChangeKind.DEFAULT_CHANGED not in moved.kinds:
            yield self.altering(table, moved.new, f"SET DEFAULT {moved.new.default}")

    def after_view(self, view: Table) -> Iterator[Line]:
        """There are no rights to grant again."""
        del view
        yield from ()

    def comment_move(self, move: Move) -> Iterator[Line]:
        if name_of(move.old) not in self._rebuilt:
            yield from super().comment_move(move)

    def comment(self) -> Iterator[Line]:
        for move in self._rebuilt.values():
            yield from self.comments.whole(move.new)
        yield from super().comment()


def _sequence(name: str) -> str:
    """Return the name in nextval('…') as SQL; it is written there as SQL takes it."""
    return name.replace("''", "'")


def _rebuilt(plan: Plan) -> dict[Name, Move]:
    """Return what must be rebuilt, each with its move: also what points at it, as it is held."""
    holders = _holders(plan.old)
    moves = {name_of(move.old): move for move in plan.table_moves()}
    reached = {name for name, move in moves.items() if _is_rebuilt(move, is_held=name in holders)}
    waiting = list(reached)
    gone = {name_of(table) for table in plan.removed}
    while waiting:
        for other in holders.get(waiting.pop(), set()) - reached - gone:
            reached.add(other)
            waiting.append(other)
    old = {name_of(table): table for table in plan.old.tables}
    new = {name_of(table): table for table in plan.new.tables}
    return {name: moves.get(name) or _unmoved(old[name], new[name]) for name in reached}


def _holders(catalog: Catalog) -> dict[Name, set[Name]]:
    """Return by each table that foreign keys of others point at whose those are."""
    holders: dict[Name, set[Name]] = defaultdict(set)
    for table in catalog.tables:
        for key in table.keys:
            if key.references is not None and key.references != name_of(table):
                holders[key.references].add(name_of(table))
    return dict(holders)


def _unmoved(old: Table, new: Table) -> Move:
    kept = zip(old.columns, new.columns, strict=True)
    return Move(
        old=old,
        new=new,
        kinds=frozenset(),
        kept=tuple(ColumnMove(old=a, new=b) for a, b in kept),
        removed=(),
        added=(),
    )


def _is_rebuilt(move: Move, *, is_held: bool) -> bool:
    """Claim that ALTER TABLE cannot do it; `is_held` by a foreign key it can do very little."""
    old, new = move.old, move.new
    structural = {kind for column in move.changed for kind in column.kinds} - MILD
    if is_held and (move.is_renamed or move.removed or structural):
        return True
    computes = any(is_generated(c.default) for c in (*old.columns, *new.columns))
    return (
        ChangeKind.KEY_CHANGED in move.kinds
        or old.schema != new.schema
        or not move.kept
        or _touches_keys(move)
        or (computes and bool(structural or move.removed or move.added))
        or any(is_generated(c.old.default) != is_generated(c.new.default) for c in move.changed)
    )


def _touches_keys(move: Move) -> bool:
    """Claim that a column of a key moves, or one that stands before such a column goes."""
    in_keys = {column for key in move.old.keys for column in key.columns}
    pointing = {column for key in move.old.keys if key.references for column in key.columns}
    places = [at for at, column in enumerate(move.old.columns) if column.name in in_keys]
    gone = [at for at, column in enumerate(move.old.columns) if column in move.removed]
    touched = {c.old.name for c in move.changed if c.kinds - MILD - {ChangeKind.RENAMED}}
    renamed = {c.old.name for c in move.changed if ChangeKind.RENAMED in c.kinds}
    return bool(
        in_keys & touched or pointing & renamed or (places and gone and min(gone) <= max(places))
    )
