"""What the SQL dialects differ in, beyond what sqlglot knows."""

from __future__ import annotations

import difflib
import logging
from functools import lru_cache

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect, Dialects

from amxwatch.core.catalog import ObjectType
from amxwatch.core.errors import UsageError

# sqlglot warns on stderr about each statement that it keeps as text; those that matter are
# reported as problems of the source, with their place.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

_DEFAULT_SCHEMA = {
    "postgres": "public",
    "redshift": "public",
    "materialize": "public",
    "risingwave": "public",
    "duckdb": "main",
    "sqlite": "main",
}
_PSQL = frozenset({"postgres", "redshift", "materialize", "risingwave"})
_MYSQL = frozenset({"mysql", "doris", "starrocks"})
_TSQL = frozenset({"tsql", "fabric"})
_DATABASE_IS_SCHEMA = _MYSQL | {"clickhouse", "hive", "spark", "spark2", "databricks", "athena"}

_TABLES = frozenset({ObjectType.TABLE, ObjectType.VIEW, ObjectType.COLUMN})
_COMMENTS: dict[str, frozenset[ObjectType]] = {
    "postgres": frozenset(ObjectType),
    "redshift": frozenset(ObjectType) - {ObjectType.MATERIALIZED_VIEW},
    "materialize": frozenset(ObjectType),
    "risingwave": frozenset({ObjectType.TABLE, ObjectType.COLUMN}),
    "snowflake": frozenset(ObjectType),
    "duckdb": _TABLES,
    "oracle": frozenset({ObjectType.TABLE, ObjectType.COLUMN, ObjectType.MATERIALIZED_VIEW}),
    "trino": _TABLES,
    "databricks": frozenset({ObjectType.TABLE, ObjectType.COLUMN, ObjectType.SCHEMA}),
    "teradata": _TABLES,
    "exasol": frozenset({ObjectType.TABLE, ObjectType.COLUMN, ObjectType.SCHEMA}),
}
"""Which objects a dialect's COMMENT ON takes; a dialect that is not here has no such statement."""


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


def default_schema(dialect: str) -> str:
    """Return the schema that a bare table name belongs to where no statement says otherwise."""
    return _DEFAULT_SCHEMA.get(dialect, "default")


def holds_comments(dialect: str) -> frozenset[ObjectType]:
    """Return the object types that COMMENT ON takes."""
    return _COMMENTS.get(dialect, frozenset())


def database_is_schema(dialect: str) -> bool:
    """Say whether CREATE DATABASE makes what others call a schema."""
    return dialect in _DATABASE_IS_SCHEMA


def is_psql(dialect: str) -> bool:
    """Say whether files may hold psql's own commands and COPY data."""
    return dialect in _PSQL


def is_mysql(dialect: str) -> bool:
    """Say whether files may hold DELIMITER lines and /*! conditional */ text."""
    return dialect in _MYSQL


def is_tsql(dialect: str) -> bool:
    """Say whether a line GO ends a batch."""
    return dialect in _TSQL


def fold_table(
    dialect: Dialect, table: exp.Identifier, schema: exp.Identifier | None
) -> tuple[str, str]:
    """Spell a (schema, table) as the dialect stores it; the schema may be absent."""
    named = exp.Table(this=table, db=schema)
    for part in (table, schema):
        if part is not None:
            dialect.normalize_identifier(part)
    return named.db, named.name


def fold_schema(dialect: Dialect, name: str, *, quoted: bool) -> str:
    """Spell a schema's name as the dialect stores it."""
    named = exp.Table(db=exp.to_identifier(name, quoted=quoted))
    dialect.normalize_identifier(named.args["db"])
    return named.db


def fold_column(dialect: Dialect, name: str, *, quoted: bool) -> str:
    """Spell a column's name as the dialect stores it."""
    column = exp.Column(this=exp.to_identifier(name, quoted=quoted))
    return str(dialect.normalize_identifier(column.this).this)
