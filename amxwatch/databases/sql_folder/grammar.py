"""sqlglot's dialects by name, and how they fold the names of things."""

from __future__ import annotations

import difflib
import logging
import threading
from collections.abc import Callable
from functools import lru_cache

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect, Dialects, NormalizationStrategy
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
from sqlglot.tokenizer_core import Token
from sqlglot.tokens import Tokenizer

from amxwatch.core.errors import UsageError

# sqlglot warns on stderr about each statement that it keeps as text; those that matter are
# reported as problems of the source, with their place.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

_FOLDED: dict[NormalizationStrategy, Callable[[str], str]] = {
    NormalizationStrategy.CASE_SENSITIVE: str,
    NormalizationStrategy.LOWERCASE: str.lower,
    NormalizationStrategy.CASE_INSENSITIVE: str.lower,
    NormalizationStrategy.UPPERCASE: str.upper,
    NormalizationStrategy.CASE_INSENSITIVE_UPPERCASE: str.upper,
}
_tokenizers = threading.local()

_KEPT = 65_536
"""Folded names that are remembered: a folder says the same ones again and again."""


def known_dialects() -> tuple[str, ...]:
    """Return the names that `?dialect=` may have, sorted."""
    return tuple(sorted(member.value for member in Dialects if member.value))


@lru_cache
def dialect_named(name: str) -> Dialect:
    """Return sqlglot's dialect of that name.

    Raises: UsageError, with the names that come close.
    """
    if name in known_dialects():
        return Dialect.get_or_raise(name)
    close = difflib.get_close_matches(name, known_dialects(), n=3, cutoff=0.5)
    hint = " or ".join(close) if close else "one of " + ", ".join(known_dialects())
    raise UsageError(f"ddl URL: unknown dialect {name!r}; write ?dialect={hint}")


def tokenize(dialect: Dialect, text: str) -> list[Token]:
    """Split a text into tokens, as `dialect.tokenize` does; making a tokenizer costs as much."""
    known: dict[str, Tokenizer] = _tokenizers.__dict__
    name = type(dialect).__name__
    if name not in known:
        known[name] = dialect.tokenizer()
    return known[name].tokenize(text)


def fold_names(tree: exp.Expr, dialect: Dialect, text: str) -> exp.Expr:
    """Spell every name in a tree as the dialect stores it; the tree is changed."""
    is_plain = type(dialect).normalize_identifier is Dialect.normalize_identifier
    if not is_plain or "sqlglot.meta" in text:
        return normalize_identifiers(tree, dialect=dialect)
    fold = _FOLDED[dialect.normalization_strategy]
    for name in tree.find_all(exp.Identifier):
        if fold(name.this) != name.this:  # mostly it is: asking first is what is quick
            dialect.normalize_identifier(name)
    return tree


@lru_cache(maxsize=_KEPT)
def fold_table(
    dialect: Dialect, name: str, quoted: bool, schema: str | None, schema_quoted: bool
) -> tuple[str, str]:
    """Spell a (schema, table) as the dialect stores it; the schema may be absent."""
    table = exp.to_identifier(name, quoted=quoted)
    within = None if schema is None else exp.to_identifier(schema, quoted=schema_quoted)
    named = exp.Table(this=table, db=within)
    for part in (table, within):
        if part is not None:
            dialect.normalize_identifier(part)
    return named.db, named.name


@lru_cache(maxsize=_KEPT)
def fold_schema(dialect: Dialect, name: str, *, quoted: bool) -> str:
    """Spell a schema's name as the dialect stores it."""
    named = exp.Table(db=exp.to_identifier(name, quoted=quoted))
    dialect.normalize_identifier(named.args["db"])
    return named.db


@lru_cache(maxsize=_KEPT)
def fold_column(dialect: Dialect, name: str, *, quoted: bool) -> str:
    """Spell a column's name as the dialect stores it."""
    column = exp.Column(this=exp.to_identifier(name, quoted=quoted))
    return str(dialect.normalize_identifier(column.this).this)
