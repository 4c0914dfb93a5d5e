"""Turns sampled rows into statistics that hold no more than a model may see.

What a mode does not allow is never put into the statistics, so nothing later can show it:

none     nothing at all
shapes   counts, lengths, patterns such as AAA-9999, minimum and maximum of numbers and dates,
         and short enums; columns that look personal show patterns and counts only
masked   as shapes, with a few values in which every letter and digit is replaced, no enums
raw      as shapes, with a few values as they are
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from uuid import UUID

from amxwatch.context.formats import PERSONAL_FORMATS, formats
from amxwatch.core.evidence import ColumnStatistics, Portion, Samples
from amxwatch.core.naming import read_name
from amxwatch.core.sample import ColumnTotals, Sample

MAX_ENUM = 12
"""Distinct values beyond which a column is no enum."""

MAX_ENUM_LENGTH = 24
MAX_PATTERNS = 5
MAX_EXAMPLES = 8
MAX_SHAPE = 32
MAX_SHAPED = 64
"""Characters of a value beyond which its shape says nothing."""

_FORMAT_ROWS = 500
"""Values that are enough to tell a format by."""

_PERSONAL_WORDS = frozenset(
    {
        *("email", "mail", "phone", "telephone", "mobile", "fax", "name", "names", "surname"),
        *("username", "user", "login", "address", "street", "birth", "birthday", "death", "ssn"),
        *("social", "passport", "license", "IBAN", "card", "password", "secret", "token", "salary"),
        *("IP", "latitude", "longitude", "signature", "person", "contact", "comment", "note"),
    }
)


def profile(
    sample: Sample, *, samples: Samples | str = Samples.SHAPES
) -> dict[str, ColumnStatistics]:
    """Return the statistics of each sampled column, by name; nothing in the mode `none`."""
    mode = Samples(samples)
    if mode is Samples.NONE:
        return {}
    return {
        name: column_statistics(
            name,
            [row[at] for row in sample.rows],
            mode=mode,
            totals=sample.totals.get(name),
            row_count=sample.row_count,
        )
        for at, name in enumerate(sample.columns)
    }


def column_statistics(
    name: str,
    values: Sequence[object],
    *,
    mode: Samples,
    totals: ColumnTotals | None = None,
    row_count: int | None = None,
) -> ColumnStatistics:
    """Reduce one column's values; `totals` are exact counts over `row_count` rows."""
    seen = _Seen.of(values)
    # Numbers are written like phone numbers by chance; long ones may still be card numbers.
    hints = formats([t for t in seen.texts[:_FORMAT_ROWS] if seen.kind != "number" or len(t) > 12])
    is_private = looks_personal(name) or bool(set(hints) & PERSONAL_FORMATS)
    counts = Counter(seen.texts)
    is_enum = _is_enum(name, seen, counts, totals) and not is_private
    low, high = (None, None) if is_private else seen.bounds(totals)
    lengths = Counter(len(text) for text in seen.texts) if seen.kind == "text" else Counter()
    return ColumnStatistics(
        rows=len(values),
        null_share=_null_share(values, seen.filled, totals, row_count),
        distinct=totals.distinct if totals else seen.distinct,
        is_exact=totals is not None,
        minimum=low,
        maximum=high,
        min_length=min(lengths, default=None),
        max_length=max(lengths, default=None),
        lengths=_portions({str(length): count for length, count in lengths.items()}, 3),
        patterns=_patterns(counts) if seen.kind in {"text", "uuid"} else (),
        values=_shown(counts, mode, is_enum=is_enum),
        is_enum=is_enum and mode is not Samples.MASKED,
        hints=hints,
    )


def looks_personal(name: str) -> bool:
    """Whether a column's name says that its values are about a person, or secret."""
    return not _PERSONAL_WORDS.isdisjoint(read_name(name).words)


