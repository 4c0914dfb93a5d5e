"""Signals: what a person, a dropped file, a git ref or a web hook says there is to do."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from amxwatch.core.errors import ScopeError, SignalError
from amxwatch.core.intake import MAX_DETAIL, MAX_TITLE, IntakeSource, Priority
from amxwatch.core.scope import Scope

KEYS: Final = ("title", "detail", "db_profile", "scope", "priority", "key")
"""What a structured signal may say; only `title` is needed."""

FENCE = "+++"
"""Stands above and below the TOML at the top of a Markdown file."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One signal as it came in; what it leaves open the settings say.

    `key` is the sender's own name for what it says; else its words are. `occurrence` stands for
    this very occurrence, where it can be told from another one that says the same.
    """

    source: IntakeSource
    title: str
    detail: str = ""
    db_profile: str | None = None
    scope: str | None = None
    priority: Priority | None = None
    key: str | None = None
    occurrence: str | None = None

    def dedupe_key(self, db_profile: str, scope: str) -> str:
        """Return what stands for what it says; by it the same signal twice is one item."""
        said = [self.key] if self.key is not None else [self.title, self.detail]
        return fingerprint(*said, db_profile, scope)


def fingerprint(*texts: str) -> str:
    """Return a digest of texts, which no other texts share."""
    joined = json.dumps(texts).encode()  # ASCII: half surrogate pairs too have a spelling
    return hashlib.sha256(joined).hexdigest()[:32]


def one_line(text: str) -> str:
    """Return a title: one line of at most MAX_TITLE characters. Raises: SignalError."""
    line = " ".join(text.split())
    if not line:
        raise SignalError("a signal needs a title: one line that says what there is to do")
    return line if len(line) <= MAX_TITLE else line[: MAX_TITLE - 1] + "…"


def shortened(text: str) -> str:
    """Return a detail of at most MAX_DETAIL characters, which says what it lost."""
    lost = len(text) - MAX_DETAIL
    return text if lost <= 0 else f"{text[:MAX_DETAIL]}\n… {lost} more characters are left out"


def text_signal(name: str, text: str) -> Signal:
    """Read prose: its first line, or Markdown heading, is the title.

    A Markdown file may begin with TOML between two lines of `+++`. Raises: SignalError.
    """
    lines = text.splitlines()
    if lines and lines[0].rstrip() == FENCE:
        end = next((at for at, line in enumerate(lines[1:], 1) if line.rstrip() == FENCE), None)
        if end is None:
            raise SignalError(f"{name}: the TOML at the top has no closing {FENCE}")
        fields = parsed_toml(name, "\n".join(lines[1:end]))
        body = "\n".join(lines[end + 1 :])
        title = fields.get("title") or _first_line(body)
        return structured_signal(name, {"detail": body.strip(), **fields, "title": title})
    title = _first_line(text)
    return Signal(source=IntakeSource.FOLDER, title=one_line(title), detail=shortened(text.strip()))


def _first_line(text: str) -> str:
    words = (line.strip().lstrip("#").strip() for line in text.splitlines())
    return next((line for line in words if line), "")


def structured_signal(
    name: str, fields: Mapping[str, Any], *, source: IntakeSource = IntakeSource.FOLDER
) -> Signal:
    """Read a table of `KEYS`. Raises: SignalError, which says what is allowed."""
    unknown = sorted(set(fields) - set(KEYS))
    if unknown:
        raise SignalError(f"{name}: found the key {unknown[0][:60]!r}; allowed: {', '.join(KEYS)}")
    for key, value in fields.items():
        if key != "scope" and not isinstance(value, str):
            raise SignalError(f"{name}: {key}: found {_kind(value)}; allowed: text")
    scope = fields.get("scope")
    return Signal(
        source=source,
        title=one_line(fields.get("title", "")),
        detail=shortened(fields.get("detail", "")),
        db_profile=fields.get("db_profile"),
        scope=None if scope is None else _scope(name, scope),
        priority=_priority(name, fields.get("priority")),
        key=fields.get("key"),
    )


def _scope(name: str, value: object) -> str:
    found = value if isinstance(value, list) else [value]
    texts = [text for text in found if isinstance(text, str)]
    if len(texts) < len(found):
        raise SignalError(f"{name}: scope: found {_kind(value)}; allowed: a scope, or a list")
    try:
        return str(Scope.parse(texts))
    except ScopeError as error:
        raise SignalError(f"{name}: scope: {error}") from None


def _priority(name: str, value: str | None) -> Priority | None:
    try:
        return None if value is None else Priority(value)
    except ValueError:
        allowed = ", ".join(Priority)
        raise SignalError(
            f"{name}: priority: found {value[:40]!r}; allowed: {allowed}"  # type: ignore[index]  # None is no ValueError
        ) from None


def _kind(value: object) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return "nothing" if value is None else kinds.get(type(value), "a table")


def parsed_toml(name: str, text: str) -> dict[str, Any]:
    """Parse TOML. Raises: SignalError."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SignalError(f"{name}: this is no TOML: {str(error)[:200]}") from None


def parsed_json(name: str, text: str) -> dict[str, Any]:
    """Parse a JSON object. Raises: SignalError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SignalError(f"{name}: this is no JSON: {str(error)[:200]}") from None
    if not isinstance(found, dict):
        raise SignalError(f"{name}: found {_kind(found)}; allowed: an object with {KEYS[0]!r}")
    return found


def decoded(name: str, content: bytes) -> str:
    """Return the text of a file. Raises: SignalError where it is none."""
    if b"\0" in content:
        raise SignalError(f"{name}: this is binary; allowed: text in UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SignalError(
            f"{name}: byte {error.start} is no UTF-8; allowed: text in UTF-8"
        ) from None
    if not text.strip():
        raise SignalError(f"{name}: this file is empty; write what there is to do")
    return text
