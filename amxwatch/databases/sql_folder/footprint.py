"""What a file's statements touch and go by, so that an edit of it costs only what it touches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from amxwatch.core.catalog import Key
from amxwatch.databases.sql_folder.edits import (
    AddColumn,
    AddKey,
    DropColumn,
    DropSchema,
    DropTable,
    Edit,
    Name,
    PutSchema,
    PutTable,
    RenameColumn,
    RenameSchema,
    RenameTable,
    SetComment,
    SetPath,
    SwapTables,
)
from amxwatch.databases.sql_folder.memory import Mended

Step = tuple[Name | None, Edit]
"""An edit and the table that it touches; None for a search path or a schema."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """One file's edits, each with the table it touches, which does not depend on other files.

    `follows` are pairs (table, what its columns are taken from), `refers` pairs (table, what a
    foreign key of it references). `is_wild` says that the file cannot be understood by itself:
    it moves names, looks them up on a path of several schemas, or is broken.
    """

    steps: tuple[Step, ...] = ()
    touches: frozenset[Name] = frozenset()
    follows: frozenset[tuple[Name, Name]] = frozenset()
    refers: frozenset[tuple[Name, Name]] = frozenset()
    volatile: frozenset[Name] = frozenset()
    """Tables whose drop, or whose columns' moves, foreign keys of others follow."""
    comments_schemas: bool = False
    is_wild: bool = False


@dataclass(kw_only=True)
class _Walk:
    path: tuple[str, ...]
    default: str
    steps: list[Step] = field(default_factory=list)
    follows: set[tuple[Name, Name]] = field(default_factory=set)
    refers: set[tuple[Name, Name]] = field(default_factory=set)
    volatile: set[Name] = field(default_factory=set)
    is_wild: bool = False

    def resolve(self, name: Name) -> Name:
        """Find a name as `Assembly` does where at most one schema is on the path."""
        return name if name[0] else ((self.path[0] if self.path else self.default), name[1])

    def take(self, edit: Edit) -> None:
        match edit:
            case SetPath():
                self.path = edit.schemas
                self.is_wild = self.is_wild or len(edit.schemas) > 1
                self.steps.append((None, edit))
            case RenameTable() | SwapTables() | RenameSchema() | DropSchema():
                self.is_wild = True
            case PutSchema() | SetComment(table=""):
                self.steps.append((None, edit))
            case PutTable() | DropTable():
                self._take_whole(edit)
            case SetComment():
                self.steps.append((self.resolve((edit.schema, edit.table)), edit))
            case _:
                name = self.resolve(edit.table)
                self.steps.append((name, edit))
                if isinstance(edit, RenameColumn | DropColumn):
                    self.volatile.add(name)
                elif isinstance(edit, AddColumn):
                    self._refer(name, edit.keys)
                elif isinstance(edit, AddKey):
                    self._refer(name, (edit.key,))

    def _take_whole(self, edit: PutTable | DropTable) -> None:
        name = self.resolve(edit.name)
        self.steps.append((name, edit))
        if isinstance(edit, DropTable):
            self.volatile.add(name)
            return
        self._refer(name, edit.keys)
        reads = edit.query.reads if edit.query is not None else ()
        sources = (*reads, *(copy.source for copy in edit.copies))
        self.follows |= {(name, self.resolve(source)) for source in sources}

    def _refer(self, name: Name, keys: tuple[Key, ...]) -> None:
        self.refers |= {(name, self.resolve(key.references)) for key in keys if key.references}


def footprint_of(mended: Mended, default_schema: str) -> Footprint:
    """Return what one file's statements touch."""
    walk = _Walk(path=(default_schema,), default=default_schema, is_wild=mended.loses)
    for statement in mended.statements:
        walk.is_wild = walk.is_wild or statement.fault is not None
        for edit in statement.edits:
            walk.take(edit)
    return Footprint(
        steps=tuple(walk.steps),
        touches=frozenset(name for name, _ in walk.steps if name is not None),
        follows=frozenset(walk.follows),
        refers=frozenset(walk.refers),
        volatile=frozenset(walk.volatile),
        comments_schemas=any(isinstance(e, SetComment) and not e.table for _, e in walk.steps),
        is_wild=walk.is_wild,
    )


def moved_names(old: Footprint, new: Footprint) -> tuple[frozenset[Name], bool]:
    """Return the tables that the difference between two versions of a file touches.

    The second is False where it also touches schemas: then everything may have moved.
    """
    head = 0
    while head < min(len(old.steps), len(new.steps)) and _is_same(old, new, head):
        head += 1
    tail = 0
    rest = min(len(old.steps), len(new.steps)) - head
    while tail < rest and _is_same(old, new, -1 - tail):
        tail += 1
    steps = [
        *old.steps[head : len(old.steps) - tail],
        *new.steps[head : len(new.steps) - tail],
    ]
    if any(isinstance(edit, SetPath) for _, edit in steps):
        steps = [*old.steps, *new.steps]  # what follows it may mean other tables now
    names = frozenset(name for name, _ in steps if name is not None)
    return names, not any(name is None and not isinstance(edit, SetPath) for name, edit in steps)


def _is_same(old: Footprint, new: Footprint, at: int) -> bool:
    """A statement that did not change is the same object: it was not read again."""
    before, after = old.steps[at], new.steps[at]
    return before[0] == after[0] and before[1] is after[1]


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far an edit reaches: `moved` are the tables that may differ, `replayed` what it takes."""

    moved: frozenset[Name]
    replayed: frozenset[Name]


def reach(names: frozenset[Name], footprints: Iterable[Footprint]) -> Reach:
    """Follow what is taken from the named tables, and what all of that is taken from."""
    footprints = list(footprints)
    volatile = frozenset().union(*(each.volatile for each in footprints))
    takers: dict[Name, set[Name]] = defaultdict(set)
    sources: dict[Name, set[Name]] = defaultdict(set)
    for each in footprints:
        for taker, source in each.follows:
            takers[source].add(taker)
            sources[taker].add(source)
        for taker, source in each.refers if volatile else ():
            if source in volatile:
                takers[source].add(taker)
                sources[taker].add(source)
    moved = _closed(names, takers)
    return Reach(moved=moved, replayed=_closed(moved, sources))


def _closed(names: frozenset[Name], edges: dict[Name, set[Name]]) -> frozenset[Name]:
    found = set(names)
    ahead = list(names)
    while ahead:
        for name in edges.get(ahead.pop(), ()):
            if name not in found:
                found.add(name)
                ahead.append(name)
    return frozenset(found)