def shape(text: str) -> str:
    """Write a text with A, a and 9 for its letters and digits, x for letters without case."""
    return "".join(_class(char) for char in text)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """A column's values that are not null. `texts` are theirs, where they have a short one.

    `kind` is text, number, time, flag, uuid or other: what all the values are, else other.
    """

    kind: str
    filled: int
    distinct: int
    texts: tuple[str, ...]
    ordered: tuple[int | float | Decimal | date | time, ...]

    @classmethod
    def of(cls, values: Iterable[object]) -> _Seen:
        filled = [value for value in values if value is not None]
        kinds = {_kind(value) for value in filled}
        kind = kinds.pop() if len(kinds) == 1 else "other"
        texts = tuple(str(value) for value in filled) if kind != "other" else ()
        ordered = tuple(
            value
            for value in filled
            if isinstance(value, int | float | Decimal | date | time) and not _is_nan(value)
        )
        return cls(
            kind=kind,
            filled=len(filled),
            distinct=len(set(texts or map(repr, filled))),
            texts=texts if kind in {"text", "number", "uuid"} else (),
            ordered=ordered if kind in {"number", "time"} else (),
        )

    def bounds(self, totals: ColumnTotals | None) -> tuple[str | None, str | None]:
        """Return the least and greatest of numbers and times; the whole table's where known."""
        if self.kind not in {"number", "time"}:
            return None, None
        if totals is not None:
            return totals.minimum, totals.maximum
        try:
            low, high = min(self.ordered), max(self.ordered)
        except (TypeError, ValueError):  # dates beside datetimes, zones on some only, none at all
            return None, None
        return str(low), str(high)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "flag"
    for kind, types in (
        ("text", str),
        ("number", (int, float, Decimal)),
        ("time", (datetime, date, time)),
        ("uuid", UUID),
    ):
        if isinstance(value, types):
            return kind
    return "other"


def _is_nan(value: object) -> bool:
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, float) and math.isnan(value)


def _null_share(
    values: Sequence[object], filled: int, totals: ColumnTotals | None, row_count: int | None
) -> float:
    if totals is not None and row_count:
        return round(totals.nulls / row_count, 2)
    return round(1 - filled / len(values), 2) if values else 0.0


def _is_enum(name: str, seen: _Seen, counts: Counter[str], totals: ColumnTotals | None) -> bool:
    """Whether the values are a short list that repeats, and not identifiers or measures."""
    if not counts or len(counts) > MAX_ENUM or seen.filled < 2 * len(counts):
        return False
    if totals is not None and totals.distinct != len(counts):
        return False
    if seen.kind == "number" and not all(isinstance(value, int) for value in seen.ordered):
        return False
    words = read_name(name).words
    short = all(len(text) <= MAX_ENUM_LENGTH and text.isprintable() for text in counts)
    return seen.kind in {"text", "number"} and short and words[-1:] != ("ID",)


def _shown(counts: Counter[str], mode: Samples, *, is_enum: bool) -> tuple[str, ...]:
    """Return the values that a mode lets a model see."""
    if mode is Samples.SHAPES:
        return tuple(sorted(counts)) if is_enum else ()
    frequent = sorted(counts, key=lambda text: (-counts[text], text))
    if mode is Samples.RAW:
        return tuple(sorted(counts)) if is_enum else tuple(frequent[:MAX_EXAMPLES])
    masked = dict.fromkeys(shape(text[:MAX_SHAPED]) for text in frequent[: 4 * MAX_EXAMPLES])
    return tuple(masked)[:MAX_EXAMPLES]


def _patterns(counts: Counter[str]) -> tuple[Portion, ...]:
    """Return the commonest shapes: exact where few say most, else with runs drawn together."""
    exact: Counter[str] = Counter()
    for text, count in counts.items():
        exact[shape(text) if len(text) <= MAX_SHAPED else "(long text)"] += count
    top = sum(count for _, count in exact.most_common(MAX_PATTERNS))
    if top < 0.6 * sum(counts.values()):
        merged: Counter[str] = Counter()
        for text, count in exact.items():
            merged[_merged(text)] += count
        exact = merged
    cut: Counter[str] = Counter()
    for text, count in exact.items():
        cut[text[:MAX_SHAPE]] += count
    return _portions(cut, MAX_PATTERNS)


def _merged(text: str) -> str:
    """Write each run of the same letter class once, with a plus sign."""
    merged: list[str] = []
    for char in text:
        if merged and char in "Aa9x" and merged[-1][0] == char:
            merged[-1] = f"{char}+"
        else:
            merged.append(char)
    return "".join(merged)


def _portions(counts: dict[str, int], most: int) -> tuple[Portion, ...]:
    total = sum(counts.values())
    ordered = sorted(counts, key=lambda text: (-counts[text], text))
    portions = (Portion(text=text, share=round(counts[text] / total, 2)) for text in ordered)
    return tuple(portion for portion in portions if portion.share >= 0.02)[:most]


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
