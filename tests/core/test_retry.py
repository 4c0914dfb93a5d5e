"""Waiting before another try."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from amxwatch.core.retry import CAP, FIRST, backoff

keys = st.text(max_size=20)


def test_nothing_failed_nothing_waits() -> None:
    assert backoff(0, key="x") == timedelta(0)


@given(keys, st.integers(1, 10_000))
def test_the_wait_is_between_half_and_the_whole_of_its_doubling(key: str, failures: int) -> None:
    whole = min(FIRST * 2 ** min(failures - 1, 20), CAP)
    assert whole / 2 <= backoff(failures, key=key) <= whole


@given(keys, st.integers(1, 7))
def test_it_never_shrinks_before_the_cap(key: str, failures: int) -> None:
    assert FIRST * 2**failures <= CAP
    assert backoff(failures, key=key) <= backoff(failures + 1, key=key)


def test_it_is_the_same_when_asked_again_and_spreads_over_keys() -> None:
    waits = [backoff(3, key=f"schedule {n}") for n in range(50)]
    assert waits == [backoff(3, key=f"schedule {n}") for n in range(50)]
    assert len(set(waits)) > 40


def test_own_bounds() -> None:
    wait = backoff(9, first=timedelta(days=1), cap=timedelta(days=2), key="k")
    assert timedelta(days=1) <= wait <= timedelta(days=2)
