"""Turns the tally of a sample into statistics that hold no more than a model may see.

What a mode does not allow is never put into the statistics, so nothing later can show it:

none     nothing at all
shapes   counts, lengths, patterns such as AAA-9999, least, greatest and quartiles of numbers and
         dates, and short enums; columns that look personal show patterns and counts only
masked   as shapes, with a few values in which every letter and digit is replaced, no enums
raw      as shapes, with a few values as they are

A column that is denied shows patterns and counts only, whatever the mode.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable

from amxwatch.context.formats import PERSONAL_FORMATS, formats
from amxwatch.core.evidence import ColumnStatistics, Portion, Samples
from amxwatch.core.naming import read_name
from amxwatch.core.sample import ColumnTally, ColumnTotals, Counted, Tally, ValueKind
from amxwatch.core.tally import LONG, MAX_SHAPED, shape

VERSION = 1
"""Of the statistics: kept ones of another version are made anew."""

MAX_ENUM = 12
"""Distinct values beyond which a column is no enum."""

MAX_ENUM_LENGTH = 24
MAX_PATTERNS = 5
MAX_EXAMPLES = 8
MAX_SHAPE = 32

_PERSONAL_WORDS = frozenset(
    {
        *("email", "mail", "phone", "telephone", "mobile", "fax", "name", "names", "surname"),
        *("username", "user", "login", "address", "street", "birth", "birthday", "death", "ssn"),
        *("social", "passport", "license", "IBAN", "card", "password", "secret", "token", "salary"),
        *("IP", "latitude", "longitude", "signature", "person", "contact", "comment", "note"),
    }
)

_WHOLE = re.compile(r"[+-]?\d+")


def profile(
    tally: Tally, *, samples: Samples | str = Samples.SHAPES, denied: Collection[str] = ()
) -> dict[str, ColumnStatistics]:
    """Return the statistics of each sampled column, by name; nothing in the mode `none`."""
    mode = Samples(samples)
    if mode is Samples.NONE:
        return {}
    return {
        name: column_statistics(
            name,
            seen,
            mode=mode,
            totals=tally.totals.get(name),
            row_count=tally.row_count,
            is_denied=name in denied,
        )
        for name, seen in tally.columns.items()
    }


def hidden_columns(
    names: Iterable[str], *, samples: Samples | str, denied: Collection[str] = ()
) -> frozenset[str]:
    """Return the columns of which no value is to leave the database, by what is known before."""
    mode = Samples(samples)
    return frozenset(
        name
        for name in names
        if name in denied
        or mode is Samples.NONE
        or (mode is Samples.SHAPES and looks_personal(name))
    )


def column_statistics(
    name: str,
    seen: ColumnTally,
    *,
    mode: Samples,
    totals: ColumnTotals | None = None,
    row_count: int | None = None,
    is_denied: bool = False,
) -> ColumnStatistics:
    """Reduce one column's tally; `totals` are exact counts over `row_count` rows."""
    hints = _hints(seen)
    is_private = is_denied or looks_personal(name) or bool(set(hints) & PERSONAL_FORMATS)
    is_enum = not is_private and _is_enum(name, seen, totals)
    low, quartiles, high = ("", (), "") if is_private else _bounds(seen, totals)
    is_text = seen.kind is ValueKind.TEXT
    return ColumnStatistics(
        rows=seen.rows,
        null_share=_null_share(seen, totals, row_count),
        distinct=totals.distinct if totals else seen.distinct,
        is_exact=totals is not None,
        minimum=low or None,
        maximum=high or None,
        quartiles=quartiles,
        min_length=seen.min_length if is_text else None,
        max_length=seen.max_length if is_text else None,
        lengths=_lengths(seen) if is_text else (),
        patterns=_patterns(seen),
        values=() if is_denied else _shown(seen, mode, is_enum=is_enum),
        is_enum=is_enum and mode is not Samples.MASKED,
        hints=hints,
    )


