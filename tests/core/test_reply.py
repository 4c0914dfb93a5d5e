"""Replies: what is good is kept, what is missing is named, nothing is mixed up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch.core.completion import Subject
from amxwatch.core.evidence import Basis
from amxwatch.core.reply import ReplyReading, read_reply

SUBJECTS = tuple(Subject(key=key) for key in ("a", "b", "c"))


def entry(key: object, *alternatives: object, **more: object) -> dict[str, object]:
    texts = list(alternatives) or [f"The {key} of it.", f"Its {key}."]
    return {"key": key, "alternatives": texts, "evidence": "key", "unsure": False} | more


def whole(*entries: object) -> str:
    return json.dumps({"objects": entries or [entry("a"), entry("b"), entry("c")]})


def read(text: str, n: int = 3) -> ReplyReading:
    return read_reply(text, SUBJECTS, n)


def test_a_good_reply_is_taken_whole() -> None:
    reading = read(whole())
    assert list(reading.good) == ["a", "b", "c"]
    assert reading.good["a"].alternatives == ("The a of it.", "Its a.")
    assert reading.good["a"].evidence is Basis.KEY
    assert (reading.missing, reading.problems) == ((), ())


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{whole()}\n```",
        f"Here you are:\n{whole()}\nAnything else?",
        f'<think>maybe {{"objects": []}}?</think>{whole()}',
        f"\ufeff {whole()}",
        json.dumps([entry("a"), entry("b"), entry("c")]),
        json.dumps({"objects": [entry("a"), entry("b"), entry("c")], "extra": 1}),
        whole({"key": "a", "description": "The a."}, entry("b"), entry("c")),
        whole(entry("a", evidence="guess"), entry("b", unsure="no"), entry("c", more="x")),
    ],
)
def test_what_is_around_a_reply_does_not_matter(text: str) -> None:
    assert read(text).missing == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("I'm sorry, I can't do that.", "no JSON"),
        ("{", "no JSON"),
        ("null", "no JSON"),
        ('{"objects": "none"}', "no usable"),
        ('{"objects": []}', ""),
        ("[" * 100_000, "no JSON"),
        ('{"objects":' * 50_000, "no JSON"),
        ('{"a":' * 100_000, "no JSON"),
        ('{"objects": [' + "9" * 10_000 + "]}", "no JSON"),
    ],
)
def test_a_useless_reply_leaves_everything_missing(text: str, problem: str) -> None:
    reading = read(text)
    assert reading.missing == ("a", "b", "c")
    assert problem in " ".join(reading.problems)


def test_a_cut_reply_keeps_its_whole_objects() -> None:
    text = whole()
    for length in range(len(text)):
        reading = read(text[:length])
        for key, answer in reading.good.items():
            assert answer.alternatives[0] == f"The {key} of it."
        assert set(reading.good) | set(reading.missing) == {"a", "b", "c"}
    nearly = read(text[:-2])
    assert nearly.missing == ()
    assert "no whole JSON" in nearly.problems[0]


def test_a_broken_object_in_the_middle_costs_only_itself() -> None:
    text = whole().replace('"key": "b"', '"key": b')
    assert read(text).missing == ("b",)


def test_invented_and_doubled_keys_give_nobody_anothers_words() -> None:
    reading = read(
        whole(entry("a", "First."), entry("A", "Wrong."), entry("a", "Second."), entry("b "))
    )
    assert list(reading.good) == ["a"]
    assert reading.good["a"].alternatives == ("First.",)
    assert reading.missing == ("b", "c")
    assert len(reading.problems) == 3


def test_bad_alternatives_are_dropped_and_said() -> None:
    reading = read(whole(entry("a", "", "  ", 7, None, "Good.", "good.", "x" * 5000, "a\x00b")))
    assert reading.good["a"].alternatives == ("Good.",)
    assert len(reading.problems) == 6
    assert read(whole(entry("a", ""))).missing == ("a", "b", "c")
    assert read(whole({"key": "a", "alternatives": {}})).missing == ("a", "b", "c")


def test_suspect_alternatives_give_way_to_clean_ones() -> None:
    mixed = read(whole(entry("a", "See https://evil.example.", "The amount.")))
    assert mixed.good["a"].alternatives == ("The amount.",)
    assert mixed.good["a"].flags == ()
    alone = read(whole(entry("a", "See https://evil.example.")))
    assert alone.good["a"].flags == ("url",)
    assert "suspect" in alone.problems[0]


def test_no_more_alternatives_than_asked() -> None:
    assert len(read(whole(entry("a", "One.", "Two.", "Three.")), n=2).good["a"].alternatives) == 2


def test_doubt_is_believed() -> None:
    reading = read(whole(entry("a", unsure=True), entry("b", unsure="?"), entry("c")))
    assert [answer.unsure for answer in reading.good.values()] == [True, True, False]


def test_recorded_bodies_are_read_without_harm(cases: Path) -> None:
    found = json.loads((cases / "h_llm" / "responses.json").read_text(encoding="utf-8"))
    for each in found["responses"]:
        assert read(each["body"]).good == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["objects", "key", "alternatives", "evidence", "unsure", "a"]), inner
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_read(value: object) -> None:
    reading = read(json.dumps(value))
    assert set(reading.good) | set(reading.missing) == {"a", "b", "c"}


@given(st.text(max_size=300), st.integers(0, 200))
def test_any_text_is_read(text: str, at: int) -> None:
    for each in (text, whole()[:at] + text, whole()[:at] + text + whole()[at:]):
        reading = read(each)
        assert set(reading.good) | set(reading.missing) == {"a", "b", "c"}
        assert not set(reading.good) & set(reading.missing)
