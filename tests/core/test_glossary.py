"""The house's abbreviations: what descriptions teach, and what they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch.core.catalog import Column, Table
from amxwatch.core.denied import denied_columns
from amxwatch.core.errors import ScopeError
from amxwatch.core.glossary import Told, learn, read_by, spoken_of
from amxwatch.core.naming import read_name


def own(name: str, text: str) -> Told:
    return Told(name=name, text=text, is_own=True)


def test_one_text_of_a_reviewer_or_two_names_that_agree_are_enough() -> None:
    assert learn([own("ttm_rvn", "Revenue over the trailing twelve months.")]) == {
        "rvn": "revenue",
        "ttm": "trailing twelve months",
    }
    once = Told(name="whse_no", text="Number of the warehouse.")
    assert learn([once]) == {}
    assert learn([once, once]) == {}
    assert learn([once, Told(name="whse_city", text="City of the warehouse.")]) == {
        "whse": "warehouse"
    }


def test_words_and_rivals_teach_nothing() -> None:
    assert learn([own("order", "The ordinary one.")]) == {}
    assert learn([own("xqz", "Nothing like it.")]) == {}
    assert learn([own("brn_a", "The branch."), own("brn_b", "The burning.")]) == {}
    assert learn([own("sku_no", "The sku of the article.")]) == {}


def test_names_are_read_by_it() -> None:
    glossary = {"ttm": "trailing twelve months", "zzz": "unused"}
    assert spoken_of(glossary, ["ttm_goal", "other"]) == {"ttm": "trailing twelve months"}
    reading = read_by(glossary, read_name("ttm_goal"), "ttm_goal")
    assert (reading.text, reading.unknown) == ("trailing twelve months goal", ())
    assert read_by({}, read_name("ttm_goal"), "ttm_goal").unknown == ("ttm",)


@given(st.lists(st.builds(Told, name=st.text(max_size=20), text=st.text(max_size=60))))
def test_the_same_descriptions_teach_the_same(told: list[Told]) -> None:
    assert learn(told) == learn(list(reversed(told)))


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("ssn", {"ssn"}),
        ("*_SSN", {"his_ssn"}),
        ("person.ssn", {"ssn"}),
        ("HR.*.salary", {"Salary"}),
        ("hr.person.*", {"ssn", "his_ssn", "Salary"}),
        ("other.ssn", set()),
    ],
)
def test_patterns_name_columns_whatever_their_case(pattern: str, named: set[str]) -> None:
    columns = tuple(
        Column(name=name, type="text", ordinal=at)
        for at, name in enumerate(("ssn", "his_ssn", "Salary"), 1)
    )
    assert denied_columns(Table(schema="hr", name="person", columns=columns), [pattern]) == named


@pytest.mark.parametrize("pattern", ["", "a.b.c.d", "a..b", '"'])
def test_a_pattern_that_names_no_column_is_refused(pattern: str) -> None:
    with pytest.raises(ScopeError):
        denied_columns(Table(schema="s", name="t"), [pattern])
