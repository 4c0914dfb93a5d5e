"""How long to wait before trying again."""

from __future__ import annotations

import hashlib
from datetime import timedelta

FIRST = timedelta(seconds=10)
CAP = timedelta(minutes=30)


def backoff(
    failures: int, *, first: timedelta = FIRST, cap: timedelta = CAP, key: str
) -> timedelta:
    """Return how long to wait after so many failures in a row; nothing after none.

    The wait is between half and the whole of `first`, doubled with each further failure, up to
    `cap`; until the cap is reached it never shrinks. Where in that range is drawn from `key`
    and the count, so that many who failed together do not all return together, while the same
    failure, asked of twice or in two processes, waits until the same moment.
    """
    if failures <= 0:
        return timedelta(0)
    # Beyond 2**32 only the cap speaks; an endless exponent would overflow.
    whole = min(first.total_seconds() * 2.0 ** min(failures - 1, 32), cap.total_seconds())
    return timedelta(seconds=whole * (0.5 + share(f"{key}\0{failures}") / 2))


def share(text: str) -> float:
    """Return a number from 0 up to 1 that is always the same for the same text."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
