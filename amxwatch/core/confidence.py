"""How far a draft can be trusted: a number from 0 to 1, and a band.

    confidence = signal x basis x doubts

signal  what `confidence_signal` gave (`core.certainty`), from 0 to 1
basis   what the draft rests on, checked against what is there to rest on
doubts  x 0.5 where the drafter is unsure, x 0.8 where the reply was cut

What a model says of its own certainty is too rosy (arXiv 2306.13063), so `unsure` only ever
lowers.

Caps: a flagged draft is low. Words from rules are medium at most. Without key, sample or
document behind it, a name that could not be read never makes a high one.
"""

from __future__ import annotations

from collections.abc import Sequence

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
"""What a draft that rests on it is worth, at best. What is not listed is worth a key."""

UNSURE = 0.5
CUT = 0.8
_BELOW = 0.01
"""How far under the threshold a capped draft is put."""


def confidence(
    signal: float,
    *,
    evidence: Basis,
    has_key: bool = False,
    statistics: ColumnStatistics | None = None,
    has_neighbours: bool = False,
    has_documents: bool = False,
    names_known: bool = True,
    finish: str = "stop",
    unsure: bool = False,
    flags: Sequence[str] = (),
    source: DraftSource = DraftSource.MODEL,
    logprob_high: float = 0.85,
    logprob_medium: float = 0.50,
) -> tuple[float, Band]:
    """Return the confidence in a draft and its band.

    `has_key`, `statistics`, `has_neighbours` and `has_documents` say what the prompt really
    held: a basis that was not there counts as the name. The result never falls when the signal
    is stronger or the basis better.
    """
    basis = _held(evidence, has_key, statistics, has_neighbours)
    score = min(max(signal, 0.0), 1.0) * BASIS.get(basis, 1.0)
    score *= (UNSURE if unsure else 1.0) * (1.0 if finish == "stop" else CUT)
    backed = basis in {Basis.KEY, Basis.VALUES} or has_documents
    if flags:
        return _capped(score, logprob_medium, Band.LOW)
    if score >= logprob_high and (source is DraftSource.RULES or not (names_known or backed)):
        return _capped(score, logprob_high, Band.MEDIUM)
    return round(score, 4), _band(score, logprob_high, logprob_medium)


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
