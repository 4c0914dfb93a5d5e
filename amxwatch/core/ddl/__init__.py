"""Statements that turn an older snapshot's schema into a newer one's, in the database's own SQL.

Pure: catalogs and changes go in, lines of text come out; nothing here runs them. To add a
dialect, write a `writer.Writer` of it and name it in `WRITERS`; the others get the generic form.
"""

from __future__ import annotations

from collections.abc import Iterable

from amxwatch.core.catalog import Catalog, ObjectType
from amxwatch.core.change import Change
from amxwatch.core.ddl.duckdb import DuckdbWriter
from amxwatch.core.ddl.mysql import MysqlWriter
from amxwatch.core.ddl.plan import plan_of
from amxwatch.core.ddl.postgres import PostgresWriter
from amxwatch.core.ddl.script import Script
from amxwatch.core.ddl.sqlite import SqliteWriter
from amxwatch.core.ddl.writer import Writer

WRITERS: dict[str, type[Writer]] = {
    "postgres": PostgresWriter,
    "duckdb": DuckdbWriter,
    "sqlite": SqliteWriter,
    "mysql": MysqlWriter,
}
"""sqlglot's name of a dialect -> who writes it."""


def write_statements(
    old: Catalog,
    new: Catalog,
    changes: Iterable[Change],
    *,
    dialect: str,
    comments: frozenset[ObjectType],
) -> Script:
    """Write what `explain` found from `old` to `new`, in an order that runs.

    What a catalog does not hold (indexes, triggers, checks, sequences, types, rights) is not
    written; where a statement would lose it, a note says so. `comments` are the object types
    that the database can comment.
    """
    writer = WRITERS.get(dialect, Writer)
    plan = plan_of(old, new, changes, dialect=dialect)
    return writer(plan, dialect=dialect, comments=comments).script()
