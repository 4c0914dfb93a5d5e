"""Catalogs and deltas as JSON text: exact both ways, the same text for the same value.

The first field is the version of the writing, so that logs kept for years stay readable: a
newer version may add fields, and `decode_*` here refuses what it does not know.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from amxwatch.core.catalog import (
    Catalog,
    Column,
    Key,
    KeyKind,
    ObjectType,
    Schema,
    SourceProblem,
    Table,
)
from amxwatch.core.change import Delta
from amxwatch.core.errors import StoreError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

VERSION = 1


def encode_catalog(catalog: Catalog) -> str:
    """Write a catalog as one line of ASCII JSON."""
    return _dump(
        reader=catalog.reader,
        source=catalog.source,
        schemas=[_plain(schema) for schema in catalog.schemas],
        tables=[_table(table) for table in catalog.tables],
        problems=[_plain(problem) for problem in catalog.problems],
    )


def decode_catalog(text: str) -> Catalog:
    """Read what `encode_catalog` wrote. Raises: StoreError."""
    values = _load(text, "catalog")
    try:
        return Catalog(
            reader=values["reader"],
            source=values["source"],
            schemas=tuple(Schema(**schema) for schema in values["schemas"]),
            tables=tuple(_read_table(table) for table in values["tables"]),
            problems=tuple(SourceProblem(**problem) for problem in values["problems"]),
        )
    except _DAMAGE as error:
        raise _damaged("catalog", error) from None


def encode_delta(delta: Delta) -> str:
    """Write a delta as one line of ASCII JSON."""
    return _dump(
        reader=delta.reader,
        source=delta.source,
        ignore=delta.ignore,
        baseline=delta.baseline,
        put_schemas=[_plain(schema) for schema in delta.put_schemas],
        put_tables=[_table(table) for table in delta.put_tables],
        gone_schemas=delta.gone_schemas,
        gone_tables=delta.gone_tables,
    )


def decode_delta(text: str) -> Delta:
    """Read what `encode_delta` wrote. Raises: StoreError."""
    values = _load(text, "delta")
    try:
        return Delta(
            reader=values["reader"],
            source=values["source"],
            ignore=tuple(values["ignore"]),
            baseline=values["baseline"],
            put_schemas=tuple(Schema(**schema) for schema in values["put_schemas"]),
            put_tables=tuple(_read_table(table) for table in values["put_tables"]),
            gone_schemas=tuple(values["gone_schemas"]),
            gone_tables=tuple((schema, table) for schema, table in values["gone_tables"]),
        )
    except _DAMAGE as error:
        raise _damaged("delta", error) from None


_DAMAGE = (KeyError, TypeError, ValueError, AttributeError)


def _plain(value: DataclassInstance) -> dict[str, Any]:
    """Return the fields of a value that holds no other, in their order."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _table(table: Table) -> dict[str, Any]:
    values = _plain(table)
    values["columns"] = [vars(column) for column in table.columns]
    values["keys"] = [vars(key) for key in table.keys]
    return values


def _read_table(values: dict[str, Any]) -> Table:
    parts = {
        "type": ObjectType(values["type"]),
        "columns": tuple(Column(**column) for column in values["columns"]),
        "keys": tuple(_read_key(key) for key in values["keys"]),
    }
    return Table(**{**values, **parts})


def _read_key(values: dict[str, Any]) -> Key:
    references = values["references"]
    parts = {
        "kind": KeyKind(values["kind"]),
        "columns": tuple(values["columns"]),
        "references": None if references is None else (references[0], references[1]),
        "referenced_columns": tuple(values["referenced_columns"]),
    }
    return Key(**{**values, **parts})


def _dump(**values: object) -> str:
    # ASCII: names may hold characters that some text column refuses.
    return json.dumps({"version": VERSION, **values}, separators=(",", ":"))


def _load(text: str, what: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
        version = values["version"]
    except _DAMAGE as error:
        raise _damaged(what, error) from None
    if version != VERSION:
        raise StoreError(
            f"a stored {what} is written in version {version}, this program reads {VERSION};"
            f" upgrade amxwatch: pip install --upgrade amxwatch"
        )
    return dict(values)


def _damaged(what: str, error: Exception) -> StoreError:
    return StoreError(
        f"a stored {what} cannot be read ({type(error).__name__}); put back a backup of the state"
    )
