"""What was seen of a table's rows: the raw material of a profile."""

from __future__ import annotations

from dataclasses import dataclass, field


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
