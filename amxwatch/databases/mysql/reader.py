"""Reads the catalog whole from information_schema, and tells cheaply when it moved."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pymysql

from amxwatch.core.catalog import (
    Catalog,
    Column,
    Key,
    KeyKind,
    ObjectRef,
    ObjectType,
    Schema,
    SourceProblem,
    Table,
)
from amxwatch.core.errors import DatabaseUnavailableError
from amxwatch.databases.mysql.address import code_of
from amxwatch.databases.mysql.connection import (
    QUERIES,
    Connection,
    Session,
    execute,
    quoted,
    value,
)
from amxwatch.databases.mysql.privileges import rights_of
from amxwatch.databases.mysql.spelling import SPATIAL, spelled_default, spelled_type
from amxwatch.databases.mysql.stillness import Stillness, look

READERS = {"MariaDB": "mariadb/1", "MySQL": "mysql/1"}
READ_TRIES = 5
"""information_schema shows each table as of now; a read that was overtaken is made again."""

SKIPPED = 1684
"""The warning that a table was left out because somebody is altering it."""

UNKNOWN_DATABASE = 1049
"""What the server says of a database that it lacks, to those who may know."""

Name = tuple[str, str]


class MysqlReader:
    """Implements `ports.database.Reader`.

    It does not tell what moved (`ports.partial`): the server has no mark of a table that is
    exact and cheaper than its columns.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seen: tuple[Connection, Stillness, str] | None = None
        """The connection and counters of the last look, and the fingerprint after it."""
        self._fresh: Catalog | None = None
        """What the last look read for its fingerprint, so that the next read need not."""

    async def gate(self) -> str:
        return await self._session.run(self._gate)

    async def read(self) -> Catalog:
        return await self._session.run(self._read)

    def _gate(self, connection: Connection) -> str:
        """Return a hash of all that is read, made anew only where something may have moved."""
        self._fresh = None
        now = look(self._session, connection)
        if self._seen is not None and self._stands(connection, now):
            return self._seen[2]
        scan = _Scan(session=self._session, connection=connection)
        catalog = _assemble(scan)
        self._seen = (connection, now, scan.digest())
        self._fresh = None if scan.is_partial else catalog
        return scan.digest()

    def _stands(self, connection: Connection, now: Stillness) -> bool:
        return (
            self._seen is not None
            and self._seen[0] is connection
            and now.stands_since(self._seen[1])
        )

    def _read(self, connection: Connection) -> Catalog:
        """Read until nothing can have moved meanwhile: nobody was at work, or twice the same.

        Raises: DatabaseUnavailableError where DDL simply goes on and on.
        """
        before = look(self._session, connection)
        fresh, self._fresh = self._fresh, None
        if fresh is not None and self._stands(connection, before):
            return fresh
        former = ""
        for _ in range(READ_TRIES):
            scan = _Scan(session=self._session, connection=connection)
            catalog = _assemble(scan)
            after = look(self._session, connection)
            is_same = scan.digest() == former or after.stands_since(before)
            if is_same and not scan.is_partial:
                return catalog
            before, former = after, scan.digest()
        raise DatabaseUnavailableError(
            f"{self._session.address.label} is busy: its tables changed each of {READ_TRIES} times "
            "that they were read; it will be tried again"
        )


@dataclass(kw_only=True)
class _Scan:
    """One pass over information_schema, hashed as it goes by.

    `is_partial` says that the server left out a table that was being altered.
    """

    session: Session
    connection: Connection
    is_partial: bool = False
    _has_spatial: bool = False
    _hash: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    def digest(self) -> str:
        found: str = self._hash.hexdigest()
        return found

    def schemas(self) -> Iterator[tuple[Any, ...]]:
        return self._rows(self.session.product.schemas)

    def relations(self) -> Iterator[tuple[Any, ...]]:
        return self._rows("relations", hashed=6)  # an estimate moves by itself

    def columns(self) -> Iterator[tuple[Any, ...]]:
        for row in self._rows("columns"):
            self._has_spatial |= row[3] in SPATIAL
            yield row

    def keys(self) -> Iterator[tuple[Any, ...]]:
        return self._rows("keys")

    def definitions(self) -> Iterator[tuple[Any, ...]]:
        return self._rows("definitions")

    def systems(self) -> Iterator[tuple[Any, ...]]:
        """Yield the reference systems; asked only where `columns` gave a spatial one."""
        return self._rows(self.session.product.spatial) if self._has_spatial else iter(())

    def _rows(self, query: str, *, hashed: int | None = None) -> Iterator[tuple[Any, ...]]:
        self._hash.update(query.encode())
        with self.connection.cursor() as cursor:
            cursor.execute(self.session.chosen(query))
            self._heed_warnings()
            for row in cursor:
                self._hash.update(repr(row[:hashed]).encode())
                yield row

    def _heed_warnings(self) -> None:
        found = {code for _, code, _ in execute(self.connection, "SHOW WARNINGS")}
        self.is_partial |= SKIPPED in found


@dataclass(kw_only=True)
class _Parts:
    """What the queries gave, by the name of the table."""

    columns: dict[Name, list[Column]] = field(default_factory=lambda: defaultdict(list))
    keys: dict[Name, list[Key]] = field(default_factory=lambda: defaultdict(list))
    definitions: dict[Name, str] = field(default_factory=dict)
    problems: list[SourceProblem] = field(default_factory=list)
    unseen: list[ObjectRef] = field(default_factory=list)

    def problem(self, name: Name, message: str) -> None:
        ref = ObjectRef(schema=name[0], table=name[1])
        self.problems.append(SourceProblem(file=str(ref), message=message))


