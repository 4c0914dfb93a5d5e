"""Parsing the SQL of a view, within bounds, and the names of the relations that it mentions.

What is too deep or too long for sqlglot is not parsed at all: its compiled parser would take
the process down with it. Then the names that follow FROM and JOIN have to do.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.dialect import Dialect, NormalizationStrategy
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
from sqlglot.optimizer.scope import Scope, traverse_scope

# sqlglot warns on stderr about what it keeps as text; here that is the table level.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

MAX_CHARACTERS = 400_000
MAX_TOKENS = 20_000
MAX_NESTING = 60
"""How deep parentheses, brackets and CASE may nest: within a thread's small stack of 512 KB."""
MAX_DEPTH = 400
"""How deep the tree may be: chains of a thousand ANDs take the optimizer's time squared."""
MAX_PREFIXES = 60
"""How many words may follow each other without a name or a value: NOT NOT NOT … recurses."""
MAX_SUBSCRIPTS = 64
"""How many `][` a definition may hold: the parser takes the cube of a chain's length."""

WRITTEN = "written"
"""Marks, in sqlglot's notes on a column, that the text itself names it, and no star does."""

_OPENING = frozenset(
    {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.LT, TokenType.CASE}
)
_CLOSING = frozenset(
    {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.GT, TokenType.END}
)
_OPERANDS = frozenset(
    {TokenType.VAR, TokenType.IDENTIFIER, TokenType.NUMBER, TokenType.STRING, TokenType.COMMA}
)

_FOLDING = {
    name: f"{name}, normalization_strategy=case_insensitive"
    for name in ("mysql", "doris", "starrocks")
}
"""Dialects whose column names are the same in any case, which sqlglot does not say."""


class NotKnowableError(Exception):
    """The SQL cannot be parsed or followed; less is known of it, and nothing fails."""


@dataclass(frozen=True, kw_only=True)
class Name:
    """A relation as SQL names it: as written, and as the dialect folds it."""

    schema: str
    name: str
    folded_schema: str
    folded_name: str
    is_exact: bool
    """Quoted, in a dialect where quotes keep the case."""


@dataclass(frozen=True, kw_only=True)
class Folded:
    """A syntax tree in which the dialect has folded every name, and the relations in it."""

    tree: exp.Query
    relations: tuple[tuple[exp.Table, Name], ...]


@dataclass(frozen=True, kw_only=True)
class Written:
    """The relations that a definition names, without its own CTEs, in order.

    `is_parsed` says that they come out of a syntax tree. That tree, with its names folded, is
    for the first who takes it, as following its columns wears it out.
    """

    names: tuple[Name, ...]
    is_parsed: bool
    _trees: list[Folded] = field(default_factory=list, compare=False, repr=False)

    def take(self) -> Folded | None:
        """Return the tree, once."""
        try:
            return self._trees.pop()
        except IndexError:
            return None


@contextmanager
def bounded() -> Iterator[None]:
    """Translate every way in which sqlglot gives up. Raises: NotKnowableError."""
    # Its optimizer is built for queries that run; on half-known SQL it fails in all these ways.
    try:
        yield
    except (SqlglotError, RecursionError, ValueError, TypeError, ArithmeticError) as error:
        raise NotKnowableError from error
    except (AttributeError, LookupError, AssertionError) as error:
        raise NotKnowableError from error


def folding(dialect: str) -> Dialect:
    """Return the dialect that folds names as the database does. Raises: ValueError."""
    return Dialect.get_or_raise(_FOLDING.get(dialect, dialect))


def parse(definition: str, dialect: Dialect) -> Folded:
    """Parse the SELECT of a definition, which may be a whole CREATE.

    Raises: NotKnowableError, also for what is too deep or too long.
    """
    if len(definition) > MAX_CHARACTERS:
        raise NotKnowableError
    with bounded():
        tokens = dialect.tokenize(definition)
        if not _is_tame(tokens):
            raise NotKnowableError
        trees = [tree for tree in dialect.parser().parse(tokens, definition) if tree is not None]
        tree = trees[0] if len(trees) == 1 else None
        if isinstance(tree, exp.Create):
            tree = tree.expression
        # A tree is no deeper than its text has tokens.
        if not isinstance(tree, exp.Query) or (len(tokens) > MAX_DEPTH and _is_deep(tree)):
            raise NotKnowableError
        return Folded(tree=tree, relations=tuple(_fold_names(tree, dialect)))


