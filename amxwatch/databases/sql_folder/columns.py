"""Columns, keys and comments out of sqlglot's trees, in the dialect's canonical spelling."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from amxwatch.core.catalog import Column, Key, KeyKind

_LAST = 0
"""An ordinal that is given later, when the column takes its place in a table."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What stands between the parentheses of CREATE TABLE."""

    columns: tuple[Column, ...] = ()
    keys: tuple[Key, ...] = ()
    likes: tuple[exp.LikeProperty, ...] = ()


def name_of(table: exp.Expr | None) -> tuple[str, str]:
    """Return (schema, table) of a table's tree; three-part names keep the last two."""
    while isinstance(table, exp.Schema):
        table = table.this
    if not isinstance(table, exp.Table):
        return "", table.name if table is not None else ""
    if isinstance(table.this, exp.Dot):
        parts = [part.name for part in table.this.flatten()]
        return parts[-2], parts[-1]
    return table.db, table.name


def text_of(node: object) -> str | None:
    """Return the text of a string literal; empty text is no comment."""
    if isinstance(node, exp.Literal | exp.RawString | exp.National):
        return str(node.this) or None
    return None


def comment_in(properties: exp.Expr | None) -> str | None:
    """Return the comment among a table's properties or OPTIONS, or None."""
    for found in properties.expressions if properties is not None else ():
        if isinstance(found, exp.SchemaCommentProperty):
            return text_of(found.this)
        if isinstance(found, exp.Property) and found.name.lower() in ("description", "comment"):
            return text_of(found.args.get("value"))
    return None


def read_parts(schema: exp.Schema, dialect: Dialect, *, typed: bool = True) -> Parts:
    """Return what stands between the parentheses; `typed` False passes over bare names."""
    columns: list[Column] = []
    keys: list[Key] = []
    likes: list[exp.LikeProperty] = []
    for item in schema.expressions:
        if isinstance(item, exp.ColumnDef):
            columns.append(read_column(item, dialect))
            keys += column_keys(item)
        elif isinstance(item, exp.Identifier) and typed:
            columns.append(Column(name=item.name, type="", ordinal=_LAST))
        elif isinstance(item, exp.LikeProperty):
            likes.append(item)
        else:
            keys += read_keys(item)
    return Parts(columns=tuple(columns), keys=tuple(keys), likes=tuple(likes))


def read_column(item: exp.ColumnDef, dialect: Dialect) -> Column:
    """Return a column as defined; its keys come from `column_keys`."""
    kind = item.args.get("kind")
    type_ = kind.sql(dialect=dialect, comments=False) if isinstance(kind, exp.Expr) else ""
    found = Column(name=item.name, type=type_, ordinal=_LAST)
    if dialect_name(dialect) == "clickhouse":
        found = replace(found, nullable=type_.startswith(("Nullable(", "LowCardinality(Nullable(")))
    for constraint in item.args.get("constraints") or ():
        found = _constrained(found, constraint.args.get("kind"), dialect)
    return found


def _constrained(column: Column, kind: exp.Expr | None, dialect: Dialect) -> Column:
    match kind:
        case exp.NotNullColumnConstraint():
            return replace(column, nullable=bool(kind.args.get("allow_null")))
        case exp.PrimaryKeyColumnConstraint():
            return column if dialect_name(dialect) == "sqlite" else replace(column, nullable=False)
        case exp.GeneratedAsIdentityColumnConstraint() if not kind.args.get("expression"):
            return replace(column, nullable=False)
        case exp.DefaultColumnConstraint():
            return replace(column, default=default_text(kind.this, dialect))
        case exp.CommentColumnConstraint():
            return replace(column, comment=text_of(kind.this))
        case exp.Properties():
            return replace(column, comment=comment_in(kind) or column.comment)
    return column


def default_text(value: object, dialect: Dialect) -> str | None:
    """Return a default's canonical text; DEFAULT NULL is none."""
    if not isinstance(value, exp.Expr) or isinstance(value, exp.Null):
        return None
    return str(value.sql(dialect=dialect, comments=False))


def column_keys(item: exp.ColumnDef) -> list[Key]:
    """Return the keys that a column definition itself declares."""
    found: list[Key] = []
    for constraint in item.args.get("constraints") or ():
        name = constraint.name or None
        kind = constraint.args.get("kind")
        if isinstance(kind, exp.PrimaryKeyColumnConstraint):
            found.append(Key(kind=KeyKind.PRIMARY, columns=(item.name,), name=name))
        elif isinstance(kind, exp.UniqueColumnConstraint):
            found.append(Key(kind=KeyKind.UNIQUE, columns=(item.name,), name=name))
        elif isinstance(kind, exp.Reference):
            found.append(_foreign((item.name,), kind, name))
    return found


def read_keys(item: exp.Expr, name: str | None = None) -> list[Key]:
    """Return the keys of a table constraint; a CHECK has none."""
    match item:
        case exp.Constraint():
            inner = [read_keys(part, item.name or None) for part in item.expressions]
            return [key for keys in inner for key in keys]
        case exp.PrimaryKey():
            columns = _names(item.expressions)
            return [Key(kind=KeyKind.PRIMARY, columns=columns, name=name)] if columns else []
        case exp.UniqueColumnConstraint(this=exp.Schema() as listed):
            own = listed.this.name if listed.this else None
            columns = _names(listed.expressions)
            return [Key(kind=KeyKind.UNIQUE, columns=columns, name=name or own)]
        case exp.ForeignKey():
            reference = item.args.get("reference")
            if isinstance(reference, exp.Reference):
                return [_foreign(_names(item.expressions), reference, name)]
    return []


def _foreign(columns: tuple[str, ...], reference: exp.Reference, name: str | None) -> Key:
    target = reference.this
    listed = target.expressions if isinstance(target, exp.Schema) else []
    return Key(
        kind=KeyKind.FOREIGN,
        columns=columns,
        name=name,
        references=name_of(target),
        referenced_columns=_names(listed),
    )


def _names(items: list[exp.Expr]) -> tuple[str, ...]:
    """Return column names out of `a`, `a DESC`, `a(10)`."""
    found = []
    for item in items:
        inner = item
        while isinstance(inner, exp.Ordered | exp.ColumnPrefix | exp.Paren):
            inner = inner.this
        found.append(inner.name)
    return tuple(name for name in found if name)


def dialect_name(dialect: Dialect) -> str:
    """Return sqlglot's name of a dialect."""
    return type(dialect).__name__.lower()