def _hints(seen: ColumnTally) -> tuple[str, ...]:
    # Numbers are written like phone numbers by chance; long ones may still be card numbers.
    texts = [each.text for each in seen.values]
    if seen.kind is ValueKind.NUMBER:
        texts = [text for text in texts if len(text) > 8]
    return formats(texts)


def looks_personal(name: str) -> bool:
    """Whether a column's name says that its values are about a person, or secret."""
    return not _PERSONAL_WORDS.isdisjoint(read_name(name).words)


def _bounds(
    seen: ColumnTally, totals: ColumnTotals | None
) -> tuple[str | None, tuple[str, ...], str | None]:
    """Return the least, the quartiles and the greatest; the ends of the whole table if known."""
    if not seen.quantiles:
        return None, (), None
    least, *quartiles, greatest = seen.quantiles
    if totals is not None:
        return totals.minimum, tuple(quartiles), totals.maximum
    return least, tuple(quartiles), greatest


def _null_share(seen: ColumnTally, totals: ColumnTotals | None, row_count: int | None) -> float:
    if totals is not None and row_count:
        return round(totals.nulls / row_count, 2)
    return round(seen.nulls / seen.rows, 2) if seen.rows else 0.0


def _is_enum(name: str, seen: ColumnTally, totals: ColumnTotals | None) -> bool:
    """Whether the values are a short list that repeats, and not identifiers or measures."""
    texts = [each.text for each in seen.values]
    if not texts or seen.distinct > MAX_ENUM or seen.filled < 2 * seen.distinct:
        return False
    if totals is not None and totals.distinct != seen.distinct:
        return False
    if seen.kind is ValueKind.NUMBER and not all(map(_WHOLE.fullmatch, texts)):
        return False
    words = read_name(name).words
    short = all(len(text) <= MAX_ENUM_LENGTH and text.isprintable() for text in texts)
    return seen.kind in {ValueKind.TEXT, ValueKind.NUMBER} and short and words[-1:] != ("ID",)


def _shown(seen: ColumnTally, mode: Samples, *, is_enum: bool) -> tuple[str, ...]:
    """Return the values that a mode lets a model see."""
    frequent = [each.text for each in seen.values]
    if mode is Samples.SHAPES:
        return tuple(sorted(frequent)) if is_enum else ()
    if mode is Samples.RAW:
        return tuple(sorted(frequent)) if is_enum else tuple(frequent[:MAX_EXAMPLES])
    masked = dict.fromkeys(shape(text[:MAX_SHAPED]) for text in frequent[: 4 * MAX_EXAMPLES])
    return tuple(masked)[:MAX_EXAMPLES]


def _lengths(seen: ColumnTally) -> tuple[Portion, ...]:
    counts: Counter[str] = Counter()
    for each in seen.shapes:
        if each.text != LONG:
            counts[str(len(each.text))] += each.count
    return _portions(counts, 3, of=seen.filled)


def _patterns(seen: ColumnTally) -> tuple[Portion, ...]:
    """Return the commonest shapes: exact where few say most, else with runs drawn together."""
    shapes: tuple[Counted, ...] = seen.shapes
    if sum(each.count for each in shapes[:MAX_PATTERNS]) < 0.6 * seen.filled:
        shapes = tuple(Counted(text=_merged(each.text), count=each.count) for each in shapes)
    cut: Counter[str] = Counter()
    for each in shapes:
        cut[each.text[:MAX_SHAPE]] += each.count
    return _portions(cut, MAX_PATTERNS, of=seen.filled)


def _merged(text: str) -> str:
    """Write each run of the same letter class once, with a plus sign."""
    merged: list[str] = []
    for char in text:
        if merged and char in "Aa9x" and merged[-1][0] == char:
            merged[-1] = f"{char}+"
        else:
            merged.append(char)
    return "".join(merged)


def _portions(counts: Counter[str], most: int, *, of: int) -> tuple[Portion, ...]:
    ordered = sorted(counts, key=lambda text: (-counts[text], text))
    portions = (Portion(text=text, share=round(counts[text] / of, 2)) for text in ordered)
    return tuple(portion for portion in portions if portion.share >= 0.02)[:most]
