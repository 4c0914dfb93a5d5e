"""CREATE of a schema, table or view → edits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.tokenizer_core import TokenType

from amxwatch.core.catalog import Column, ObjectType
from amxwatch.databases.sql_folder import columns
from amxwatch.databases.sql_folder.dialects import is_psql
from amxwatch.databases.sql_folder.edits import Copy, Edit, PutSchema, PutTable
from amxwatch.databases.sql_folder.generated import readable
from amxwatch.databases.sql_folder.headlines import MODIFIERS
from amxwatch.databases.sql_folder.queries import read_query
from amxwatch.databases.sql_folder.tokens import (
    Tokens,
    UnreadableError,
    read_parts,
    schema_name,
    skip_words,
    word,
)

Parse: TypeAlias = Callable[[Tokens, str, Dialect], exp.Expr]


def read_create(tokens: Tokens, text: str, dialect: Dialect, parse: Parse) -> tuple[Edit, ...]:
    """Read one CREATE. Raises: UnreadableError, ParseError."""
    tokens = _without_data_clause(readable(tokens, text, columns.dialect_name(dialect)))
    tree = parse(tokens, text, dialect)
    if isinstance(tree, exp.Command):
        if (schema := _bare_schema(tokens, dialect)) is not None:
            return (schema,)
        tree = _without_tail(_plain(tokens), text, dialect, parse)
    if not isinstance(tree, exp.Create):
        raise UnreadableError("this form of CREATE is not known", tokens[0])
    if tree.kind in ("SCHEMA", "DATABASE"):
        name = columns.name_of(tree.this)
        comment = columns.comment_in(tree.args.get("properties"))
        return (PutSchema(name=name[1] or name[0], comment=comment),)
    _refuse_untyped(tree, tokens, dialect)
    return (_put_table(tree, dialect),)


def _refuse_untyped(tree: exp.Create, tokens: Tokens, dialect: Dialect) -> None:
    """Refuse a column without a type: sqlglot takes any half-written line for one."""
    if columns.dialect_name(dialect) in _TYPES_OPTIONAL or tree.kind != "TABLE" or tree.expression:
        return
    for item in tree.this.expressions if isinstance(tree.this, exp.Schema) else ():
        defined = isinstance(item, exp.ColumnDef) and (item.kind or item.args.get("constraints"))
        if isinstance(item, exp.Identifier) or (isinstance(item, exp.ColumnDef) and not defined):
            where = [token for token in tokens if token.text.lower() == item.name.lower()]
            raise UnreadableError(f"column {item.name} has no type", (where or tokens)[-1])


_TYPES_OPTIONAL = frozenset({"sqlite", "clickhouse"})


def _without_data_clause(tokens: Tokens) -> Tokens:
    """Drop a view's last clause: pg_dump writes WITH NO DATA, which sqlglot refuses."""
    for tail in _TAILS:
        if [word(tokens, at) for at in range(len(tokens) - len(tail), len(tokens))] == tail:
            return tokens[: -len(tail)]
    return tokens


_TAILS = [
    tail.split()
    for tail in (
        "WITH NO DATA",
        "WITH DATA",
        "WITH CHECK OPTION",
        "WITH LOCAL CHECK OPTION",
        "WITH CASCADED CHECK OPTION",
        "WITH READ ONLY",
    )
]


def _bare_schema(tokens: Tokens, dialect: Dialect) -> PutSchema | None:
    """Read CREATE SCHEMA with clauses that sqlglot does not know (AUTHORIZATION)."""
    at = skip_words(tokens, 1, frozenset({"OR", "REPLACE", "TRANSIENT"}))
    if word(tokens, at) not in ("SCHEMA", "DATABASE"):
        return None
    at = skip_words(tokens, at + 1, frozenset({"IF", "NOT", "EXISTS", "AUTHORIZATION"}))
    parts, _ = read_parts(tokens, at)
    return PutSchema(name=schema_name(parts, dialect)) if parts else None


def _plain(tokens: Tokens) -> Tokens:
    """Drop words such as FOREIGN, with which sqlglot reads no column."""
    kind = skip_words(tokens, 1, MODIFIERS)
    kept = [token for token in tokens[1:kind] if token.text.upper() == "MATERIALIZED"]
    return [tokens[0], *kept, *tokens[kind:]]


