"""Signals of how sure a draft is: pure functions over replies, each from 0 (no) to 1 (surely).

Which one counts is `confidence_signal`; `core.confidence` weighs it by the evidence and makes a
band of it. What each rests on:

self_consistency  samples of a short meaning that agree with the draft and with one another are
                  seldom all wrong (Wang et al. arXiv 2203.11171; Manakul et al. 2303.08896);
                  times the tokens' probability, which does better than either alone (CoCoA,
                  2502.04964). Alternatives are worded differently on purpose: whether they
                  agree says nothing (2602.07842), so they are never compared.
logprobs          the mean probability of the reply's tokens (Kadavath et al. 2207.05221).
judge             a second look at the draft beside its material (Zheng et al. 2306.05685);
                  people and judges often differ on descriptions of columns (2408.04691).
verbalized        what the model says of its own certainty (Tian et al. 2305.14975); mostly too
                  rosy (Xiong et al. 2306.13063).
evidence          how much of the draft the material supports: no model is asked for it.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from rapidfuzz import fuzz

from amxwatch.core.naming import read_name


class Signal(enum.StrEnum):
    """Where certainty is taken from; the spelling is the one of TOML."""

    SELF_CONSISTENCY = "self_consistency"
    LOGPROBS = "logprobs"
    JUDGE = "judge"
    VERBALIZED = "verbalized"
    EVIDENCE = "evidence"


_FILLERS = re.compile(
    r"['’]s\b|\b(?:an?|the|of|for|to|in|on|at|by|is|are|was|were|be|been|its?|this|that|these|those|which"
    r"|with|and|or|as|from|each|every|one|per|when|whether|who|holds?|contains|stores|indicates|gives|says"
    r"|records?|recorded|rows?|tables?|columns?|values?|unique|identif\w*|id|key|primary|foreign|numeric"
    r"|number|name|date|time|until|then|empty|default|refers?)\b"
)
"""Words that hold a description together, or that every description of its kind has."""


def self_consistency(
    draft: str, meanings: Sequence[str], logprob: float | None = None
) -> float | None:
    """Return how far samples of the meaning agree, times the probability where there is one.

    Each sample is compared with the draft, and with each other sample. None without a sample.
    """
    if not meanings:
        return None
    pairs = [(draft, meaning) for meaning in meanings] + list(combinations(meanings, 2))
    agreed = sum(likeness(one, other) for one, other in pairs) / len(pairs)
    sure = probability(logprob)
    return agreed if sure is None else agreed * sure


def probability(logprob: float | None) -> float | None:
    """Return the mean probability of a token; None where the endpoint gave none."""
    if logprob is None or math.isnan(logprob):
        return None
    return math.exp(min(logprob, 0.0))


def stated(share: float | None) -> float | None:
    """Return what a model said of itself, or a judge of it, within 0 and 1; None for no number."""
    if share is None or math.isnan(share):
        return None
    return min(1.0, max(0.0, share))


def likeness(one: str, other: str) -> float:
    """Return from 0 to 1 how alike two texts are; filler words and order count for nothing.

    Where one says all that the other says and more, they agree.
    """
    bags = [" ".join(_words(text)) for text in (one, other)]
    return fuzz.token_set_ratio(*bags) / 100


def supported(draft: str, facts: Mapping[str, object]) -> float:
    """Return the share of a draft's telling words that its material holds, in any form.

    The material is everything that was known of the object: its name and its table's as they
    read, keys, values, descriptions, documents. A draft of filler words alone is supported.
    """
    words = set(_telling(draft))
    if not words:
        return 1.0
    known = {_stem(word) for text in _texts(facts) for word in _pieces(text)}
    return sum(_is_among(_stem(word), known) for word in words) / len(words)


def _is_among(stem: str, known: set[str]) -> bool:
    return stem in known or (len(stem) >= 5 and any(each.startswith(stem[:5]) for each in known))


def _telling(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", _FILLERS.sub(" ", text.casefold()))


def _pieces(text: str) -> Iterable[str]:
    """Return the words of a text; a name among them is read as well."""
    for word in re.findall(r"[\w]+", text):
        yield word.casefold()
        yield from re.findall(r"[^\W_]+", word.casefold())
        if not word.isdigit() and len(word) <= 63:
            yield from (each.casefold() for each in read_name(word).words)


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)


def _words(text: str) -> list[str]:
    folded = text.casefold()
    telling = re.findall(r"\w+", _FILLERS.sub(" ", folded)) or re.findall(r"\w+", folded)
    return [_stem(word) for word in telling]


def _stem(word: str) -> str:
    for ending in ("ies", "ing", "ed", "es", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
