"""Reads a DuckDB file's catalog whole, and tells from its time stamps when it moved."""

from __future__ import annotations

import secrets
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import anyio.to_thread

from amxwatch.core.catalog import Catalog, Column, Key, KeyKind, ObjectType, Schema, Table
from amxwatch.databases.duckdb.file import QUERIES, Connection, DuckFile
from amxwatch.databases.views import select_of

Row = tuple[Any, ...]

READER = "duckdb/1"

RACY_SECONDS = 0.1
"""A file written this recently may be written again within the same tick of its time stamp."""

KEY_KINDS = {
    "PRIMARY KEY": KeyKind.PRIMARY,
    "FOREIGN KEY": KeyKind.FOREIGN,
    "UNIQUE": KeyKind.UNIQUE,
}


class DuckReader:
    """Implements `ports.database.Reader`."""

    def __init__(self, file: DuckFile) -> None:
        self._file = file

    async def gate(self) -> str:
        """Return the time stamps and sizes of the file and its write-ahead log.

        Right after a write they prove nothing, so the token is a new one each time until the
        file has been left alone for a moment.
        """
        self._file.check()
        parts = []
        newest = 0
        for path in (self._file.path, self._file.path.with_name(self._file.path.name + ".wal")):
            try:
                found = path.stat()
            except OSError:
                parts.append("-")
                continue
            newest = max(newest, found.st_mtime_ns)
            parts.append(
                f"{found.st_mtime_ns}:{found.st_size}:{found.st_ino}:{found.st_dev}:"
                f"{found.st_ctime_ns}"
            )
        if self._file.clock.now().timestamp() - newest / 1e9 < RACY_SECONDS:
            parts.append(secrets.token_hex(8))
        return "|".join(parts)

    async def read(self) -> Catalog:
        """Read the catalog; the file is held open for the queries alone.

        Whoever else wants to write to it cannot open it meanwhile.
        """
        rows = await self._file.run(_fetch)
        return await anyio.to_thread.run_sync(self._catalog, rows)

    def _catalog(self, rows: _Rows) -> Catalog:
        columns = _columns(rows.columns)
        keys = _keys(rows.keys)
        tables = [
            Table(
                schema=schema,
                name=name,
                type=ObjectType(kind),
                columns=tuple(columns[schema, name]),
                keys=tuple(sorted(keys[schema, name], key=lambda key: (key.kind, key.columns))),
                comment=comment,
                definition=select_of(create) if create else None,
                row_estimate=count,
            )
            for schema, name, kind, comment, count, create in rows.relations
        ]
        return Catalog(
            reader=READER,
            source=f"duckdb:{self._file.path}",
            schemas=tuple(Schema(name=name) for name in sorted(row[0] for row in rows.schemas)),
            tables=tuple(sorted(tables, key=lambda table: (table.schema, table.name))),
        )


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """What the queries gave, in one transaction."""

    schemas: list[Row]
    relations: list[Row]
    columns: list[Row]
    keys: list[Row]


def _fetch(connection: Connection) -> _Rows:
    connection.begin()
    fetched = {
        name: connection.execute(QUERIES[name]).fetchall()
        for name in ("schemas", "relations", "columns", "keys")
    }
    connection.rollback()
    return _Rows(**fetched)


def _columns(rows: list[Row]) -> dict[tuple[str, str], list[Column]]:
    found: dict[tuple[str, str], list[Column]] = defaultdict(list)
    for schema, table, name, kind, is_nullable, default, is_generated, comment in rows:
        columns = found[schema, table]
        columns.append(
            Column(
                name=name,
                type=kind,
                nullable=is_nullable,
                default=f"GENERATED ALWAYS AS ({default})" if is_generated else default,
                ordinal=len(columns) + 1,
                comment=comment,
            )
        )
    return found


def _keys(rows: list[Row]) -> dict[tuple[str, str], list[Key]]:
    found: dict[tuple[str, str], list[Key]] = defaultdict(list)
    for schema, table, kind, columns, name, other, other_columns in rows:
        found[schema, table].append(
            Key(
                kind=KEY_KINDS[kind],
                columns=tuple(columns),
                name=name,
                references=(schema, other) if other else None,
                referenced_columns=tuple(other_columns or ()) if other else (),
            )
        )
    return found
