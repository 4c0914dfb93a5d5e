"""Finds the expressions of generated columns, which SQLite tells only in the CREATE statement."""

from __future__ import annotations

import re

TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<quoted> "(?:[^"]|"")*" | '(?:[^']|'')*' | `(?:[^`]|``)*` | \[[^\]]*\] )
    | (?P<mark> [(),] )
    | (?P<word> \w+ )
    """,
    re.VERBOSE | re.DOTALL,
)


def generated_expressions(create: str) -> dict[str, str]:
    """Return each generated column's parenthesised expression by its name in lower case."""
    found: dict[str, str] = {}
    depth = 0
    column: str | None = None
    start: int | None = None
    after_as = False
    for token in TOKEN.finditer(create):
        text = token[0]
        if token["comment"]:
            continue
        if text == "(":
            depth += 1
            if after_as and depth == 2:
                start = token.start()
        elif text == ")":
            depth -= 1
            if depth == 1 and start is not None and column is not None:
                found.setdefault(column, create[start : token.end()])
                start = None
        elif depth == 1 and text == ",":
            column = None
        elif depth == 1 and column is None:
            column = _name(text).lower()
        after_as = depth == 1 and text.upper() == "AS"
    return found


def _name(text: str) -> str:
    if text[0] not in "\"'`[":
        return text
    closing = "]" if text[0] == "[" else text[0]
    return text[1:-1].replace(closing * 2, closing)
