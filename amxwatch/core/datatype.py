"""When two spellings mean the same column type."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot.expressions import Expression

_KEPT = 4_096
"""Spellings whose meaning is remembered; a catalog has dozens."""


def same_type(before: str, after: str, dialect: str) -> bool:
    """Claim that both spellings mean one type in the dialect (`int4` and `integer`).

    A spelling that cannot be parsed (a type made by users) equals only itself.
    """
    if before == after:
        return True
    meaning = _meaning(before, dialect)
    return meaning is not None and meaning == _meaning(after, dialect)


@lru_cache(maxsize=_KEPT)
def _meaning(text: str, dialect: str) -> Expression | None:
    import sqlglot
    from sqlglot.errors import SqlglotError
    from sqlglot.expressions import DataType

    try:
        # Not DataType.build: that one passes over what it does not understand, so that
        # "varchar collate x" would equal "varchar".
        return sqlglot.parse_one(text, into=DataType, dialect=dialect)
    except (SqlglotError, RecursionError):
        return None
