"""Thresholds fitted on answers: the stated rule, and what it never does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch.core.calibration import LEAST, LEAST_ABOVE, Judgement, fit


def judged(*runs: tuple[float, int, int]) -> list[Judgement]:
    """Make answers: at this confidence, so many right and so many wrong."""
    return [
        Judgement(confidence=at, is_right=is_right)
        for at, right, wrong in runs
        for is_right in [True] * right + [False] * wrong
    ]


def test_the_thresholds_are_the_lowest_that_keep_the_promise() -> None:
    found = fit(judged((0.95, 20, 0), (0.8, 10, 2), (0.6, 5, 5), (0.3, 1, 20)))
    assert (found.high, found.medium) == (0.8, 0.6)
    assert (found.judged, found.right) == (63, 36)


def test_few_answers_fit_nothing() -> None:
    found = fit(judged((0.9, LEAST - 1, 0)))
    assert not found.is_enough
    assert (found.high, found.medium) == (None, None)


def test_a_promise_that_is_never_kept_has_no_threshold() -> None:
    assert fit(judged((0.9, 0, 40))).high is None


def test_medium_cannot_promise_more_than_high() -> None:
    with pytest.raises(ValueError, match="more than high"):
        fit([], high_share=0.5, medium_share=0.6)


ANSWERS = st.lists(
    st.builds(
        Judgement,
        confidence=st.floats(0, 1).map(lambda value: round(value, 2)),
        is_right=st.booleans(),
    ),
    max_size=80,
)


@given(ANSWERS, st.floats(0, 1), st.floats(0, 1))
def test_what_is_fitted_holds_on_the_answers_and_nothing_lower_does(
    answers: list[Judgement], one: float, other: float
) -> None:
    high_share, medium_share = max(one, other), min(one, other)
    found = fit(answers, high_share=high_share, medium_share=medium_share)
    for threshold, share in ((found.high, high_share), (found.medium, medium_share)):
        for each in {answer.confidence for answer in answers} if found.is_enough else set():
            above = [answer.is_right for answer in answers if answer.confidence >= each]
            keeps = len(above) >= LEAST_ABOVE and sum(above) / len(above) >= share
            if threshold is None or each < threshold:
                assert not keeps
            elif each == threshold:
                assert keeps
    if found.high is not None:
        assert found.medium is not None
        assert found.medium <= found.high
