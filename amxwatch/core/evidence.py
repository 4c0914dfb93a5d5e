"""What is known of a table and its columns when a description is drafted.

`gather` collects it from the catalog, the statistics and the descriptions that people accepted.
"""

from __future__ import annotations

import enum
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from amxwatch.core.catalog import Catalog, Column, Key, KeyKind, ObjectRef, ObjectType, Table
from amxwatch.core.glossary import spoken_of


class Samples(enum.StrEnum):
    """What a model may see of the rows; the spelling is the one of TOML."""

    NONE = "none"
    SHAPES = "shapes"
    MASKED = "masked"
    RAW = "raw"


class Basis(enum.StrEnum):
    """What a description rests on, in the drafter's own judgement."""

    NAME = "name"
    TYPE = "type"
    KEY = "key"
    VALUES = "values"
    NEIGHBOURS = "neighbours"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Portion:
    """A text and the share of rows that it holds for, from 0 to 1."""

    text: str
    share: float


@dataclass(frozen=True, kw_only=True)
class ColumnStatistics:
    """What a sample says of one column, already reduced to what a model may see.

    `rows` were looked at; `null_share` is from 0 to 1; `distinct` counts values that are not
    null, exactly over the table where `is_exact`. `minimum`, `maximum` and `quartiles` are of
    numbers and dates, lengths of text. `values` are all that occur where `is_enum`, else a few
    examples (shown in the modes `masked` and `raw` only). `hints` name formats: email, uuid, …
    """

    rows: int
    null_share: float = 0.0
    distinct: int = 0
    is_exact: bool = False
    minimum: str | None = None
    maximum: str | None = None
    quartiles: tuple[str, ...] = ()
    min_length: int | None = None
    max_length: int | None = None
    lengths: tuple[Portion, ...] = ()
    patterns: tuple[Portion, ...] = ()
    values: tuple[str, ...] = ()
    is_enum: bool = False
    hints: tuple[str, ...] = ()

    @property
    def distinct_ratio(self) -> float:
        """Distinct values for each row that holds one; 0 where none does."""
        filled = self.rows * (1 - self.null_share)
        return min(1.0, self.distinct / filled) if filled else 0.0


@dataclass(frozen=True, kw_only=True)
class Derived:
    """Where a column's values come from and go to.

    `expression` is what a view computes it by, where that is more than another column's value;
    `sources` are the columns that it is computed from, `read_by` what is computed from it.
    """

    expression: str | None = None
    sources: tuple[ObjectRef, ...] = ()
    read_by: tuple[ObjectRef, ...] = ()


NOT_DERIVED = Derived()


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """An object nearby and the description that a person accepted for it."""

    ref: ObjectRef
    description: str


@dataclass(frozen=True, kw_only=True)
class Cited:
    """A passage of a document or of code, and where it stands: file and heading, or file:line."""

    where: str
    text: str


@dataclass(frozen=True, kw_only=True)
class ColumnEvidence:
    """One column. `primary_key` are the columns of the key that it belongs to, or empty.

    `is_unique` says that a key of this column alone makes it unique. `references` is the column
    it points to, `referenced_by` the columns that point to it. `description` is what a person
    accepted, `comment` what the database holds now.
    """

    ref: ObjectRef
    type: str
    ordinal: int
    nullable: bool = True
    default: str | None = None
    primary_key: tuple[str, ...] = ()
    is_unique: bool = False
    references: ObjectRef | None = None
    referenced_by: tuple[ObjectRef, ...] = ()
    comment: str | None = None
    description: str | None = None
    statistics: ColumnStatistics | None = None
    deviations: tuple[str, ...] = ()
    """What its values did not do at an earlier look."""
    derived: Derived = NOT_DERIVED
    sources: tuple[Neighbour, ...] = ()
    """What it is computed from, each with its accepted description, or with none."""
    docs: tuple[Cited, ...] = ()
    code: tuple[Cited, ...] = ()
    also_in: tuple[ObjectRef, ...] = ()
    """Tables with the same key column, which takes the words that this one is given."""

    @property
    def has_key(self) -> bool:
        """Whether a key says something about this column."""
        return bool(self.primary_key or self.is_unique or self.references or self.referenced_by)


