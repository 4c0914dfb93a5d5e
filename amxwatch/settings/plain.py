"""The plainest TOML, read quickly: one schedule, a key a line, as programs write it.

What is read here means what tomllib makes of it; anything less plain is left to tomllib, which
takes ten times as long. That matters where there are very many files. See: large.
"""

from __future__ import annotations

import re
from typing import Any

Table = dict[str, Any]

_TEXT = r'"[^"\\\x00-\x08\x0a-\x1f\x7f]*"' r"|'[^'\x00-\x08\x0a-\x1f\x7f]*'"
_NUMBER = r"-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,15})?"
_SCALAR = rf"{_TEXT}|{_NUMBER}|true|false"
_BLANK = r"[ \t]*"
_COMMENT = r"(?:\#[^\x00-\x08\x0a-\x1f\x7f]*)?"
_PAIR = rf"[A-Za-z0-9_-]+{_BLANK}={_BLANK}(?:{_SCALAR})"

_LINE = re.compile(
    rf"{_BLANK}(?:"
    rf"(?P<key>[A-Za-z0-9_-]+){_BLANK}={_BLANK}(?:"
    rf"(?P<scalar>{_SCALAR})"
    rf"|\{{{_BLANK}(?P<table>{_PAIR}(?:{_BLANK},{_BLANK}{_PAIR})*){_BLANK}\}}"
    rf"|\[{_BLANK}(?P<list>(?:{_TEXT})(?:{_BLANK},{_BLANK}(?:{_TEXT}))*){_BLANK}\])"
    rf"|\[schedules\.(?P<name>[A-Za-z0-9_-]+|{_TEXT})(?:\.(?P<part>[A-Za-z0-9_-]+))?\]"
    rf"){_BLANK}{_COMMENT}"
)

_INNER = re.compile(rf"([A-Za-z0-9_-]+){_BLANK}={_BLANK}({_SCALAR})")
_ITEM = re.compile(_TEXT)
_WORDS = {"true": True, "false": False}


def read_plain(text: str) -> tuple[str, Table] | None:
    """Return the schedule's name and table; None where the text is less plain, or not TOML."""
    name: str | None = None
    table: Table = {}
    into = table
    for line in text.split("\n"):
        if not line or (line[0] == "#" and line.isprintable()):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            return None
        key, scalar, inner, items, header, part = found.groups()
        if key is not None:
            if name is None or key in into:
                return None
            value = _scalar(scalar) if scalar is not None else _compound(inner, items)
            if value is None:
                return None
            into[key] = value
        elif name is None and part is None:
            name = _name(header)
        elif part is None or _name(header) != name or part in table:
            return None
        else:
            into = table[part] = {}
    return None if name is None else (name, table)


def _name(written: str) -> str:
    return written[1:-1] if written[0] in "\"'" else written


def _scalar(written: str) -> Any:
    if written[0] in "\"'":
        return written[1:-1]
    if written in _WORDS:
        return _WORDS[written]
    return float(written) if "." in written else int(written)


def _compound(inner: str | None, items: str | None) -> Table | list[str] | None:
    """Return an inline table or a list of texts; None where the table has a key twice."""
    if inner is None:
        return [item[1:-1] for item in _ITEM.findall(items or "")]
    pairs = _INNER.findall(inner)
    table = {key: _scalar(value) for key, value in pairs}
    return table if len(table) == len(pairs) else None
