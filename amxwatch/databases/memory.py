"""A database held in memory: for tests of flows, and the measure that real back ends are held to.

Its catalog is set from outside; comments written through it change that catalog.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import anyio.lowlevel

from amxwatch.core.catalog import Catalog, ObjectRef, ObjectType, Table
from amxwatch.core.change import Patch
from amxwatch.core.errors import DatabaseError, StatementRefusedError
from amxwatch.core.sample import ColumnTotals, Sample, Tally, Wanted
from amxwatch.core.tally import tally_of
from amxwatch.databases.one_by_one import one_by_one
from amxwatch.databases.sampling import comment_on
from amxwatch.ports.database import Capabilities, CommentTarget

EMPTY = Catalog(reader="memory/1", source="memory")


class MemoryDatabase:
    """Implements `ports.database.Database`, and is its own reader, sampler, commenter, hints.

    `fail_with` is raised by whatever is asked while it is set: an outage. `executed` logs the
    statements that were run, `reads`, `partial_reads` and `tallies` count what was asked, `rows`
    holds each table's rows.
    """

    def __init__(
        self, catalog: Catalog = EMPTY, *, capabilities: Capabilities | None = None
    ) -> None:
        self._catalog = catalog
        self.capabilities = capabilities or Capabilities(
            product="Memory",
            dialect="postgres",
            comments=frozenset(ObjectType),
        )
        self.rows: dict[ObjectRef, Sequence[tuple[object, ...]]] = {}
        self.fail_with: Exception | None = None
        self.executed: list[str] = []
        self.reads = 0
        self.partial_reads = 0
        self.tallies = 0
        self._read_last: Catalog | None = None
        self._version = 0
        self._listeners: list[anyio.Event] = []

    @property
    def catalog(self) -> Catalog:
        return self._catalog

    @catalog.setter
    def catalog(self, catalog: Catalog) -> None:
        """Make it the catalog that is read from now on; the gate moves."""
        self._catalog = catalog
        self._version += 1

    def hint(self) -> None:
        """Wake everyone who listens."""
        woken, self._listeners = self._listeners, []
        for event in woken:
            event.set()

    @property
    def reader(self) -> MemoryDatabase:
        return self

    @property
    def sampler(self) -> MemoryDatabase:
        return self

    @property
    def commenter(self) -> MemoryDatabase:
        return self

    @property
    def hints(self) -> MemoryDatabase:
        return self

    async def aclose(self) -> None:
        """Do nothing."""

    async def gate(self) -> str:
        await self._answer()
        return str(self._version)

    async def read(self) -> Catalog:
        self._read_last = None
        await self._answer()
        self.reads += 1
        self._read_last = self._catalog
        return self._catalog

    async def read_moved(self) -> Patch | None:
        former, self._read_last = self._read_last, None
        await self._answer()
        now = self._read_last = self._catalog
        if former is None or (former.reader, former.source) != (now.reader, now.source):
            return None
        if former.grants != now.grants or now.unseen:
            return None
        self.partial_reads += 1
        return _moved(former, now)

    async def sample(self, table: Table, *, rows: int, full: bool) -> Sample:
        await self._answer()
        held = self.rows.get(table.ref, ())
        names = tuple(column.name for column in table.columns)
        totals = {name: _totals([row[place] for row in held]) for place, name in enumerate(names)}
        return Sample(
            columns=names,
            rows=tuple(held[:rows]),
            row_count=len(held) if full else None,
            totals=totals if full else {},
        )

    async def tally(self, table: Table, wanted: Wanted) -> Tally:
        self.tallies += 1
        return tally_of(await self.sample(table, rows=wanted.rows, full=wanted.full), wanted)

    async def current(self, targets: Sequence[CommentTarget]) -> dict[ObjectRef, str | None]:
        await self._answer()
        live = _comments(self._catalog)
        return {target.ref: live[target.ref] for target in targets if target.ref in live}

    def statement(self, target: CommentTarget, text: str | None) -> str:
        if target.type not in self.capabilities.comments:
            raise StatementRefusedError(f"a {target.type} cannot hold a comment here")
        return comment_on(target, text)

    async def execute(self, target: CommentTarget, text: str | None) -> str:
        await self._answer()
        statement = self.statement(target, text)
        if target.ref not in _comments(self._catalog):
            raise StatementRefusedError(f"{target.ref} does not exist")
        self.executed.append(statement)
        self.catalog = _commented(self._catalog, target.ref, text or None)
        return text or ""

    async def execute_many(
        self, rows: Sequence[tuple[CommentTarget, str | None]]
    ) -> list[str | DatabaseError]:
        return await one_by_one(self.execute, rows)

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[str]]:
        await self._answer()
        yield self._reasons()

    async def _reasons(self) -> AsyncIterator[str]:
        while True:
            event = anyio.Event()
            self._listeners.append(event)
            await event.wait()
            await self._answer()
            yield "hint"

    async def _answer(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.fail_with is not None:
            raise self.fail_with


def _moved(former: Catalog, now: Catalog) -> Patch:
    before = {(table.schema, table.name): table for table in former.tables}
    after = {(table.schema, table.name): table for table in now.tables}
    return Patch(
        reader=now.reader,
        source=now.source,
        schemas=now.schemas,
        put=tuple(table for name, table in sorted(after.items()) if before.get(name) != table),
        gone=tuple(sorted(before.keys() - after.keys())),
        problems=now.problems,
    )


def _totals(values: list[object]) -> ColumnTotals:
    present = [value for value in values if value is not None]
    texts = sorted(map(str, present))
    return ColumnTotals(
        nulls=len(values) - len(present),
        distinct=len(set(texts)),
        minimum=texts[0] if texts else None,
        maximum=texts[-1] if texts else None,
    )


def _comments(catalog: Catalog) -> dict[ObjectRef, str | None]:
    found = {ObjectRef(schema=schema.name): schema.comment for schema in catalog.schemas}
    for table in catalog.tables:
        found[table.ref] = table.comment
        found |= {table.column_ref(column.name): column.comment for column in table.columns}
    return found


def _commented(catalog: Catalog, ref: ObjectRef, text: str | None) -> Catalog:
    if not ref.table:
        schemas = tuple(
            replace(schema, comment=text) if schema.name == ref.schema else schema
            for schema in catalog.schemas
        )
        return replace(catalog, schemas=schemas)
    tables = tuple(
        _table_commented(table, ref, text) if table.ref == ref.owner else table
        for table in catalog.tables
    )
    return replace(catalog, tables=tables)


def _table_commented(table: Table, ref: ObjectRef, text: str | None) -> Table:
    if not ref.column:
        return replace(table, comment=text)
    columns = tuple(
        replace(column, comment=text) if column.name == ref.column else column
        for column in table.columns
    )
    return replace(table, columns=columns)
