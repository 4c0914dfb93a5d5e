"""Numbered pickers over a catalog: database, schema, table, column."""

from __future__ import annotations

from amxwatch.cli.output import shown
from amxwatch.cli.terminal import pick, pick_several
from amxwatch.core.catalog import Catalog, ObjectRef, Table
from amxwatch.core.scope import Scope

WIDTHS = (
    "database: every schema, every table",
    "schema: every table in one or more schemas",
    "table: one or more tables",
    "column: single columns of one table",
)


def pick_scope(catalog: Catalog) -> Scope:
    """Let a person choose what is meant, step by step."""
    width = pick("Scope", WIDTHS, default=WIDTHS[0]).partition(":")[0]
    if width == "database":
        return Scope.parse("all")
    schemas = [str(ObjectRef(schema=schema.name)) for schema in catalog.schemas]
    if width == "schema":
        return Scope.parse("schema:" + ",".join(pick_several("Schemas", schemas)))
    schema = schemas[0] if len(schemas) == 1 else pick("Schema", schemas)
    tables = [t for t in catalog.tables if str(ObjectRef(schema=t.schema)) == schema]
    by_label = {_label(table): table for table in tables}
    if width == "table":
        chosen = [by_label[label] for label in pick_several("Tables", list(by_label))]
        return Scope.parse("table:" + ",".join(str(table.ref) for table in chosen))
    return _columns(by_label[pick("Table", list(by_label))])


def _columns(table: Table) -> Scope:
    names = [column.name for column in table.columns]
    refs = (table.column_ref(name) for name in pick_several("Columns", names))
    return Scope.parse("column:" + ",".join(str(ref) for ref in refs))


def _label(table: Table) -> str:
    """Return a table as the picker shows it: name, kind, rows, whether it has a comment."""
    kind = table.type.replace("_", " ").upper()
    rows = "" if table.row_estimate is None else f", {table.row_estimate:,} rows"
    comment = "has comment" if table.comment else "no comment"
    return f"{shown(table.name)} ({kind}{rows}, {comment})"
