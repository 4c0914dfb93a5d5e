"""Reads the tables and views of an SQLite file: all of them, or those that may have moved."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amxwatch.core.catalog import Column, Key, KeyKind, ObjectType, SourceProblem, Table
from amxwatch.databases.sqlite.file import QUERIES
from amxwatch.databases.sqlite.generated import generated_expressions
from amxwatch.databases.views import select_of

SCHEMA = "main"
GENERATED = {2: "VIRTUAL", 3: "STORED"}
MODULE = re.compile(r"\bUSING\s+[\"\[`]?(\w+)", re.IGNORECASE)

Row = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A file's schema at one moment: the rows that make it, and what they were read as."""

    relations: dict[str, Row]
    tables: dict[str, Table]
    problems: dict[str, SourceProblem]

    @property
    def all_problems(self) -> tuple[SourceProblem, ...]:
        return tuple(self.problems[name] for name in sorted(self.problems))


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What the queries gave, by relation."""

    columns: dict[str, list[Row]]
    foreign_keys: dict[str, list[Row]]
    unique_keys: dict[str, list[Row]]
    problems: dict[str, SourceProblem] = field(default_factory=dict)


def read_whole(connection: sqlite3.Connection, path: Path) -> Whole:
    """Read everything."""
    relations = _relations(connection)
    tables, problems = _read(connection, path, relations, set(relations), {})
    return Whole(relations=relations, tables=tables, problems=problems)


def read_again(connection: sqlite3.Connection, path: Path, before: Whole) -> Whole | None:
    """Read what may have moved since; None where that is most of it.

    Views go by the tables below them, virtual tables by their modules, and foreign keys by the
    names and primary keys of other tables.
    """
    relations = _relations(connection)
    names = before.relations.keys() | relations.keys()
    moved = {name for name in names if before.relations.get(name) != relations.get(name)}
    if len(moved) > max(8, len(relations) // 2):
        return None
    again = {name for name in moved if name in relations}
    if moved:
        again |= {name for name, row in relations.items() if row[2] != "table"}
        again |= _referring(before.tables, moved) & relations.keys()
    known = {name: table for name, table in before.tables.items() if name in relations}
    tables, problems = _read(connection, path, relations, again, known)
    kept = {n: p for n, p in before.problems.items() if n in relations and n not in again}
    return Whole(relations=relations, tables=known | tables, problems=kept | problems)


def _relations(connection: sqlite3.Connection) -> dict[str, Row]:
    return {name: tuple(rest) for name, *rest in connection.execute(QUERIES["relations"])}


def _referring(tables: dict[str, Table], moved: set[str]) -> set[str]:
    """Return the tables whose foreign keys name one of these; SQLite names without case."""
    folded = {name.lower() for name in moved}
    return {
        name
        for name, table in tables.items()
        if any(key.references and key.references[1].lower() in folded for key in table.keys)
    }


def _read(
    connection: sqlite3.Connection,
    path: Path,
    relations: dict[str, Row],
    wanted: set[str],
    known: dict[str, Table],
) -> tuple[dict[str, Table], dict[str, SourceProblem]]:
    parts = _read_parts(connection, path, {n: r for n, r in relations.items() if n in wanted})
    names = {name.lower(): name for name in relations}
    # Not of what is read again: a view that is broken now may have been a table with a key.
    primary = {name: _primary_of(table) for name, table in known.items() if name not in wanted}
    primary |= {name: _primary_key(rows) for name, rows in parts.columns.items()}
    tables = {}
    for name in wanted:
        kind, create, product, has_no_rowid, is_strict = relations[name]
        tables[name] = Table(
            schema=SCHEMA,
            name=name,
            type=ObjectType(kind),
            columns=_columns(parts.columns.get(name, []), create),
            keys=_keys(name, parts, names, primary),
            definition=select_of(create) if kind == "view" else None,
            variant=_variant(product, has_no_rowid=has_no_rowid, is_strict=is_strict),
        )
    return tables, parts.problems


def _variant(product: str, *, has_no_rowid: int, is_strict: int) -> str | None:
    if product == "virtual":
        return "virtual"
    words = (["without rowid"] if has_no_rowid else []) + (["strict"] if is_strict else [])
    return ", ".join(words) or None


def _read_parts(connection: sqlite3.Connection, path: Path, relations: dict[str, Row]) -> _Parts:
    known = {name for (name,) in connection.execute(QUERIES["modules"])}
    problems = {}
    readable = []
    for name, (kind, create, *_) in relations.items():
        module = MODULE.search(create) if create.lstrip()[:14].upper() == "CREATE VIRTUAL" else None
        if module is not None and module[1].lower() not in known:
            problems[name] = SourceProblem(
                file=str(path), message=f"{name}: no such module: {module[1]}"
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
    connection: sqlite3.Connection, path: Path, views: list[str], problems: dict[str, SourceProblem]
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
                problems[name] = SourceProblem(file=str(path), message=f"view {name}: {error}")
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


def _primary_of(table: Table) -> tuple[str, ...]:
    return next((key.columns for key in table.keys if key.kind is KeyKind.PRIMARY), ())


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
