"""Reads the name of a table or column: splits it, expands abbreviations, says what stays unknown.

`read_name("cust_dlvrd_dt")` gives the words customer, delivered, date.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from amxwatch.core.lexicon import (
    ABBREVIATIONS,
    ACRONYMS,
    IRREGULAR,
    PARTICIPLES,
    UNCHANGED,
    UNITS,
    WORDS,
)

VOWELS = frozenset("aeiouy")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a name says. `words` are in lower case, acronyms in capitals, in the name's order.

    `unit` is a unit that ended the name, written out. `unknown` are the tokens that nobody
    could read; they are also among the words, as they stand.
    """

    words: tuple[str, ...]
    unit: str | None = None
    unknown: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        return not self.unknown

    @property
    def text(self) -> str:
        return " ".join(self.words)


@functools.lru_cache(maxsize=20_000)
def read_name(name: str, near: tuple[str, ...] = ()) -> Reading:
    """Read a name; `near` are whole words from around it (its table's, its siblings').

    An unknown token that is a shortening of exactly one near word is read as that word.
    """
    tokens = split_name(name)
    unit = _unit(tokens)
    if unit:
        tokens = tokens[:-1]
    words: list[str] = []
    unknown: list[str] = []
    shouting = name.upper() == name
    for token in tokens:
        read = _expand(token, near, shouting=shouting)
        tail: tuple[str, ...] = ()
        bare = token
        if read is None and len(token) > 3 and token.lower().endswith("id"):
            # `cgid` is the ID of something, whatever its first letters stand for.
            bare, tail = token[:-2], ("ID",)
            read = _expand(bare, near, shouting=shouting)
        words += (*(read or (bare if bare.isupper() else bare.lower(),)), *tail)
        if read is None:
            unknown.append(bare)
    return Reading(words=tuple(words), unit=unit, unknown=tuple(unknown))


def _unit(tokens: list[str]) -> str | None:
    """Return the unit that ends a name; `rate_to_eur` says where to, and no unit."""
    if len(tokens) < 2 or tokens[-2].lower() in {"to", "from", "per", "by", "of", "no", "num"}:
        return None
    return UNITS.get(tokens[-1].lower())


def split_name(name: str) -> list[str]:
    """Split at separators, at case changes (`HTMLPage` is HTML, Page) and before digits."""
    tokens: list[str] = []
    for part in _runs(unicodedata.normalize("NFC", name)):
        tokens += [part] if part.lower() in UNITS or part.lower() in ACRONYMS else _humps(part)
    return tokens


def whole_words(names: Iterable[str]) -> tuple[str, ...]:
    """Return the longer words of some names, sorted: what `read_name` takes as `near`."""
    found = {token.lower() for name in names for token in split_name(name)}
    return tuple(sorted(word for word in found if len(word) >= 5 and _is_word(word)))


def is_participle(word: str) -> bool:
    """Whether a word says that something was done: created, sold."""
    return word in PARTICIPLES or (len(word) > 4 and word.endswith("ed") and word != "speed")


def singular(word: str) -> str:
    """Return the singular of an English plural; other words come back as they are."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word in UNCHANGED or len(word) < 4 or word.endswith(("ss", "us", "is")):
        return word
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word.removesuffix(ending) + instead
    if word.endswith("uses") and word.removesuffix("s") not in WORDS:
        return word.removesuffix("es")
    return word.removesuffix("s")


def _runs(name: str) -> list[str]:
    """Split at everything that is neither a letter, a digit nor a mark on one."""
    kept = (
        char if char.isalnum() or unicodedata.category(char)[0] == "M" else " " for char in name
    )
    return "".join(kept).split()


def _humps(part: str) -> list[str]:
    tokens = [part[0]]
    for at in range(1, len(part)):
        before, char, after = part[at - 1], part[at], part[at + 1 : at + 2]
        new = before.isdigit() != char.isdigit() or (before.islower() and char.isupper())
        new = new or (before.isupper() and char.isupper() and after.islower())
        if new:
            tokens.append(char)
        else:
            tokens[-1] += char
    return tokens


def _expand(token: str, near: tuple[str, ...], *, shouting: bool) -> tuple[str, ...] | None:
    """Return the words that a token stands for, or None where it stays unknown."""
    word = token.lower()
    certain = _looked_up(word)
    if certain:
        return certain
    if not word.isascii():
        # Our words are English; a name in another language is taken as it stands.
        return (token,)
    shortened = _shortened(word, near)
    if shortened or (token.isupper() and not shouting and len(token) < 6):
        return (shortened,) if shortened else None
    # Longer than any word that people join: reading it would take long and tell nothing.
    joined = _joined(word) if len(word) <= 40 else None
    return joined or ((word,) if _looks_like_a_word(word) else None)


def _looked_up(word: str) -> tuple[str, ...] | None:
    if word in {"id", "ids"}:
        return (word.replace("id", "ID"),)
    if word in ACRONYMS:
        return (word.upper(),)
    if word.isdigit() or _is_word(word):
        return (word,)
    if word in ABBREVIATIONS:
        return tuple(ABBREVIATIONS[word].split())
    stem = word.removesuffix("s")
    return tuple(f"{ABBREVIATIONS[stem]}s".split()) if stem in ABBREVIATIONS else None


def _is_word(word: str) -> bool:
    if word in WORDS or word in PARTICIPLES:
        return True
    for ending in ("s", "es", "d", "ed", "ing", "er", "ers", "ly", "al"):
        stem = word.removesuffix(ending)
        if len(stem) >= 4 and stem != word and _is_stem(stem):
            return True
    return word.endswith("ies") and word[:-3] + "y" in WORDS


def _is_stem(stem: str) -> bool:
    doubled = stem[-1] == stem[-2]
    return stem in WORDS or stem + "e" in WORDS or (doubled and stem[:-1] in WORDS)


def _shortened(word: str, near: tuple[str, ...]) -> str | None:
    """Return the one near word that `word` is a shortening of: same first letter, same order."""
    if len(word) < 3:
        return None
    fits = [full for full in near if len(full) > len(word) and _is_shortening(word, full)]
    return fits[0] if len(fits) == 1 else None


def _is_shortening(short: str, full: str) -> bool:
    if short[0] != full[0]:
        return False
    letters = iter(full)
    return all(char in letters for char in short)


def _joined(word: str) -> tuple[str, ...] | None:
    """Split a token that is several words written together: `admittime`, `wardid`."""
    best: list[tuple[str, ...] | None] = [()] + [None] * len(word)
    for end in range(2, len(word) + 1):
        for start in range(max(0, end - 14), end - 1):
            before = best[start]
            piece = _piece(word[start:end])
            if before is None or piece is None:
                continue
            found = (*before, *piece)
            held = best[end]
            if held is None or len(found) < len(held):
                best[end] = found
    split = best[-1]
    return split if split and any(len(piece) >= 4 for piece in split) else None


def _piece(text: str) -> tuple[str, ...] | None:
    if text in {"id", "is"}:
        return _looked_up(text)
    return _looked_up(text) if len(text) >= 3 and not text.isdigit() else None


def _looks_like_a_word(word: str) -> bool:
    """Whether letters could be an English word that we do not know: vowels in the usual places."""
    if len(word) < 5:
        return False
    vowels = sum(char in VOWELS for char in word) / len(word)
    run = longest = 0
    for char in word:
        run = 0 if char in VOWELS else run + 1
        longest = max(longest, run)
    return 0.25 <= vowels <= 0.7 and longest <= 3
