"""The log of snapshot deltas."""

from __future__ import annotations

import builtins
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, insert, select

from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.change import Delta
from amxwatch.core.codec import decode_delta, encode_delta
from amxwatch.core.errors import StoreError
from amxwatch.ports.ledger import SnapshotRecord
from amxwatch.stores.ledger.tables import snapshot as table

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
            "delta": zlib.compress(encode_delta(delta).encode("ascii")),
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


def _unpack(packed: bytes, profile: str, number: int) -> Delta:
    try:
        return decode_delta(zlib.decompress(packed).decode("ascii"))
    except (zlib.error, UnicodeDecodeError):
        raise StoreError(
            f"snapshot {number} of {profile} is damaged in the state database; put back a backup"
        ) from None


def _record(row: RowMapping | None) -> SnapshotRecord | None:
    if row is None:
        return None
    return SnapshotRecord(**{**row, "ignore": tuple(row["ignore"])})
