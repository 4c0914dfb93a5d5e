"""Reads PostgreSQL's catalog, whole or only what moved, and tells cheaply when it moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from amxwatch.core.catalog import Catalog, Schema
from amxwatch.core.change import Patch
from amxwatch.core.collector import collector_paused
from amxwatch.databases.postgres.connection import QUERIES, Connection, Session
from amxwatch.databases.postgres.fingerprint import Look, ask_moment, take_look
from amxwatch.databases.postgres.memory import Memory, names_of
from amxwatch.databases.postgres.parts import Parts, ask, read_parts

READER = "postgres/2"
READ_TRIES = 4
"""Types and views are spelled as of now; a read during which some moved is made again."""

VIEWS_AT_ONCE = 200
"""Spelling a view locks what it names, until its transaction ends: few, and for a moment."""

SHARE = 5
"""Where more than one of so many relations is to be read again, all are; unless they are `FEW`."""

FEW = 50

MOVED_MEANWHILE = (psycopg.errors.InternalError_, psycopg.ProgrammingError)
"""What PostgreSQL raises for something that was dropped after our snapshot was taken."""


class PostgresReader:
    """Implements `ports.database.Reader` and `ports.partial.PartialReader`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._last: Look | None = None
        """The last look; the next one is cheap with it."""
        self._memory: Memory | None = None
        """The last read that returned."""
        self._named: tuple[tuple[str, int], str] | None = None
        """What the database is called, and by which server over which connection."""

    async def gate(self) -> str:
        return await self._session.run(self._gate)

    async def read(self) -> Catalog:
        return await self._session.run(self._read)

    async def read_moved(self) -> Patch | None:
        memory, self._memory = self._memory, None
        return await self._session.run(lambda connection: self._read_moved(connection, memory))

    def _gate(self, connection: Connection) -> str:
        """Return the token of the last look, or of one made now where something was committed.

        The token is the same for the same catalog: ordinary writes leave it alone.
        """
        if self._last is not None:
            moment = ask_moment(connection, self._session.epoch)
            if moment.proves(self._last.moment):
                return self._last.token
        with self._session.transaction(connection, read_only=True):
            return self._look(connection).token

    def _look(self, connection: Connection) -> Look:
        moment = ask_moment(connection, self._session.epoch)
        if self._last is None or not moment.proves(self._last.moment):
            self._last = take_look(connection, moment, ask(connection, "schemas"), self._last)
        return self._last

    def _source(self, connection: Connection, look: Look) -> str:
        asked = (look.moment.started, look.moment.epoch)
        if self._named is None or self._named[0] != asked:
            self._named = (asked, _source(connection))
        return self._named[1]

    def _stands(self, connection: Connection, look: Look) -> bool:
        return self._gate(connection) == look.token

    def _read(self, connection: Connection) -> Catalog:
        """Read until nothing moved meanwhile, at most `READ_TRIES` times.

        On the last try DDL is simply going on: views that vanish are left out, and the gate has
        moved, so the next poll reads again.
        """
        self._memory = None
        for tries in range(READ_TRIES, 0, -1):
            is_last = tries == 1
            try:
                found = self._read_once(connection, one_by_one=is_last)
            except MOVED_MEANWHILE:
                if is_last:
                    raise
                continue
            if is_last or self._stands(connection, found.look):
                break
        with collector_paused():
            tables = found.parts.tables(found.definitions)
            self._memory = Memory.of(found.source, found.look, tables)
        return Catalog(
            reader=READER, source=found.source, schemas=_schemas(found.look), tables=tables
        )

    def _read_once(self, connection: Connection, *, one_by_one: bool) -> _Found:
        with self._session.transaction(connection, read_only=True), collector_paused():
            look = self._look(connection)
            source = self._source(connection, look)
            parts = read_parts(connection, look.schemas, None)
        return _Found(
            look=look,
            source=source,
            parts=parts,
            definitions=self._definitions(connection, parts.views, one_by_one=one_by_one),
        )

    def _read_moved(self, connection: Connection, memory: Memory | None) -> Patch | None:
        """Read what moved; as `_read`, but where DDL goes on the whole catalog is read instead."""
        if memory is None:
            return None
        for _ in range(READ_TRIES - 1):
            try:
                found = self._read_moved_once(connection, memory)
            except MOVED_MEANWHILE:
                continue
            if found is None:
                return None
            if self._stands(connection, found.look):
                return self._patch(memory, found)
        return None

    def _patch(self, memory: Memory, found: _Found) -> Patch:
        put = found.parts.tables(found.definitions)
        buckets = found.look.moved(memory.look)
        names = {(table.schema, table.name) for table in put}
        before = {known.key for known in memory.known(buckets).values()}
        self._memory = memory.follow(found.look, buckets, put)
        return Patch(
            reader=READER,
            source=found.source,
            schemas=_schemas(found.look),
            put=put,
            gone=tuple(sorted(before - names)),
        )

    def _read_moved_once(self, connection: Connection, memory: Memory) -> _Found | None:
        with self._session.transaction(connection, read_only=True):
            look = self._look(connection)
            source = self._source(connection, look)
            if source != memory.source or not _is_comparable(look, memory.look):
                return None
            parts = _read_buckets(connection, look, memory)
            if parts is None:
                return None
        return _Found(
            look=look,
            source=source,
            parts=parts,
            definitions=self._definitions(connection, parts.views, one_by_one=False),
        )

    def _definitions(
        self, connection: Connection, views: Sequence[int], *, one_by_one: bool
    ) -> dict[int, str]:
        """Spell views, some at a time; with `one_by_one` those that are gone are left out."""
        found: dict[int, str] = {}
        step = 1 if one_by_one else VIEWS_AT_ONCE
        for start in range(0, len(views), step):
            some = list(views[start : start + step])
            try:
                with self._session.transaction(connection, read_only=True):
                    found |= _spell(connection, some)
            except MOVED_MEANWHILE:
                if not one_by_one:
                    raise
        return found


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What one try to read came to."""

    look: Look
    source: str
    parts: Parts
    definitions: dict[int, str]


def _is_comparable(look: Look, earlier: Look) -> bool:
    """Say whether what differs between two looks is in their buckets.

    A schema that came or went shows in them; one that was renamed is in every name.
    """
    names = {oid: name for oid, name, _ in look.schemas}
    return (
        look.moment.started == earlier.moment.started
        and look.environment == earlier.environment
        and all(names.get(oid, name) == name for oid, name, _ in earlier.schemas)
    )


def _read_buckets(connection: Connection, look: Look, memory: Memory) -> Parts | None:
    """Read the relations of the moved buckets, and those that are spelled with their names.

    None where a whole read is cheaper.
    """
    buckets = look.moved(memory.look)
    members = look.ask_members(connection, buckets)
    if _is_many(len(members), memory):
        return None
    parts = read_parts(connection, look.schemas, members)
    known = memory.known(buckets)
    # Of a sequence, a row type or a partition no names are remembered: any may be new.
    same = {
        table.native_id
        for table in parts.tables(dict.fromkeys(parts.views, ""))
        if table.native_id in known and known[table.native_id].names == names_of(table)
    }
    renamed = [oid for oid in members if oid not in same]
    if not renamed:
        return parts
    dependents = {row[0] for row in ask(connection, "dependents", [renamed])} - set(members)
    if _is_many(len(members) + len(dependents), memory):
        return None
    return parts.merge(read_parts(connection, look.schemas, sorted(dependents)))


def _is_many(count: int, memory: Memory) -> bool:
    return count > FEW and count * SHARE > memory.count


def _source(connection: Connection) -> str:
    """Name the database by its cluster's own number, or without where we may not ask for it."""
    try:
        with connection.transaction():
            row = connection.execute(QUERIES["source"]).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        row = None
    if row is None:
        return f"postgresql:{connection.info.dbname}"
    return f"postgresql:{row[0]}/{row[1]}"


def _schemas(look: Look) -> tuple[Schema, ...]:
    return tuple(Schema(name=name, comment=comment) for _, name, comment in look.schemas)


def _spell(connection: Connection, views: list[int]) -> dict[int, str]:
    found = ask(connection, "definitions", [views])
    texts = {oid: text.strip().removesuffix(";") for oid, text in found if text}
    if len(texts) < len(views):
        raise psycopg.errors.UndefinedTable("a view was dropped while it was read")
    return texts
