"""Reads a model's reply: keeps what is good, names what is missing, trusts nothing.

An answer belongs to a column only by its exact key, so no column ever gets another's words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator

from amxwatch.core.comment import inspect
from amxwatch.core.completion import Subject
from amxwatch.core.evidence import Basis
from amxwatch.core.language import is_other_language, scripts

MAX_CHARACTERS = 2_000_000
"""More than any honest reply; what lies beyond is not read."""

MAX_ALTERNATIVE = 4_000
"""Characters; a longer alternative is dropped, not shortened."""

_MAX_STARTS = 40
"""Places in a text that are tried as the beginning of a JSON document."""

_MAX_FAILURES = 200
"""Broken objects after which a broken reply is given up."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a reply says of one object. `alternatives` are cleaned, best first, all different.

    `flags` are what `core.comment.inspect` found suspect; alternatives that are clean are kept
    alone, so flags mean that there was no clean one.
    """

    alternatives: tuple[str, ...]
    evidence: Basis = Basis.NONE
    unsure: bool = False
    flags: tuple[str, ...] = ()
    certainty: float | None = None
    """How sure the model says it is, from 0 to 1, where it was asked."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What an honest answer keeps to.

    `most_words` of one alternative. `scripts` are the alphabets that the material and its owner
    write in, besides Latin (`core.language.scripts`); with `is_english` an alternative in
    another language is not what was asked for.
    """

    most_words: int = 0
    scripts: frozenset[str] | None = None
    is_english: bool = False


ANYTHING = Expected()


@dataclass(frozen=True, kw_only=True)
class ReplyReading:
    """`good` answers by key, `missing` keys in the order asked, `problems` in plain words."""

    good: dict[str, Answer]
    missing: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class _Entry(BaseModel):
    """One object of a reply, as far as models can be relied upon to keep to the schema."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    key: str
    alternatives: list[Any] = Field(
        validation_alias=AliasChoices("alternatives", "descriptions", "description")
    )
    evidence: Basis = Basis.NONE
    unsure: bool = False
    certainty: float | None = None

    @field_validator("alternatives", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("evidence", mode="before")
    @classmethod
    def _unknown_is_none(cls, value: object) -> Basis:
        return next((basis for basis in Basis if basis.value == value), Basis.NONE)

    @field_validator("unsure", mode="before")
    @classmethod
    def _odd_is_unsure(cls, value: object) -> bool:
        return value is not False

    @field_validator("certainty", mode="before")
    @classmethod
    def _of_a_hundred(cls, value: object) -> float | None:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        share = float(value) / 100 if number else -1.0  # type: ignore[arg-type]  # a number
        return share if 0 <= share <= 1 else None


def read_reply(
    text: str, subjects: Sequence[Subject], n: int, expected: Expected = ANYTHING
) -> ReplyReading:
    """Read what a model answered to a request about `subjects` for `n` alternatives each.

    Takes code fences, thoughts before the answer, and replies that were cut: whole objects are
    kept. Drops keys that were not asked, second answers to one key, and alternatives that no
    comment should hold. Never raises.
    """
    asked = {subject.key for subject in subjects}
    good: dict[str, Answer] = {}
    entries, problems = read_entries(text)
    for entry in entries:
        read = _read_entry(entry)
        if isinstance(read, str):
            problems.append(read)
        elif read.key not in asked:
            problems.append(f"invented key {_shown(read.key)}: dropped")
        elif read.key in good:
            problems.append(f"{_shown(read.key)} was answered twice: the first answer is kept")
        else:
            answer, why = _answer(read, n, expected)
            problems += [f"{_shown(read.key)}: {reason}" for reason in why]
            if answer is not None:
                good[read.key] = answer
    missing = tuple(subject.key for subject in subjects if subject.key not in good)
    return ReplyReading(good=good, missing=missing, problems=tuple(problems))


def _read_entry(entry: object) -> _Entry | str:
    try:
        return _Entry.model_validate(entry)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "object"
        return f"an object of the reply has no usable {where} ({first['type']}): dropped"


def _answer(entry: _Entry, n: int, expected: Expected) -> tuple[Answer | None, list[str]]:
    """Return the usable part of an entry, and why the rest is not."""
    clean: dict[str, str] = {}
    flagged: dict[str, tuple[str, tuple[str, ...]]] = {}
    problems: list[str] = []
    for alternative in entry.alternatives:
        inspected = _inspected(alternative, expected)
        if isinstance(inspected, str):
            problems.append(f"an alternative was dropped: {inspected}")
            continue
        text, flags = inspected
        if flags:
            flagged.setdefault(text.casefold(), inspected)
        else:
            clean.setdefault(text.casefold(), text)
    suspect = sorted({flag for _, flags in flagged.values() for flag in flags})
    if suspect:
        problems.append(f"an alternative is suspect ({', '.join(suspect)})")
    texts = list(clean.values()) or [text for text, _ in flagged.values()]
    if not texts:
        return None, problems or ["no alternatives were given"]
    answer = Answer(
        alternatives=tuple(texts[:n]),
        evidence=entry.evidence,
        unsure=entry.unsure,
        flags=() if clean else tuple(suspect),
        certainty=entry.certainty,
    )
    return answer, problems


def _inspected(alternative: object, expected: Expected) -> tuple[str, tuple[str, ...]] | str:
    """Return the cleaned text and its flags, or why it cannot be used."""
    if not isinstance(alternative, str):
        return f"it is no text but {type(alternative).__name__}"
    if len(alternative) > MAX_ALTERNATIVE:
        return f"it has {len(alternative)} characters"
    try:
        text, flags = inspect(alternative)
    except ValueError as error:
        return str(error)
    return text, tuple(sorted({*flags, *_unexpected(text, expected)}))


def _unexpected(text: str, expected: Expected) -> Iterator[str]:
    """Yield what is odd about an alternative beside what was asked for."""
    if expected.most_words and len(text.split()) > expected.most_words:
        yield "length"
    foreign = expected.scripts is not None and scripts(text) - expected.scripts
    if foreign or (expected.is_english and is_other_language(text)):
        yield "language"


def _shown(key: str) -> str:
    return repr(key if len(key) <= 60 else key[:59] + "…")


_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
_LIST_START = re.compile(r'"objects"\s*:\s*\[')
_DECODER = json.JSONDecoder()


def read_entries(text: str) -> tuple[list[object], list[str]]:
    """Return the objects that a reply holds, whatever is around them."""
    bare = _THOUGHT.sub("", text[:MAX_CHARACTERS])
    for start in _starts(bare):
        found = _listed(_whole(bare, start)[0])
        if found is not None:
            return found, []
    whole = list(_whole_objects(bare))
    if whole:
        return whole, [f"the reply is no whole JSON document: {len(whole)} whole objects were kept"]
    if not bare.strip():
        return [], ["the reply was empty"]
    return [], ["the reply holds no JSON object with answers"]


def _starts(text: str) -> Iterator[int]:
    """Yield where a JSON document may begin, outermost first."""
    for tried, match in enumerate(re.finditer(r"[{\[]", text)):
        if tried == _MAX_STARTS:
            return
        yield match.start()


def _listed(document: object) -> list[object] | None:
    """Return a document's list of answers, or None where it is something else."""
    if isinstance(document, dict):
        objects = document.get("objects")
        return objects if isinstance(objects, list) else None
    if isinstance(document, list) and _any_answer(document):
        return document
    return None


def _any_answer(entries: Iterable[object]) -> bool:
    return any(isinstance(entry, dict) and "key" in entry for entry in entries)


def _whole_objects(text: str) -> Iterator[object]:
    """Yield the complete objects of a text that is no JSON document: cut, broken, or one object."""
    begin = _LIST_START.search(text)
    at = text.find("{", begin.end() if begin else 0)
    failures = 0
    while at != -1 and failures < _MAX_FAILURES:
        entry, end = _whole(text, at)
        if isinstance(entry, dict):
            yield entry
        else:
            failures += 1
        at = text.find("{", end)


def _whole(text: str, at: int) -> tuple[object, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None, at + 1
