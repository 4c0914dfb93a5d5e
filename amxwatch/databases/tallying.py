"""One query that counts a sample where it lies: no row leaves the database.

What comes back is, for each column, its counts, its commonest values and shapes, and the values
at the quantiles. The query is the same for every product but for the few words of `Tongue`:

sampled   the sample, each column as text
told      one line for each value: the column's place, and the value
counted   one line for each distinct value of a column, and in how many rows it stands
ranked    the same in the order of the counts
sized     the same in the order of the values, of numbers and times
patterned one line for each shape of a column's values
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from amxwatch.core.catalog import Table
from amxwatch.core.sample import (
    LISTED,
    MOST_SHAPES,
    MOST_VALUES,
    ORDERED,
    QUANTILES,
    SHAPED,
    ColumnTally,
    Counted,
    Tally,
    ValueKind,
    Wanted,
)
from amxwatch.core.tally import LONG, MAX_SHAPED, shape

COLUMNS_AT_ONCE = 250
"""Columns in one query; a wider table takes more than one."""


@dataclass(frozen=True, kw_only=True)
class TallyColumn:
    """One column to be counted: how it is written as text, and what its values are.

    A kind of None is found out by the values themselves.
    """

    name: str
    text: str
    kind: ValueKind | None
    is_hidden: bool = False


@dataclass(frozen=True, kw_only=True)
class Tongue:
    """How a product writes the parts of the query.

    `told` unfolds the sample: given how many columns there are, it returns a SELECT of `k`
    (which column, from 1), `v` (its text) and `t` (what kind of value it is, or NULL) from
    `sampled`, whose columns are v1, v2, …. `number` makes a number of a text, `shape` replaces
    its letters and digits, `collation` is appended where texts are put in order, `once` says
    that a part of the query is to be made once. `numeric` claims that `t` is a number's.
    """

    told: Callable[[int], str]
    number: Callable[[str], str]
    shape: Callable[[str], str]
    length: str = "length"
    collation: str = ""
    once: str = ""
    text_type: str = "varchar"
    numeric: str = ""


def tally_query(columns: Sequence[TallyColumn], source: str, tongue: Tongue) -> str:
    """Return the query; `source` is what follows FROM, the sample's clauses included.

    Each row is a part, a column's place, a text and up to seven figures; the part is `n` for the
    counts of a column, `v` for a value, `q` for one at a quantile, `p` for a shape.
    """
    listed = _places(columns, lambda one: not one.is_hidden and one.kind in {None, *LISTED})
    ordered = _places(columns, lambda one: not one.is_hidden and one.kind in {None, *ORDERED})
    shaped = _places(columns, lambda one: one.kind in {None, *SHAPED})
    once, order, length = tongue.once, tongue.collation, tongue.length
    texts = ", ".join(f"{one.text} AS v{place}" for place, one in enumerate(columns, 1))
    number = f"CASE WHEN {_is_number(columns, tongue)} THEN {tongue.number('v')} END"
    pattern = f"CASE WHEN {length}(v) <= {MAX_SHAPED} THEN {tongue.shape('v')} ELSE '{LONG}' END"
    return f"""
