"""When two spellings mean the same column type."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from amxwatch.core.catalog import UNKNOWN_TYPE
from amxwatch.core.grammar import parsed, within_bounds

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

_KEPT = 4_096
"""Spellings whose meaning is remembered; a catalog has dozens."""


def same_type(before: str, after: str, dialect: str) -> bool:
    """Claim that both spellings mean one type in the dialect (`int4` and `integer`).

    A spelling that cannot be parsed (a type made by users) equals only itself. A type that the
    source could not tell equals every other: to learn it later is no change.
    """
    if before == after or UNKNOWN_TYPE in (before, after):
        return True
    meaning = _meaning(before, dialect)
    return meaning is not None and meaning == _meaning(after, dialect)


@lru_cache(maxsize=_KEPT)
def _meaning(text: str, dialect: str) -> Expr | None:
    from sqlglot.expressions import DataType

    if not within_bounds(text, dialect):
        return None
    # Not DataType.build: that one passes over what it does not understand, so that
    # "varchar collate x" would equal "varchar".
    tree = parsed(text, dialect, into=DataType)
    if tree is not None and dialect == "mysql":
        _drop_display_width(tree)
    return tree


def _drop_display_width(tree: Expr) -> None:
    """Make `int(11)` the same as `int`, as newer servers leave the width out.

    Of `tinyint(1)` it stays, which is how a boolean is known; `bool` is another name of that.
    """
    from sqlglot.expressions import DataType, DataTypeParam, Literal

    if not isinstance(tree, DataType):
        return
    kinds = DataType.Type
    if tree.this is kinds.BOOLEAN:
        tree.set("this", kinds.TINYINT)
        tree.set("expressions", [DataTypeParam(this=Literal.number(1))])
    wide = {kinds.TINYINT, kinds.SMALLINT, kinds.MEDIUMINT, kinds.INT, kinds.BIGINT, kinds.YEAR}
    wide |= {kinds.UTINYINT, kinds.USMALLINT, kinds.UMEDIUMINT, kinds.UINT, kinds.UBIGINT}
    is_boolean = tree.this is kinds.TINYINT and [p.name for p in tree.expressions] == ["1"]
    if tree.this in wide and not is_boolean:
        tree.set("expressions", [])
