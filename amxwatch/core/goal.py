"""A goal: a scope, and what must be true of it to be done.

A person writes one as a line, `sales: coverage 95%`. The scope comes first, as the command line
takes it, then one measure or several, joined by a comma or `and`:

    coverage 95%, 95% described   so much of what is in scope has a description
    described                     all of it has one
    fresh, nothing stale          no description is older than what it describes
    band high                     what we drafted counts from that band on

What else stands in the line is a remark. A line whose first words after the scope are no
measure is no goal.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import NewType

from amxwatch.core.catalog import ObjectRef
from amxwatch.core.coverage import share_of
from amxwatch.core.draft import Band
from amxwatch.core.errors import ScopeError
from amxwatch.core.scope import Scope

GoalKey = NewType("GoalKey", str)
"""The scope and the measures in canonical spelling: one goal, wherever it stands."""

MAX_LETTERS = 1000
"""A longer line is prose."""

_NUMBER = r"(?P<number>\d{1,3}(?:[.,]\d{1,4})?)"
_AT_LEAST = r"(?:\s*(?::|=|>=|≥|\bis\b|\bof\b|\bto\b|\bat least\b))*"
_COVERAGE = (
    re.compile(
        rf"(?:coverage|described|documented){_AT_LEAST}\s*{_NUMBER}\s*(?P<sign>%|percent\b)?"
    ),
    re.compile(
        rf"(?:at least|>=|≥)?\s*{_NUMBER}\s*(?P<sign>%|percent\b)"
        r"(?:\s+(?:coverage|covered|described|documented)\b)?"
    ),
)
_DESCRIBED = re.compile(r"(?:fully |completely |all )?(?:described|documented|covered)\b")
_FRESH = re.compile(
    r"(?:fresh|up to date|not stale|nothing stale|(?:no|0) stale(?: descriptions?)?|stale 0)\b"
)
_BAND = re.compile(
    rf"(?:(?:band|confidence){_AT_LEAST}\s*(?P<after>high|medium|low)(?: or (?:better|higher))?"
    r"|(?P<before>high|medium|low) (?:band|confidence))\b"
)
_JOINT = re.compile(r"(?:[\s,;&+]|(?:and|with)\b)+")
_REMARK = re.compile(r".+?(?=[,;]\s|\s(?:and|with)\s|$)")
_LEADING = re.compile(r"^(?:[:=–—→]|->|-\s|(?:is|are|be|must be|should be|to be)\s)\s*")
_PLACES = re.compile(r"\s|:")
_GAP = re.compile(r"[^,;:\s]\s+[^,;:\s]")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_RANK = {Band.LOW: 0, Band.MEDIUM: 1, Band.HIGH: 2}


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What must be true. `coverage` is in percent, None where it does not matter.

    Of what we drafted, only what is in `band` or a better one counts as described.
    """

    coverage: float | None = None
    fresh: bool = False
    band: Band | None = None

    def __str__(self) -> str:
        words = []
        if self.coverage is not None:
            words.append(f"coverage {self.coverage:g}%")
        if self.fresh:
            words.append("fresh")
        if self.band is not None:
            words.append(f"band {self.band}")
        return ", ".join(words)

    def counts(self, band: Band) -> bool:
        """Claim that a description of ours in that band counts."""
        return self.band is None or _RANK[band] >= _RANK[self.band]


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One goal, and the file and line (from 1) where it stands. `remarks` were not understood."""

    scope: Scope
    measure: Measure
    file: str
    line: int
    remarks: tuple[str, ...] = ()

    @property
    def key(self) -> GoalKey:
        return GoalKey(str(self))

    def __str__(self) -> str:
        return f"{self.scope}: {self.measure}"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far a goal is: numbers of tables and columns in its scope."""

    objects: int
    described: int
    stale: int

    @property
    def percent(self) -> float:
        return share_of(self.described, self.objects)


def stand(
    refs: Collection[ObjectRef], described: Collection[ObjectRef], stale: Collection[ObjectRef]
) -> Standing:
    """Count what of these objects is described and counts, and what of it is stale."""
    told = [ref for ref in refs if ref in described]
    return Standing(objects=len(refs), described=len(told), stale=sum(ref in stale for ref in refs))


