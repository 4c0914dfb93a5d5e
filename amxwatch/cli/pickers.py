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


def pick_scope(catalog: Catalog, *, is_rule: bool = True) -> Scope:
    """Let a person choose what is meant, step by step.

    Of a rule a schema is all that will ever be in it; else its tables can be chosen.
    """
    width = pick("Scope", WIDTHS, default=WIDTHS[0]).partition(":")[0]
    if width == "database":
        return Scope.parse("all")
    schemas = [str(ObjectRef(schema=schema.name)) for schema in catalog.schemas]
    if width == "schema":
        chosen = pick_several("Schemas", schemas)
        if is_rule or len(chosen) > 1:
            return Scope.parse("schema:" + ",".join(chosen))
        return _tables(catalog, chosen[0], is_whole=True)
    schema = schemas[0] if len(schemas) == 1 else pick("Schema", schemas)
    if width == "table":
        return _tables(catalog, schema)
    by_label = _labelled(catalog, schema)
    return _columns(by_label[pick("Table", list(by_label))])


def _tables(catalog: Catalog, schema: str, *, is_whole: bool = False) -> Scope:
    """Let a person choose tables of a schema; with `is_whole` all of them are the schema."""
    by_label = _labelled(catalog, schema)
    if not by_label:
        return Scope.parse(f"schema:{schema}")
    default = "all" if is_whole else None
    picked = pick_several(f"Tables in {schema}", list(by_label), default=default)
    if is_whole and len(picked) == len(by_label):
        return Scope.parse(f"schema:{schema}")
    return Scope.parse("table:" + ",".join(str(by_label[label].ref) for label in picked))


def _labelled(catalog: Catalog, schema: str) -> dict[str, Table]:
    tables = [t for t in catalog.tables if str(ObjectRef(schema=t.schema)) == schema]
    return {_label(table): table for table in tables}


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
