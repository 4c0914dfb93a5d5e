"""Other spellings of the commands: the ones of the prompt, and of the documents before us."""

from __future__ import annotations

from collections.abc import Sequence

ALIASES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("connect",): ("db", "test"),
    ("db", "connect"): ("db", "test"),
    ("sync",): ("catalog", "refresh"),
    ("inspect",): ("db", "inspect"),
    ("schedule", "tick"): ("schedule", "run-due"),
    ("schedule", "daemon"): ("daemon",),
}
"""What else a command is called after a slash."""

GROUPED = frozenset(
    {"schedule", "run", "run-apply", "apply", "review", "cancel", "unblock"}
    | {"rerun", "compare", "lock", "unlock"}
)
"""What may stand after /analyze."""


def translated(args: Sequence[str]) -> list[str]:
    """Return a command line in our own spelling; one that begins without a slash is ours already.

    Options may stand before the slash word.
    """
    words = list(args)
    start = _first_word(words)
    if start is None or not words[start].startswith("/") or words[start] == "/":
        return words
    before, rest = words[:start], words[start:]
    rest[0] = rest[0][1:]
    if rest[0] == "analyze" and len(rest) > 1 and rest[1].lstrip("/") in GROUPED:
        rest = [rest[1].lstrip("/"), *rest[2:]]
    return before + _renamed(rest)


def _first_word(words: list[str]) -> int | None:
    """Return where the command stands: after `--json` and `--config-dir DIR`."""
    position = 0
    while position < len(words) and words[position].startswith("-"):
        position += 2 if words[position] == "--config-dir" else 1
    return position if position < len(words) else None


def _renamed(words: list[str]) -> list[str]:
    for old, new in ALIASES.items():
        if tuple(words[: len(old)]) == old:
            words = [*new, *words[len(old) :]]
            break
    if words[:2] == ["schedule", "run-due"]:
        return ["--quiet" if word == "--silent" else word for word in words]
    if words[:2] == ["schedule", "list"] and "--schedule" in words[:-1]:
        at = words.index("--schedule")
        return ["schedule", "show", words[at + 1], *words[2:at], *words[at + 2 :]]
    return words
