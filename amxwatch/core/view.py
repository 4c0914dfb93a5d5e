"""When two definitions of a view mean the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

type_of_tokens = list[tuple[object, str]]


def same_definition(before: str | None, after: str | None, dialect: str) -> bool:
    """Claim that both are one definition, however it is laid out.

    Cheapest first: equal text, then equal tokens (white space, comments, case of keywords),
    then equal trees (case and quotes of names as far as the dialect folds them, parentheses
    that change nothing, the noise words INNER and OUTER). What cannot be parsed equals only
    itself.
    """
    if before == after:
        return True
    if before is None or after is None:
        return False
    from sqlglot.errors import SqlglotError

    try:
        if _tokens(before, dialect) == _tokens(after, dialect):
            return True
        return _tree(before, dialect) == _tree(after, dialect)
    except (SqlglotError, RecursionError):
        return False


def _tokens(text: str, dialect: str) -> type_of_tokens:
    """Return kinds and texts. Keywords are known by their kind, so their case goes."""
    from sqlglot import TokenType, tokenize

    spelled = {
        TokenType.VAR,
        TokenType.IDENTIFIER,
        TokenType.STRING,
        TokenType.NUMBER,
    }
    tokens = list(tokenize(text, read=dialect))
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    return [
        (token.token_type, token.text if token.token_type in spelled else token.text.upper())
        for token in tokens
    ]


def _tree(text: str, dialect: str) -> Expr:
    import sqlglot
    from sqlglot import expressions as exp
    from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

    tree = sqlglot.parse_one(text, dialect=dialect)
    tree = normalize_identifiers(tree, dialect=dialect)
    for name in tree.find_all(exp.Identifier):
        name.set("quoted", False)
    for join in tree.find_all(exp.Join):
        if join.args.get("kind") in {"INNER", "OUTER"}:
            join.set("kind", None)
    return _without_parentheses(tree)


def _without_parentheses(tree: Expr) -> Expr:
    """Unwrap, inside first: in a tree the nesting itself says what belongs together."""
    from sqlglot import expressions as exp

    for node in reversed(list(tree.find_all(exp.Paren, exp.Subquery))):
        if isinstance(node, exp.Paren) or _is_bare_wrapper(node):
            inner = node.this
            node.replace(inner)
            tree = inner if node is tree else tree
    return tree


def _is_bare_wrapper(node: Expr) -> bool:
    """Claim that this is a subquery's second pair of parentheses, or a whole statement's."""
    from sqlglot import expressions as exp

    return (node.parent is None or isinstance(node.parent, exp.Subquery)) and not any(
        value for name, value in node.args.items() if name != "this"
    )
