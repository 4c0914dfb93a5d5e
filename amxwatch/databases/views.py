"""Finds the SELECT in a stored CREATE VIEW statement."""

from __future__ import annotations

import re

TOKEN = re.compile(
    r"""
      (?P<skip> --[^\n]* | /\*.*?\*/ | "(?:[^"]|"")*" | '(?:[^']|'')*' | `[^`]*` | \[[^\]]*\] )
    | (?P<open> \( ) | (?P<close> \) )
    | (?P<word> \w+ )
    """,
    re.VERBOSE | re.DOTALL,
)


def select_of(statement: str) -> str:
    """Return what follows the AS of a CREATE VIEW, without a closing semicolon.

    Names may be quoted and hold anything, and a list of columns may stand before the AS. A
    statement without an AS comes back whole.
    """
    depth = 0
    for token in TOKEN.finditer(statement):
        if token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
        elif depth == 0 and (token["word"] or "").upper() == "AS":
            return statement[token.end() :].strip().removesuffix(";").rstrip()
    return statement.strip().removesuffix(";")
