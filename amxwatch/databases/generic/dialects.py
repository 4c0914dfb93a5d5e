"""What SQLAlchemy does not tell of its dialects. Keys are dialect names, as in `engine.dialect`."""

from __future__ import annotations

import difflib
import importlib.metadata
import re
from dataclasses import dataclass

CLICKHOUSES = frozenset({"clickhouse", "clickhousedb", "chdb"})
"""The same database by three packages' names."""

PRODUCTS = {
    "awsathena": "Amazon Athena", "bigquery": "BigQuery", "chdb": "ClickHouse",
    "clickhouse": "ClickHouse", "clickhousedb": "ClickHouse", "cockroachdb": "CockroachDB",
    "crate": "CrateDB", "databricks": "Databricks", "db2": "Db2", "exasol": "Exasol",
    "hana": "SAP HANA", "ibm_db_sa": "Db2", "mssql": "SQL Server", "oracle": "Oracle",
    "postgresql": "PostgreSQL", "redshift": "Amazon Redshift", "snowflake": "Snowflake",
    "sqlite": "SQLite", "starrocks": "StarRocks", "teradatasql": "Teradata", "trino": "Trino",
    "vertica": "Vertica",
}  # fmt: skip
"""Names for people; another dialect is called by its own name."""

SQLGLOT = {
    "awsathena": "athena", "chdb": "clickhouse", "clickhousedb": "clickhouse",
    "cockroachdb": "postgres", "crate": "postgres", "exa": "exasol", "impala": "hive",
    "mariadb": "mysql", "mssql": "tsql", "postgresql": "postgres", "teradatasql": "teradata",
    "yugabytedb": "postgres",
}  # fmt: skip
"""sqlglot's names where they are others. What sqlglot does not know is "": text is compared."""

PACKAGES = {
    "access": "sqlalchemy-access", "awsathena": "pyathena[SQLAlchemy]",
    "bigquery": "sqlalchemy-bigquery", "chdb": "chdb-sqlalchemy",
    "clickhouse": "clickhouse-sqlalchemy", "clickhousedb": "clickhouse-connect[sqlalchemy]",
    "cockroachdb": "sqlalchemy-cockroachdb", "crate": "sqlalchemy-cratedb",
    "databricks": "databricks-sqlalchemy", "db2": "ibm-db-sa", "denodo": "denodo-sqlalchemy",
    "dremio": "sqlalchemy-dremio", "drill": "sqlalchemy-drill", "druid": "pydruid[sqlalchemy]",
    "exa": "sqlalchemy-exasol", "firebird": "sqlalchemy-firebird",
    "firebolt": "firebolt-sqlalchemy", "hana": "sqlalchemy-hana", "hive": "pyhive[hive]",
    "ibm_db_sa": "ibm-db-sa", "impala": "impyla", "monetdb": "sqlalchemy-monetdb",
    "pinot": "pinotdb[sqlalchemy]", "presto": "pyhive[presto]",
    "redshift": "sqlalchemy-redshift", "risingwave": "sqlalchemy-risingwave",
    "singlestoredb": "sqlalchemy-singlestoredb", "snowflake": "snowflake-sqlalchemy",
    "spanner": "sqlalchemy-spanner", "starrocks": "starrocks",
    "teradatasql": "teradatasqlalchemy", "trino": "trino[sqlalchemy]",
    "vertica": "sqlalchemy-vertica-python", "yugabytedb": "sqlalchemy-yugabytedb",
    "ydb": "ydb-sqlalchemy",
}  # fmt: skip
"""URL scheme -> the package that brings its dialect and driver."""

DRIVERS = {
    "cx_Oracle": "cx-oracle", "psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient", "mysql": "mysql-connector-python", "google": "google-cloud-bigquery",
    "snowflake": "snowflake-connector-python",
}  # fmt: skip
"""Module that cannot be imported -> the package that has it, where the names differ."""

EXTRAS = {"snowflake": "snowflake", "chdb": "clickhouse", "clickhousedb": "clickhouse"}
"""URL scheme -> our own extra that installs all it needs."""

BUILT_IN = ("mssql", "mysql", "mariadb", "oracle", "postgresql", "sqlite")

CONNECT_SECONDS = {
    "psycopg": "connect_timeout", "psycopg2": "connect_timeout", "pymssql": "login_timeout",
    "oracledb": "tcp_connect_timeout", "snowflake": "login_timeout",
    "redshift_connector": "timeout", "pyodbc": "timeout", "clickhousedb": "connect_timeout",
}  # fmt: skip
"""Driver -> its argument for how long connecting may take."""

