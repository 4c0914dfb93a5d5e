"""In what MariaDB and MySQL differ, as far as it matters here. The tests run on MariaDB.

What is said of MySQL follows its reference manual (8.0, 8.4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MODES = "STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION"
"""The sql_mode that we pin. Without ANSI_QUOTES and NO_BACKSLASH_ESCAPES, so that SHOW CREATE
TABLE and our own literals mean the same; strict, so that nothing is cut silently; lenient about
dates, so that a column may keep the default that it has."""

SPELLING = {
    "sql_mode": f"'{MODES}'",
    "time_zone": "'+00:00'",
    "sql_quote_show_create": "1",
    "max_error_count": "65535",
}

NUMBERS = frozenset(
    {"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit"}
)


@dataclass(frozen=True, kw_only=True)
class Product:
    """One of the two.

    `schemas`, `spatial`, `one_system` and `identity` are names of queries. `customary` is the
    collation that a type's spelling leaves out. `algorithms` are tried in turn for a comment.
    `runs_all_threads` says that Threads_running counts every thread that may run DDL, those of
    replication and of events too; `escapes_defaults` that defaults come as bare text and not as
    SQL; `names_roles` that SHOW GRANTS tells what roles may only where they are named.
    """

    name: str
    scheme: str
    schemas: str
    spatial: str
    one_system: str
    identity: str
    customary: str
    algorithms: tuple[str, ...]
    statement_limit: str
    comments_schemas: bool
    runs_all_threads: bool
    escapes_defaults: bool
    names_roles: bool

    def settings(self, *, statement_seconds: float) -> dict[str, str]:
        """Return the session variables to pin, as SQL values by name."""
        if self is MARIADB:
            return SPELLING | {
                self.statement_limit: f"{statement_seconds:g}",
                "lock_wait_timeout": "1",
                "old_mode": "'UTF8_IS_UTF8MB3'",
                "explicit_defaults_for_timestamp": "1",
                # A comment on a system-versioned table's column leaves its history as it is.
                "system_versioning_alter_history": "KEEP",
            }
        return SPELLING | {
            self.statement_limit: str(max(round(statement_seconds * 1000), 1)),
            "lock_wait_timeout": "1",
        }

    def at_once(self, statement: str) -> str:
        """Return the statement so that it gives up rather than stand in the queue for a lock.

        MySQL waits for a second at least.
        """
        if self is MARIADB:
            return f"SET STATEMENT lock_wait_timeout=0 FOR {statement}"
        return statement

    def default(self, text: str | None, *, declared: str, extra: str) -> str | None:
        """Return a default as SQL. MariaDB gives it so; MySQL gives literals without quotes."""
        if not self.escapes_defaults:
            return None if text == "NULL" else text
        if text is None or "DEFAULT_GENERATED" in extra:
            return unescaped(text) if text is not None else None
        if re.split(r"[^a-z]", declared, maxsplit=1)[0] in NUMBERS:
            return text
        return "'" + text.replace("'", "''") + "'"

    def expression(self, text: str) -> str:
        """Return a generated column's expression as SQL. MySQL escapes its quotes."""
        return unescaped(text) if self.escapes_defaults else text


def unescaped(text: str) -> str:
    """Undo the escapes that MySQL's information_schema puts into expressions."""
    return text.replace("\\'", "'")


MARIADB = Product(
    name="MariaDB",
    scheme="mariadb",
    schemas="schemas_mariadb",
    spatial="spatial_mariadb",
    one_system="one_reference_system",
    identity="identity_mariadb",
    customary="utf8mb4_general_ci",
    algorithms=("INSTANT",),
    statement_limit="max_statement_time",
    comments_schemas=True,
    runs_all_threads=True,
    escapes_defaults=False,
    names_roles=False,
)
MYSQL = Product(
    name="MySQL",
    scheme="mysql",
    schemas="schemas_mysql",
    spatial="spatial_mysql",
    one_system="",
    identity="identity_mysql",
    customary="utf8mb4_0900_ai_ci",
    algorithms=("INSTANT", "INPLACE, LOCK=NONE"),
    statement_limit="max_execution_time",
    comments_schemas=False,
    runs_all_threads=False,
    escapes_defaults=True,
    names_roles=True,
)


def product_of(version: str) -> Product:
    """Return the product from what the server calls itself."""
    return MARIADB if "mariadb" in version.lower() else MYSQL
