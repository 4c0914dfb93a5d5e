"""Counts sampled rows as a database would: for back ends that cannot count them themselves."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from amxwatch.core.sample import (
    LISTED,
    MOST_SHAPES,
    MOST_VALUES,
    ORDERED,
    QUANTILES,
    SHAPED,
    ColumnTally,
    Counted,
    Sample,
    Tally,
    ValueKind,
    Wanted,
)

MAX_SHAPED = 64
"""Characters of a value beyond which its shape says nothing."""

LONG = "(long text)"
"""The shape of such a value."""


def tally_of(sample: Sample, wanted: Wanted) -> Tally:
    """Count the rows of a sample."""
    return Tally(
        rows=len(sample.rows),
        columns={
            name: column_tally([row[at] for row in sample.rows], is_hidden=name in wanted.hidden)
            for at, name in enumerate(sample.columns)
        },
        row_count=sample.row_count,
        totals=sample.totals,
    )


def column_tally(values: Sequence[object], *, is_hidden: bool = False) -> ColumnTally:
    """Count one column's values; of a hidden one, no value goes into the tally."""
    filled = [value for value in values if value is not None]
    kind = _kind_of(filled)
    texts = [str(value) for value in filled] if kind is not ValueKind.OTHER else []
    counts = Counter(texts)
    shapes: Counter[str] = Counter()
    if kind in SHAPED:
        for text, count in counts.items():
            shapes[shape_of(text)] += count
    lengths = [len(text) for text in counts] if kind is ValueKind.TEXT else []
    return ColumnTally(
        kind=kind,
        rows=len(values),
        nulls=len(values) - len(filled),
        distinct=len(counts) if texts else len(set(map(repr, filled))),
        values=_commonest(counts, MOST_VALUES) if kind in LISTED and not is_hidden else (),
        shapes=_commonest(shapes, MOST_SHAPES),
        quantiles=_quantiles(filled) if kind in ORDERED and not is_hidden else (),
        min_length=min(lengths, default=None),
        max_length=max(lengths, default=None),
    )


def shape_of(text: str) -> str:
    """Return the shape that a value is counted under."""
    return shape(text) if len(text) <= MAX_SHAPED else LONG


def shape(text: str) -> str:
    """Write a text with A, a and 9 for its letters and digits, x for letters without case."""
    return "".join(map(_class, text))


def rank_of(share: float, count: int) -> int:
    """Return which of `count` ordered values, from 1, stands at this share of them."""
    return max(1, math.ceil(share * count))


def _commonest(counts: Counter[str], most: int) -> tuple[Counted, ...]:
    ordered = sorted(counts, key=lambda text: (-counts[text], text))
    return tuple(Counted(text=text, count=counts[text]) for text in ordered[:most])


def _kind_of(filled: Iterable[object]) -> ValueKind:
    kinds = {_kind(value) for value in filled}
    return kinds.pop() if len(kinds) == 1 else ValueKind.OTHER


def _kind(value: object) -> ValueKind:
    if isinstance(value, bool):
        return ValueKind.FLAG
    for kind, types in (
        (ValueKind.TEXT, str),
        (ValueKind.NUMBER, (int, float, Decimal)),
        (ValueKind.TIME, (datetime, date, time)),
        (ValueKind.UUID, UUID),
    ):
        if isinstance(value, types):
            return kind
    return ValueKind.OTHER


def _quantiles(filled: Iterable[object]) -> tuple[str, ...]:
    """Return the values at `QUANTILES`; none where they cannot be put in order."""
    known: list[Any] = [value for value in filled if not _is_nan(value)]
    try:
        ordered = sorted(known)
    except TypeError:  # dates beside datetimes, zones on some only
        return ()
    ranks = [rank_of(share, len(ordered)) for share in QUANTILES]
    return tuple(str(ordered[rank - 1]) for rank in ranks) if ordered else ()


def _is_nan(value: object) -> bool:
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, float) and math.isnan(value)


def _class(char: str) -> str:
    category = unicodedata.category(char)
    by_category = {"Lu": "A", "Lt": "A", "Ll": "a", "Nd": "9", "Nl": "9", "No": "9"}
    if category in by_category:
        return by_category[category]
    if category[0] in "LM":
        return "x"
    if category[0] in "PS" and char.isascii():
        return char
    return " " if category[0] == "Z" or char.isspace() else "?"
