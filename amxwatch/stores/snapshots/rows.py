"""Tables as rows of the cache, and back."""

from __future__ import annotations

import json
from dataclasses import replace
from operator import attrgetter
from typing import Any

from amxwatch.core.catalog import Column, Key, KeyKind, Table
from amxwatch.stores.snapshots.fingerprint import fingerprint

type_of_row = tuple[Any, ...]

_COLUMN = attrgetter("ordinal", "name", "type", "nullable", "default", "comment", "native_num")
_ORDINAL = attrgetter("ordinal")
_JSON = json.JSONEncoder(separators=(",", ":"))


def canonical(table: Table) -> Table:
    """Return the table with columns by ordinal and keys by (kind, columns)."""
    columns = tuple(sorted(table.columns, key=_ORDINAL))
    keys = tuple(sorted(table.keys, key=_key_order))
    if columns == table.columns and keys == table.keys:
        return table  # the usual case; a copy costs ten times the look
    return replace(table, columns=columns, keys=keys)


def _key_order(key: Key) -> tuple[object, ...]:
    return (key.kind, key.columns, key.references or (), key.referenced_columns)


def table_row(tid: int, table: Table) -> type_of_row:
    """Return a row of `put_tbl`."""
    return (
        tid,
        table.type.value,
        table.comment,
        table.definition,
        table.row_estimate,
        table.native_id,
        _write_keys(table.keys),
        fingerprint(table),
    )


def column_rows(tid: int, table: Table) -> list[type_of_row]:
    """Return rows of `put_col`."""
    return [(tid, *_COLUMN(column)) for column in table.columns]


def _write_keys(keys: tuple[Key, ...]) -> str:
    plain = [
        [key.kind.value, key.columns, key.name, key.references, key.referenced_columns]
        for key in keys
    ]
    return _JSON.encode(plain)


def read_keys(text: str) -> tuple[Key, ...]:
    """Return what `table_row` wrote of the keys. Raises: ValueError, TypeError where damaged."""
    return tuple(
        Key(
            kind=KeyKind(kind),
            columns=tuple(columns),
            name=name,
            references=None if references is None else (references[0], references[1]),
            referenced_columns=tuple(referenced),
        )
        for kind, columns, name, references, referenced in json.loads(text)
    )


def read_column(row: type_of_row) -> Column:
    """Return the column of a `wanted_columns` row."""
    _, _, name, type_, nullable, default, ordinal, comment, native_num = row
    return Column(
        name=name,
        type=type_,
        nullable=nullable,
        default=default,
        ordinal=ordinal,
        comment=comment,
        native_num=native_num,
    )
