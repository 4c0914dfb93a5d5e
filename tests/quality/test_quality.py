"""The rules against what people wrote: better than the bare name, and honest in their bands.

`make quality` prints the whole table. The measures and how they are taken: docs/quality.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import ObjectRef
from amxwatch.core.draft import Band
from amxwatch.providers import ProviderSpec, make
from tests.quality.__main__ import RULES
from tests.quality.gold import GoldSet, gold_sets
from tests.quality.measures import chrf, expanded, likeness, short_forms, token_f1
from tests.quality.score import Drafted, bare_names, drafts, sheet

pytestmark = pytest.mark.anyio

CLEAR = {"chrF": 0.08, "token F1": 0.03, "likeness": -0.01}
"""By how much the rules must beat the bare name, on every set; by likeness they may come even."""

Made = list[tuple[GoldSet, dict[ObjectRef, Drafted]]]


@pytest.fixture(scope="module")
async def made(cases: Path) -> Made:
    rules = make(ProviderSpec(provider="builtin", model="rules"), clock=SystemClock())
    return [(gold, await drafts(gold, rules, RULES)) for gold in gold_sets(cases / "gold")]


async def test_the_rules_beat_the_bare_name_on_every_set_by_every_measure(made: Made) -> None:
    assert made
    for gold, drafted in made:
        assert drafted.keys() == gold.wanted.keys()
        ours = sheet(gold, "builtin", {ref: draft.text for ref, draft in drafted.items()})
        bare = sheet(gold, "bare name", bare_names(gold))
        for measure, margin in CLEAR.items():
            gain = ours.scores[measure] - bare.scores[measure]
            assert gain > margin, (gold.name, measure, ours.scores[measure], bare.scores[measure])


async def test_the_rules_write_out_most_short_forms(made: Made) -> None:
    hits = total = 0
    for gold, drafted in made:
        texts = {ref: draft.text for ref, draft in drafted.items()}
        hit, of = sheet(gold, "builtin", texts).expansions
        hits, total = hits + hit, total + of
    assert total >= 40
    assert hits / total > 0.6


async def test_a_better_band_has_better_drafts_on_every_set(made: Made) -> None:
    for gold, drafted in made:
        texts = {ref: draft.text for ref, draft in drafted.items()}
        bands = sheet(gold, "", texts, {ref: draft.band for ref, draft in drafted.items()}).bands
        assert Band.HIGH not in bands, "rules are medium at most"
        assert bands[Band.MEDIUM][1] > bands[Band.LOW][1], (gold.name, bands)


async def test_every_draft_is_a_sentence(made: Made) -> None:
    for _, drafted in made:
        for ref, draft in drafted.items():
            assert draft.text[:1] == draft.text[:1].upper(), (ref, draft.text)
            assert draft.text.endswith((".", "?", "!")), (ref, draft.text)
            assert 1 < len(draft.text.split()) < 40, (ref, draft.text)


@given(st.text(max_size=60), st.text(max_size=60))
def test_measures_are_shares_and_a_text_is_like_itself(one: str, other: str) -> None:
    for measure in (chrf, token_f1, likeness):
        assert 0 <= measure(one, other) <= 1.000001
        assert measure("Status of the order.", "Status of the order.") == pytest.approx(1)
        assert measure("aaa", "zzz") == 0


def test_chrf_counts_recall_twice() -> None:
    assert chrf("order status", "status") > chrf("status", "order status")


def test_a_short_form_counts_where_the_person_wrote_it_out() -> None:
    forms = short_forms(["cust", "ship", "dt"], "Date the customer was shipped to.", [])
    assert forms == {"cust": {"customer"}, "dt": {"date"}}
    assert short_forms(["cust"], "The cust.", ["cust"]) == {}
    assert expanded("Customers of today.", forms) == 1
