"""When two sources mean the same, though each spells it its own way.

Within one source the canonical spelling decides (`core.datatype`, `core.view`). Between a file
and a server, or two servers, more differs that means nothing: what a server adds when it stores a
default or a view, and the names of types in another dialect. Whoever is in doubt says different.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING

from amxwatch.core.catalog import UNKNOWN_TYPE
from amxwatch.core.datatype import same_type
from amxwatch.core.grammar import parsed, within_bounds
from amxwatch.core.view import same_definition

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

_KEPT = 4_096

SERIALS = {"serial": "integer", "bigserial": "bigint", "smallserial": "smallint"}
"""PostgreSQL's short spellings of a number with a sequence behind it."""

_COMPUTED = re.compile(
    r"GENERATED ALWAYS AS \((?P<text>.*)\) ?(?P<kind>STORED|VIRTUAL|PERSISTED)?",
    re.IGNORECASE | re.DOTALL,
)

_NOW = frozenset({"now", "get_current_timestamp", "getdate", "sysdate", "localtimestamp"})
_TEXTS = frozenset({"TEXT", "VARCHAR", "CHAR", "BPCHAR", "NVARCHAR", "NAME"})

type_of_columns = Mapping[str, Mapping[str, Mapping[str, str]]]
"""Schema, table and column to the column's type."""


@dataclass(frozen=True, kw_only=True)
class Sql:
    """The SQL of one side: its dialect, the schema of a bare name, and what its tables hold.

    `renamed` are schemas that the other side knows by another name.
    """

    dialect: str
    default_schema: str
    columns: type_of_columns = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)


def equal_types(left: str, left_dialect: str, right: str, right_dialect: str) -> bool:
    """Claim that two spellings mean one type, each in its own dialect.

    Across dialects the type is translated, either way. One that cannot be parsed is compared as
    it is spelled, case apart; one that is not known equals all.
    """
    if not left or not right or UNKNOWN_TYPE in (left, right) or left == right:
        return True
    left, right = (SERIALS.get(text.lower(), text) for text in (left, right))
    if left_dialect == right_dialect and same_type(left, right, left_dialect):
        return True
    here, there = _type(left, left_dialect), _type(right, right_dialect)
    if here is None or there is None:
        return left.casefold() == right.casefold()
    return (
        here == there
        or _type(here.sql(dialect=right_dialect), right_dialect) == there
        or _type(there.sql(dialect=left_dialect), left_dialect) == here
    )


@lru_cache(maxsize=_KEPT)
def _type(text: str, dialect: str) -> Expr | None:
    from sqlglot.expressions import DataType

    return parsed(text, dialect, into=DataType) if within_bounds(text, dialect) else None


def equal_defaults(
    left: str | None, left_dialect: str, right: str | None, right_dialect: str
) -> bool:
    """Claim that two defaults are one: casts of literals and other spellings of now apart."""
    if left == right:
        return True
    if left is None or right is None:
        return False
    if left_dialect != right_dialect and is_numbered(left) and is_numbered(right):
        return True
    (mine, my_kind), (theirs, their_kind) = _parts(left), _parts(right)
    if my_kind != their_kind and (None in (my_kind, their_kind) or "" not in (my_kind, their_kind)):
        return False
    computed = my_kind is not None
    for one, other in zip_longest(mine, theirs, fillvalue=""):
        here = _expression(one, left_dialect, computed=computed)
        there = _expression(other, right_dialect, computed=computed)
        if one != other and (here is None or here != there):
            return False
    return True


def _parts(default: str) -> tuple[list[str], str | None]:
    """Return the expressions of a default, and where a computed column is kept, if it says so.

    None is no computed column, and "" a computed one that does not say.
    """
    found = _COMPUTED.fullmatch(default)
    if found is not None:
        return [found["text"]], (found["kind"] or "").upper().replace("PERSISTED", "STORED")
    return default.split(" ON UPDATE "), None


def is_numbered(default: str | None) -> bool:
    """Claim that the database itself numbers the column: a sequence, an identity, a counter."""
    said = (default or "").lower()
    return said.startswith("nextval(") or said.endswith("as identity") or said == "auto_increment"


