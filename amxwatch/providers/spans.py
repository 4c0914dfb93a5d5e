"""Which tokens of a reply belong to which object, so that each has a probability of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import accumulate

from amxwatch.providers.answer import Tokens

_DECODER = json.JSONDecoder()
_OBJECT = re.compile(r'\{\s*"key"\s*:')


def by_object(tokens: Tokens) -> dict[str, float]:
    """Return the mean log-probability of each `{"key": …}` object of a reply, by its key.

    The first object of a key counts. Empty where the tokens make up no such object.
    """
    text = "".join(token for token, _ in tokens)
    ends = list(accumulate(len(token) for token, _ in tokens))
    found: dict[str, float] = {}
    at = 0
    for key, begin, end in _objects(text):
        values = []
        while at < len(tokens) and ends[at] <= begin:
            at += 1
        inside = at
        while inside < len(tokens) and ends[inside] - len(tokens[inside][0]) < end:
            values.append(tokens[inside][1])
            inside += 1
        if values:
            found.setdefault(key, sum(values) / len(values))
    return found


def _objects(text: str) -> Iterator[tuple[str, int, int]]:
    for match in _OBJECT.finditer(text):
        try:
            entry, end = _DECODER.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and isinstance(entry.get("key"), str):
            yield entry["key"], match.start(), end
