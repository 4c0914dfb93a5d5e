"""Frozen values to rows."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, insert, update

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def values_of(value: DataclassInstance) -> dict[str, Any]:
    """Return a dataclass's fields by name, without going into them."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def upsert(connection: Connection, table: Table, values: dict[str, Any]) -> None:
    """Set the row with this primary key, or add it. The transaction keeps others out meanwhile."""
    same = [column == values[column.name] for column in table.primary_key]
    if connection.execute(update(table).where(*same), values).rowcount == 0:
        connection.execute(insert(table), values)
