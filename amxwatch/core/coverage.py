"""How much of a catalog is described, by whom, and which descriptions went stale.

What counts are tables (views among them) and columns. A description is stale when what it
describes has moved since: a column's type, nullability, default or keys; a table's or view's
definition, keys, or columns. Compared are the version that the description was made for and the
version of now, so that a change undone makes nothing stale; nor do a rename alone, another
spelling, or a baseline. This is the one meaning of the word in the whole product.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from amxwatch.core.catalog import Catalog, Key, ObjectRef, ObjectType, SnapshotNumber, Table
from amxwatch.core.change import Change, ChangeKind
from amxwatch.core.datatype import same_type
from amxwatch.core.life import Lives, Step, Trails
from amxwatch.core.scope import Scope
from amxwatch.core.selection import structure_hash
from amxwatch.core.view import same_definition


class Author(enum.StrEnum):
    """Whose words a description is made of. What we did not draft is people's."""

    PEOPLE = "people"
    AMXWATCH = "amxwatch"


@dataclass(frozen=True, kw_only=True)
class Description:
    """The words for one object.

    `text` is the comment that stands in the database; None where the words still wait to be
    written. `made_from` is the snapshot that the words were drafted from; where it is None they
    were made for the version beside which the comment first stood.
    """

    ref: ObjectRef
    author: Author
    text: str | None = None
    made_from: SnapshotNumber | None = None


@dataclass(frozen=True, kw_only=True)
class Stale:
    """A description that is older than what it describes.

    `described_in` is the snapshot of the version that it was made for, `since` the one from
    which on that version is no more. `moved` says what differs now.
    """

    ref: ObjectRef
    object_type: ObjectType
    author: Author
    text: str | None
    described_in: SnapshotNumber
    since: SnapshotNumber
    moved: tuple[Change, ...]


