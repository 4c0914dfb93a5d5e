"""When two definitions of a view mean the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amxwatch.core.grammar import are_within_bounds, parsed, tokens_of

if TYPE_CHECKING:
    from sqlglot import Token
    from sqlglot.expressions import Expr

type_of_tokens = list[tuple[object, str]]

_SPOKEN_COMMENTS = {"mysql": "/*!", "doris": "/*!", "starrocks": "/*!"}
"""Comments that the database reads as SQL: what they say counts."""

_FOLDS_COLUMNS = frozenset({"mysql", "doris", "starrocks"})
"""Dialects that compare names of columns without case, and of tables with it."""


def same_definition(before: str | None, after: str | None, dialect: str) -> bool:
    """Claim that both are one definition, however it is laid out.

    Cheapest first: equal text, then equal tokens (white space, comments, case of keywords),
    then equal trees (case and quotes of names as far as the dialect folds them, parentheses
    that change nothing in any dialect, the noise words INNER and OUTER). What cannot be parsed,
    or not in reasonable time, equals only what has the same tokens.
    """
    if before == after:
        return True
    if before is None or after is None:
        return False
    mark = _SPOKEN_COMMENTS.get(dialect)
    if mark is not None and (mark in before or mark in after):
        return False
    old, new = tokens_of(before, dialect), tokens_of(after, dialect)
    if old is None or new is None:
        return False
    if _spelled(old) == _spelled(new):
        return True
    if not (are_within_bounds(old) and are_within_bounds(new)):
        return False
    tree = _tree(before, dialect)
    return tree is not None and tree == _tree(after, dialect)


def _spelled(tokens: list[Token]) -> type_of_tokens:
    """Return kinds and texts, of keywords without their case.

    Only of words that are never names or strings: names fold by rules of their dialect, which
    the tree knows.
    """
    from sqlglot import TokenType as Kind

    words = {
        *(Kind.SELECT, Kind.DISTINCT, Kind.FROM, Kind.WHERE, Kind.GROUP_BY, Kind.HAVING),
        *(Kind.ORDER_BY, Kind.LIMIT, Kind.JOIN, Kind.INNER, Kind.OUTER, Kind.CROSS, Kind.ON),
        *(Kind.USING, Kind.AND, Kind.OR, Kind.NOT, Kind.IN, Kind.IS, Kind.NULL, Kind.ALIAS),
        *(Kind.CASE, Kind.WHEN, Kind.THEN, Kind.ELSE, Kind.UNION, Kind.EXCEPT, Kind.INTERSECT),
        *(Kind.WITH, Kind.LIKE, Kind.BETWEEN, Kind.EXISTS),
    }
    end = len(tokens)
    while end and tokens[end - 1].token_type is Kind.SEMICOLON:
        end -= 1
    return [
        (token.token_type, token.text.upper() if token.token_type in words else token.text)
        for token in tokens[:end]
    ]


def _tree(text: str, dialect: str) -> Expr | None:
    from sqlglot import expressions as exp
    from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

    tree = parsed(text, dialect)
    if tree is None:
        return None
    tree = normalize_identifiers(tree, dialect=dialect)
    for name in tree.find_all(exp.Identifier):
        if dialect in _FOLDS_COLUMNS and _names_column(name):
            name.set("this", name.name.lower())
        name.set("quoted", False)
    for join in tree.find_all(exp.Join):
        kind = join.args.get("kind")
        if kind == "INNER" or (kind == "OUTER" and join.args.get("side")):
            join.set("kind", None)
    return _without_parentheses(tree)


def _names_column(name: Expr) -> bool:
    from sqlglot import expressions as exp

    return isinstance(name.parent, exp.Column | exp.Alias) and name.arg_key in {"this", "alias"}


def _without_parentheses(tree: Expr) -> Expr:
    """Unwrap, inside first: in a tree the nesting itself says what belongs together."""
    from sqlglot import expressions as exp

    for node in reversed(list(tree.find_all(exp.Paren, exp.Subquery))):
        is_paren = isinstance(node, exp.Paren)
        if _is_needless(node) if is_paren else _is_bare_wrapper(node):
            inner = node.this
            node.replace(inner)
            tree = inner if node is tree else tree
    return tree


def _is_bare_wrapper(node: Expr) -> bool:
    """Claim that a subquery's parentheses are its second pair, a statement's, a UNION's, a WITH's.

    Not the second pair after IN, ANY and ALL: to some databases that is a list of one value.
    """
    from sqlglot import expressions as exp

    if any(value for name, value in node.args.items() if name != "this"):
        return False
    parent = node.parent
    if isinstance(parent, exp.Subquery):
        return not isinstance(parent.parent, exp.In | exp.Any | exp.All)
    if isinstance(node.this, exp.Table):
        return isinstance(parent, exp.From | exp.Join) and not node.this.args.get("joins")
    return parent is None or isinstance(parent, exp.SetOperation | exp.CTE)


_ATOM = 9
_SIGN = 7
_PREDICATE = 4


def _is_needless(node: Expr) -> bool:
    """Claim that no dialect needs these parentheses, or that the tree tells what they held.

    That is so between operators whose order all dialects agree on. Of the others (`||`, `^`,
    bits, arrows, COLLATE, AT TIME ZONE) each ranks differently, and sqlglot is not always right.
    """
    from sqlglot import expressions as exp

    inner, parent = node.this, node.parent
    if isinstance(parent, exp.Ordered | exp.Group) and isinstance(inner, exp.Literal):
        return False  # `ORDER BY 1` means a column, `(1)` need not
    if isinstance(parent, exp.Dot | exp.Bracket | exp.In | exp.Any | exp.All) and isinstance(
        inner, exp.Subquery | exp.Column
    ):
        return False
    if parent is None or _is_clause(node):
        return True
    level = _level(inner)
    if level == _ATOM:
        return not isinstance(parent, exp.Dot)
    around = _level(parent)
    if level is None:
        return around == _PREDICATE and isinstance(inner, exp.DPipe)
    if isinstance(parent, exp.Cast):
        return level != _SIGN
    return around is not None and not level == around == _PREDICATE


def _is_clause(node: Expr) -> bool:
    """Claim that commas, keywords or other parentheses stand on both sides already."""
    from sqlglot import expressions as exp

    parent = node.parent
    if isinstance(parent, exp.In):
        return node.arg_key == "expressions"
    clauses = (exp.Select, exp.Where, exp.Having, exp.Qualify, exp.Join, exp.Alias, exp.Ordered)
    around = (exp.Paren, exp.Tuple, exp.If, exp.Case, exp.Anonymous, exp.Group)
    if isinstance(parent, exp.Cast | exp.Extract):
        return False
    return isinstance(parent, clauses + around) or (
        isinstance(parent, exp.Func) and _level(parent) == _ATOM
    )


def _level(node: Expr) -> int | None:
    """Return how tightly an operator binds, of those that all dialects rank alike."""
    from sqlglot import expressions as exp

    ranks: tuple[tuple[type | tuple[type, ...], int], ...] = (
        (exp.Or, 1),
        (exp.And, 2),
        (exp.Not, 3),
        ((exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE), _PREDICATE),
        ((exp.Is, exp.Like, exp.In, exp.Between), _PREDICATE),
        ((exp.Add, exp.Sub), 5),
        ((exp.Mul, exp.Div), 6),
        (exp.Neg, _SIGN),
    )
    for kinds, rank in ranks:
        if type(node) in (kinds if isinstance(kinds, tuple) else (kinds,)):
            return rank
    if isinstance(node, exp.Binary | exp.Unary) and not isinstance(node, exp.Paren | exp.Dot):
        return None
    names = (exp.Column, exp.Literal, exp.Null, exp.Boolean, exp.Star, exp.Tuple, exp.Subquery)
    others = (exp.Paren, exp.Func, exp.Window, exp.Placeholder, exp.Parameter)
    return _ATOM if isinstance(node, names + others) else None
