"""A folder of SQL files as a database; implements `ports.database.Database`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from amxwatch.core.catalog import Catalog, ObjectRef, Table
from amxwatch.core.change import Patch
from amxwatch.core.errors import DatabaseError, StatementRefusedError
from amxwatch.core.sample import Sample, Tally, Wanted
from amxwatch.databases.blocking import BlockingLane
from amxwatch.databases.one_by_one import one_by_one
from amxwatch.databases.sql_folder import dialects
from amxwatch.databases.sql_folder.files import COMMENTS_FILE
from amxwatch.databases.sql_folder.reading import FolderReading
from amxwatch.ports.database import Capabilities, CommentTarget

if TYPE_CHECKING:
    from amxwatch.databases.sql_folder.comments import CommentsFile

T = TypeVar("T")


class SqlFolder:
    """One folder: reader, sampler and commenter in one, as there is no connection to share.

    `watch_paths` is what to watch for wake-ups, `own_files` what we write there ourselves.
    """

    def __init__(self, folder: Path, dialect: str) -> None:
        self._folder = folder
        self._name = dialect
        self._reading = FolderReading(folder, dialect)
        self._lane = BlockingLane(self._reading.parser.interrupt)
        self._has_told = False

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            product="SQL files",
            dialect=self._name,
            comments=dialects.holds_comments(self._name),
            sampling=False,
        )

    @property
    def reader(self) -> SqlFolder:
        return self

    @property
    def sampler(self) -> SqlFolder:
        return self

    @property
    def commenter(self) -> SqlFolder:
        return self

    @property
    def hints(self) -> None:
        """None: who runs this watches `watch_paths`."""

    @property
    def watch_paths(self) -> tuple[Path, ...]:
        return (self._folder,)

    @property
    def own_files(self) -> tuple[Path, ...]:
        return (self._folder / COMMENTS_FILE,)

    async def aclose(self) -> None:
        """Nothing is open between calls."""

    def remember(self, catalog: Catalog) -> None:
        """Take the newest stored catalog, before the first read of this process.

        A table that a broken statement names keeps the version that it has there.
        """
        self._reading.remember(catalog)

    async def gate(self) -> str:
        """Return a token over every file's path and content."""
        return await self._run(self._reading.gate)

    async def read(self) -> Catalog:
        """Return the catalog that the files would build; what cannot be read is a problem."""
        self._has_told = False
        catalog = await self._run(self._reading.read)
        self._has_told = True
        return catalog

    async def read_moved(self) -> Patch | None:
        """Return the tables that differ from the last catalog or patch that was returned."""
        if not self._has_told:
            return None
        self._has_told = False
        patch = await self._run(self._reading.read_moved)
        self._has_told = patch is not None
        return patch

    async def sample(self, table: Table, *, rows: int, full: bool) -> Sample:
        """Return no rows: files of definitions hold none."""
        await self.gate()  # says when the folder is gone, as the port promises
        return Sample(columns=tuple(column.name for column in table.columns), rows=())

    async def tally(self, table: Table, wanted: Wanted) -> Tally:
        """Return an empty tally: files of definitions hold no rows."""
        await self.gate()
        return Tally()

    async def current(self, targets: Sequence[CommentTarget]) -> dict[ObjectRef, str | None]:
        """Return the comment that each existing target has."""

        def work() -> dict[ObjectRef, str | None]:
            known = _comments(self._reading.current(), {target.ref.owner for target in targets})
            return {t.ref: known[t.ref] for t in targets if t.ref in known}

        return await self._run(work)

    def statement(self, target: CommentTarget, text: str | None) -> str:
        """Return COMMENT ON, also for dialects without it: then it is for export only."""
        from amxwatch.databases.sql_folder.comments import comment_statement

        return comment_statement(target, text, self._name)

    async def execute(self, target: CommentTarget, text: str | None) -> str:
        """Write the comment to our file in the folder, and return it as the folder now has it."""
        statement = self.statement(target, text)
        if target.type not in self.capabilities.comments:
            raise StatementRefusedError(
                f"{self._name or 'this dialect'} has no COMMENT ON for a {target.type}, so "
                f"{target.ref} cannot be described in SQL files"
            )
        return await self._run(lambda: self._write(target.ref, statement, text))

    async def execute_many(
        self, rows: Sequence[tuple[CommentTarget, str | None]]
    ) -> list[str | DatabaseError]:
        return await one_by_one(self.execute, rows)

    def _write(self, ref: ObjectRef, statement: str, text: str | None) -> str:
        comments = self._comments()
        with comments.turn():
            if ref not in _comments(self._reading.current(), {ref.owner}):
                raise StatementRefusedError(f"{ref} does not exist any more")
            needed = text or self._reading.comment_without_ours(ref) is not None
            comments.put(ref, statement if needed else None)
        return _comments(self._reading.current(), {ref.owner}).get(ref) or ""

    def _comments(self) -> CommentsFile:
        # Late, as sqlglot is: most of the time nothing is written.
        from amxwatch.databases.sql_folder.comments import CommentsFile

        return CommentsFile(self._folder, self._name)

    async def _run(self, work: Callable[[], T]) -> T:
        def turn() -> T:
            self._reading.parser.begin()
            return work()

        return await self._lane.run(turn)


def _comments(catalog: Catalog, owners: set[ObjectRef]) -> dict[ObjectRef, str | None]:
    found: dict[ObjectRef, str | None] = {
        ObjectRef(schema=schema.name): schema.comment for schema in catalog.schemas
    }
    for table in catalog.tables:
        if table.ref in owners:
            found[table.ref] = table.comment
            for column in table.columns:
                found[table.column_ref(column.name)] = column.comment
    return found
