"""Confidence and budgets: the stated formula, and what it may never do."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch.core.budget import Decision, Limits, Spent, check
from amxwatch.core.confidence import agreement, confidence
from amxwatch.core.draft import Band, DraftSource
from amxwatch.core.evidence import Basis, ColumnStatistics

SAME = ("Status of the order.", "The order's status.", "Status that the order has.")
APART = ("Status of the order.", "Colour in which a parcel is painted.", "Weight on arrival.")
SEEN = ColumnStatistics(rows=100, distinct=3)
BASES = st.sampled_from(Basis)
SHARES = st.floats(0, 1)


def test_agreeing_words_on_a_key_are_high() -> None:
    assert confidence(SAME, evidence=Basis.KEY, has_key=True)[1] is Band.HIGH


def test_words_that_disagree_are_not() -> None:
    score, band = confidence(APART, evidence=Basis.NAME)
    assert band is Band.MEDIUM
    assert score < confidence(SAME, evidence=Basis.NAME)[0]
    assert confidence(APART, evidence=Basis.NONE, unsure=True)[1] is Band.LOW


def test_a_claim_without_its_evidence_counts_as_the_name() -> None:
    by_name = confidence(SAME, evidence=Basis.NAME)
    assert confidence(SAME, evidence=Basis.KEY, has_key=False) == by_name
    assert confidence(SAME, evidence=Basis.VALUES, statistics=None) == by_name
    assert confidence(SAME, evidence=Basis.VALUES, statistics=ColumnStatistics(rows=0)) == by_name
    assert confidence(SAME, evidence=Basis.VALUES, statistics=SEEN) > by_name


@given(BASES, st.booleans(), st.floats(-3, 0), SHARES, SHARES)
def test_an_unread_name_alone_is_never_high(
    basis: Basis, neighbours: bool, logprob: float, one: float, two: float
) -> None:
    _, band = confidence(
        SAME,
        evidence=basis,
        has_neighbours=neighbours,
        names_known=False,
        logprob=logprob,
        logprob_high=max(one, two),
        logprob_medium=min(one, two),
    )
    assert band is not Band.HIGH


@given(BASES, st.booleans(), SHARES, SHARES)
def test_rules_are_never_high_and_flags_always_low(
    basis: Basis, known: bool, one: float, two: float
) -> None:
    high, medium = max(one, two), min(one, two)
    for source, flags, worst in (
        (DraftSource.RULES, (), {Band.MEDIUM, Band.LOW}),
        (DraftSource.MODEL, ("url",), {Band.LOW}),
    ):
        _, band = confidence(
            SAME,
            evidence=basis,
            has_key=True,
            statistics=SEEN,
            names_known=known,
            source=source,
            flags=flags,
            logprob_high=high,
            logprob_medium=medium,
        )
        assert band in worst


@given(BASES, st.floats(-5, 0), st.floats(-5, 0), st.booleans(), st.sampled_from([SAME, APART]))
def test_likelier_tokens_never_lower_it(
    basis: Basis, one: float, two: float, unsure: bool, texts: tuple[str, ...]
) -> None:
    scores = [
        confidence(texts, evidence=basis, has_key=True, logprob=logprob, unsure=unsure)[0]
        for logprob in sorted((one, two))
    ]
    assert scores[0] <= scores[1]


@given(st.lists(st.text(max_size=40), max_size=5), BASES, st.floats(allow_nan=True), st.booleans())
def test_it_is_a_share_and_doubt_never_raises_it(
    texts: list[str], basis: Basis, logprob: float, cut: bool
) -> None:
    finish = "length" if cut else "stop"
    sure, _ = confidence(texts, evidence=basis, logprob=logprob, finish=finish)
    doubting, _ = confidence(texts, evidence=basis, logprob=logprob, finish=finish, unsure=True)
    assert 0 <= doubting <= sure <= 1
    assert sure <= confidence(texts, evidence=basis, logprob=logprob)[0]


@given(SHARES, SHARES, st.floats(-2, 0), BASES)
def test_bands_follow_the_thresholds(one: float, two: float, logprob: float, basis: Basis) -> None:
    high, medium = max(one, two), min(one, two)
    order = [Band.LOW, Band.MEDIUM, Band.HIGH]
    bands = [
        confidence(
            SAME,
            evidence=basis,
            has_key=True,
            logprob=each,
            logprob_high=high,
            logprob_medium=medium,
        )[1]
        for each in (logprob, logprob / 2)
    ]
    assert order.index(bands[0]) <= order.index(bands[1])


def test_agreement_ignores_filler_words_and_order() -> None:
    assert agreement(("Status of the order", "The order status")) == 1
    assert agreement(("Red", "Blue")) < 0.8
    assert agreement(("One",)) == agreement(()) < 1


def test_the_formula_is_the_one_that_is_written_down() -> None:
    score, _ = confidence(("x y", "y x"), evidence=Basis.NAME, logprob=math.log(0.8), unsure=True)
    assert score == pytest.approx(1.0 * 0.9 * 0.8 * 0.5, abs=1e-4)


USD = Decimal


@pytest.mark.parametrize(
    ("spent", "limits", "known", "decision", "category"),
    [
        (Spent(), Limits(), False, Decision.ALLOW, None),
        (Spent(run_usd=USD("4.99")), Limits(per_run_usd=USD(5)), True, Decision.ALLOW, None),
        (Spent(run_usd=USD(5)), Limits(per_run_usd=USD(5)), True, Decision.BLOCK, "budget"),
        (Spent(day_usd=USD(51)), Limits(per_day_usd=USD(50)), True, Decision.BLOCK, "budget"),
        (Spent(), Limits(per_run_usd=USD(0)), True, Decision.BLOCK, "budget"),
        (Spent(), Limits(per_day_usd=USD(50)), False, Decision.BLOCK, "unpriced"),
        (
            Spent(run_usd=USD(9)),
            Limits(per_run_usd=USD(5), on_limit="warn"),
            True,
            Decision.WARN,
            "budget",
        ),
        (Spent(), Limits(per_day_usd=USD(5), on_limit="warn"), False, Decision.WARN, "unpriced"),
        (Spent(requests=200), Limits(max_requests=200), True, Decision.BLOCK, "limit"),
        (
            Spent(requests=3),
            Limits(max_requests=3, on_limit="warn"),
            True,
            Decision.BLOCK,
            "limit",
        ),
    ],
)
def test_budgets(
    spent: Spent, limits: Limits, known: bool, decision: Decision, category: str | None
) -> None:
    verdict = check(spent, limits, next_cost_known=known)
    assert (verdict.decision, verdict.category) == (decision, category)
    assert bool(verdict.text) == (decision is not Decision.ALLOW)


def test_what_is_free_passes_a_spent_budget() -> None:
    limits = Limits(per_run_usd=USD(0), max_requests=5)
    assert check(Spent(), limits, next_cost_known=True, is_free=True).decision is Decision.ALLOW
    assert check(Spent(requests=5), limits, next_cost_known=True, is_free=True).is_block


def test_a_schedule_can_only_narrow() -> None:
    limits = Limits(per_run_usd=USD(5))
    assert limits.narrowed(per_run_usd=USD(1)).per_run_usd == 1
    assert limits.narrowed(per_run_usd=USD(9)).per_run_usd == 5
    assert limits.narrowed(max_requests=7).max_requests == 7
    assert limits.narrowed() == limits