@dataclass(frozen=True, kw_only=True)
class Share:
    """The coverage of a schema or a table (`table` is empty: of a whole schema)."""

    schema: str
    table: str = ""
    objects: int = 0
    described: int = 0
    stale: int = 0

    @property
    def percent(self) -> float:
        return share_of(self.described, self.objects)


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What of a scope is described, in the order of the catalog."""

    tables: tuple[Share, ...]
    schemas: tuple[Share, ...]
    by: Mapping[Author, int] = field(default_factory=dict)

    @property
    def objects(self) -> int:
        return sum(share.objects for share in self.schemas)

    @property
    def described(self) -> int:
        return sum(share.described for share in self.schemas)

    @property
    def stale(self) -> int:
        return sum(share.stale for share in self.schemas)

    @property
    def percent(self) -> float:
        return share_of(self.described, self.objects)


def share_of(part: int, whole: int) -> float:
    """Return a share in percent; all of nothing is 100."""
    return 100 * part / whole if whole else 100.0


def measure(
    catalog: Catalog,
    scope: Scope,
    *,
    ours: Collection[ObjectRef] = (),
    stale: Collection[ObjectRef] = (),
) -> Coverage:
    """Count what in scope has a comment. `ours` are the objects that we described."""
    tables = []
    by = dict.fromkeys(Author, 0)
    told = {ref.owner for ref in ours} | {ref.owner for ref in stale}
    for table in catalog.tables:
        if scope.is_all and table.ref not in told:
            share, own = _whole(table), 0
        else:
            objects = dict(_objects(table, scope))
            described = [ref for ref, comment in objects.items() if comment]
            own = sum(ref in ours for ref in described)
            share = Share(
                schema=table.schema,
                table=table.name,
                objects=len(objects),
                described=len(described),
                stale=sum(ref in stale for ref in described),
            )
        if share.objects:
            tables.append(share)
            by[Author.AMXWATCH] += own
            by[Author.PEOPLE] += share.described - own
    return Coverage(tables=tuple(tables), schemas=_by_schema(tables), by=by)


def _whole(table: Table) -> Share:
    """Count a table that is wholly in scope; most are, and names for all of it cost the most."""
    return Share(
        schema=table.schema,
        table=table.name,
        objects=1 + len(table.columns),
        described=bool(table.comment) + sum(bool(column.comment) for column in table.columns),
    )


def _objects(table: Table, scope: Scope) -> Iterator[tuple[ObjectRef, str | None]]:
    if scope.covers(table.ref):
        yield table.ref, table.comment
    for column in table.columns:
        ref = table.column_ref(column.name)
        if scope.covers(ref):
            yield ref, column.comment


def _by_schema(tables: Iterable[Share]) -> tuple[Share, ...]:
    shares: dict[str, list[Share]] = defaultdict(list)
    for table in tables:
        shares[table.schema].append(table)
    return tuple(
        Share(
            schema=schema,
            objects=sum(share.objects for share in own),
            described=sum(share.described for share in own),
            stale=sum(share.stale for share in own),
        )
        for schema, own in shares.items()
    )


def find_stale(
    descriptions: Iterable[Description], lives: Lives, *, native_ids: bool, dialect: str
) -> tuple[Stale, ...]:
    """Return which of these descriptions of present objects are stale, by name."""
    trails = Trails(lives, native_ids=native_ids, dialect=dialect)
    found = []
    for description in descriptions:
        ref = description.ref
        if (ref.schema, ref.table) not in lives.versions:
            continue
        steps = trails.of(ref)
        if len(steps) > 1 and (stale := _judged(description, steps, dialect)) is not None:
            found.append(stale)
    return tuple(sorted(found, key=lambda stale: stale.ref))


def _judged(description: Description, steps: Sequence[Step], dialect: str) -> Stale | None:
    start = _made_for(description, steps)
    later = steps[start:]
    moved = [change for old, new in _stretches(later) for change in _moved(old, new, dialect)]
    if not moved:
        return None
    now = later[-1]
    return Stale(
        ref=description.ref,
        object_type=now.table.type if now.column is None else ObjectType.COLUMN,
        author=description.author,
        text=description.text,
        described_in=later[0].since,
        since=_since(later),
        moved=tuple(moved),
    )


def _made_for(description: Description, steps: Sequence[Step]) -> int:
    """Return the place of the version that a description was made for."""
    if description.made_from is not None and description.made_from <= steps[-1].since:
        older = [place for place, step in enumerate(steps) if step.since <= description.made_from]
        return older[-1] if older else 0
    if description.made_from is not None:
        return len(steps) - 1
    place = len(steps) - 1
    while place and _comment(steps[place - 1]) == description.text:
        place -= 1
    return place


def _comment(step: Step) -> str | None:
    if step.column is None:
        return step.table.comment
    column = step.table.column(step.column)
    return column.comment if column is not None else None


def _stretches(steps: Sequence[Step]) -> Iterator[tuple[Step, Step]]:
    """Yield the first and last step between baselines: across one, nothing can be compared."""
    first = steps[0]
    for before, step in pairwise(steps):
        if step.is_baseline:
            yield first, before
            first = step
    yield first, steps[-1]


def _since(steps: Sequence[Step]) -> SnapshotNumber:
    """Return the snapshot from which on the object is not what it was at the first step."""
    since: SnapshotNumber | None = None
    first = _hash(steps[0])
    settled = False
    for step in steps[1:]:
        if step.is_baseline:
            settled = settled or since is not None
            first = _hash(step)
        elif settled or _hash(step) != first:
            since = since or step.since
        else:
            since = None
    return since or steps[-1].since


def _hash(step: Step) -> str:
    return structure_hash(step.table, step.column)


def _moved(old: Step, new: Step, dialect: str) -> Iterator[Change]:
    """Say what differs between two versions of one object, its name and comment apart."""
    if old is new or _hash(old) == _hash(new):
        return
    if new.column is not None:
        yield from _moved_column(old, new, dialect)
    else:
        yield from _moved_table(old.table, new.table, dialect)


def _moved_column(old: Step, new: Step, dialect: str) -> Iterator[Change]:
    before, after = old.table.column(old.column or ""), new.table.column(new.column or "")
    if before is None or after is None:
        return
    ref = new.table.column_ref(after.name)

    def change(kind: ChangeKind, was: str | bool | None, now: str | bool | None) -> Change:
        return Change(kind=kind, object_type=ObjectType.COLUMN, ref=ref, before=was, after=now)

    if not same_type(before.type, after.type, dialect):
        yield change(ChangeKind.TYPE_CHANGED, before.type, after.type)
    if before.nullable != after.nullable:
        yield change(ChangeKind.NULLABILITY_CHANGED, before.nullable, after.nullable)
    if before.default != after.default:
        yield change(ChangeKind.DEFAULT_CHANGED, before.default, after.default)
    keys = _keys(old.table, before.name), _keys(new.table, after.name)
    if keys[0] != keys[1]:
        yield change(ChangeKind.KEY_CHANGED, *keys)


def _moved_table(old: Table, new: Table, dialect: str) -> Iterator[Change]:
    def change(
        kind: ChangeKind, was: str | None, now: str | None, column: str | None = None
    ) -> Change:
        ref = new.ref if column is None else new.column_ref(column)
        type_ = new.type if column is None else ObjectType.COLUMN
        return Change(kind=kind, object_type=type_, ref=ref, before=was, after=now)

    if not same_definition(old.definition, new.definition, dialect):
        yield change(ChangeKind.DEFINITION_CHANGED, old.definition, new.definition)
    if _keys(old) != _keys(new):
        yield change(ChangeKind.KEY_CHANGED, _keys(old), _keys(new))
    before = {column.name: column.type for column in old.columns}
    after = {column.name: column.type for column in new.columns}
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield change(ChangeKind.REMOVED, before[name], None, name)
        elif name not in before:
            yield change(ChangeKind.ADDED, None, after[name], name)
        elif not same_type(before[name], after[name], dialect):
            yield change(ChangeKind.TYPE_CHANGED, before[name], after[name], name)


def _keys(table: Table, column: str | None = None) -> str | None:
    """Return a table's keys in words, or a column's part in them; None where there are none."""
    words = [
        _key_words(key) if column is None else _role_words(key)
        for key in table.keys
        if column is None or column in key.columns
    ]
    return "; ".join(sorted(words)) or None


def _key_words(key: Key) -> str:
    words = f"{key.kind} ({', '.join(key.columns)})"
    if key.references is None:
        return words
    return f"{words} to {_dotted(key.references)} ({', '.join(key.referenced_columns)})"


def _role_words(key: Key) -> str:
    """Say what a key means to one of its columns; which others are in it does not matter."""
    size = f" of {len(key.columns)} columns" if len(key.columns) > 1 else ""
    return key.kind + size + (f" to {_dotted(key.references)}" if key.references else "")


def _dotted(name: tuple[str, str]) -> str:
    return str(ObjectRef(schema=name[0], table=name[1]))
