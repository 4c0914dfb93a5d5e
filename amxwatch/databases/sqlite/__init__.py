"""SQLite files, opened read-only for one operation at a time, and never created.

SQLite has no comments: statements are rendered for export, and executing one is refused. Each
file here is one window of `ports.database`; `catalog.sql` holds the queries. Needs SQLite 3.37.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from amxwatch.core.catalog import ObjectRef
from amxwatch.core.errors import DatabaseError, StatementRefusedError
from amxwatch.databases import ConnectOptions, file_of
from amxwatch.databases.one_by_one import one_by_one
from amxwatch.databases.sampling import comment_on
from amxwatch.databases.sqlite.file import SqliteFile
from amxwatch.databases.sqlite.reader import SqliteReader
from amxwatch.databases.sqlite.sampler import SqliteSampler
from amxwatch.ports.database import Capabilities, CommentTarget


class SqliteDatabase:
    """Implements `ports.database.Database`. Use `open_sqlite`."""

    def __init__(self, file: SqliteFile) -> None:
        self.capabilities = Capabilities(product="SQLite", dialect="sqlite", comments=frozenset())
        self.reader = SqliteReader(file)
        self.sampler = SqliteSampler(file)
        self.commenter = SqliteCommenter(self.reader)
        self.hints = None

    async def aclose(self) -> None:
        """Do nothing: no connection outlives an operation."""


def open_sqlite(url: str, *, relative_to: Path, options: ConnectOptions) -> SqliteDatabase:
    """Return an SQLite file, not yet opened. Raises: UsageError."""
    return SqliteDatabase(SqliteFile(file_of(url, relative_to=relative_to), options))


class SqliteCommenter:
    """Implements `ports.database.Commenter` for a database that holds no comments."""

    def __init__(self, reader: SqliteReader) -> None:
        self._reader = reader

    async def current(self, targets: Sequence[CommentTarget]) -> dict[ObjectRef, str | None]:
        catalog = await self._reader.read()
        live = {ObjectRef(schema=schema.name) for schema in catalog.schemas}
        for table in catalog.tables:
            live.add(table.ref)
            live.update(table.column_ref(column.name) for column in table.columns)
        return {target.ref: None for target in targets if target.ref in live}

    def statement(self, target: CommentTarget, text: str | None) -> str:
        return comment_on(target, text)

    async def execute(self, target: CommentTarget, text: str | None) -> str:
        raise StatementRefusedError(
            f"SQLite has no comments, so {target.ref} cannot hold one; "
            "export the statements and keep them beside the schema"
        )

    async def execute_many(
        self, rows: Sequence[tuple[CommentTarget, str | None]]
    ) -> list[str | DatabaseError]:
        return await one_by_one(self.execute, rows)
