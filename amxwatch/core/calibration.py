"""Thresholds of bands, fitted on how reviewers answered.

A band promises a share of drafts that are right as they stand: accepted in their first words. The
lowest confidence from which on that share holds is its threshold. Nothing is fitted on few
answers, nor where the share is never reached.
See: Guo et al., "On Calibration of Modern Neural Networks" (arXiv 1706.04599), for why a raw
score says little of how often it is right until it was compared with what came out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amxwatch.core.draft import Draft, DraftSource, DraftStatus

JUDGED = frozenset(
    {DraftStatus.ACCEPTED, DraftStatus.EDITED, DraftStatus.REJECTED, DraftStatus.WRITTEN}
    | {DraftStatus.CONFLICT, DraftStatus.UNDONE}
)
"""Where a draft stands whose words a person may have judged."""

LEAST = 20
"""Fewer answers say nothing."""

LEAST_ABOVE = 5
"""So many must stand at or above a threshold."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One answer: how sure the draft was, and whether its first words were right."""

    confidence: float
    is_right: bool


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What the answers say. A threshold is None where no confidence keeps the band's promise."""

    judged: int
    right: int
    high: float | None = None
    medium: float | None = None

    @property
    def is_enough(self) -> bool:
        return self.judged >= LEAST


def judgement_of(draft: Draft) -> Judgement | None:
    """Return what a reviewer's answer says of a draft; None where nobody judged its words.

    Flagged drafts are low whatever their score, and what a rename carried along was not drafted.
    """
    if draft.reviewed_at is None or draft.flags or draft.source is DraftSource.CARRIED:
        return None
    if draft.status is DraftStatus.REJECTED:
        return Judgement(confidence=draft.confidence, is_right=False)
    if draft.status not in JUDGED or draft.text is None or not draft.alternatives:
        return None
    return Judgement(confidence=draft.confidence, is_right=draft.text == draft.alternatives[0])


def fit(judged: Sequence[Judgement], *, high_share: float = 0.9, medium_share: float = 0.6) -> Fit:
    """Return the lowest thresholds that keep what the bands promise.

    Raises: ValueError where `medium` would promise more than `high`.
    """
    if medium_share > high_share:
        raise ValueError("medium cannot promise more than high")
    right = sum(each.is_right for each in judged)
    found = Fit(judged=len(judged), right=right)
    if not found.is_enough:
        return found
    high, medium = _threshold(judged, high_share), _threshold(judged, medium_share)
    return Fit(judged=len(judged), right=right, high=high, medium=medium)


def _threshold(judged: Sequence[Judgement], share: float) -> float | None:
    """Return the lowest confidence at and above which at least this share is right."""
    ordered = sorted(judged, key=lambda each: -each.confidence)
    best, right = None, 0
    for count, each in enumerate(ordered, 1):
        right += each.is_right
        last = count == len(ordered) or ordered[count].confidence < each.confidence
        if last and count >= LEAST_ABOVE and right / count >= share:
            best = each.confidence
    return best
