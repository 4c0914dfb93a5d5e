"""Columns, keys and comments out of sqlglot's trees, in the dialect's canonical spelling."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from amxwatch.core.catalog import Column, Key, KeyKind
from amxwatch.databases.sql_folder.dialects import has_counters
from amxwatch.databases.sql_folder.generated import filling

_LAST = 0
"""An ordinal that is given later, when the column takes its place in a table."""

_KEPT = 4_096
"""Spellings of types and literals that are remembered; a folder has dozens."""


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
            columns.append(read_column(item, dialect, len(columns) + 1))
            keys += column_keys(item)
        elif isinstance(item, exp.Identifier) and typed:
            columns.append(Column(name=item.name, type="", ordinal=_LAST))
        elif isinstance(item, exp.LikeProperty):
            likes.append(item)
        else:
            keys += read_keys(item)
    return Parts(columns=tuple(columns), keys=tuple(keys), likes=tuple(likes))


def read_column(item: exp.ColumnDef, dialect: Dialect, ordinal: int = _LAST) -> Column:
    """Return a column as defined; its keys come from `column_keys`."""
    type_ = type_text(item.args.get("kind"), dialect)
    product = dialect_name(dialect)
    nullable = product != "clickhouse" or type_.startswith(_NULLABLE)
    default: str | None = None
    update: str | None = None
    comment: str | None = None
    constraints = item.args.get("constraints") or ()
    for constraint in constraints:
        match constraint.args.get("kind"):
            case exp.NotNullColumnConstraint() as kind:
                nullable = bool(kind.args.get("allow_null"))
            case exp.PrimaryKeyColumnConstraint():
                nullable = nullable and product == "sqlite"
            case exp.GeneratedAsIdentityColumnConstraint() as kind:
                nullable = nullable and bool(kind.args.get("expression"))
            case exp.DefaultColumnConstraint() as kind:
                default = default_text(kind.this, dialect)
            case exp.AutoIncrementColumnConstraint():
                nullable = nullable and not has_counters(product)
            case exp.OnUpdateColumnConstraint() as kind:
                update = default_text(kind.this, dialect)
            case exp.CommentColumnConstraint() as kind:
                comment = text_of(kind.this)
            case exp.Properties() as kind:
                comment = comment_in(kind) or comment
    return Column(
        name=item.name,
        type=type_,
        nullable=nullable,
        default=filling(constraints, product, dialect) or _updated(default, update),
        ordinal=ordinal,
        comment=comment,
    )


def _updated(default: str | None, update: str | None) -> str | None:
    """Return a default with what each change of the row puts there."""
    return " ON UPDATE ".join([default or "", update]).strip() if update else default


_NULLABLE = ("Nullable(", "LowCardinality(Nullable(")


def type_text(kind: object, dialect: Dialect) -> str:
    """Return a type in the dialect's canonical spelling; empty where there is none."""
    if not isinstance(kind, exp.Expr):
        return ""
    if (sizes := _sizes(kind)) is not None:
        return _plain_type(kind.this, sizes, dialect)
    return str(kind.sql(dialect=dialect, comments=False))


def _sizes(kind: exp.Expr) -> tuple[str, ...] | None:
    """Return the numbers of a type such as numeric(12, 2); None where it is more than that."""
    if not isinstance(kind, exp.DataType) or kind.this is exp.DType.USERDEFINED:
        return None
    if any(value for name, value in kind.args.items() if name not in ("this", "expressions")):
        return None
    sizes = []
    for item in kind.expressions:
        bare = type(item) is exp.DataTypeParam and not item.expression
        size = item.this if bare else None
        if type(size) is not exp.Literal or size.is_string:
            return None
        sizes.append(size.this)
    return tuple(sizes)


@lru_cache(maxsize=_KEPT)
def _plain_type(name: exp.DType, sizes: tuple[str, ...], dialect: Dialect) -> str:
    numbers = [exp.DataTypeParam(this=exp.Literal.number(size)) for size in sizes]
    return exp.DataType(this=name, expressions=numbers).sql(dialect=dialect, comments=False)


def default_text(value: object, dialect: Dialect) -> str | None:
    """Return a default's canonical text; DEFAULT NULL is none."""
    if not isinstance(value, exp.Expr) or isinstance(value, exp.Null):
        return None
    if type(value) is exp.Literal:
        return _literal(value.this, value.is_string, dialect)
    return str(value.sql(dialect=dialect, comments=False))


@lru_cache(maxsize=_KEPT)
def _literal(text: str, is_string: bool, dialect: Dialect) -> str:
    return exp.Literal(this=text, is_string=is_string).sql(dialect=dialect, comments=False)


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
