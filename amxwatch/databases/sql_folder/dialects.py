"""What the SQL dialects differ in, beyond what sqlglot knows; sqlglot itself is not needed here."""

from __future__ import annotations

from amxwatch.core.catalog import ObjectType

KNOWN = frozenset(
    [
        "athena",
        "bigquery",
        "clickhouse",
        "databricks",
        "dax",
        "doris",
        "dremio",
        "drill",
        "druid",
        "duckdb",
        "dune",
        "exasol",
        "fabric",
        "hive",
        "materialize",
        "mysql",
        "oracle",
        "postgres",
        "presto",
        "prql",
        "redshift",
        "risingwave",
        "snowflake",
        "solr",
        "spark",
        "spark2",
        "sqlite",
        "starrocks",
        "tableau",
        "teradata",
        "trino",
        "tsql",
    ]
)
"""Names that need no look at sqlglot, whose import takes longer than all else here."""

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


def default_schema(dialect: str) -> str:
    """Return the schema that a bare table name belongs to where no statement says otherwise."""
    return _DEFAULT_SCHEMA.get(dialect, "default")


def holds_comments(dialect: str) -> frozenset[ObjectType]:
    """Return the object types that COMMENT ON takes."""
    return _COMMENTS.get(dialect, frozenset())


def database_is_schema(dialect: str) -> bool:
    """Say whether CREATE DATABASE makes what others call a schema."""
    return dialect in _DATABASE_IS_SCHEMA


def has_counters(dialect: str) -> bool:
    """Say whether a column may be AUTO_INCREMENT."""
    return dialect in _MYSQL


def is_psql(dialect: str) -> bool:
    """Say whether files may hold psql's own commands and COPY data."""
    return dialect in _PSQL


def is_mysql(dialect: str) -> bool:
    """Say whether files may hold DELIMITER lines and /*! conditional */ text."""
    return dialect in _MYSQL


def is_tsql(dialect: str) -> bool:
    """Say whether a line GO ends a batch."""
    return dialect in _TSQL
