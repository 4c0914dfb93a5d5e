"""Reads a catalog through SQLAlchemy's inspector: a few bulk calls a schema."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Connection
from sqlalchemy.engine.reflection import Inspector, ObjectKind

from amxwatch.core.catalog import Catalog, ObjectRef, ObjectType, Schema, SourceProblem, Table
from amxwatch.core.errors import DatabaseUnavailableError, StatementRefusedError
from amxwatch.databases.generic import dialects
from amxwatch.databases.generic.connection import SLIPS, GenericEngine, told
from amxwatch.databases.generic.spelling import columns_of, keys_of
from amxwatch.databases.queries import load_queries
from amxwatch.databases.views import select_of

T = TypeVar("T")
READER = "generic/1"
READ_TRIES = 3
"""A reading during which the mark moved is made again this often."""

FRESH_SECONDS = 2.0
"""How long what the gate read is good for the read that follows it."""

MARKS = load_queries("amxwatch.databases.generic", "marks.sql")
DEFINITIONS = load_queries("amxwatch.databases.generic", "definitions.sql")

Answers = dict[str, Any]
"""What an inspector's bulk call gave, by table."""


class GenericReader:
    """Implements `ports.database.Reader`."""

    def __init__(self, engine: GenericEngine) -> None:
        self._engine = engine
        self._mark = MARKS.get(dialects.family(engine.dialect.name))
        self._fresh: tuple[float, Catalog] | None = None

    async def gate(self) -> str:
        """Return the database's own mark where it has a cheap one, else a hash of everything.

        What was read for that serves the read that follows.
        """
        return await self._engine.run(self._gate)

    async def read(self) -> Catalog:
        fresh, self._fresh = self._fresh, None
        if fresh is not None and self._engine.clock.monotonic() - fresh[0] < FRESH_SECONDS:
            return fresh[1]
        return await self._engine.run(self._read)

    def _gate(self, connection: Connection) -> str:
        mark = self._look(connection)
        if mark is not None:
            return mark
        catalog = self._read(connection)
        self._fresh = self._engine.clock.monotonic(), catalog
        return hashlib.blake2b(repr(catalog).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _look(self, connection: Connection) -> str | None:
        """Return the mark, or None from the first time on that it is refused."""
        if self._mark is None:
            return None
        try:
            with self._engine.translated():
                row = connection.exec_driver_sql(self._mark).one()
        except StatementRefusedError:
            connection.rollback()
            self._mark = None
            return None
        return "|".join(str(value) for value in row)

    def _read(self, connection: Connection) -> Catalog:
        """Read until the mark stood still meanwhile, at most `READ_TRIES` times."""
        for _ in range(READ_TRIES - 1):
            before = self._look(connection)
            catalog = self._read_once(connection)
            if before is None or self._look(connection) == before:
                return catalog
        return self._read_once(connection)

    def _read_once(self, connection: Connection) -> Catalog:
        # A type that a dialect does not know is spelled so; its warning is for programmers.
        with warnings.catch_warnings(action="ignore", category=exc.SAWarning):
            reading = Reading(self._engine, connection)
            names = reading.schemas()
            for name in names:
                reading.read_schema(name)
            return reading.catalog(names)


@dataclass(kw_only=True)
class _Parts:
    """What the bulk calls gave of one schema, by table."""

    columns: Answers
    primary: Answers
    foreign: Answers
    unique: Answers
    comments: Answers
    views: Mapping[str, ObjectType] = field(default_factory=dict)
    definitions: Mapping[str, str] = field(default_factory=dict)


class Reading:
    """One pass over a catalog; what is refused is named, and the rest counts."""

    def __init__(self, engine: GenericEngine, connection: Connection) -> None:
        self._engine = engine
        self._connection = connection
        self._inspector: Inspector = sa.inspect(connection)
        self._tables: list[Table] = []
        self._problems: list[SourceProblem] = []
        self._unseen: list[ObjectRef] = []

    def schemas(self) -> list[str]:
        """Return the schemas that are not the database's own."""
        with self._engine.translated():
            found = self._inspector.get_schema_names()
            default = self._inspector.default_schema_name
        listed = found or ([default] if default else [])
        kept = {name for name in listed if not dialects.is_system(name, self._engine.dialect.name)}
        return sorted(kept)

    def read_schema(self, schema: str) -> None:
        """Read a schema at once, or table by table where that is refused."""
        try:
            self._take(schema, self._parts(schema, None))
        except StatementRefusedError as refused:
            self._again()
            if schema in self.schemas():  # else it was dropped meanwhile
                self._read_apart(schema, refused)

    def catalog(self, schemas: Collection[str]) -> Catalog:
        """Return what was read. Raises: DatabaseUnavailableError where nothing could be."""
        hidden = {ref.schema for ref in self._unseen if not ref.table}
        if schemas and not self._tables and hidden >= set(schemas):
            raise DatabaseUnavailableError(
                f"no schema can be read; the first: {self._problems[0].message}"
            )
        return Catalog(
            reader=f"{READER}/{self._engine.dialect.name}",
            source=self._engine.source,
            schemas=tuple(Schema(name=name) for name in sorted(schemas)),
            tables=tuple(sorted(self._tables, key=lambda table: (table.schema, table.name))),
            problems=tuple(self._problems),
            unseen=tuple(sorted(self._unseen)),
        )

    def _read_apart(self, schema: str, refused: StatementRefusedError) -> None:
        """Read each table by itself; name those that cannot be read."""
        try:
            names = self._names(schema)
        except StatementRefusedError:
            self._again()
            self._missed(ObjectRef(schema=schema), refused)
            return
        before = len(self._tables)
        failures = []
        for name in names:
            try:
                self._take(schema, self._parts(schema, [name]))
            except StatementRefusedError as error:
                self._again()
                failures.append((ObjectRef(schema=schema, table=name), error))
        if failures and len(self._tables) == before:
            failures = [(ObjectRef(schema=schema), refused)]
        for ref, why in failures:
            self._missed(ref, why)

    def _again(self) -> None:
        """Go on after a refusal: a broken transaction ends, and nothing stays remembered."""
        with self._engine.translated():
            self._connection.rollback()
            self._inspector = sa.inspect(self._connection)

    def _missed(self, ref: ObjectRef, error: StatementRefusedError) -> None:
        self._unseen.append(ref)
        self._problems.append(
            SourceProblem(file=str(ref), message=f"not visible, its last version stays: {error}")
        )

    def _names(self, schema: str) -> list[str]:
        with self._engine.translated():
            found = {*self._inspector.get_table_names(schema), *self._views(schema)}
        return sorted(name for name in found if not self._is_hidden(name))

    def _views(self, schema: str) -> dict[str, ObjectType]:
        """Return what is a view. A dialect that tells no materialized ones has none."""
        views = dict.fromkeys(_asked(self._inspector.get_view_names, schema), ObjectType.VIEW)
        stored = _asked(self._inspector.get_materialized_view_names, schema)
        return views | dict.fromkeys(stored, ObjectType.MATERIALIZED_VIEW)

    def _parts(self, schema: str, names: list[str] | None) -> _Parts:
        look = self._inspector
        only: dict[str, Any] = {"schema": schema, "kind": ObjectKind.ANY, "filter_names": names}
        with self._engine.translated():
            return _Parts(
                columns=_bulk(look.get_multi_columns, only),
                primary=self._spare("primary keys", look.get_multi_pk_constraint, only),
                foreign=self._spare("foreign keys", look.get_multi_foreign_keys, only),
                unique=self._spare("unique keys", look.get_multi_unique_constraints, only),
                comments=self._spare("table comments", look.get_multi_table_comment, only),
                views=self._views(schema),
                definitions=self._definitions(schema),
            )

    def _spare(self, what: str, ask: Callable[..., Any], only: dict[str, Any]) -> Answers:
        """Return what a bulk call tells; a dialect that stumbles over it does so each time."""
        try:
            return _bulk(ask, only)
        except SLIPS as error:
            name = self._engine.dialect.name
            message = f"the dialect {name} cannot tell the {what}: {error}; they are left out"
            self._problems.append(SourceProblem(file=only["schema"], message=message))
            return {}

    def _is_hidden(self, name: str) -> bool:
        return dialects.is_hidden(name, self._engine.dialect.name)

    def _take(self, schema: str, parts: _Parts) -> None:
        """Turn what was told of a schema's tables into ours."""
        known = frozenset(parts.columns)
        tables = [
            self._table(schema, name, parts, known)
            for name in parts.columns
            if not self._is_hidden(name)
        ]
        self._tables += tables

    def _table(self, schema: str, name: str, parts: _Parts, known: frozenset[str]) -> Table:
        kind = parts.views.get(name, ObjectType.TABLE)
        default = self._inspector.default_schema_name

        def place(other: str | None, table: str) -> tuple[str, str]:
            return (other or (schema if table in known or not default else default)), table

        with self._engine.translated():
            return Table(
                schema=schema,
                name=name,
                type=kind,
                columns=columns_of(parts.columns[name], self._engine.dialect),
                keys=keys_of(
                    parts.primary.get(name),
                    parts.unique.get(name) or (),
                    parts.foreign.get(name) or (),
                    place,
                ),
                comment=(parts.comments.get(name) or {}).get("text") or None,
                definition=None
                if kind is ObjectType.TABLE
                else self._definition(schema, name, parts),
            )

    def _definitions(self, schema: str) -> dict[str, str]:
        """Return the texts of a schema's views at once, where a query of ours tells them."""
        query = DEFINITIONS.get(dialects.family(self._engine.dialect.name))
        if query is None:
            return {}
        rows = self._connection.execute(sa.text(query), {"schema": schema})
        return {str(name): str(text) for name, text in rows}

    def _definition(self, schema: str, name: str, parts: _Parts) -> str | None:
        """Return a view's SELECT; a view whose text we may not see keeps its columns."""
        try:
            text = parts.definitions.get(name) or told(
                lambda: self._inspector.get_view_definition(name, schema), None
            )
        except exc.NoSuchTableError:
            return None
        if text and text.lstrip()[:6].upper() in {"CREATE", "ALTER "}:
            text = select_of(text)
        return text.strip().removesuffix(";").rstrip() or None if text else None


def _asked(ask: Callable[[str], list[str]], schema: str) -> list[str]:
    return told(lambda: ask(schema), [])


def _bulk(ask: Callable[..., Any], only: dict[str, Any]) -> Answers:
    """Return what a bulk call tells, by table; nothing where a dialect does not know of it."""
    answers: dict[Any, Any] = told(lambda: ask(**only), {})
    return {name: answer for (_, name), answer in answers.items()}