def _is_tame(tokens: list[Token]) -> bool:
    """Claim that the parser can be trusted with this."""
    depth = prefixes = subscripts = 0
    before = None
    for token in tokens:
        kind = token.token_type
        if kind in _OPENING:
            depth += 1
            subscripts += kind is TokenType.L_BRACKET and before is TokenType.R_BRACKET
        elif kind in _CLOSING:
            depth = max(0, depth - 1)
        prefixes = 0 if kind in _OPERANDS or kind in _CLOSING else prefixes + 1
        if depth > MAX_NESTING or prefixes > MAX_PREFIXES or subscripts > MAX_SUBSCRIPTS:
            return False
        before = kind
    return len(tokens) <= MAX_TOKENS


def _is_deep(tree: exp.Expr) -> bool:
    stack = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH:
            return True
        stack.extend((child, depth + 1) for child in node.iter_expressions())
    return False


@lru_cache(maxsize=20_000)
def written(definition: str, dialect: str) -> Written:
    """Return the relations that a definition names; never raises."""
    try:
        with bounded():
            folded = parse(definition, folding(dialect))
        names = dict.fromkeys(name for _, name in folded.relations)
        return Written(names=tuple(names), is_parsed=True, _trees=[folded])
    except NotKnowableError:
        return Written(names=tuple(dict.fromkeys(_mentioned(definition))), is_parsed=False)


def _fold_names(tree: exp.Query, dialect: Dialect) -> Iterator[tuple[exp.Table, Name]]:
    """Fold every name in the tree, in place; yield its relations, in order, and their names."""
    raw = {id(table): (table.db, table.name) for table in tree.find_all(exp.Table)}
    strict = dialect.normalization_strategy in (
        NormalizationStrategy.LOWERCASE,
        NormalizationStrategy.UPPERCASE,
    )
    for column in tree.find_all(exp.Column):
        column.meta[WRITTEN] = True
    normalize_identifiers(tree, dialect=dialect)
    for scope in traverse_scope(tree):
        for table in scope.tables:
            if not _is_relation(table, scope):
                continue
            schema, name = raw.get(id(table), (table.db, table.name))
            quoted = isinstance(table.this, exp.Identifier) and bool(table.this.quoted)
            yield (
                table,
                Name(
                    schema=schema,
                    name=name,
                    folded_schema=table.db,
                    folded_name=table.name,
                    is_exact=strict and quoted,
                ),
            )


def _is_relation(table: exp.Table, scope: Scope) -> bool:
    """Tell a table or view from a CTE, and from a function that returns rows."""
    if not isinstance(table.this, exp.Identifier) or not table.name:
        return False
    return bool(table.db) or table.name not in scope.cte_sources


_TOKEN = re.compile(
    r"""
      (?P<skip> --[^\n]* | /\*.*?(?:\*/|\Z) | '(?:[^']|'')*(?:'|\Z) | \s+ )
    | (?P<name> "(?:[^"]|"")+" | `[^`]+` | \[[^\]\[]+\] | [^\W\d][\w$]* )
    | (?P<sign> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_AFTER_A_NAME = frozenset(
    {"on", "using", "where", "group", "order", "having", "limit", "union", "intersect", "except"}
    | {"left", "right", "inner", "full", "cross", "natural", "window", "qualify", "fetch"}
    | {"offset", "lateral", "tablesample", "for", "select"}
)


def _mentioned(definition: str) -> Iterator[Name]:
    """Yield the names after FROM, after JOIN, and after the commas of a FROM, by their looks."""
    chain: list[str] = []
    is_source = joined = False
    for token in _TOKEN.finditer(definition[:MAX_CHARACTERS]):
        word, sign = token["name"], token["sign"]
        if token["skip"]:
            continue
        plain = word.casefold() if word else ""
        if sign == "." and chain:
            joined = True
        elif joined and word:
            chain.append(_bare(word))
            joined = False
        elif plain in ("from", "join") or (sign == "," and chain and is_source):
            yield from _named(chain)
            chain, is_source = [], True
        elif is_source and not chain and word:
            chain = [_bare(word)]
        elif sign != "(" and (not word or plain in _AFTER_A_NAME):
            yield from _named(chain)
            chain, is_source = [], False
    yield from _named(chain)


def _bare(word: str) -> str:
    return word[1:-1].replace('""', '"') if word[0] in '"`[' else word


def _named(chain: list[str]) -> Iterator[Name]:
    if chain:
        schema, name = (chain[-2] if len(chain) > 1 else ""), chain[-1]
        yield Name(
            schema=schema,
            name=name,
            folded_schema=schema,
            folded_name=name,
            is_exact=False,
        )
