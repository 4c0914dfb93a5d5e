"""What was seen of a table's rows: the raw material of a profile."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

MOST_VALUES = 60
"""Of one column's commonest values; enough to tell a format or a short enum by."""

MOST_SHAPES = 200
"""Of one column's commonest shapes."""

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Which values of numbers and times are named: the least, the quartiles and the greatest."""


class ValueKind(enum.StrEnum):
    """What all values of a column are; `other` where they differ, or say nothing as text."""

    TEXT = "text"
    NUMBER = "number"
    TIME = "time"
    FLAG = "flag"
    UUID = "uuid"
    OTHER = "other"


ORDERED = frozenset({ValueKind.NUMBER, ValueKind.TIME})
LISTED = frozenset({ValueKind.TEXT, ValueKind.NUMBER, ValueKind.UUID})
SHAPED = frozenset({ValueKind.TEXT, ValueKind.UUID})


@dataclass(frozen=True, kw_only=True)
class ColumnTotals:
    """Exact counts over the whole table; made only in `profiling_mode = "full"`."""

    nulls: int
    distinct: int
    minimum: str | None = None
    maximum: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Some rows of one table. `rows` run beside `columns`; values are the driver's own.

    `row_count` is exact where the back end counted, else None. Never logged, never stored.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    row_count: int | None = None
    totals: dict[str, ColumnTotals] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked about a table's rows.

    About `rows` of them are looked at; with `full` exact totals of all are made as well. No value
    of a `hidden` column is fetched: of those only counts, lengths and shapes are.
    """

    rows: int
    full: bool = False
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A text and in how many rows it stands."""

    text: str
    count: int


@dataclass(frozen=True, kw_only=True)
class ColumnTally:
    """One column's sampled values, counted where they lie.

    `values` are the commonest, `shapes` the commonest with their letters and digits replaced,
    both in falling order; `quantiles` are the values at `QUANTILES`, or none. `distinct` counts
    values that are not null. Never logged, never stored.
    """

    kind: ValueKind = ValueKind.OTHER
    rows: int = 0
    nulls: int = 0
    distinct: int = 0
    values: tuple[Counted, ...] = ()
    shapes: tuple[Counted, ...] = ()
    quantiles: tuple[str, ...] = ()
    min_length: int | None = None
    max_length: int | None = None

    @property
    def filled(self) -> int:
        return self.rows - self.nulls


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What one query found out about a table's rows. `totals` are exact, over `row_count` rows."""

    rows: int = 0
    columns: dict[str, ColumnTally] = field(default_factory=dict)
    row_count: int | None = None
    totals: dict[str, ColumnTotals] = field(default_factory=dict)
