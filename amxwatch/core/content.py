"""What a change says of tables, columns and keys, as documents, and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from amxwatch.core.catalog import Column, Key, KeyKind, ObjectRef, ObjectType, Table

Document: TypeAlias = Mapping[str, Any]
"""What stands in a change's `before` or `after`: strings, booleans, numbers, lists of them."""


def table_document(table: Table) -> dict[str, object]:
    """Write a table that comes or goes whole."""
    document: dict[str, object] = {
        "comment": table.comment,
        "columns": [{"name": column.name, **_column_document(column)} for column in table.columns],
        "keys": keys_document(table),
    }
    if table.definition is not None:
        document["definition"] = table.definition
    return document


def read_table(ref: ObjectRef, kind: ObjectType, document: Document) -> Table:
    """Return the table that `table_document` wrote; its columns are numbered in their order."""
    return Table(
        schema=ref.schema,
        name=ref.table,
        type=kind,
        columns=tuple(
            read_column(column["name"], column, ordinal)
            for ordinal, column in enumerate(document["columns"], start=1)
        ),
        keys=read_keys(document["keys"]),
        comment=document["comment"],
        definition=document.get("definition"),
    )


def placed_document(column: Column, place: int) -> dict[str, object]:
    """Write a column that comes or goes by itself: with its place in the table, from 1."""
    return {**_column_document(column), "ordinal": place}


def _column_document(column: Column) -> dict[str, object]:
    return {
        "type": column.type,
        "nullable": column.nullable,
        "default": column.default,
        "comment": column.comment,
    }


def read_column(name: str, document: Document, ordinal: int) -> Column:
    """Return the column that a document tells of."""
    return Column(
        name=name,
        type=document["type"],
        nullable=document["nullable"],
        default=document["default"],
        comment=document["comment"],
        ordinal=ordinal,
    )


def keys_document(table: Table) -> dict[str, object]:
    """Return all keys: those of a kind in one order, names made up left out."""
    keys = sorted(table.keys, key=place_of_key)
    primary = [key for key in keys if key.kind is KeyKind.PRIMARY]
    return {
        "primary": [column for key in primary for column in key.columns],
        "unique": [list(key.columns) for key in keys if key.kind is KeyKind.UNIQUE],
        "foreign": [
            {"columns": list(key.columns), "references": _reference_document(key)}
            for key in keys
            if key.kind is KeyKind.FOREIGN
        ],
    }


def place_of_key(key: Key) -> tuple[object, ...]:
    """Order keys by what they say, so that one set of keys has one order."""
    return (key.kind, key.columns, key.references or ("", ""), key.referenced_columns)


def _reference_document(key: Key) -> dict[str, object]:
    schema, table = key.references or ("", "")
    return {"schema": schema, "table": table, "columns": list(key.referenced_columns)}


def read_keys(document: Document) -> tuple[Key, ...]:
    """Return the keys that `keys_document` wrote, in canonical order."""
    keys = [
        Key(kind=KeyKind.PRIMARY, columns=tuple(columns))
        for columns in [document["primary"]]
        if columns
    ]
    keys += [Key(kind=KeyKind.UNIQUE, columns=tuple(columns)) for columns in document["unique"]]
    keys += [_read_foreign(key) for key in document["foreign"]]
    return tuple(sorted(keys, key=place_of_key))


def _read_foreign(document: Document) -> Key:
    there = document["references"]
    named = (there["schema"], there["table"])
    return Key(
        kind=KeyKind.FOREIGN,
        columns=tuple(document["columns"]),
        references=named if any(named) else None,
        referenced_columns=tuple(there["columns"]),
    )


def followers_document(followers: Sequence[ObjectRef]) -> dict[str, object] | None:
    """Name the tables whose foreign keys went along with a rename; None where there are none."""
    if not followers:
        return None
    return {"followed_by": [{"schema": ref.schema, "table": ref.table} for ref in followers]}


def read_followers(document: object) -> Iterable[tuple[str, str]]:
    """Return (schema, table) of what `followers_document` named."""
    if isinstance(document, Mapping):
        for each in document["followed_by"]:
            yield each["schema"], each["table"]
