"""What a persistent schedule learns from answers, and what it calls a deviation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from amxwatch.core.catalog import ObjectId, ObjectRef, ObjectType
from amxwatch.core.draft import Band, Draft, DraftId, DraftSource, DraftStatus
from amxwatch.core.evidence import ColumnStatistics, Portion
from amxwatch.core.memory import (
    MAX_CHARACTERS,
    MAX_LESSONS,
    Answer,
    deviations,
    lessons,
)
from amxwatch.core.run import RunId

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def draft(number: int = 1, **values: Any) -> Draft:
    given: dict[str, Any] = {
        "status": DraftStatus.WRITTEN,
        "alternatives": (f"Proposed {number}.", f"Second {number}."),
        "text": f"Proposed {number}.",
        "choice": 1,
        "reviewed_at": NOW,
        "ref": ObjectRef(schema="shop", table="orders", column=f"c{number}"),
    }
    return Draft(
        id=DraftId(number),
        run_id=RunId("run_1"),
        db_profile="prod",
        object_id=ObjectId(number),
        object_type=ObjectType.COLUMN,
        source=DraftSource.MODEL,
        confidence=0.5,
        band=Band.MEDIUM,
        input_hash="h",
        created_at=NOW,
        **{**given, **values},
    )


def edited(number: int) -> Draft:
    return draft(number, choice=None, text=f"The house's own words {number}.")


def rejected(number: int) -> Draft:
    return draft(number, status=DraftStatus.REJECTED, choice=None, text=None)


def test_what_teaches_more_comes_first() -> None:
    second = draft(3, choice=2, text="Second 3.")
    taught = lessons([draft(1), second, rejected(4), edited(2)])
    assert [lesson.answer for lesson in taught] == [
        Answer.CORRECTED,
        Answer.REJECTED,
        Answer.CHOSEN,
        Answer.ACCEPTED,
    ]
    assert (taught[0].name, taught[0].proposed) == ("c2", "Proposed 2.")
    assert taught[0].kept == "The house's own words 2."
    assert taught[1].kept is None


def test_what_was_not_answered_teaches_nothing() -> None:
    waiting = draft(1, status=DraftStatus.PENDING, text=None, choice=None, reviewed_at=None)
    assert lessons([waiting, draft(2, alternatives=())]) == ()


def test_the_same_correction_is_told_once() -> None:
    same = replace(edited(1), ref=ObjectRef(schema="shop", table="bills", column="c1"))
    assert len(lessons([edited(1), same])) == 1


@given(st.lists(st.tuples(st.integers(0, 400), st.text(max_size=600)), max_size=60))
def test_lessons_are_bounded(answers: list[tuple[int, str]]) -> None:
    taught = lessons([draft(number, choice=None, text=text) for number, text in answers])
    assert len(taught) <= MAX_LESSONS
    size = sum(len(each.name) + len(each.proposed) + len(each.kept or "") for each in taught)
    assert size <= MAX_CHARACTERS


LOOK = ColumnStatistics(rows=1000, distinct=10)


def moved(old: ColumnStatistics, new: ColumnStatistics) -> list[str]:
    return [each.what for each in deviations({"c": old}, {"c": new})]


def test_a_column_that_fell_empty_deviates() -> None:
    assert moved(LOOK, replace(LOOK, null_share=0.4)) == ["empty share 0%, now 40%"]
    assert moved(LOOK, replace(LOOK, null_share=0.05)) == []


def test_a_new_value_of_an_enum_deviates() -> None:
    old = replace(LOOK, values=("new", "paid"), is_enum=True)
    new = replace(old, values=("new", "paid", "refunded"))
    assert moved(old, new) == ["new values refunded"]
    assert moved(new, old) == []  # a sample may miss a rare value
    assert moved(new, replace(old, is_exact=True)) == ["values refunded gone"]


def test_a_counter_that_grows_is_none_but_a_leap_is() -> None:
    old = replace(LOOK, minimum="1", maximum="1000")
    assert moved(old, replace(old, maximum="1400")) == []
    assert moved(old, replace(old, maximum="9000000")) == ["range 1 to 1000, now 1 to 9000000"]
    assert moved(old, replace(old, minimum="-5")) == ["range 1 to 1000, now -5 to 1000"]


def test_shapes_and_formats_that_were_never_seen_deviate() -> None:
    old = replace(LOOK, patterns=(Portion(text="AAA-9999", share=1.0),), hints=("sku",))
    new = replace(old, patterns=(Portion(text="a+@a+.a+", share=0.9),), hints=("email",))
    assert moved(old, new) == ["looked like sku, now like email", "new shapes a+@a+.a+"]


def test_an_empty_look_says_nothing() -> None:
    assert moved(replace(LOOK, rows=0), replace(LOOK, null_share=0.9)) == []
    assert deviations({}, {"c": LOOK}) == ()


numbers = st.lists(st.integers(), min_size=2, max_size=2).map(sorted)
bounds = numbers.map(lambda pair: (str(pair[0]), str(pair[1])))
no_bounds = st.sampled_from([(None, None), ("2024-01-01", "2025-01-01"), ("1", "NaN")])
looks = st.builds(
    lambda bound, **values: ColumnStatistics(minimum=bound[0], maximum=bound[1], **values),
    bound=bounds | no_bounds,
    rows=st.integers(0, 5000),
    null_share=st.floats(0, 1),
    distinct=st.integers(0, 5000),
    values=st.lists(st.text(max_size=100), max_size=12, unique=True).map(tuple),
    is_enum=st.booleans(),
    hints=st.lists(st.sampled_from(["email", "uuid"]), unique=True).map(tuple),
)


@given(looks, looks)
def test_the_same_look_never_deviates_and_any_two_can_be_compared(
    old: ColumnStatistics, new: ColumnStatistics
) -> None:
    assert moved(old, old) == []
    assert len(moved(old, new)) <= 4