ON_CONNECT = {
    "postgresql": ("SET statement_timeout = {milliseconds}", "SET lock_timeout = {lock}"),
    "cockroachdb": ("SET statement_timeout = {milliseconds}",),
    "redshift": ("SET statement_timeout = {milliseconds}",),
    "snowflake": ("ALTER SESSION SET STATEMENT_TIMEOUT_IN_SECONDS = {seconds}",),
}
"""What bounds a statement, run on each new connection."""

ONE_MOMENT = {"postgresql": "REPEATABLE READ"}
"""Isolation under which all queries of a reading see one moment of the catalog."""

_EVERYWHERE = r"information_schema|pg_catalog|pg_toast\w*|pg_temp\w*|sys"
_SYSTEM = {
    "clickhouse": r"system",
    "cockroachdb": r"crdb_internal|pg_extension",
    "crate": r"blob|sys",
    "db2": r"sys\w*|nullid|sqlj",
    "exa": r"exa_statistics",
    "hana": r"_sys\w*|sys_\w+|sap\w*|hanacleaner",
    "mssql": r"guest|db_\w+",
    "oracle": (
        r"system|xdb|outln|dbsnmp|appqossys|ctxsys|mdsys|mddata|ordsys|orddata|ordplugins|"
        r"wmsys|olapsys|lbacsys|dvsys|dvf|gsm\w+|sys\w+|audsys|ojvmsys|anonymous|xs\$null|"
        r"dip|oracle_ocm|remote_scheduler_agent|dbsfwuser|ggsys|si_informtn_schema|apex_\w+|"
        r"flows_files|dgpdb_int|vecsys|pdbadmin|graph\$\w+|baassys"
    ),
    "redshift": r"pg_internal|pg_automv|pg_s3|catalog_history",
    "snowflake": r"information_schema",
    "teradatasql": (
        r"dbc|sys\w*|td\w*|tdwm|crashdumps|dbcmngr|external_ap|extuser|locklogshredder|"
        r"sqlj|gls|tempus|val|mldb"
    ),
    "vertica": r"v_\w+",
}
_HIDDEN = {"clickhouse": re.compile(r"\.inner(_id)?\..*|\.tmp\..*", re.DOTALL)}
"""Tables that the database makes for itself, beside those that people made."""


def family(dialect: str) -> str:
    """Return the one name under which a product's facts are kept here."""
    if dialect in CLICKHOUSES:
        return "clickhouse"
    return {"ibm_db_sa": "db2"}.get(dialect, dialect)


def is_system(schema: str, dialect: str) -> bool:
    """Claim that a schema is the database's own."""
    pattern = "|".join(filter(None, (_EVERYWHERE, _SYSTEM.get(family(dialect)))))
    return re.fullmatch(pattern, schema, re.IGNORECASE) is not None


def is_hidden(table: str, dialect: str) -> bool:
    """Claim that a table is a part of another object, and not one by itself."""
    pattern = _HIDDEN.get(family(dialect))
    return pattern is not None and pattern.fullmatch(table) is not None


def sqlglot_name(dialect: str) -> str:
    """Return sqlglot's name for a dialect's SQL, or "" where it has none."""
    from sqlglot.dialects.dialect import Dialects

    name = SQLGLOT.get(dialect, dialect)
    return name if name in {each.value for each in Dialects} else ""


@dataclass(frozen=True, kw_only=True)
class Missing:
    """What to install for a scheme: an extra of ours, or a package."""

    extra: str = ""
    package: str = ""


def known_schemes() -> frozenset[str]:
    """Return the schemes that SQLAlchemy knows here, and those that a package brings."""
    found = {each.name for each in importlib.metadata.entry_points(group="sqlalchemy.dialects")}
    return frozenset({name.partition(".")[0] for name in found} | {*BUILT_IN, *PACKAGES})


def near(scheme: str, known: frozenset[str]) -> tuple[str, ...]:
    """Return the known schemes that a mistyped one may have meant, best first."""
    return tuple(difflib.get_close_matches(scheme, sorted(known), n=3, cutoff=0.6))


def missing(scheme: str, module: str = "") -> Missing:
    """Return what brings a dialect, or (where it is there) the driver module that it lacks."""
    if scheme in EXTRAS:
        return Missing(extra=EXTRAS[scheme])
    if scheme in PACKAGES:
        return Missing(package=PACKAGES[scheme])
    top = module.partition(".")[0]
    return Missing(package=DRIVERS.get(top, top))
