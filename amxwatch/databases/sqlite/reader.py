"""Reads an SQLite file's catalog whole, in a handful of queries, and tells when it moved."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from amxwatch.databases.sqlite.file import QUERIES, SqliteFile
from amxwatch.databases.sqlite.generated import generated_expressions
from amxwatch.databases.views import select_of

READER = "sqlite/1"
SCHEMA = "main"
GENERATED = {2: "VIRTUAL", 3: "STORED"}
MODULE = re.compile(r"\bUSING\s+[\"\[`]?(\w+)", re.IGNORECASE)

Row = tuple[Any, ...]


class SqliteReader:
    """Implements `ports.database.Reader`."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._seen: tuple[str, str] | None = None
        """The file's stamp before we last looked, and the fingerprint then."""

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
        path = self._file.path
        return await self._file.run(lambda connection: _read(connection, path))


def _fingerprint(connection: sqlite3.Connection) -> str:
    rows = sorted(connection.execute(QUERIES["fingerprint"]).fetchall())
    return hashlib.sha256(repr(rows).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What the queries gave, by relation."""

    columns: dict[str, list[Row]]
    foreign_keys: dict[str, list[Row]]
    unique_keys: dict[str, list[Row]]
    problems: list[SourceProblem] = field(default_factory=list)


def _read(connection: sqlite3.Connection, path: Path) -> Catalog:
    relations = connection.execute(QUERIES["relations"]).fetchall()
    parts = _read_parts(connection, path, relations)
    names = {name.lower(): name for name, _, _ in relations}
    primary = {table: _primary_key(rows) for table, rows in parts.columns.items()}
    tables = [
        Table(
            schema=SCHEMA,
            name=name,
            type=ObjectType(kind),
            columns=_columns(parts.columns[name], create),
            keys=_keys(name, parts, names, primary),
            definition=select_of(create) if kind == "view" else None,
        )
        for name, kind, create in relations
    ]
    return Catalog(
        reader=READER,
        source=f"sqlite:{path}",
        schemas=(Schema(name=SCHEMA),),
        tables=tuple(sorted(tables, key=lambda table: table.name)),
        problems=tuple(parts.problems),
    )


def _read_parts(connection: sqlite3.Connection, path: Path, relations: list[Row]) -> _Parts:
    known = {name for (name,) in connection.execute(QUERIES["modules"])}
    problems = []
    readable = []
    for name, kind, create in relations:
        module = MODULE.search(create) if create.lstrip()[:14].upper() == "CREATE VIRTUAL" else None
        if module is not None and module[1].lower() not in known:
            problems.append(
                SourceProblem(file=str(path), message=f"{name}: no such module: {module[1]}")
            )
        else:
            readable.append((name, kind))
    tables = [name for name, kind in readable if kind == "table"]
    views = [name for name, kind in readable if kind == "view"]
    columns = _grouped(connection, "columns", tables)
    columns |= _view_columns(connection, path, views, problems)
    return _Parts(
        columns=columns,
        foreign_keys=_grouped(connection, "foreign_keys", tables),
        unique_keys=_grouped(connection, "unique_keys", tables),
        problems=problems,
    )


def _grouped(
    connection: sqlite3.Connection, query: str, names: Iterable[str]
) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for name, *rest in connection.execute(QUERIES[query], [json.dumps(list(names))]):
        found[name].append(tuple(rest))
    return found


def _view_columns(
    connection: sqlite3.Connection, path: Path, views: list[str], problems: list[SourceProblem]
) -> dict[str, list[Row]]:
    """Read the columns of all views at once, or one by one where one of them is broken."""
    try:
        return _grouped(connection, "columns", views)
    except sqlite3.OperationalError:
        found: dict[str, list[Row]] = {}
        for name in views:
            try:
                found |= _grouped(connection, "columns", [name])
            except sqlite3.OperationalError as error:
                problems.append(SourceProblem(file=str(path), message=f"view {name}: {error}"))
        return found


def _columns(rows: list[Row], create: str) -> tuple[Column, ...]:
    hidden = [row[0] for row in rows if row[5] in GENERATED]
    expressions = generated_expressions(create) if hidden else {}
    return tuple(
        Column(
            name=name,
            type=kind,
            nullable=not is_required,
            default=(
                f"GENERATED ALWAYS AS {expressions.get(name.lower(), '')} {GENERATED[hides]}"
                if hides in GENERATED
                else default
            ),
            ordinal=ordinal,
        )
        for ordinal, (name, kind, is_required, default, _, hides) in enumerate(rows, start=1)
    )


def _primary_key(rows: list[Row]) -> tuple[str, ...]:
    placed = sorted((row[4], row[0]) for row in rows if row[4])
    return tuple(name for _, name in placed)


def _keys(
    table: str, parts: _Parts, names: dict[str, str], primary: dict[str, tuple[str, ...]]
) -> tuple[Key, ...]:
    keys = [Key(kind=KeyKind.PRIMARY, columns=primary[table])] if primary.get(table) else []
    keys += [
        Key(kind=KeyKind.UNIQUE, columns=tuple(row[1] for row in rows))
        for rows in _by_number(parts.unique_keys.get(table, []))
    ]
    for rows in _by_number(parts.foreign_keys.get(table, [])):
        # SQLite compares names without case and keeps the spelling of the reference.
        spelled = str(rows[0][2])
        other = names.get(spelled.lower(), spelled)
        named = tuple(row[3] for row in rows if row[3] is not None)
        keys.append(
            Key(
                kind=KeyKind.FOREIGN,
                columns=tuple(row[1] for row in rows),
                references=(SCHEMA, other),
                referenced_columns=named or primary.get(other, ()),
            )
        )
    return tuple(sorted(keys, key=lambda key: (key.kind, key.columns)))


def _by_number(rows: list[Row]) -> list[list[Row]]:
    """Group the rows of a key's columns by the number of the key."""
    groups: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[0]].append(row)
    return list(groups.values())
