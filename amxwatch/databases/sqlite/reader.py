"""Reads an SQLite file's catalog, whole or as far as it moved, and tells when it moved."""

from __future__ import annotations

import hashlib
import sqlite3

from amxwatch.core.catalog import Catalog, Schema
from amxwatch.core.change import Patch
from amxwatch.databases.sqlite.file import QUERIES, SqliteFile
from amxwatch.databases.sqlite.relations import SCHEMA, Whole, read_again, read_whole

READER = "sqlite/2"


class SqliteReader:
    """Implements `ports.database.Reader` and `ports.partial.PartialReader`."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._seen: tuple[str, str] | None = None
        """The file's stamp before we last looked, and the fingerprint then."""
        self._told: tuple[str, Whole] | None = None
        """Which file it was, and what was told of it last; None where that is not known."""

    async def gate(self) -> str:
        """Return a hash of the statements that made the schema, computed where the file moved.

        Exact, where PRAGMA schema_version is not: a file that was copied over another may have
        the same version and another schema.
        """
        stamp = self._file.stamp()
        if self._seen is not None and stamp == self._seen[0]:
            return self._seen[1]
        fingerprint = await self._file.run(_fingerprint)
        self._seen = None if stamp is None else (stamp, fingerprint)
        return fingerprint

    async def read(self) -> Catalog:
        self._told = None
        identity = self._file.identity()
        whole = await self._file.run(lambda connection: read_whole(connection, self._file.path))
        self._told = (identity, whole)
        return Catalog(
            reader=READER,
            source=self._source,
            schemas=(Schema(name=SCHEMA),),
            tables=tuple(whole.tables[name] for name in sorted(whole.tables)),
            problems=whole.all_problems,
        )

    async def read_moved(self) -> Patch | None:
        """Return the tables whose statements moved, and those that go by them."""
        told, self._told = self._told, None
        identity = self._file.identity()
        if told is None or told[0] != identity:
            return None
        before, path = told[1], self._file.path
        whole = await self._file.run(lambda connection: read_again(connection, path, before))
        if whole is None:
            return None
        self._told = (identity, whole)
        names = {*before.tables, *whole.tables}
        moved = sorted(name for name in names if before.tables.get(name) != whole.tables.get(name))
        return Patch(
            reader=READER,
            source=self._source,
            schemas=(Schema(name=SCHEMA),),
            put=tuple(whole.tables[name] for name in moved if name in whole.tables),
            gone=tuple((SCHEMA, name) for name in moved if name not in whole.tables),
            problems=whole.all_problems,
        )

    @property
    def _source(self) -> str:
        return f"sqlite:{self._file.path}"


def _fingerprint(connection: sqlite3.Connection) -> str:
    rows = sorted(connection.execute(QUERIES["fingerprint"]).fetchall())
    return hashlib.sha256(repr(rows).encode("utf-8", "surrogatepass")).hexdigest()
