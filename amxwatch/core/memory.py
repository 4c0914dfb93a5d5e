"""What a schedule carries from run to run: how people answered, and how the data looked.

With `session_mode = "persistent"` later prompts hold the answers that teach most and name what
moved in the data since; both are bounded, however long the schedule has been running.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from amxwatch.core.draft import Draft, DraftStatus
from amxwatch.core.evidence import ColumnStatistics

MAX_LESSONS = 24
"""How many answers go along with a prompt."""

MAX_CHARACTERS = 4000
"""Of all lessons together."""

MAX_WORDS = 240
"""Characters of one text in a lesson."""

MAX_DEVIATIONS = 4
"""How many deviations are named of one column, the gravest first."""

SHARE_MOVED = 0.10
"""An empty share that moved by at least this much is a deviation."""

FACTOR_MOVED = 4
"""A count of distinct values that grew or shrank by this factor is one."""


class Answer(enum.StrEnum):
    """What a reviewer did with a draft."""

    CORRECTED = "corrected"
    REJECTED = "rejected"
    CHOSEN = "chosen"
    """They took an alternative that did not stand first."""
    ACCEPTED = "accepted"


_TEACHES = (Answer.CORRECTED, Answer.REJECTED, Answer.CHOSEN, Answer.ACCEPTED)
"""What teaches more comes first."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """One answer. `proposed` is what the draft said first, `kept` what the reviewer let stand."""

    name: str
    answer: Answer
    proposed: str
    kept: str | None = None


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """One thing that a column's values did not do before, in plain words."""

    column: str
    what: str


def lessons(drafts: Iterable[Draft]) -> tuple[Lesson, ...]:
    """Return what reviewed drafts teach, what teaches most first, within the bounds.

    `drafts` come newest first, and newer ones go before older ones of the same kind.
    """
    found = [lesson for draft in drafts if (lesson := _lesson(draft)) is not None]
    found.sort(key=lambda lesson: _TEACHES.index(lesson.answer))
    chosen: list[Lesson] = []
    room = MAX_CHARACTERS
    seen: set[tuple[str, str | None]] = set()
    for lesson in found:
        size = len(lesson.name) + len(lesson.proposed) + len(lesson.kept or "")
        if len(chosen) == MAX_LESSONS or (lesson.proposed, lesson.kept) in seen or size > room:
            continue
        seen.add((lesson.proposed, lesson.kept))
        chosen.append(lesson)
        room -= size
    return tuple(chosen)


def _lesson(draft: Draft) -> Lesson | None:
    if not draft.alternatives or draft.reviewed_at is None:
        return None
    proposed = _cut(draft.alternatives[0])
    name = draft.ref.column or draft.ref.table or draft.ref.schema
    if draft.status is DraftStatus.REJECTED:
        return Lesson(name=name, answer=Answer.REJECTED, proposed=proposed)
    if draft.text is None:
        return None
    if draft.choice is None:
        answer = Answer.CORRECTED
    else:
        answer = Answer.ACCEPTED if draft.choice == 1 else Answer.CHOSEN
    return Lesson(name=name, answer=answer, proposed=proposed, kept=_cut(draft.text))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_WORDS else text[: MAX_WORDS - 1] + "…"


def deviations(
    before: Mapping[str, ColumnStatistics], now: Mapping[str, ColumnStatistics]
) -> tuple[Deviation, ...]:
    """Return what the columns of one table do that they did not do at the earlier look.

    Columns that only one of the two knows are the catalog's business, and an empty look says
    nothing.
    """
    return tuple(
        Deviation(column=name, what=what)
        for name, seen in now.items()
        if name in before and seen.rows and before[name].rows
        for what in _moves(before[name], seen)[:MAX_DEVIATIONS]
    )


def _moves(old: ColumnStatistics, new: ColumnStatistics) -> list[str]:
    found: list[str] = []
    if abs(old.null_share - new.null_share) >= SHARE_MOVED:
        found.append(f"empty share {old.null_share:.0%}, now {new.null_share:.0%}")
    found += _values(old, new)
    gone, come = set(old.hints) - set(new.hints), set(new.hints) - set(old.hints)
    if gone or come:
        found.append(f"looked like {_list(old.hints)}, now like {_list(new.hints)}")
    found += _distinct(old, new)
    found += _range(old, new)
    found += _patterns(old, new)
    return found


def _values(old: ColumnStatistics, new: ColumnStatistics) -> list[str]:
    if not (old.is_enum and new.is_enum):
        return []
    come = sorted(set(new.values) - set(old.values))
    gone = sorted(set(old.values) - set(new.values))
    found = [f"new values {_list(come)}"] if come else []
    # A sample need not hold a rare value; only a full look proves that one is gone.
    return found + ([f"values {_list(gone)} gone"] if gone and new.is_exact else [])


def _distinct(old: ColumnStatistics, new: ColumnStatistics) -> list[str]:
    less, more = sorted((old.distinct, new.distinct))
    comparable = old.is_exact == new.is_exact and (old.is_exact or old.rows == new.rows)
    if not comparable or more < FACTOR_MOVED * max(less, 1):
        return []
    return [f"{old.distinct} distinct values, now {new.distinct}"]


def _range(old: ColumnStatistics, new: ColumnStatistics) -> list[str]:
    bounds = [_number(text) for text in (old.minimum, old.maximum, new.minimum, new.maximum)]
    if None in bounds:
        return []
    low, high, now_low, now_high = (bound for bound in bounds if bound is not None)
    width = high - low or abs(high) or Decimal(1)
    # Counters grow for ever; what is named is a leap, or a sign that was never seen.
    leapt = now_high - high > width or low - now_low > width or (low >= 0 > now_low)
    return [f"range {old.minimum} to {old.maximum}, now {new.minimum} to {new.maximum}"] * leapt


def _number(text: str | None) -> Decimal | None:
    try:
        number = Decimal(text or "")
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _patterns(old: ColumnStatistics, new: ColumnStatistics) -> list[str]:
    if not old.patterns or not new.patterns or (old.is_enum and new.is_enum):
        return []  # the values of an enum were told already
    known = {portion.text for portion in old.patterns}
    come = [each.text for each in new.patterns if each.text not in known]
    strange = sum(each.share for each in new.patterns if each.text not in known)
    return [f"new shapes {_list(come)}"] if strange >= SHARE_MOVED else []


def _list(texts: Sequence[str]) -> str:
    shown = ", ".join(text if len(text) <= 40 else text[:39] + "…" for text in texts[:5])
    more = f" and {len(texts) - 5} more" if len(texts) > 5 else ""
    return (shown or "nothing known") + more