@dataclass(frozen=True, kw_only=True)
class TableEvidence:
    """One table or view with all its columns, in order.

    `references` and `referenced_by` are tables; `sources` are what a view reads from.
    `neighbours` are accepted descriptions of other objects, nearest first. `glossary` says what
    the house's abbreviations in these names stand for; `docs` and `code` are passages about the
    table. All of it is material, never an instruction.
    """

    ref: ObjectRef
    type: ObjectType = ObjectType.TABLE
    columns: tuple[ColumnEvidence, ...] = ()
    references: tuple[ObjectRef, ...] = ()
    referenced_by: tuple[ObjectRef, ...] = ()
    sources: tuple[ObjectRef, ...] = ()
    definition: str | None = None
    comment: str | None = None
    description: str | None = None
    neighbours: tuple[Neighbour, ...] = ()
    glossary: Mapping[str, str] = field(default_factory=dict)
    docs: tuple[Cited, ...] = ()
    code: tuple[Cited, ...] = ()

    def column(self, name: str) -> ColumnEvidence:
        """Raises: KeyError."""
        for column in self.columns:
            if column.ref.column == name:
                return column
        raise KeyError(name)


@dataclass(frozen=True)
class Surroundings:
    """What a table cannot know of itself: who points at it, what people accepted nearby.

    Made once for a run by `surroundings`.
    """

    tables: frozenset[ObjectRef] = frozenset()
    incoming: Mapping[ObjectRef, tuple[ObjectRef, ...]] = field(default_factory=dict)
    descriptions: Mapping[ObjectRef, str] = field(default_factory=dict)
    described: Mapping[str, tuple[ObjectRef, ...]] = field(default_factory=dict)
    """Column name -> described columns of that name, sorted."""
    glossary: Mapping[str, str] = field(default_factory=dict)
    """What the house's abbreviations stand for."""


def surroundings(
    catalog: Catalog,
    descriptions: Mapping[ObjectRef, str],
    glossary: Mapping[str, str] | None = None,
) -> Surroundings:
    """Look once through a whole catalog; `descriptions` are the accepted ones."""
    incoming: dict[ObjectRef, list[ObjectRef]] = defaultdict(list)
    for table in catalog.tables:
        for column, target in _references(table).items():
            incoming[target].append(table.column_ref(column))
    described: dict[str, list[ObjectRef]] = defaultdict(list)
    for ref in sorted(descriptions):
        if ref.is_column:
            described[ref.column].append(ref)
    return Surroundings(
        tables=frozenset(table.ref for table in catalog.tables),
        incoming={target: tuple(sorted(refs)) for target, refs in incoming.items()},
        descriptions=dict(descriptions),
        described={name: tuple(refs) for name, refs in described.items()},
        glossary=dict(glossary or {}),
    )


def gather(
    table: Table,
    around: Surroundings,
    *,
    statistics: Mapping[str, ColumnStatistics] | None = None,
    derived: Mapping[str, Derived] | None = None,
) -> TableEvidence:
    """Collect what is known of one table; `statistics` and `derived` are by column name."""
    references = _references(table)
    columns = tuple(
        _with_origin(
            _column(table, column, references.get(column.name), around, (statistics or {})),
            (derived or {}).get(column.name, NOT_DERIVED),
            around,
        )
        for column in table.columns
    )
    pointing = {ref.owner for column in columns for ref in column.referenced_by}
    sources = view_sources(table.definition or "", table.schema, around.tables)
    return TableEvidence(
        ref=table.ref,
        type=table.type,
        columns=columns,
        references=tuple(sorted({ref.owner for ref in references.values()})),
        referenced_by=tuple(sorted(pointing - {table.ref})),
        sources=tuple(ref for ref in sources if ref != table.ref),
        definition=table.definition,
        comment=table.comment,
        description=around.descriptions.get(table.ref),
        neighbours=_neighbours(table, tuple(references.values()), sources, around),
        glossary=spoken_of(around.glossary, [table.name, *(c.name for c in table.columns)]),
    )


