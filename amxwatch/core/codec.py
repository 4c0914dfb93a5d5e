"""Deltas as JSON text: exact both ways, the same text for the same value.

The first line is an object with the version of the writing and how many tables follow; then a
line a table, its columns and keys without the names of their fields, for there are many. Logs
are kept for years: older versions stay readable, and a newer one is refused. ASCII, as names may
hold characters that some text column refuses.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from sys import intern
from typing import TYPE_CHECKING, Any

from amxwatch.core.catalog import (
    Column,
    Key,
    KeyKind,
    ObjectType,
    Schema,
    Table,
    maker,
)
from amxwatch.core.change import Delta
from amxwatch.core.errors import DeltaDamagedError, StoreError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

VERSION = 2

_CHUNK = 500
"""Tables that are written as one piece of text."""

_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, RecursionError)

_encode = json.JSONEncoder(separators=(",", ":")).encode
_make_column = maker(Column)
_make_table = maker(Table)


def write_delta(delta: Delta) -> Iterator[str]:
    """Yield a delta as pieces of ASCII JSON, in order: the first of many tables is large."""
    head: dict[str, object] = {
        "reader": delta.reader,
        "source": delta.source,
        "ignore": delta.ignore,
        "baseline": delta.baseline,
        "put_schemas": [_plain(schema) for schema in delta.put_schemas],
        "gone_schemas": delta.gone_schemas,
        "gone_tables": delta.gone_tables,
    }
    if delta.whole:
        head["whole"] = True
    return _write(head, delta.put_tables)


def encode_delta(delta: Delta) -> str:
    """Write a delta as lines of ASCII JSON."""
    return "".join(write_delta(delta))


def read_delta(lines: Iterable[str]) -> Delta:
    """Read the lines that `write_delta` wrote.

    Raises: DeltaDamagedError, StoreError for the writing of a newer program.
    """
    lines = iter(lines)
    head = _head(lines)
    try:
        return Delta(
            reader=head["reader"],
            source=head["source"],
            ignore=tuple(head["ignore"]),
            baseline=head["baseline"],
            whole=head.get("whole", False),
            put_schemas=tuple(Schema(**schema) for schema in head["put_schemas"]),
            put_tables=_tables(head, lines),
            gone_schemas=tuple(head["gone_schemas"]),
            gone_tables=tuple((schema, table) for schema, table in head["gone_tables"]),
        )
    except _DAMAGE as error:
        raise _damaged(error) from None


def decode_delta(text: str) -> Delta:
    """Read what `encode_delta` wrote. Raises: DeltaDamagedError, StoreError for a newer writing."""
    return read_delta(text.split("\n"))


def _plain(value: DataclassInstance) -> dict[str, Any]:
    """Return the fields of a value that holds no other, in their order."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _write(head: dict[str, object], tables: tuple[Table, ...]) -> Iterator[str]:
    yield _encode({"version": VERSION, **head, "tables": len(tables)})
    for start in range(0, len(tables), _CHUNK):
        yield "\n" + "\n".join([_encode(_table(t)) for t in tables[start : start + _CHUNK]])


def _table(table: Table) -> tuple[object, ...]:
    return (
        table.schema,
        table.name,
        table.type,
        table.comment,
        table.definition,
        table.row_estimate,
        table.native_id,
        table.variant,
        table.reads,
        [(k.kind, k.columns, k.name, k.references, k.referenced_columns) for k in table.keys],
        [
            (c.name, c.type, c.nullable, c.default, c.ordinal, c.comment, c.native_num)
            for c in table.columns
        ],
    )


def _head(lines: Iterator[str]) -> dict[str, Any]:
    try:
        head = json.loads(next(lines, ""))
        version = head["version"]
    except _DAMAGE as error:
        raise _damaged(error) from None
    if version not in (1, VERSION):
        raise StoreError(
            f"a stored delta is written in version {version}, this program reads up to"
            f" {VERSION}; upgrade amxwatch: pip install --upgrade amxwatch"
        )
    return dict(head)


def _tables(head: dict[str, Any], lines: Iterator[str]) -> tuple[Table, ...]:
    if head["version"] == 1:
        return tuple(_read_first(table) for table in head["put_tables"])
    found = tuple([_read_table(*json.loads(line)) for line in lines])
    if len(found) != head["tables"]:
        raise ValueError(f"{len(found)} of {head['tables']} tables")
    return found


def _read_table(
    schema: str,
    name: str,
    type_: str,
    comment: str | None,
    definition: str | None,
    row_estimate: int | None,
    native_id: int | None,
    variant: str | None,
    reads: list[list[str]],
    keys: list[list[Any]],
    columns: list[list[Any]],
) -> Table:
    made = (
        schema,
        name,
        ObjectType(type_),
        # A million columns share a few dozen types.
        tuple([_make_column(c[0], intern(c[1]), *c[2:]) for c in columns]),
        tuple([_read_key(*key) for key in keys]),
        comment,
        definition,
    )
    sources = tuple([(source, table) for source, table in reads])
    return _make_table(*made, row_estimate, native_id, variant, sources)


def _read_key(
    kind: str,
    columns: list[str],
    name: str | None,
    references: list[str] | None,
    referenced: list[str],
) -> Key:
    return Key(
        kind=KeyKind(kind),
        columns=tuple(columns),
        name=name,
        references=None if references is None else (references[0], references[1]),
        referenced_columns=tuple(referenced),
    )


def _read_first(values: dict[str, Any]) -> Table:
    """Read a table of version 1: objects, and neither variant nor reads."""
    return _read_table(
        values["schema"],
        values["name"],
        values["type"],
        values["comment"],
        values["definition"],
        values["row_estimate"],
        values["native_id"],
        None,
        [],
        [[key[f.name] for f in fields(Key)] for key in values["keys"]],
        [[column[f.name] for f in fields(Column)] for column in values["columns"]],
    )


def _damaged(error: Exception) -> DeltaDamagedError:
    return DeltaDamagedError(
        f"a stored delta cannot be read ({type(error).__name__}); put back a backup of the state"
    )
