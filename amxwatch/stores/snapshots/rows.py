"""Table versions as rows of the cache, and back."""

from __future__ import annotations

import json
import marshal
from sys import intern
from typing import Any

from amxwatch.core.catalog import Column, Key, KeyKind, ObjectType, Table, maker
from amxwatch.stores.snapshots.damage import DamageError
from amxwatch.stores.snapshots.fingerprint import body, digest, in_order

type_of_row = tuple[Any, ...]

_make_column = maker(Column)
_make_key = maker(Key)
_make_table = maker(Table)
_encode = json.JSONEncoder().encode
_KEY_KINDS = {kind.value: kind for kind in KeyKind}
_TYPES = {type_.value: type_ for type_ in ObjectType}


def table_row(tid: int, table: Table) -> type_of_row:
    """Return a row of `tbl`, but for its validity."""
    content = body(table)
    return tid, digest(content), content, table.row_estimate, _names(in_order(table.keys))


def _names(keys: tuple[Key, ...]) -> str | None:
    """Return the names of keys as a JSON array, or None where none has one."""
    # The encoder is at its quickest with a single text, and most tables have a single key.
    names = [None if key.name is None else _encode(key.name) for key in keys]
    if names.count(None) == len(names):
        return None
    return "[" + ",".join([name or "null" for name in names]) + "]"


def read_table(fp: int, content: bytes, row_estimate: int | None, key_names: str | None) -> Table:
    """Return the table of a row. Raises: DamageError."""
    if digest(content) != fp:
        raise DamageError("a table in it does not match its fingerprint")
    try:
        # Only what the fingerprint vouches for is read: marshal trusts its input.
        parts = marshal.loads(content)  # noqa: S302 the file is ours alone, mode 0600
        return _table(parts, row_estimate, key_names)
    except (ValueError, TypeError, EOFError, LookupError) as error:
        raise DamageError(f"a table in it cannot be read ({type(error).__name__})") from error


def _table(parts: type_of_row, row_estimate: int | None, key_names: str | None) -> Table:
    schema, name, type_, comment, definition, native_id, variant, reads, keys, columns = parts
    names = [None] * len(keys) if key_names is None else json.loads(key_names)
    columns = tuple(
        [
            # A million columns share a few dozen types.
            _make_column(named, intern(kind), nullable, default, ordinal, remark, num)
            for ordinal, named, kind, nullable, default, remark, num in columns
        ]
    )
    keys = tuple(
        [
            _make_key(_KEY_KINDS[kind], own, key_name, references, referenced)
            for key_name, (kind, own, references, referenced) in zip(names, keys, strict=True)
        ]
    )
    made = (schema, name, _TYPES[type_], columns, keys, comment, definition)
    return _make_table(*made, row_estimate, native_id, variant, reads)