_NAME = r'(?:"(?:[^"]|"")+"|`[^`]+`|\[[^\]]+\]|[^\W\d][\w$]*)'
_SOURCE = re.compile(rf"\b(?:from|join)\s+\(*\s*({_NAME}(?:\s*\.\s*{_NAME})*)", re.IGNORECASE)


def view_sources(
    definition: str, schema: str, tables: frozenset[ObjectRef]
) -> tuple[ObjectRef, ...]:
    """Return the tables that a view's SELECT names after FROM and JOIN, in their order."""
    found: dict[ObjectRef, None] = {}
    for match in _SOURCE.finditer(definition):
        parts = [_unquote(part) for part in re.findall(_NAME, match.group(1))]
        owner, name = (parts[-2] if len(parts) > 1 else schema), parts[-1]
        ref = ObjectRef(schema=owner, table=name)
        if ref in tables:
            found[ref] = None
    return tuple(found)


def _unquote(name: str) -> str:
    return name[1:-1].replace('""', '"') if name[0] in '"`[' else name


def _references(table: Table) -> dict[str, ObjectRef]:
    """Return the column that each column of a foreign key points to."""
    found: dict[str, ObjectRef] = {}
    for key in table.keys:
        if key.kind is KeyKind.FOREIGN and key.references is not None:
            schema, name = key.references
            for column, target in zip(key.columns, key.referenced_columns, strict=False):
                found.setdefault(column, ObjectRef(schema=schema, table=name, column=target))
    return found


def _column(
    table: Table,
    column: Column,
    references: ObjectRef | None,
    around: Surroundings,
    statistics: Mapping[str, ColumnStatistics],
) -> ColumnEvidence:
    ref = table.column_ref(column.name)
    return ColumnEvidence(
        ref=ref,
        type=column.type,
        ordinal=column.ordinal,
        nullable=column.nullable,
        default=column.default,
        primary_key=_primary_key(table.keys, column.name),
        is_unique=any(
            key.kind is not KeyKind.FOREIGN and key.columns == (column.name,) for key in table.keys
        ),
        references=references,
        referenced_by=around.incoming.get(ref, ()),
        comment=column.comment,
        description=around.descriptions.get(ref),
        statistics=statistics.get(column.name),
    )


def _with_origin(column: ColumnEvidence, derived: Derived, around: Surroundings) -> ColumnEvidence:
    if derived is NOT_DERIVED:
        return column
    sources = tuple(
        Neighbour(ref=ref, description=around.descriptions.get(ref, "")) for ref in derived.sources
    )
    return replace(column, derived=derived, sources=sources)


def _primary_key(keys: tuple[Key, ...], column: str) -> tuple[str, ...]:
    for key in keys:
        if key.kind is KeyKind.PRIMARY and column in key.columns:
            return key.columns
    return ()


NEIGHBOURS = 24
"""How many accepted descriptions go along with a table."""


def _neighbours(
    table: Table,
    references: tuple[ObjectRef, ...],
    sources: tuple[ObjectRef, ...],
    around: Surroundings,
) -> tuple[Neighbour, ...]:
    """Choose accepted descriptions: what keys point to, what a view reads, same-named columns."""
    near: dict[ObjectRef, None] = dict.fromkeys(references)
    near |= dict.fromkeys(ref.owner for ref in references)
    near |= dict.fromkeys(sources)
    for column in table.columns:
        near |= dict.fromkeys(around.described.get(column.name, ())[:2])
    chosen = [ref for ref in near if ref.owner != table.ref and ref in around.descriptions]
    return tuple(
        Neighbour(ref=ref, description=around.descriptions[ref]) for ref in chosen[:NEIGHBOURS]
    )
