"""Names, strings, columns and keys as a dialect spells them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from amxwatch.core.catalog import Column, Key, KeyKind, Table

NAMELESS = "default"
"""What folders of SQL call the schema of tables that name none."""

DEFAULT_SCHEMAS = {"sqlite": "main"}
"""Schemas that are left out of names, as the dialect cannot take them everywhere."""

BACKTICKED = frozenset({"mysql", "bigquery"})


class Spelling:
    """How one dialect writes what it is told."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect

    def name(self, name: str) -> str:
        """Quote a name; always, as reserved words are many."""
        if self.dialect in {"postgres", "duckdb", "sqlite"}:
            return '"' + name.replace('"', '""') + '"'
        if self.dialect == "mysql":
            return "`" + name.replace("`", "``") + "`"
        return _quoted(name, self.dialect)

    def names(self, names: Iterable[str]) -> str:
        return ", ".join(map(self.name, names))

    def table(self, schema: str, name: str) -> str:
        if schema in {NAMELESS, DEFAULT_SCHEMAS.get(self.dialect)}:
            return self.name(name)
        return f"{self.name(schema)}.{self.name(name)}"

    def of(self, table: Table) -> str:
        return self.table(table.schema, table.name)

    def text(self, text: str | None) -> str:
        """Return a string literal, or NULL."""
        if text is None:
            return "NULL"
        if self.dialect in {"postgres", "duckdb", "sqlite"}:
            return "'" + text.replace("'", "''") + "'"
        if self.dialect == "mysql":
            return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
        return _literal(text, self.dialect)

    def column(self, column: Column, *, nullable: bool | None = None) -> str:
        """Return the definition of a column as it stands in CREATE TABLE."""
        null = column.nullable if nullable is None else nullable
        parts = [self.name(column.name), column.type]
        if column.default is not None:
            parts.append(self.filling(column.default))
        if not null:
            parts.append("NOT NULL")
        return " ".join(part for part in parts if part)

    def filling(self, default: str) -> str:
        """Return the clause for what a catalog keeps as a column's default."""
        return default if is_generated(default) else f"DEFAULT {default}"

    def key(self, key: Key) -> str:
        """Return a key as a clause of CREATE TABLE or of ADD; made-up names stay made up."""
        columns = f"({self.names(key.columns)})"
        if key.kind is KeyKind.PRIMARY:
            return f"PRIMARY KEY {columns}"
        if key.kind is KeyKind.UNIQUE:
            return f"UNIQUE {columns}"
        schema, table = key.references or ("", "")
        there = f" ({self.names(key.referenced_columns)})" if key.referenced_columns else ""
        return f"FOREIGN KEY {columns} REFERENCES {self.table(schema, table)}{there}"


def is_generated(default: str | None) -> bool:
    """Claim that what fills a column is no DEFAULT: an identity, or computed."""
    return default is not None and default.upper().startswith("GENERATED ")


def is_computed(default: str | None) -> bool:
    """Claim that a column is computed from others."""
    return (
        is_generated(default)
        and "IDENTITY"
        not in (default or "").upper().partition("(")[0]
        + (default or "").upper().rpartition(")")[2]
    )


@lru_cache(maxsize=1_024)
def _quoted(name: str, dialect: str) -> str:
    from sqlglot.expressions import to_identifier

    return to_identifier(name, quoted=True).sql(dialect=dialect)


def _literal(text: str, dialect: str) -> str:
    from sqlglot.expressions import Literal

    return Literal.string(text).sql(dialect=dialect)
