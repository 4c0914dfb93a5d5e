"""A table as bytes, and one number for everything in it that counts as a difference.

Taken in Python and not by DuckDB's hash(): nothing promises that one between versions, and a
hundred thousand numbers load ten times faster than a million columns. marshal's format 2 writes
equal values as equal bytes, and is the quickest writing there is; should a Python write it
otherwise one day, the canary moves and the cache is rebuilt.
"""

from __future__ import annotations

import marshal
from dataclasses import replace
from hashlib import blake2b
from operator import attrgetter, itemgetter

from amxwatch.core.catalog import Column, Key, KeyKind, ObjectType, Table

_FORMAT = 2
_ORDINAL = attrgetter("ordinal")
_FIRST = itemgetter(0)


def fingerprint(table: Table) -> int:
    """Return a signed 64-bit number: all but the row estimate and the names of keys.

    The order in which columns and keys are listed does not matter; ordinals do. That two
    tables of one catalog share it by chance is expected once in 3,000 million catalogs of
    100,000 tables.
    """
    return digest(body(table))


def canonical(table: Table) -> Table:
    """Return the table with columns by ordinal and keys by (kind, columns)."""
    ordinals = [column.ordinal for column in table.columns]
    keys = in_order(table.keys)
    if keys == table.keys and ordinals == sorted(ordinals):
        return table  # the usual case; a copy costs ten times the look
    return replace(table, columns=tuple(sorted(table.columns, key=_ORDINAL)), keys=keys)


def in_order(keys: tuple[Key, ...]) -> tuple[Key, ...]:
    """Return keys by (kind, columns)."""
    return tuple(sorted(keys, key=_key_order)) if len(keys) > 1 else keys


def body(table: Table) -> bytes:
    """Return what counts of a table, in canonical order, as bytes that `rows.read_table` reads."""
    # Spelled out: attrgetter takes twice as long, and there are a million columns.
    columns = [
        (c.ordinal, c.name, c.type, c.nullable, c.default, c.comment, c.native_num)
        for c in table.columns
    ]
    columns.sort(key=_FIRST)
    content = (
        table.schema,
        table.name,
        table.type.value,
        table.comment,
        table.definition,
        table.native_id,
        table.variant,
        table.reads,
        [
            (key.kind.value, key.columns, key.references, key.referenced_columns)
            for key in in_order(table.keys)
        ],
        columns,
    )
    return marshal.dumps(content, _FORMAT)


def digest(content: bytes) -> int:
    """Return the fingerprint of a table's bytes."""
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big", signed=True)


def _key_order(key: Key) -> tuple[object, ...]:
    return (key.kind, key.columns, key.references or (), key.referenced_columns)


def canary() -> int:
    """Return the fingerprint of a table that never changes, with a value of every kind."""
    return fingerprint(
        Table(
            schema="schéma",
            name="canary",
            type=ObjectType.VIEW,
            columns=(
                Column(name="id", type="integer", nullable=False, ordinal=1, native_num=1),
                Column(name="größe", type="text", default="'x'", ordinal=2, comment="\U0001f426"),
            ),
            keys=(Key(kind=KeyKind.FOREIGN, columns=("id",), references=("a", "b")),),
            definition="SELECT 1",
            native_id=4_294_967_295,
            variant="foreign",
            reads=(("a", "b"),),
        )
    )
