"""How far a draft can be trusted: a number from 0 to 1, and a band.

    confidence = agreement x basis x exp(mean log-probability) x doubts

agreement  0.6 + 0.4 x the mean likeness of the alternatives in pairs (their sets of words);
           0.85 for a single one, which agrees with nothing
basis      what the draft rests on, checked against what is there to rest on
doubts     x 0.5 where the drafter is unsure, x 0.8 where the reply was cut

The product of agreement and probability does better than either alone (arXiv 2502.04964); what
a model says of its own certainty is too rosy (2306.13063), so `unsure` only ever lowers.

Caps: a flagged draft is low. Words from rules are medium at most. Without key, sample or
document behind it, a name that could not be read never makes a high one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import combinations

from rapidfuzz import fuzz

from amxwatch.core.draft import Band, DraftSource
from amxwatch.core.evidence import Basis, ColumnStatistics

BASIS = {
    Basis.KEY: 1.0,
    Basis.VALUES: 1.0,
    Basis.NEIGHBOURS: 0.95,
    Basis.NAME: 0.9,
    Basis.TYPE: 0.8,
    Basis.NONE: 0.6,
}
"""What a draft that rests on it is worth, at best."""

ALONE = 0.85
UNSURE = 0.5
CUT = 0.8
_BELOW = 0.01
"""How far under the threshold a capped draft is put."""

_FILLERS = re.compile(
    r"\b(?:an?|the|of|for|to|in|on|at|by|is|are|was|were|be|been|its?|this|that|these|those|which"
    r"|with|and|or|as|from|each|holds?|contains|stores|indicates|gives)\b"
)


def confidence(
    alternatives: Sequence[str],
    *,
    evidence: Basis,
    has_key: bool = False,
    statistics: ColumnStatistics | None = None,
    has_neighbours: bool = False,
    names_known: bool = True,
    logprob: float | None = None,
    finish: str = "stop",
    unsure: bool = False,
    flags: Sequence[str] = (),
    source: DraftSource = DraftSource.MODEL,
    logprob_high: float = 0.85,
    logprob_medium: float = 0.50,
) -> tuple[float, Band]:
    """Return the confidence in a draft and its band.

    `has_key`, `statistics` and `has_neighbours` say what the prompt really held: a basis that
    was not there counts as the name. `logprob` is the mean of the reply's tokens. The result
    never falls when the alternatives agree more, the basis is better or the tokens likelier.
    """
    basis = _held(evidence, has_key, statistics, has_neighbours)
    score = agreement(alternatives) * BASIS[basis]
    if logprob is not None and not math.isnan(logprob):
        score *= math.exp(min(logprob, 0.0))
    score *= (UNSURE if unsure else 1.0) * (1.0 if finish == "stop" else CUT)
    supported = basis in {Basis.KEY, Basis.VALUES}
    if flags:
        return _capped(score, logprob_medium, Band.LOW)
    if score >= logprob_high and (source is DraftSource.RULES or not (names_known or supported)):
        return _capped(score, logprob_high, Band.MEDIUM)
    return round(score, 4), _band(score, logprob_high, logprob_medium)


def agreement(alternatives: Sequence[str]) -> float:
    """Return from 0.6 (nothing in common) to 1 (the same words) how alike alternatives are."""
    bags = [" ".join(_words(text)) for text in alternatives]
    pairs = [fuzz.token_set_ratio(a, b) / 100 for a, b in combinations(bags, 2)]
    return 0.6 + 0.4 * sum(pairs) / len(pairs) if pairs else ALONE


def _words(text: str) -> list[str]:
    folded = text.casefold()
    return re.findall(r"\w+", _FILLERS.sub(" ", folded)) or re.findall(r"\w+", folded)


def _held(
    evidence: Basis, has_key: bool, statistics: ColumnStatistics | None, has_neighbours: bool
) -> Basis:
    """Return the basis that a drafter claims, where it was there; else the name."""
    seen = statistics is not None and statistics.rows > 0 and statistics.null_share < 1
    there = {Basis.KEY: has_key, Basis.VALUES: seen, Basis.NEIGHBOURS: has_neighbours}
    return evidence if there.get(evidence, True) else Basis.NAME


def _band(score: float, high: float, medium: float) -> Band:
    if score >= high:
        return Band.HIGH
    return Band.MEDIUM if score >= medium else Band.LOW


def _capped(score: float, threshold: float, band: Band) -> tuple[float, Band]:
    return round(min(score, max(threshold - _BELOW, 0.0)), 4), band