def _without_tail(tokens: Tokens, text: str, dialect: Dialect, parse: Parse) -> exp.Expr:
    """Parse CREATE TABLE … ( … ) alone.

    What follows says how it is stored, which sqlglot may not know and no catalog shows.
    """
    depth = 0
    for at, token in enumerate(tokens if word(tokens, 1) == "TABLE" else ()):
        if token.token_type is TokenType.L_PAREN:
            depth += 1
        elif token.token_type is TokenType.R_PAREN:
            depth -= 1
            if depth == 0:
                _refuse_second(tokens[at + 1 :])
                return parse(tokens[: at + 1], text, dialect)
        elif depth == 0 and word(tokens, at) in ("AS", "SELECT", "WITH"):
            break
    raise UnreadableError("this form of CREATE is not known", tokens[0])


def _refuse_second(tail: Tokens) -> None:
    """Raise where the tail holds another statement: a semicolon was forgotten."""
    for at, token in enumerate(tail):
        if word(tail, at) in ("CREATE", "ALTER", "DROP", "INSERT", "GRANT", "UPDATE"):
            raise UnreadableError("a semicolon is missing before this", token)


def _put_table(tree: exp.Create, dialect: Dialect) -> PutTable:
    properties = tree.args.get("properties")
    schema = tree.this if isinstance(tree.this, exp.Schema) else None
    query = tree.expression if isinstance(tree.expression, exp.Expr) else None
    is_view = tree.kind == "VIEW"
    parts = columns.read_parts(schema, dialect, typed=query is None) if schema else columns.Parts()
    listed = tuple(item.name for item in schema.expressions) if schema and query else ()
    return PutTable(
        name=columns.name_of(tree.this),
        type=_type(is_view, properties),
        columns=parts.columns + _partition_columns(properties, dialect),
        keys=parts.keys,
        comment=columns.comment_in(properties),
        copies=_copies(tree, parts.likes, properties),
        query=read_query(query, dialect, names=listed) if query is not None else None,
        only_new=bool(tree.args.get("exists")),
        keeps_comments=is_view
        and bool(tree.args.get("replace"))
        and is_psql(columns.dialect_name(dialect)),
    )


def _type(is_view: bool, properties: exp.Expr | None) -> ObjectType:
    if not is_view:
        return ObjectType.TABLE
    found = properties.find(exp.MaterializedProperty) if properties is not None else None
    return ObjectType.MATERIALIZED_VIEW if found else ObjectType.VIEW


def _partition_columns(properties: exp.Expr | None, dialect: Dialect) -> tuple[Column, ...]:
    """Return the columns that Hive declares in PARTITIONED BY (day DATE)."""
    found = properties.find(exp.PartitionedByProperty) if properties is not None else None
    if found is None or not isinstance(found.this, exp.Schema):
        return ()
    return columns.read_parts(found.this, dialect, typed=False).columns


def _copies(
    tree: exp.Create, likes: tuple[exp.LikeProperty, ...], properties: exp.Expr | None
) -> tuple[Copy, ...]:
    found = [_like(item) for item in likes]
    clone = tree.args.get("clone")
    if clone is not None:
        found.append(Copy(source=columns.name_of(clone.this), comments=True, keys=True))
    for item in properties.expressions if properties is not None else ():
        if isinstance(item, exp.LikeProperty):
            found.append(Copy(source=columns.name_of(item.this), comments=True, keys=True))
        elif isinstance(item, exp.PartitionedOfProperty):
            found.append(Copy(source=columns.name_of(item.this), keys=True))
        elif isinstance(item, exp.InheritsProperty):
            found += [Copy(source=columns.name_of(parent)) for parent in item.expressions]
    return tuple(found)


def _like(item: exp.LikeProperty) -> Copy:
    """Read PostgreSQL's (LIKE other INCLUDING …): names, types and NOT NULL come in any case."""
    options = {
        str(option.args["value"].name).upper()
        for option in item.expressions
        if str(option.this).upper() == "INCLUDING"
    }
    everything = "ALL" in options
    return Copy(
        source=columns.name_of(item.this),
        defaults=everything or "DEFAULTS" in options,
        identities=everything or "IDENTITY" in options,
        expressions=everything or "GENERATED" in options,
        comments=everything or "COMMENTS" in options,
        keys=everything or "INDEXES" in options,
    )
