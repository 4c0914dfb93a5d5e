"""Changes of one table, each a function from the old value to the new."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from amxwatch.core.catalog import Column, Key, KeyKind, Table
from amxwatch.databases.sql_folder.edits import AddColumn, Copy, Name, PutColumn, SetColumn


def key_order(key: Key) -> tuple[str, tuple[str, ...], tuple[str, str], str]:
    """Sort keys by kind and columns; the rest only makes the order certain."""
    return key.kind, key.columns, key.references or ("", ""), key.name or ""


def _numbered(table: Table, columns: Iterable[Column]) -> Table:
    numbered = tuple(
        column if column.ordinal == at else replace(column, ordinal=at)
        for at, column in enumerate(columns, start=1)
    )
    return replace(table, columns=numbered)


def _unique(columns: Iterable[Column]) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for column in columns:
        found.setdefault(column.name, column)
    return found


def add_columns(table: Table, columns: tuple[Column, ...]) -> Table:
    """Append columns; one that is there already stays."""
    return _numbered(table, _unique((*table.columns, *columns)).values())


def add_column(table: Table, edit: AddColumn) -> Table:
    """Add one column where the edit says; return the same table where it exists."""
    if table.column(edit.column.name) is not None:
        return table
    return _numbered(table, _placed(list(table.columns), edit.column, edit.first, edit.after))


def _placed(columns: list[Column], column: Column, first: bool, after: str | None) -> list[Column]:
    names = [other.name for other in columns]
    at = 0 if first else names.index(after) + 1 if after in names else len(columns)
    return [*columns[:at], column, *columns[at:]]


def put_column(table: Table, edit: PutColumn) -> Table:
    """Replace a column's definition; keys follow its new name."""
    if table.column(edit.column) is None:
        return table
    if edit.first or edit.after is not None:
        rest = [column for column in table.columns if column.name != edit.column]
        columns = _placed(rest, edit.to, edit.first, edit.after)
    else:
        columns = [edit.to if c.name == edit.column else c for c in table.columns]
    moved = _numbered(table, columns)
    return replace(moved, keys=_keys_after(table.keys, edit.column, edit.to.name))


def set_column(table: Table, edit: SetColumn) -> Table:
    """Change what ALTER COLUMN names."""

    def changed(column: Column) -> Column:
        if column.name != edit.column:
            return column
        default = edit.default if edit.default is not None else column.default
        return replace(
            column,
            type=column.type if edit.type is None else edit.type,
            nullable=column.nullable if edit.nullable is None else edit.nullable,
            default=None if edit.drop_default else default,
        )

    return replace(table, columns=tuple(changed(column) for column in table.columns))


def move_column(table: Table, column: str, to: str | None) -> Table:
    """Rename a column, or drop it (None) with the keys that hold it."""
    if to is None:
        kept = [c for c in table.columns if c.name != column]
    else:
        kept = [replace(c, name=to) if c.name == column else c for c in table.columns]
    return replace(_numbered(table, kept), keys=_keys_after(table.keys, column, to))


def _keys_after(keys: tuple[Key, ...], column: str, to: str | None) -> tuple[Key, ...]:
    if to is None:
        return tuple(key for key in keys if column not in key.columns)
    return tuple(
        replace(key, columns=tuple(to if name == column else name for name in key.columns))
        for key in keys
    )


def move_reference(table: Table, target: Name, column: str, to: str | None) -> Table:
    """Follow a renamed or dropped column that foreign keys of this table reference."""
    keys = []
    for key in table.keys:
        if key.references == target and column in key.referenced_columns:
            if to is None:
                continue
            names = tuple(to if name == column else name for name in key.referenced_columns)
            keys.append(replace(key, referenced_columns=names))
        else:
            keys.append(key)
    return replace(table, keys=tuple(keys))


def add_keys(table: Table, keys: tuple[Key, ...], *, nullable: bool) -> Table:
    """Add keys; columns of a primary key become NOT NULL unless `nullable`."""
    primary = {name for key in keys if key.kind is KeyKind.PRIMARY for name in key.columns}
    if primary and not nullable:
        columns = tuple(
            replace(column, nullable=False) if column.name in primary else column
            for column in table.columns
        )
        table = replace(table, columns=columns)
    new = tuple(key for key in dict.fromkeys(keys) if key not in table.keys)
    return replace(table, keys=tuple(sorted((*table.keys, *new), key=key_order))) if new else table


def drop_key(table: Table, name: str) -> Table:
    """Drop a key by its name, or by the name that PostgreSQL would make up for it."""
    if not name:
        return replace(table, keys=tuple(k for k in table.keys if k.kind is not KeyKind.PRIMARY))
    gone = [key for key in table.keys if key.name == name] or [
        key for key in table.keys if key.name is None and _made_up(table, key) == name
    ]
    return replace(table, keys=tuple(key for key in table.keys if key not in gone))


def _made_up(table: Table, key: Key) -> str:
    endings = {KeyKind.PRIMARY: "pkey", KeyKind.UNIQUE: "key", KeyKind.FOREIGN: "fkey"}
    columns = () if key.kind is KeyKind.PRIMARY else key.columns
    return "_".join((table.name, *columns, endings[key.kind]))


def rename_key(table: Table, name: str, to: str) -> Table:
    """Rename a key."""
    keys = (
        replace(key, name=to) if name in (key.name, _made_up(table, key)) else key
        for key in table.keys
    )
    return replace(table, keys=tuple(keys))


def set_comment(table: Table, column: str, text: str | None) -> Table:
    """Set the comment of a column, or of the table itself where `column` is empty."""
    if not column:
        return replace(table, comment=text)
    columns = (replace(c, comment=text) if c.name == column else c for c in table.columns)
    return replace(table, columns=tuple(columns))


def with_comments_of(table: Table, before: Table) -> Table:
    """Keep the comments of the version before, where the new one says nothing."""
    known = {column.name: column.comment for column in before.columns}
    columns = (replace(c, comment=c.comment or known.get(c.name)) for c in table.columns)
    return replace(table, comment=table.comment or before.comment, columns=tuple(columns))


def _takes_default(column: Column, copy: Copy) -> bool:
    default = column.default or ""
    if default.startswith("GENERATED ALWAYS AS ("):
        return copy.expressions
    is_numbered = default.startswith("GENERATED ") or default == "AUTO_INCREMENT"
    return copy.identities if is_numbered else copy.defaults


def copied(table: Table, source: Table, copy: Copy) -> Table:
    """Take over another table's columns, and its keys and comments where asked."""
    columns = tuple(
        replace(
            column,
            default=column.default if _takes_default(column, copy) else None,
            comment=column.comment if copy.comments else None,
        )
        for column in source.columns
    )
    merged = add_columns(table, columns)
    if copy.keys:
        keys = tuple(replace(key, name=None) for key in source.keys)
        merged = replace(merged, keys=tuple(dict.fromkeys((*merged.keys, *keys))))
    return replace(merged, comment=merged.comment or source.comment) if copy.comments else merged