def is_met(measure: Measure, standing: Standing) -> bool:
    """Claim that the goal is reached. A scope that matches nothing yet reaches none."""
    if not standing.objects:
        return False
    if measure.fresh and standing.stale:
        return False
    if measure.coverage is None:
        return True
    # In whole numbers as far as they go, so that 19 of 20 are 95%.
    return 100 * standing.described >= measure.coverage * standing.objects


# -- reading a line --------------------------------------------------------------------------


def read_goal(text: str, *, file: str, line: int, within: Scope | None = None) -> Goal | None:
    """Return the goal that a line states; None where it states none.

    `within` is the scope of the heading above it: a line may then hold the measures alone.
    """
    text = " ".join(text.split()).rstrip(".")
    if len(text) > MAX_LETTERS:
        return None
    if found := read_measure(text):
        # Of "coverage 95%" the first word is no schema: such a one is written schema:coverage.
        if within is None:
            return None
        return Goal(scope=within, measure=found[0], file=file, line=line, remarks=found[1])
    for scope_text, rest in _cuts(text):
        if (found := read_measure(rest)) and (scope := read_scope(scope_text)):
            return Goal(scope=scope, measure=found[0], file=file, line=line, remarks=found[1])
    return None


def _cuts(text: str) -> Iterator[tuple[str, str]]:
    """Yield each way to cut a line in a scope and the rest, shortest scope first."""
    for place in _PLACES.finditer(text):
        if place.start():
            yield text[: place.start()], text[place.start() :].strip()


def read_measure(text: str) -> tuple[Measure, tuple[str, ...]] | None:
    """Return what must be true, and the remarks that say something else."""
    rest = text.strip()
    while (shorter := _LEADING.sub("", rest)) != rest:
        rest = shorter
    measure, remarks = Measure(), []
    while rest:
        found = _first(measure, rest)
        if found is not None:
            measure, length = found
        elif measure == Measure():
            return None
        elif remark := _REMARK.match(rest):
            remarks.append(remark[0])
            length = remark.end()
        rest = (
            _JOINT.sub("", rest[length:], count=1) if _JOINT.match(rest[length:]) else rest[length:]
        )
    if measure.band is not None and measure.coverage is None:
        measure = replace(measure, coverage=100.0)
    return (measure, tuple(remarks)) if measure != Measure() else None


def _first(measure: Measure, text: str) -> tuple[Measure, int] | None:
    """Return the measure with the clause that a text begins with, and the clause's length."""
    words = text.casefold()
    if (percent := _percent(words)) is not None:
        number, length = percent
        return replace(measure, coverage=max(number, measure.coverage or 0)), length
    if found := _FRESH.match(words):
        return replace(measure, fresh=True), found.end()
    if found := _BAND.match(words):
        return replace(measure, band=Band(found["after"] or found["before"])), found.end()
    return None


def _percent(words: str) -> tuple[float, int] | None:
    for pattern in _COVERAGE:
        if found := pattern.match(words):
            number = float(found["number"].replace(",", "."))
            # "coverage 0.9" may be meant as a share: without its sign it says nothing.
            least = 0 if found["sign"] else 1
            return (number, found.end()) if least < number <= 100 else None
    found = _DESCRIBED.match(words)
    return (100.0, found.end()) if found else None


def read_scope(text: str) -> Scope | None:
    """Return the scope that a text is, and nothing else beside it; None for prose."""
    bare = text.strip().rstrip(":").strip("`").strip()
    if bare.casefold() in ("everything", "all"):
        return Scope.all()
    if not bare or _GAP.search(_QUOTED.sub("x", bare)):
        return None
    try:
        return Scope.parse_bare(bare)
    except ScopeError:
        return None


def read_heading(text: str) -> Scope | None:
    """Return the scope of a heading that is one in full spelling, such as `schema:sales`."""
    scope = read_scope(text)
    is_full = text.strip().strip("`").startswith(("schema:", "table:", "column:"))
    return scope if scope is not None and (is_full or scope.is_all) else None
