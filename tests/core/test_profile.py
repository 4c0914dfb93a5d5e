"""Statistics of a sample: what they say, and what they never show."""

from __future__ import annotations

import datetime as dt
from dataclasses import astuple
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch.context.formats import formats, is_iban, is_luhn
from amxwatch.context.profile import hidden_columns, looks_personal
from amxwatch.context.profile import profile as profile_of
from amxwatch.core.evidence import ColumnStatistics, Samples
from amxwatch.core.sample import ColumnTotals, Sample, Wanted
from amxwatch.core.tally import shape, tally_of


def profile(
    sample: Sample, *, samples: str = "shapes", denied: frozenset[str] = frozenset()
) -> dict[str, ColumnStatistics]:
    """Go the way of a run: what is hidden is not even counted."""
    hidden = hidden_columns(sample.columns, samples=samples, denied=denied)
    tally = tally_of(sample, Wanted(rows=len(sample.rows), hidden=hidden))
    return profile_of(tally, samples=samples, denied=denied)


def of(name: str, values: list[object], mode: str = "shapes") -> ColumnStatistics:
    sample = Sample(columns=(name,), rows=tuple((value,) for value in values))
    return profile(sample, samples=mode)[name]


def everything(statistics: ColumnStatistics) -> str:
    return repr(astuple(statistics))


def test_counts_and_bounds_of_numbers() -> None:
    seen = of("amount", [Decimal("1.50"), Decimal("9.25"), None, Decimal("1.50")])
    assert (seen.rows, seen.null_share, seen.distinct) == (4, 0.25, 2)
    assert (seen.minimum, seen.maximum) == ("1.50", "9.25")
    assert seen.values == ()
    assert seen.distinct_ratio == pytest.approx(2 / 3)


def test_dates_have_bounds_and_text_has_lengths() -> None:
    dates = of("placed_on", [dt.date(2026, 1, 5), dt.date(2024, 2, 29)])
    assert (dates.minimum, dates.maximum) == ("2024-02-29", "2026-01-05")
    texts = of("sku", ["SKU-00001", "SKU-00002", "SKU-1"])
    assert (texts.minimum, texts.min_length, texts.max_length) == (None, 5, 9)
    assert texts.patterns[0].text == "AAA-99999"
    assert texts.patterns[0].share == 0.67


def test_exact_totals_win_over_the_sample() -> None:
    sample = Sample(
        columns=("n",),
        rows=((5,), (6,)),
        row_count=200,
        totals={"n": ColumnTotals(nulls=50, distinct=120, minimum="1", maximum="900")},
    )
    seen = profile(sample)["n"]
    assert (seen.null_share, seen.distinct, seen.is_exact) == (0.25, 120, True)
    assert (seen.minimum, seen.maximum) == ("1", "900")


def test_a_short_list_that_repeats_is_an_enum() -> None:
    seen = of("segment", ["new", "vip", "new", "regular", "vip", "regular", None])
    assert (seen.is_enum, seen.values) == (True, ("new", "regular", "vip"))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("city", ["Berlin", "Lyon", "Izmir"]),  # each once: a small table, no enum
        ("full_name", ["Ada Ak", "Bela Ito"] * 5),
        ("email", ["a@example.com", "b@example.com"] * 5),
        ("contact", ["a@example.com", "b@example.com"] * 5),
        ("x", ["a@example.com", "b@example.com"] * 5),
        ("x", ["+49 30 1234567", "+90 232 7654321"] * 5),
        ("x", ["4111111111111111", "5500005555555559"] * 5),
        ("x", ["DE89370400440532013000", "GB82WEST12345698765432"] * 5),
        ("phone_no", ["030 111", "030 222"] * 5),
        ("note", ["a long note that goes on and on", "b long note that goes on and on"] * 5),
        ("warehouse_id", [1, 2, 3] * 5),
        ("code", [f"C{n}" for n in range(13)] * 3),
        ("passwd_token", ["abc", "def"] * 5),
    ],
)
def test_what_is_no_enum_or_looks_personal_shows_no_value(name: str, values: list[object]) -> None:
    seen = of(name, values)
    assert seen.values == ()
    assert not seen.is_enum
    for value in values:
        assert not isinstance(value, str) or value not in everything(seen)