@lru_cache(maxsize=_KEPT)
def _expression(text: str, dialect: str, *, computed: bool) -> str | None:
    """Return an expression in one spelling; of a `computed` column without a cast to its type."""
    from sqlglot import expressions as exp

    tree = parsed(text, dialect) if within_bounds(text, dialect) else None
    if tree is None:
        return None
    while computed and isinstance(tree, exp.Cast | exp.Paren):
        tree = tree.this
    for name in tree.find_all(exp.Identifier):
        name.set("quoted", False)
    return _bare(tree).sql()


def equal_views(left: str | None, here: Sql, right: str | None, there: Sql) -> bool:
    """Claim that two SELECTs are one, whatever a server made of it when it stored it.

    Compared with every column qualified, every `*` written out, and casts of literals left away.
    """
    if left is None or right is None:
        return left == right
    if here.dialect == there.dialect and same_definition(left, right, here.dialect):
        return True
    mine = _query(left, here)
    return mine is not None and mine == _query(right, there)


def _query(text: str, side: Sql) -> str | None:
    """Return a SELECT in one spelling; None where it cannot be brought into it."""
    from sqlglot import expressions as exp
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify

    tree = parsed(text, side.dialect) if within_bounds(text, side.dialect) else None
    if tree is None:
        return None
    try:
        tree = qualify(
            tree,
            dialect=side.dialect,
            db=side.default_schema,
            schema={schema: dict(tables) for schema, tables in side.columns.items()},
            validate_qualify_columns=False,
            quote_identifiers=False,
            identify=False,
        )
    except (SqlglotError, RecursionError, ValueError, AttributeError, TypeError, LookupError):
        return None  # the last four are slips of sqlglot's own
    for table in tree.find_all(exp.Table):
        if table.db in side.renamed:
            table.set("db", exp.to_identifier(side.renamed[table.db]))
    for name in tree.find_all(exp.Identifier):
        name.set("quoted", False)
    return _bare(tree).sql()


def _bare(tree: Expr) -> Expr:
    """Return the tree without what servers add: inside first."""
    for node in reversed(list(tree.walk())):
        plain = _plain(node)
        if plain is not node:
            if node is tree:
                tree = plain
            else:
                node.replace(plain)
    return tree


def _plain(node: Expr) -> Expr:
    from sqlglot import expressions as exp

    match node:
        case exp.Cast():
            return _without_cast(node)
        case exp.Paren(this=exp.Expr() as inner):
            return inner
        case exp.EQ(expression=exp.Any(this=exp.Array() as listed)):
            return exp.In(this=node.this, expressions=listed.expressions)
        case exp.NEQ(expression=exp.All(this=exp.Array() as listed)):
            return exp.Not(this=exp.In(this=node.this, expressions=listed.expressions))
        case exp.Between():
            low, high = node.args["low"], node.args["high"]
            return exp.And(
                this=exp.GTE(this=node.this, expression=low),
                expression=exp.LTE(this=node.this.copy(), expression=high),
            )
        case exp.Localtimestamp():
            return exp.CurrentTimestamp()
    return _respelled(node)


def _respelled(node: Expr) -> Expr:
    """Spell what stays in one way."""
    from sqlglot import expressions as exp

    match node:
        case exp.Anonymous() if node.name.lower() in _NOW and not node.expressions:
            return exp.CurrentTimestamp()
        case exp.Join() if node.args.get("kind") in {"INNER", "OUTER"}:
            node.set("kind", None)
        case exp.Literal(is_string=False):
            node.set("this", _number(node.name))
    return node


def _without_cast(node: Expr) -> Expr:
    """Leave casts of literals away, and those of columns to text, which servers put there."""
    from sqlglot import expressions as exp

    inner = node.this
    kind = node.args["to"]
    if isinstance(inner, exp.Literal):
        numeric = isinstance(kind, exp.DataType) and kind.is_type(*exp.DataType.NUMERIC_TYPES)
        if not (inner.is_string and numeric):
            return inner
        number = exp.Literal.number(_number(inner.name.lstrip("-")))
        return exp.Neg(this=number) if inner.name.startswith("-") else number
    if isinstance(inner, exp.Neg | exp.Boolean | exp.Null | exp.Array):
        return inner
    is_text = isinstance(kind, exp.DataType) and kind.this.name in _TEXTS
    return inner if is_text and isinstance(inner, exp.Column) else node


def _number(text: str) -> str:
    try:
        return f"{Decimal(text).normalize():f}"
    except (InvalidOperation, ValueError):
        return text
