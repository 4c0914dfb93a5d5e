"""Takes out of an endpoint's words whatever could be a key: some echo it back."""

from __future__ import annotations

import re

_KEY_LIKE = re.compile(
    r"\S*\*{3,}\S*"  # a key that the provider masked itself, parts of it in the clear
    r"|\b(?:sk|pk|rk|gsk|xai|key|kod|nvapi|hf|ghp)[-_][\w-]{6,}"
    r"|\bBearer\s+\S+"
    r"|\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{28,}",
    re.IGNORECASE,
)
_SECRET_PIECE = 6
"""Characters in a row of our key that must not be shown."""


def redact(text: str, *, api_key: str | None) -> str:
    """Take out whatever could be a key, or a piece of ours."""
    shown = _KEY_LIKE.sub("[redacted]", text)
    if not api_key or len(api_key) < _SECRET_PIECE:
        return shown
    last = len(api_key) - _SECRET_PIECE
    pieces = {api_key[at : at + _SECRET_PIECE] for at in range(last + 1)}
    words = re.split(r"(\s+)", shown)
    return "".join("[redacted]" if any(p in word for p in pieces) else word for word in words)
