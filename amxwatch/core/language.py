"""Which alphabets a text is written in, and whether its words are clearly not English."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_FEW = 0.2
"""A share of foreign letters up to this is a name or a term, not a language."""

_COMMON: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the of and to in is for that with by or which on as at from an this are whether",
        "de": "der die das und des ist den mit von für eine einer dem im zu wird werden oder nicht",
        "fr": "le la les des et est une dans pour du par qui sur au avec ce cette ou aux",
        "es": "el los las del y es una para por con que en se su al esta este como",
        "it": "il lo gli della di che è una per con del nel dei alla sono come questo",
        "pt": "o os da do das dos e é uma para por com que em no na se ao como",
        "nl": "het een van en is dat met voor op te zijn wordt naar door deze",
        "tr": "ve bir bu için ile olan olarak veya tarafından değil",
    }.items()
}
"""Words that hold sentences together, the commonest of each language."""


def scripts(text: str, fewest: float = _FEW) -> frozenset[str]:
    """Return the alphabets other than Latin that more than this share of a text's letters is in."""
    if text.isascii():
        return frozenset()
    letters = [char for char in text if char.isalpha()]
    found = Counter(_script(char) for char in letters if not char.isascii())
    del found["LATIN"]
    return frozenset(name for name, n in found.items() if n > fewest * len(letters))


def _script(char: str) -> str:
    return unicodedata.name(char, "UNKNOWN").split()[0].removesuffix("-COMPATIBILITY")


def is_other_language(text: str) -> bool:
    """Claim that a text in Latin letters is written in another language than English.

    Three different common words of another language, and more of them than of English.
    """
    words = set(re.findall(r"[^\W\d_]+", text.casefold()))
    counts = {language: len(words & common) for language, common in _COMMON.items()}
    english = counts.pop("en")
    most = max(counts.values())
    return most >= 3 and most > english
