"""Which tables and columns a file of code uses, and on which lines."""

from __future__ import annotations

import ast
import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

MAX_PARSED = 200_000
"""Characters of SQL that are parsed; a longer file is only searched."""

MAX_USES = 5_000
"""Of one file."""

MAX_LINE = 240


class How(enum.IntEnum):
    """How sure it is that this object is meant, the surest first; also the order of the best."""

    MODEL = 0
    """A class of an ORM, or a Table, declares it."""
    NAMED = 1
    """SQL names the column beside its table, or no other table is near."""
    NEAR = 2
    """SQL names the column and several tables."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """One place. `column` is empty where the table itself is meant; names are in lower case.

    A table that begins with `*` stands for all whose names end so.
    """

    table: str
    column: str
    line: int
    text: str
    how: How


def uses_in(name: str, text: str, dialect: str) -> list[Use]:
    """Return the uses in one file, as far as it can be parsed; `name` tells its language."""
    if len(text) > MAX_PARSED:
        return []
    if name.endswith(".py"):
        found = _python(text, dialect)
    elif name.endswith((".sql", ".ddl", ".hql", ".sqlx")):
        found = _sql(without_jinja(text), dialect)
    else:
        return []
    lines = text.splitlines()
    kept: dict[tuple[str, str, int], Use] = {}
    for use in found:
        key = (use.table, use.column, use.line)
        shown = use.text or (lines[use.line - 1] if 0 < use.line <= len(lines) else "")
        if key not in kept or use.how < kept[key].how:
            kept[key] = replace(use, text=_line(shown))
        if len(kept) >= MAX_USES:
            break
    return list(kept.values())


def _line(text: str) -> str:
    return " ".join(text.split())[:MAX_LINE]


# -- SQL ---------------------------------------------------------------------------------------

_QUOTED = r"""\s*['"]([^'"\n]{1,200})['"]\s*"""
_JINJA = re.compile(
    r"\{\{-?\s*ref\(" + _QUOTED + r"(?:," + _QUOTED + r")?[^}]{0,200}\)\s*-?\}\}"
    r"|\{\{-?\s*source\(" + _QUOTED + r"," + _QUOTED + r"\)\s*-?\}\}"
    r"|(\{\{.{0,5000}?\}\})|(\{%.{0,5000}?%\})|(\{#.{0,5000}?#\})",
    re.DOTALL,
)


_SAYS_NOTHING = re.compile(r"\{\{-?\s*config\(")
"""A call that leaves no text behind."""


def without_jinja(text: str) -> str:
    """Put names in the place of `ref` and `source`, and leave out the rest; lines stay lines."""

    def instead(match: re.Match[str]) -> str:
        one, other, source, table, shown, *_ = match.groups()
        breaks = "\n" * match.group().count("\n")
        if table:
            return f'"{source}"."{table}"{breaks}'
        if one:
            return f'"{other or one}"{breaks}'
        is_value = shown and not _SAYS_NOTHING.match(shown)
        return ("jinja_value" if is_value else " ") + breaks

    return _JINJA.sub(instead, text)


def _sql(text: str, dialect: str, *, first_line: int = 1) -> Iterator[Use]:
    try:
        statements = sqlglot.parse(text, dialect=dialect or None)
    except (SqlglotError, RecursionError, ValueError):
        return
    for statement in statements:
        if statement is not None:
            yield from _in_statement(statement, first_line - 1)


def _in_statement(statement: exp.Expr, offset: int) -> Iterator[Use]:
    ctes = {cte.alias_or_name.lower() for cte in statement.find_all(exp.CTE)}
    tables: dict[str, str] = {}
    for table in statement.find_all(exp.Table):
        name = table.name.lower()
        if not name or (name in ctes and not table.db):
            continue
        tables[table.alias_or_name.lower()] = name
        line = _line_of(table.this)
        if line:
            yield Use(table=name, column="", line=line + offset, text="", how=How.NAMED)
    names = set(tables.values())
    for column in statement.find_all(exp.Column):
        line = _line_of(column.this)
        owner = tables.get(column.table.lower())
        meant = {owner} if owner else names if not column.table or column.table in ctes else set()
        how = How.NAMED if len(meant) == 1 else How.NEAR
        for name in sorted(filter(None, meant)) if line else ():
            yield Use(table=name, column=column.name.lower(), line=line + offset, text="", how=how)


def _line_of(node: object) -> int:
    line = node.meta.get("line") if isinstance(node, exp.Expr) else None
    return line if isinstance(line, int) else 0


# -- Python ------------------------------------------------------------------------------------

_BEGINS_SQL = re.compile(r"\s*(?:select|insert|update|delete|merge|with|create)\b", re.IGNORECASE)


def _python(text: str, dialect: str) -> Iterator[Use]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from _model(node, text)
        elif isinstance(node, ast.Call) and _called(node) == "Table":
            yield from _table_call(node, text)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            sql = node.value if _BEGINS_SQL.match(node.value) and len(node.value) > 12 else ""
            yield from _sql(sql, dialect, first_line=node.lineno)


def _model(node: ast.ClassDef, text: str) -> Iterator[Use]:
    table = _table_of(node)
    if not table:
        return
    said = ast.get_docstring(node) or ""
    shown = f"class {node.name}: {said}"
    yield Use(table=table, column="", line=node.lineno, text=shown, how=How.MODEL)
    for field in node.body:
        name, value = _assigned(field)
        call = value if isinstance(value, ast.Call) else None
        declared = isinstance(field, ast.AnnAssign) and _is_mapped(field.annotation)
        if not name or not (declared or (call is not None and _is_field(call))):
            continue
        shown = ast.get_source_segment(text, field) or ""
        yield Use(
            table=table,
            column=_column_name(name, call),
            line=field.lineno,
            text=shown,
            how=How.MODEL,
        )


def _table_of(node: ast.ClassDef) -> str:
    """Return the table of a class of SQLAlchemy or Django, or nothing for another class."""
    for field in node.body:
        name, value = _assigned(field)
        if name == "__tablename__":
            return _string(value).lower()
        if isinstance(field, ast.ClassDef) and field.name == "Meta":
            for inner in field.body:
                key, value = _assigned(inner)
                if key == "db_table":
                    return _string(value).strip('"').lower()
    bases = {base.attr for base in node.bases if isinstance(base, ast.Attribute)}
    # Django calls a table after the application, which the file does not say.
    return f"*_{node.name.lower()}" if "Model" in bases else ""


def _assigned(node: ast.stmt) -> tuple[str, ast.expr | None]:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id, node.value
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
        return (target.id, node.value) if isinstance(target, ast.Name) else ("", None)
    return "", None


def _is_mapped(annotation: ast.expr) -> bool:
    return isinstance(annotation, ast.Subscript) and _name_of(annotation.value) == "Mapped"


def _is_field(call: ast.Call) -> bool:
    name = _called(call)
    return name in {"Column", "mapped_column", "ForeignKey"} or name.endswith("Field")


def _column_name(attribute: str, call: ast.Call | None) -> str:
    if call is None:
        return attribute.lower()
    name = _called(call)
    given = {word.arg: _string(word.value) for word in call.keywords}
    if name in {"Column", "mapped_column"}:
        first = _string(call.args[0]) if call.args else ""
        return (first or given.get("name") or attribute).lower()
    if given.get("db_column"):
        return given["db_column"].lower()
    is_key = name in {"ForeignKey", "OneToOneField"}
    return f"{attribute}_id".lower() if is_key else attribute.lower()


def _table_call(node: ast.Call, text: str) -> Iterator[Use]:
    table = _string(node.args[0]).lower() if node.args else ""
    if not table:
        return
    yield Use(table=table, column="", line=node.lineno, text="", how=How.MODEL)
    for inner in node.args[1:]:
        if isinstance(inner, ast.Call) and _called(inner) == "Column" and inner.args:
            shown = ast.get_source_segment(text, inner) or ""
            name = _string(inner.args[0]).lower()
            yield Use(table=table, column=name, line=inner.lineno, text=shown, how=How.MODEL)


def _called(call: ast.Call) -> str:
    return _name_of(call.func)


def _name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _string(node: ast.expr | None) -> str:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return str(node.value) if is_text and isinstance(node, ast.Constant) else ""