WITH sampled AS {once} (SELECT {texts} FROM {source}),
told AS ({tongue.told(len(columns))}),
counted AS {once} (
  SELECT k, v, min(t) AS least, max(t) AS most, count(*) AS n FROM told GROUP BY k, v
),
ranked AS (
  SELECT k, v, n, row_number() OVER (PARTITION BY k ORDER BY n DESC, v{order}) AS place
  FROM counted WHERE v IS NOT NULL AND k IN ({listed})
),
sized AS (
  SELECT k, v, n, total, sum(n) OVER (PARTITION BY k ORDER BY x, v{order}
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS upto
  FROM (
    SELECT k, v, n, sum(n) OVER (PARTITION BY k) AS total, {number} AS x
    FROM counted WHERE v IS NOT NULL AND k IN ({ordered})
  ) AS numbered
),
patterned AS (
  SELECT k, p, sum(n) AS n,
    row_number() OVER (PARTITION BY k ORDER BY sum(n) DESC, p{order}) AS place
  FROM (SELECT k, {pattern} AS p, n FROM counted WHERE v IS NOT NULL AND k IN ({shaped})) AS shown
  GROUP BY k, p
)
SELECT 'n' AS part, k, {_text_null(tongue)} AS text, sum(n) AS a,
  sum(CASE WHEN v IS NULL THEN n ELSE 0 END) AS b, count(v) AS c,
  min({length}(v)) AS d, max({length}(v)) AS e, min(least) AS f, max(most) AS g
FROM counted GROUP BY k
UNION ALL
SELECT 'v', k, v, n, place, 0, 0, 0, NULL, NULL FROM ranked WHERE place <= {MOST_VALUES}
UNION ALL
SELECT 'q', k, v, n, upto, total, 0, 0, NULL, NULL FROM sized WHERE {_is_quantile()}
UNION ALL
SELECT 'p', k, p, n, place, 0, 0, 0, NULL, NULL FROM patterned WHERE place <= {MOST_SHAPES}
"""


def _text_null(tongue: Tongue) -> str:
    return f"CAST(NULL AS {tongue.text_type})"


def _places(columns: Sequence[TallyColumn], is_meant: Callable[[TallyColumn], bool]) -> str:
    found = [str(place) for place, one in enumerate(columns, 1) if is_meant(one)]
    return ", ".join(found) or "0"


def _is_number(columns: Sequence[TallyColumn], tongue: Tongue) -> str:
    if tongue.numeric:
        return tongue.numeric
    return f"k IN ({_places(columns, lambda one: one.kind is ValueKind.NUMBER)})"


def _is_quantile() -> str:
    """Claim that the value stands at one of the quantiles: the first that has its share."""
    inner = [
        f"(upto - n < {share} * total AND {share} * total <= upto)"
        for share in QUANTILES
        if 0 < share < 1
    ]
    return " OR ".join(["upto = n", *inner, "upto = total"])


def read_tally(
    fetch: Callable[[str], Iterable[Sequence[object]]],
    columns: Sequence[TallyColumn],
    source: str,
    tongue: Tongue,
) -> Tally:
    """Ask, and return what came back; a table of ordinary width takes one query."""
    found = Tally(columns={one.name: _of_kind(one) for one in columns})
    for start in range(0, len(columns), COLUMNS_AT_ONCE):
        part = columns[start : start + COLUMNS_AT_ONCE]
        answers: defaultdict[int, list[Sequence[object]]] = defaultdict(list)
        for row in fetch(tally_query(part, source, tongue)):
            answers[_whole(row[1])].append(row)
        found.columns.update(
            (one.name, _column(one, answers[place]))
            for place, one in enumerate(part, 1)
            if place in answers
        )
    rows = max((one.rows for one in found.columns.values()), default=0)
    return replace(found, rows=rows)


def _of_kind(one: TallyColumn) -> ColumnTally:
    return ColumnTally(kind=one.kind or ValueKind.OTHER)


def _column(one: TallyColumn, rows: Sequence[Sequence[object]]) -> ColumnTally:
    total, nulls, distinct, shortest, longest, least, most = next(
        row[3:] for row in rows if row[0] == "n"
    )
    filled = _whole(total) - _whole(nulls)
    kind = one.kind or kind_of(least, most)
    is_text = kind is ValueKind.TEXT and filled > 0
    return ColumnTally(
        # What holds nothing is nothing in particular.
        kind=kind if filled else ValueKind.OTHER,
        rows=_whole(total),
        nulls=_whole(nulls),
        distinct=_whole(distinct),
        values=tuple(_counted(rows, "v")) if kind in LISTED else (),
        shapes=_shapes(rows) if kind in SHAPED else (),
        quantiles=_quantiles(rows, filled) if kind in ORDERED else (),
        min_length=_whole(shortest) if is_text else None,
        max_length=_whole(longest) if is_text else None,
    )


def kind_of(least: object, most: object) -> ValueKind:
    """Return the kind of a column's values from the least and the greatest of their types' names.

    The names are the first letters of SQLite's: blob, integer, real and text.
    """
    names = {least, most}
    if names <= {"i", "r"}:
        return ValueKind.NUMBER
    return ValueKind.TEXT if names == {"t"} else ValueKind.OTHER


def _counted(rows: Sequence[Sequence[object]], part: str) -> Iterator[Counted]:
    meant = sorted((row for row in rows if row[0] == part), key=lambda row: _whole(row[4]))
    for row in meant:
        yield Counted(text=str(row[2]), count=_whole(row[3]))


def _shapes(rows: Sequence[Sequence[object]]) -> tuple[Counted, ...]:
    """Finish what the database began: it knows the plain letters and digits only."""
    counts: defaultdict[str, int] = defaultdict(int)
    for each in _counted(rows, "p"):
        counts[each.text if each.text == LONG else shape(each.text)] += each.count
    ordered = sorted(counts, key=lambda text: (-counts[text], text))
    return tuple(Counted(text=text, count=counts[text]) for text in ordered)


def _quantiles(rows: Sequence[Sequence[object]], filled: int) -> tuple[str, ...]:
    """Return the values at `QUANTILES`: each is the first that so many rows do not exceed."""
    steps = sorted((_whole(row[4]), str(row[2])) for row in rows if row[0] == "q")
    if not steps or steps[-1][1].lower() == "nan":  # which has no place in any order
        return ()
    found = [next((text for upto, text in steps if upto >= q * filled), "") for q in QUANTILES[1:]]
    return (steps[0][1], *found)


def _whole(value: object) -> int:
    return int(str(value))


def columns_of(
    table: Table,
    wanted: Wanted,
    *,
    text: Callable[[str, str], str],
    kind: Callable[[str], ValueKind | None],
) -> tuple[TallyColumn, ...]:
    """Return the columns of a table; `text` takes a name and a type, `kind` a type."""
    return tuple(
        TallyColumn(
            name=column.name,
            text=text(column.name, column.type),
            kind=kind(column.type),
            is_hidden=column.name in wanted.hidden,
        )
        for column in table.columns
    )


PLAIN_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "0123456789"
"""What a database replaces by A, a and 9; the rest is done here."""


def translated_shape(text: str) -> str:
    """Write a shape with `translate`, which PostgreSQL and DuckDB have."""
    upper, lower, digits = PLAIN_LETTERS
    instead = "A" * len(upper) + "a" * len(lower) + "9" * len(digits)
    return f"translate({text}, '{upper}{lower}{digits}', '{instead}')"