def _assemble(scan: _Scan) -> Catalog:
    schemas = tuple(Schema(name=name, comment=comment or None) for name, comment in scan.schemas())
    _require(scan, schemas)
    relations = list(scan.relations())
    parts = _Parts()
    columns = list(scan.columns())
    parts.keys.update(_keys(scan.keys()))
    parts.definitions.update({row[:2]: row[2] for row in scan.definitions()})
    systems = {row[:3]: int(row[3]) for row in scan.systems()}
    for row in columns:
        parts.columns[row[:2]].append(
            _column(scan.session, row, len(parts.columns[row[:2]]) + 1, systems.get(row[:3]))
        )
    tables = [table for row in relations if (table := _table(parts, *row)) is not None]
    return Catalog(
        reader=READERS[scan.session.product.name],
        source=_source(scan),
        schemas=tuple(sorted(schemas, key=lambda schema: schema.name)),
        tables=tuple(sorted(tables, key=lambda table: (table.schema, table.name))),
        problems=tuple(parts.problems),
        unseen=tuple(sorted(parts.unseen)),
        grants=rights_of(scan.session, scan.connection).digest(),
    )


def _require(scan: _Scan, schemas: tuple[Schema, ...]) -> None:
    address = scan.session.address
    if not address.schema or schemas:
        return
    try:
        execute(scan.connection, f"USE {quoted(address.schema)}")  # refused where we may not
    except pymysql.err.OperationalError as error:
        if code_of(error) != UNKNOWN_DATABASE:
            raise
    raise DatabaseUnavailableError(
        f"{address.label} cannot be read: the server has no database {address.schema}, or "
        "hides it; check its name in the URL, and the GRANTs of this user"
    )


def _source(scan: _Scan) -> str:
    """Name the server by its own number where it has a lasting one, else by its address."""
    product, address = scan.session.product, scan.session.address
    number = value(scan.connection, QUERIES[product.identity])
    place = str(number) if number else address.place
    return f"{product.scheme}:{place}/{address.schema}"


def _column(session: Session, row: tuple[Any, ...], ordinal: int, system: int | None) -> Column:
    _, _, name, declared, is_nullable, default, extra, expression, collation, comment = row
    product = session.product
    return Column(
        name=name,
        type=spelled_type(product, declared, collation=collation, reference_system=system),
        nullable=is_nullable == "YES",
        default=spelled_default(
            product, declared=declared, text=default, extra=extra or "", expression=expression
        ),
        ordinal=ordinal,
        comment=comment or None,
    )


def _keys(rows: Iterator[tuple[Any, ...]]) -> dict[Name, list[Key]]:
    """Gather the columns of each key; a foreign and a unique key may share a name."""
    gathered: dict[tuple[Any, ...], list[tuple[str, str | None]]] = defaultdict(list)
    for schema, table, name, column, other_schema, other, other_column in rows:
        gathered[schema, table, name, other_schema, other].append((column, other_column))
    found: dict[Name, list[Key]] = defaultdict(list)
    for (schema, table, name, other_schema, other), pairs in gathered.items():
        kind = KeyKind.PRIMARY if name == "PRIMARY" else KeyKind.UNIQUE
        found[schema, table].append(
            Key(
                kind=KeyKind.FOREIGN if other else kind,
                columns=tuple(column for column, _ in pairs),
                name=name,
                references=(other_schema, other) if other else None,
                referenced_columns=tuple(there for _, there in pairs if there is not None),
            )
        )
    return found


def _table(
    parts: _Parts,
    schema: str,
    name: str,
    kind: str,
    engine: str | None,
    is_partitioned: int,
    comment: str | None,
    rows: int | None,
) -> Table | None:
    """Return a table or view; None, and a problem, for one of which no column can be seen."""
    place = (schema, name)
    is_view = kind == "VIEW"
    columns = parts.columns.get(place)
    if not columns:
        parts.unseen.append(ObjectRef(schema=schema, table=name))
        parts.problem(place, _hidden(is_view, comment))
        return None
    if is_view and not parts.definitions.get(place):
        parts.problem(place, "its SELECT is hidden; GRANT SHOW VIEW and SELECT on it to this user")
    keys = parts.keys.get(place, [])
    return Table(
        schema=schema,
        name=name,
        type=ObjectType.VIEW if is_view else ObjectType.TABLE,
        columns=tuple(columns),
        keys=tuple(sorted(keys, key=lambda key: (key.kind, key.columns, key.name or ""))),
        comment=None if is_view else comment or None,
        definition=(parts.definitions.get(place) or None) if is_view else None,
        row_estimate=None if is_view else rows,
        variant=None if is_view else _variant(kind, engine, bool(is_partitioned)),
    )


def _hidden(is_view: bool, comment: str | None) -> str:
    if is_view and comment and comment != "VIEW":
        return f"the view is broken: {comment}"
    return "none of its columns can be seen; GRANT SELECT on it to this user, or mend it"


def _variant(kind: str, engine: str | None, is_partitioned: bool) -> str | None:
    if kind == "SYSTEM VERSIONED":
        return "system versioned"
    if is_partitioned:
        return "partitioned"
    return None if engine in (None, "InnoDB") else engine
