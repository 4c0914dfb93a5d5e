"""The abbreviations of a house, learned from the descriptions that its reviewers let stand.

A reviewer who describes `ttm_rev` as "Revenue of the trailing twelve months" has told what `ttm`
stands for. Only tokens that are no words are learned, and only what enough descriptions agree on.
The same descriptions give the same glossary.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from amxwatch.core.lexicon import WORDS
from amxwatch.core.naming import Reading, split_name

MIN_WEIGHT = 2
"""How much must agree: a text in a reviewer's own words counts 2, one they let stand counts 1."""

MAX_TOKEN = 8
"""Letters of a token that may be an abbreviation."""

MAX_WORDS = 5
"""Words that the letters of a token may stand for."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """A name, the description that stands, and whether the words are a reviewer's own."""

    name: str
    text: str
    is_own: bool = False


def learn(told: Iterable[Told]) -> dict[str, str]:
    """Return what tokens stand for, in the order of the tokens."""
    votes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    names: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for each in told:
        words = re.findall(r"[a-z]+", each.text.lower())
        for token in dict.fromkeys(_tokens(each.name)):
            for meaning in _meanings(token, words):
                key = (token, meaning)
                # One name says it once, however many tables have it.
                if each.name.lower() not in names[key]:
                    names[key].add(each.name.lower())
                    votes[token][meaning] += 2 if each.is_own else 1
    found = {}
    for token in sorted(votes):
        (meaning, weight), *others = sorted(votes[token].items(), key=lambda one: (-one[1], one[0]))
        rival = max((other for _, other in others), default=0)
        if weight >= MIN_WEIGHT and weight > rival:
            found[token] = meaning
    return found


def spoken_of(glossary: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return the part of a glossary that these names need, in the order of the tokens."""
    tokens = {token for name in names for token in _tokens(name)}
    return {token: meaning for token, meaning in glossary.items() if token in tokens}


def read_by(glossary: Mapping[str, str], reading: Reading, name: str) -> Reading:
    """Return a reading in which the house's words stand for its abbreviations."""
    known = {token.lower() for token in split_name(name)} & glossary.keys()
    known &= {token.lower() for token in reading.unknown}
    if not known:
        return reading
    words = [
        part
        for word in reading.words
        for part in (glossary[word.lower()].split() if word.lower() in known else [word])
    ]
    unknown = tuple(token for token in reading.unknown if token.lower() not in known)
    return Reading(words=tuple(words), unit=reading.unit, unknown=unknown)


def _tokens(name: str) -> Iterator[str]:
    for token in split_name(name):
        word = token.lower()
        if 2 <= len(word) <= MAX_TOKEN and word.isascii() and word.isalpha() and word not in WORDS:
            yield word


def _meanings(token: str, words: list[str]) -> Iterator[str]:
    """Yield what the token may stand for: one longer word, or one word for each letter."""
    if token in words:
        return  # the description says it by itself, as a word of the house
    fits = {word for word in words if len(word) > len(token) + 1 and _shortens(token, word)}
    if len(fits) == 1:
        yield fits.pop()
    size = len(token)
    if 2 <= size <= MAX_WORDS:
        for at in range(len(words) - size + 1):
            run = words[at : at + size]
            if all(word[0] == letter for word, letter in zip(run, token, strict=True)):
                yield " ".join(run)
                return


def _shortens(short: str, full: str) -> bool:
    """Claim that a word's letters, in order and from its first on, make the shorter one."""
    if short[0] != full[0] or len(short) < 2:
        return False
    letters = iter(full)
    # Two letters are found in nearly every word: they must hold its sounds.
    return all(char in letters for char in short) and (len(short) > 2 or full[-1] == short[-1])
