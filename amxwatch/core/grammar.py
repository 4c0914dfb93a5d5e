"""sqlglot behind a guard: what would take for ever, or the process with it, is not parsed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import Token
    from sqlglot.expressions import Expr

DEEPEST = 100
"""Brackets within brackets. Parsing recurses on the machine's own stack, which can overflow."""

LONGEST = 50_000
"""Tokens of one text; it takes about a second to parse these."""

MOST_BARE_JOINS = 8
"""Joins without a condition: each doubles the time that sqlglot takes."""


MOST_ANGLES = 2_000
"""`<` in one text: types nest by it, but it also compares."""


def tokens_of(text: str, dialect: str) -> list[Token] | None:
    """Return the tokens of a text; None where it has none that make sense."""
    from sqlglot import tokenize
    from sqlglot.errors import SqlglotError

    try:
        return list(tokenize(text, read=dialect))
    except (SqlglotError, ValueError):
        return None


def within_bounds(text: str, dialect: str) -> bool:
    """Claim that a text can be parsed in reasonable time and depth."""
    tokens = tokens_of(text, dialect)
    return tokens is not None and are_within_bounds(tokens)


def is_harmless(text: str) -> bool:
    """Claim so by a look at the characters: it holds for most texts, and costs next to nothing."""
    return (
        len(text) <= LONGEST  # no token is without a character
        and sum(map(text.count, "([{<")) <= DEEPEST
        and text.upper().count("JOIN") <= MOST_BARE_JOINS
    )


def are_within_bounds(tokens: Sequence[Token], *, longest: int = LONGEST) -> bool:
    """Claim so of the tokens of a text, of which there may be so many."""
    from sqlglot import TokenType

    opening = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE}
    closing = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE}
    conditions = {TokenType.ON, TokenType.USING, TokenType.CROSS, TokenType.NATURAL}
    depth = bare = angles = 0
    for token in tokens:
        kind = token.token_type
        depth += (kind in opening) - (kind in closing)
        bare += (kind is TokenType.JOIN) - (kind in conditions)
        angles += kind is TokenType.LT
        if depth > DEEPEST or bare > MOST_BARE_JOINS or angles > MOST_ANGLES:
            return False
    return len(tokens) <= longest


def parsed(text: str, dialect: str, *, into: type[Expr] | None = None) -> Expr | None:
    """Return the tree of one statement (or of `into`); None where it cannot be parsed."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        return sqlglot.parse_one(text, dialect=dialect, into=into)
    except (SqlglotError, RecursionError, ValueError, AttributeError, TypeError, LookupError):
        # The last four are slips of sqlglot's own over texts that are no SQL.
        return None
