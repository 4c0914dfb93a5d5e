"""What the config may say already and this version does not do yet: never silently ignored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from amxwatch.settings.document import Path

NOT_YET: dict[str, str] = {
    "studio": "there is no Studio",
    "schedules.*.database": "the database in the profile's URL is read",
}
"""Key, or key=value, with `*` for any name; and what happens instead. Shrinks with each issue."""


def unheeded(tree: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield the path of each setting in `tree` that has no effect, and what happens instead."""
    for pattern, instead in NOT_YET.items():
        key, _, value = pattern.partition("=")
        if key.partition(".")[0] not in tree:  # quicker, for very many
            continue
        for path, found in _matches(tree, tuple(key.split("."))):
            written = str(found).lower() if isinstance(found, bool) else found
            if (written == value) if value else found:
                yield path, instead


def _matches(node: Any, pattern: tuple[str, ...]) -> Iterator[tuple[Path, Any]]:
    if not pattern:
        yield (), node
        return
    if isinstance(node, dict):
        for name in node if pattern[0] == "*" else [pattern[0]]:
            if name in node:
                for path, found in _matches(node[name], pattern[1:]):
                    yield (name, *path), found
