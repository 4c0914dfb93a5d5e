"""What is asked of the parser's process, and how it goes over a pipe: a length, then a pickle."""

from __future__ import annotations

import copyreg
import os
import pickle
import struct
from dataclasses import dataclass
from typing import TypeAlias

from amxwatch.core.catalog import Column, maker
from amxwatch.databases.sql_folder.query import Source

_LENGTH = struct.Struct("!Q")
_MOST = 1 << 20

_make_column = maker(Column)


def column_of(*values: object) -> Column:
    """Make a column of all its fields; what a pickled column names."""
    return _make_column(*values)


def _reduced(column: Column) -> tuple[object, ...]:
    fields = (column.name, column.type, column.nullable, column.default)
    return column_of, (*fields, column.ordinal, column.comment, column.native_num)


# Most of an answer is columns, and a frozen value with slots pickles slowly: seven times.
copyreg.pickle(Column, _reduced)  # type: ignore[arg-type]  # the stub knows no frozen reducer


@dataclass(frozen=True, kw_only=True)
class Text:
    """One file's text, and the marks of those of its statements that are known already."""

    text: str
    known: frozenset[bytes] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Parse:
    """Answered by one `Reading` a text, in order, and None at the end."""

    dialect: str
    texts: tuple[Text, ...]


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Answered by a list of (name, type), and None."""

    dialect: str
    tree: bytes
    sources: tuple[Source, ...]


Ask: TypeAlias = Parse | Projection


def send(pipe: int, message: object) -> None:
    """Write one message. Raises: OSError when nobody reads any more."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    view = memoryview(_LENGTH.pack(len(data)) + data)
    while view:
        view = view[os.write(pipe, view) :]


def receive(pipe: int) -> object:
    """Read one message. Raises: EOFError when the other side has gone."""
    (length,) = _LENGTH.unpack(_take(pipe, _LENGTH.size))
    # Both ends are this program, started by this user: nothing else can write here.
    return pickle.loads(_take(pipe, length))  # noqa: S301


def _take(pipe: int, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = os.read(pipe, min(length - len(parts), _MOST))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
