"""Confidence, its signals, and budgets: the stated formulas, and what they may never do."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch.core.budget import Decision, Limits, Spent, check
from amxwatch.core.certainty import (
    likeness,
    probability,
    self_consistency,
    stated,
    supported,
)
from amxwatch.core.confidence import BASIS, confidence
from amxwatch.core.draft import Band, DraftSource
from amxwatch.core.evidence import Basis, ColumnStatistics

DRAFT = "Status of the order."
SAME = ("The order's status", "order status", "status that the order has")
APART = ("Colour of a parcel", "weight on arrival", "who packed it")
SEEN = ColumnStatistics(rows=100, distinct=3)
BASES = st.sampled_from(Basis)
SHARES = st.floats(0, 1)
TEXTS = st.text(max_size=40)


def test_a_sure_signal_on_a_key_is_high() -> None:
    assert confidence(1.0, evidence=Basis.KEY, has_key=True)[1] is Band.HIGH


def test_a_claim_without_its_evidence_counts_as_the_name() -> None:
    by_name = confidence(1.0, evidence=Basis.NAME)
    assert confidence(1.0, evidence=Basis.KEY, has_key=False) == by_name
    assert confidence(1.0, evidence=Basis.VALUES, statistics=None) == by_name
    assert confidence(1.0, evidence=Basis.VALUES, statistics=ColumnStatistics(rows=0)) == by_name
    assert confidence(1.0, evidence=Basis.VALUES, statistics=SEEN) > by_name


@given(SHARES, BASES, st.booleans(), SHARES, SHARES)
def test_an_unread_name_without_evidence_is_never_high(
    signal: float, basis: Basis, neighbours: bool, one: float, two: float
) -> None:
    _, band = confidence(
        signal,
        evidence=basis,
        has_neighbours=neighbours,
        names_known=False,
        logprob_high=max(one, two),
        logprob_medium=min(one, two),
    )
    assert band is not Band.HIGH


@pytest.mark.parametrize(
    "behind",
    [
        {"evidence": Basis.KEY, "has_key": True},
        {"evidence": Basis.VALUES, "statistics": SEEN},
        {"evidence": Basis.NEIGHBOURS, "has_neighbours": True, "has_documents": True},
    ],
)
def test_a_key_a_sample_or_a_document_can_make_an_unread_name_high(behind: dict) -> None:  # type: ignore[type-arg]  # of any values
    assert confidence(1.0, names_known=False, **behind)[1] is Band.HIGH


@given(SHARES, BASES, st.booleans(), SHARES, SHARES)
def test_rules_are_never_high_and_flags_always_low(
    signal: float, basis: Basis, known: bool, one: float, two: float
) -> None:
    high, medium = max(one, two), min(one, two)
    for source, flags, worst in (
        (DraftSource.RULES, (), {Band.MEDIUM, Band.LOW}),
        (DraftSource.MODEL, ("url",), {Band.LOW}),
    ):
        _, band = confidence(
            signal,
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


@given(BASES, SHARES, SHARES, st.booleans())
def test_a_stronger_signal_never_lowers_it(
    basis: Basis, one: float, two: float, unsure: bool
) -> None:
    scores = [
        confidence(signal, evidence=basis, has_key=True, unsure=unsure)[0]
        for signal in sorted((one, two))
    ]
    assert scores[0] <= scores[1]


@given(st.floats(-1, 2), BASES, st.booleans())
def test_it_is_a_share_and_doubt_never_raises_it(signal: float, basis: Basis, cut: bool) -> None:
    finish = "length" if cut else "stop"
    sure, _ = confidence(signal, evidence=basis, finish=finish)
    doubting, _ = confidence(signal, evidence=basis, finish=finish, unsure=True)
    assert 0 <= doubting <= sure <= 1
    assert sure <= confidence(signal, evidence=basis)[0]


@given(SHARES, SHARES, SHARES, BASES)
def test_bands_follow_the_thresholds(one: float, two: float, signal: float, basis: Basis) -> None:
    high, medium = max(one, two), min(one, two)
    order = [Band.LOW, Band.MEDIUM, Band.HIGH]
    bands = [
        confidence(each, evidence=basis, has_key=True, logprob_high=high, logprob_medium=medium)[1]
        for each in (signal / 2, signal)
    ]
    assert order.index(bands[0]) <= order.index(bands[1])


def test_the_formula_is_the_one_that_is_written_down() -> None:
    score, _ = confidence(0.8, evidence=Basis.NAME, unsure=True)
    assert score == pytest.approx(0.8 * BASIS[Basis.NAME] * 0.5, abs=1e-4)


def test_samples_that_agree_make_it_sure_and_samples_that_do_not_make_it_doubtful() -> None:
    agreed, apart = self_consistency(DRAFT, SAME), self_consistency(DRAFT, APART)
    assert agreed == 1
    assert apart is not None
    assert apart < 0.5


def test_without_a_sample_there_is_no_agreement_to_speak_of() -> None:
    assert self_consistency(DRAFT, ()) is None
    assert self_consistency(DRAFT, (), logprob=-0.1) is None


def test_the_tokens_probability_counts_where_there_is_one() -> None:
    assert self_consistency(DRAFT, SAME, logprob=math.log(0.8)) == pytest.approx(0.8)
    assert self_consistency(DRAFT, SAME, logprob=math.nan) == 1
    assert probability(None) is None
    assert probability(math.log(0.3)) == pytest.approx(0.3)


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=4), st.floats(-9, 0), st.floats(-9, 0))
def test_agreement_is_a_share_and_likelier_tokens_never_lower_it(
    draft: str, meanings: list[str], one: float, two: float
) -> None:
    low, high = (self_consistency(draft, meanings, logprob) for logprob in sorted((one, two)))
    assert low is not None
    assert high is not None
    assert 0 <= low <= high <= 1


@given(TEXTS, TEXTS)
def test_likeness_is_the_same_both_ways(one: str, other: str) -> None:
    assert likeness(one, other) == likeness(other, one)


def test_likeness_ignores_filler_words_order_and_endings() -> None:
    assert likeness("Status of the orders", "The order status") == 1
    assert likeness("Red", "Blue") < 0.5


@pytest.mark.parametrize(
    ("said", "share"), [(None, None), (math.nan, None), (0.4, 0.4), (7.0, 1.0), (-1.0, 0.0)]
)
def test_what_a_model_says_of_itself_is_kept_within_bounds(
    said: float | None, share: float | None
) -> None:
    assert stated(said) == share


FACTS: dict[str, object] = {
    "name": "cust_dlvrd_dt",
    "words": "customer delivered date",
    "table": {"name": "orders", "columns": ["cust_dlvrd_dt", "carrier"]},
    "statistics": {"all_values": ["express", "standard"]},
}


def test_the_evidence_signal_is_the_share_of_words_that_the_material_holds() -> None:
    assert supported("Date when the customer's order was delivered.", FACTS) == 1
    assert supported("Date of delivery by the carrier, express or standard.", FACTS) == 1
    assert supported("Barometric pressure aboard a submarine.", FACTS) == 0
    assert supported("Delivered submarine.", FACTS) == 0.5


@given(TEXTS, st.dictionaries(TEXTS, st.recursive(TEXTS, st.lists, max_leaves=4), max_size=4))
def test_support_is_a_share_and_more_material_never_lowers_it(
    draft: str, facts: dict[str, object]
) -> None:
    share = supported(draft, facts)
    assert 0 <= share <= 1
    assert supported(draft, {**facts, "one more": draft}) == 1


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
