"""Measures of a draft against a person's text. No model, no network; all from 0 to 1."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

BETA = 2.0
"""Recall counts twice as much as precision in chrF, as its author found best (chrF2)."""

ORDER = 6
"""Characters of the longest n-grams."""

_STOP = frozenset(
    {"a", "an", "the", "of", "for", "to", "in", "on", "at", "by", "is", "are", "was", "were", "be"}
    | {"been", "its", "it", "this", "that", "these", "those", "which", "with", "and", "or", "as"}
    | {"from", "each", "if", "any", "has", "have"}
)


def chrf(draft: str, wanted: str) -> float:
    """Return chrF2: the F-score of character n-grams, n from 1 to 6, spaces left out.

    See: Popović, "chrF: character n-gram F-score for automatic MT evaluation" (WMT 2015).
    """
    ours, theirs = (re.sub(r"\s+", "", text.casefold()) for text in (draft, wanted))
    precisions, recalls = [], []
    for n in range(1, ORDER + 1):
        mine, gold = _grams(ours, n), _grams(theirs, n)
        if not mine or not gold:
            continue
        same = (mine & gold).total()
        precisions.append(same / mine.total())
        recalls.append(same / gold.total())
    if not precisions:
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    weight = BETA**2
    under = weight * precision + recall
    return (1 + weight) * precision * recall / under if under else 0.0


def _grams(text: str, n: int) -> Counter[str]:
    return Counter(text[at : at + n] for at in range(len(text) - n + 1))


def token_f1(draft: str, wanted: str) -> float:
    """Return the harmonic mean of the words of each that are in the other."""
    ours, theirs = (Counter(re.findall(r"\w+", text.casefold())) for text in (draft, wanted))
    same = (ours & theirs).total()
    return 2 * same / (ours.total() + theirs.total()) if same else 0.0


def likeness(draft: str, wanted: str) -> float:
    """Return the cosine of two texts' counts of stems: what they are about, in any form."""
    ours, theirs = Counter(stems(draft)), Counter(stems(wanted))
    dot = sum(n * theirs[each] for each, n in ours.items())
    lengths = [math.sqrt(sum(n * n for n in bag.values())) for bag in (ours, theirs)]
    return dot / (lengths[0] * lengths[1]) if dot else 0.0


def stems(text: str) -> list[str]:
    """Return the words that carry meaning, cut to what their forms share."""
    words = re.findall(r"[^\W_]+", text.casefold())
    return [stem(word) for word in words if word not in _STOP] or [stem(word) for word in words]


def stem(word: str) -> str:
    """Cut the endings of plurals and verbs: `identifies` and `identifier` are alike after."""
    for ending in ("ication", "ations", "ation", "ings", "ing", "ified", "ifies", "ifier", "ies"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return _undoubled(word[: -len(ending)])
    for ending in ("ment", "ers", "ed", "er", "es", "ly", "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return _undoubled(word[: -len(ending)])
    return word


def _undoubled(word: str) -> str:
    doubled = len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiousl"
    return word[:-1] if doubled else word


def short_forms(name: Sequence[str], wanted: str, vocabulary: Iterable[str]) -> dict[str, set[str]]:
    """Return the tokens of a name that a person wrote out, each with the words it may stand for.

    A token counts where no person of the set wrote it as a word, and the person's text holds a
    word at least two letters longer that begins alike and has its letters in the same order.
    What is only inflected (`ship`, shipped) or names joined (`SubTotal`, subtotal) is none.
    """
    known = set(vocabulary)
    tokens = [token.casefold() for token in name if token.isalpha()]
    words = re.findall(r"[^\W\d_]+", wanted.casefold())
    found: dict[str, set[str]] = {}
    for token in (each for each in tokens if len(each) > 1 and each not in known):
        others = {other for other in tokens if other != token and len(other) > 1}
        full = {
            word
            for word in words
            if _shortens(token, word) and not any(other in word for other in others)
        }
        if full:
            found[token] = full
    return found


def _shortens(short: str, full: str) -> bool:
    if len(full) < len(short) + 2 or short[0] != full[0] or stem(full) in {short, stem(short)}:
        return False
    letters = iter(full)
    return all(char in letters for char in short)


def expanded(draft: str, forms: Mapping[str, set[str]]) -> int:
    """Return how many of the short forms a draft writes out as the person did."""
    ours = set(stems(draft)) | {stem(word) for word in re.findall(r"\w+", draft.casefold())}
    return sum(any(stem(word) in ours for word in full) for full in forms.values())
