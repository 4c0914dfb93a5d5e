"""The log of snapshot deltas."""

from __future__ import annotations

import builtins
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, delete, func, insert, select, update

from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.change import Delta
from amxwatch.core.codec import read_delta, write_delta
from amxwatch.core.collector import collector_paused
from amxwatch.core.errors import DeltaDamagedError, NotFoundError
from amxwatch.ports.ledger import SnapshotRecord
from amxwatch.stores.ledger.tables import snapshot as table

_LEVEL = 1
"""Of zlib: three times as quick as the usual 6, for a fifth more room."""

_PART = 65_536
"""Compressed bytes that are taken out at a time."""

_RECORD = [column for column in table.c if column.name != "delta"]


class SqlSnapshots:
    """Implements `ports.ledger.Snapshots`. Deltas are JSON, compressed by zlib."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(
        self,
        profile: str,
        delta: Delta,
        *,
        at: datetime,
        after: SnapshotNumber | None,
        tables: int,
        columns: int,
        changes: int,
    ) -> SnapshotNumber | None:
        newest = self._connection.execute(
            self._newest(profile).with_only_columns(table.c.number)
        ).scalar()
        if newest != after:
            return None
        number = SnapshotNumber((newest or 0) + 1)
        values = {
            "profile": profile,
            "number": number,
            "at": at,
            "reader": delta.reader,
            "source": delta.source,
            "ignore": delta.ignore,
            "baseline": delta.baseline,
            "tables": tables,
            "columns": columns,
            "changes": changes,
            "delta": _pack(delta),
        }
        self._connection.execute(insert(table), values)
        return number

    def latest(self, profile: str) -> SnapshotRecord | None:
        return _record(self._connection.execute(self._newest(profile)).mappings().first())

    def list(self, profile: str) -> builtins.list[SnapshotRecord]:
        query = select(*_RECORD).where(table.c.profile == profile).order_by(table.c.number)
        return [
            record for row in self._connection.execute(query).mappings() if (record := _record(row))
        ]

    def at(self, profile: str, moment: datetime) -> SnapshotRecord | None:
        query = self._newest(profile).where(table.c.at <= moment)
        return _record(self._connection.execute(query).mappings().first())

    def log(
        self, profile: str, after: SnapshotNumber | None
    ) -> Iterator[tuple[SnapshotNumber, Delta]]:
        query = select(table.c.number, table.c.delta).where(
            table.c.profile == profile, table.c.number > (after or 0)
        )
        for number, packed in self._connection.execute(query.order_by(table.c.number)):
            yield number, _unpack(packed, profile, number)

    def _newest(self, profile: str) -> Select[Any]:
        query = select(*_RECORD).where(table.c.profile == profile)
        return query.order_by(table.c.number.desc()).limit(1)


class SqlSnapshotKeeping:
    """Implements `ports.ledger.SnapshotKeeping`, over the same table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def oldest(self, profile: str) -> SnapshotNumber | None:
        query = select(func.min(table.c.number)).where(table.c.profile == profile)
        return self._connection.execute(query).scalar()

    def compact(self, profile: str, oldest: SnapshotNumber, whole: Delta) -> None:
        own = table.c.profile == profile
        query = update(table).where(own, table.c.number == oldest)
        if self._connection.execute(query, {"delta": _pack(whole)}).rowcount == 0:
            raise NotFoundError(f"no snapshot {oldest} of {profile}")
        self._connection.execute(delete(table).where(own, table.c.number < oldest))

    def size(self, profile: str) -> int:
        query = select(func.sum(func.length(table.c.delta))).where(table.c.profile == profile)
        return int(self._connection.execute(query).scalar() or 0)


def _pack(delta: Delta) -> bytes:
    """Compress piece by piece: the text of the first of many tables is large."""
    packer = zlib.compressobj(_LEVEL)
    with collector_paused():
        pieces = [packer.compress(piece.encode("ascii")) for piece in write_delta(delta)]
    return b"".join([*pieces, packer.flush()])


def _unpack(packed: bytes, profile: str, number: int) -> Delta:
    try:
        with collector_paused():
            return read_delta(_lines(packed))
    except (zlib.error, UnicodeDecodeError, DeltaDamagedError):
        before = f"those up to {number - 1} can still be read" if number > 1 else "nothing is lost"
        raise DeltaDamagedError(
            f"snapshot {number} of {profile} is damaged in the state database ({before}, and all"
            f" of them where the catalog cache is whole); put back a backup of the state"
        ) from None


def _lines(packed: bytes) -> Iterator[str]:
    """Yield the lines of a compressed text, a part in memory at a time."""
    unpacker = zlib.decompressobj()
    rest = b""
    for start in range(0, len(packed), _PART):
        *whole, rest = (rest + unpacker.decompress(packed[start : start + _PART])).split(b"\n")
        yield from (line.decode("ascii") for line in whole)
    rest += unpacker.flush()
    if not unpacker.eof:
        raise zlib.error("the text is cut short")
    yield from (line.decode("ascii") for line in rest.split(b"\n"))


def _record(row: RowMapping | None) -> SnapshotRecord | None:
    if row is None:
        return None
    return SnapshotRecord(**{**row, "ignore": tuple(row["ignore"])})