def test_personal_numbers_show_no_bounds() -> None:
    seen = of("salary", [51000, 67000, 48500])
    assert (seen.minimum, seen.maximum) == (None, None)
    assert of("birth_date", [dt.date(1980, 5, 1)]).minimum is None


def test_modes_show_as_much_as_they_say() -> None:
    values: list[object] = ["Alpha-1", "Beta-22", "Alpha-1"]
    sample = Sample(columns=("ref",), rows=tuple((value,) for value in values))
    assert profile(sample, samples=Samples.NONE) == {}
    assert of("ref", values, "shapes").values == ()
    assert of("ref", values, "masked").values == ("Aaaaa-9", "Aaaa-99")
    assert of("ref", values, "raw").values == ("Alpha-1", "Beta-22")
    assert of("kind", ["new", "old"] * 4, "masked").values == ("aaa",)


@pytest.mark.parametrize("name", ["eml", "cust_ph", "LAST_NM", "DOB", "HomeAddress", "ssn"])
def test_names_give_personal_columns_away(name: str) -> None:
    assert looks_personal(name)


@pytest.mark.parametrize("name", ["status", "unit_prc", "segment", "ccy_cd", "is_actv"])
def test_ordinary_names_do_not(name: str) -> None:
    assert not looks_personal(name)


@pytest.mark.parametrize(
    ("values", "format_"),
    [
        (["ada@example.com", "b.c@d.org"], "email"),
        ([str(uuid4()), str(uuid4())], "uuid"),
        (["https://a.b/c", "http://x.y"], "url"),
        (["2026-01-02", "2025-12-31"], "iso_date"),
        (["2026-01-02T03:04:05Z", "2025-12-31 10:00"], "iso_datetime"),
        (["EUR", "USD", "TRY"], "currency_code"),
        (["10.0.0.1", "192.168.1.9"], "ip_address"),
        (["+1 (555) 123-4567", "030/1234567"], "phone"),
        (["4111 1111 1111 1111"], "luhn"),
        (["DE89 3704 0044 0532 0130 00"], "iban"),
        (["d41d8cd98f00b204e9800998ecf8427e"], "hex_digest"),
    ],
)
def test_formats_are_recognised(values: list[str], format_: str) -> None:
    assert formats(values) == (format_,)


def test_what_follows_no_format_has_no_hint() -> None:
    assert formats(["red", "green", "a@example.com"]) == ()
    assert formats([]) == ()
    assert of("rate_to_eur", [1.0823, 1.0791]).hints == ()
    assert not is_luhn("4111111111111112")
    assert not is_iban("DE88370400440532013000")


def test_shapes_of_other_scripts_and_long_texts() -> None:
    assert shape("Größe 12/Ab") == "Aaaaa 99/Aa"
    assert shape("顧客-١٢") == "xx-99"
    words = [f"{'word ' * n}end" for n in range(1, 30)]
    assert all(len(each.text) <= 32 for each in of("comment", list(words)).patterns)


ANY_VALUE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(max_size=80),
    st.binary(max_size=20),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.timezones()),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=3),
)


@given(st.lists(ANY_VALUE, max_size=30), st.sampled_from(Samples))
def test_any_values_give_the_same_bounded_statistics_twice(
    values: list[object], mode: Samples
) -> None:
    sample = Sample(columns=("c",), rows=tuple((value,) for value in values))
    first, second = profile(sample, samples=mode), profile(sample, samples=mode)
    assert first == second
    for seen in first.values():
        assert 0 <= seen.null_share <= 1
        assert 0 <= seen.distinct <= len(values)
        assert len(seen.patterns) <= 5
        assert len(seen.values) <= 12


@given(
    st.lists(st.from_regex(r"[A-Z][a-z]{7,11}[0-9]{4}", fullmatch=True), min_size=1, max_size=20)
)
def test_shapes_never_hold_a_value_that_does_not_repeat(values: list[str]) -> None:
    distinct = list(dict.fromkeys(values))
    seen = everything(of("reference", list(distinct)))
    assert not any(value in seen for value in distinct)
