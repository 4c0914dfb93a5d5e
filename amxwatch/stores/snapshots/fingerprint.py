"""One number for everything in a table that counts as a difference.

Taken in Python and not by DuckDB's hash(): nothing promises that one between versions, and a
number a table loads ten times faster than its columns. marshal's format 2 writes equal values
as equal bytes, and is the quickest writing there is; should a Python write it otherwise one
day, the canary moves and the cache is rebuilt.
"""

from __future__ import annotations

import marshal
from hashlib import blake2b
from operator import attrgetter, itemgetter

from amxwatch.core.catalog import Column, Key, KeyKind, ObjectType, Table

_FORMAT = 2
_COLUMN = attrgetter("ordinal", "name", "type", "nullable", "default", "comment", "native_num")
_ORDINAL = itemgetter(0)


def fingerprint(table: Table) -> int:
    """Return a signed 64-bit number: all but the row estimate and the names of keys.

    The order in which columns and keys are listed does not matter; ordinals do.
    """
    columns = list(map(_COLUMN, table.columns))
    columns.sort(key=_ORDINAL)
    keys = list(map(_key, table.keys))
    if len(keys) > 1:
        keys.sort(key=repr)
    content = (
        table.schema,
        table.name,
        table.type.value,
        table.comment,
        table.definition,
        table.native_id,
        keys,
        columns,
    )
    digest = blake2b(marshal.dumps(content, _FORMAT), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _key(key: Key) -> tuple[object, ...]:
    return (key.kind.value, key.columns, key.references, key.referenced_columns)


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
        )
    )
