"""A source database, seen through four narrow windows: reader, sampler, commenter, hints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from amxwatch.core.catalog import Catalog, ObjectRef, ObjectType, Table
from amxwatch.core.errors import DatabaseError
from amxwatch.core.sample import Sample, Tally, Wanted


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a back end can hold; what it cannot is said to the user, and never an exception.

    `product` is its name for people ("PostgreSQL"), `dialect` sqlglot's name for its SQL.
    `comments` are the object types that can carry one; `view_columns` says whether a view's
    columns are among them. `native_ids` says that `native_id` and `native_num` survive renames.
    """

    product: str
    dialect: str
    comments: frozenset[ObjectType]
    native_ids: bool = False
    sampling: bool = True
    view_columns: bool = True

    def holds(self, target: CommentTarget) -> bool:
        """Claim that the object can carry a comment."""
        if target.type is ObjectType.COLUMN and target.owner_type is not ObjectType.TABLE:
            return self.view_columns and target.type in self.comments
        return target.type in self.comments


@dataclass(frozen=True, kw_only=True)
class CommentTarget:
    """An object and what it is: COMMENT ON VIEW and COMMENT ON TABLE are not the same."""

    ref: ObjectRef
    type: ObjectType
    owner_type: ObjectType = field(default=ObjectType.TABLE)
    """For a column, what its owner is."""


class Reader(Protocol):
    """Reads the catalog.

    Every method raises DatabaseUnavailableError when the database cannot be reached (with
    what to mend, and no secret), and may be called again after that: a reader reconnects by
    itself. Cancellation leaves no lock behind.
    """

    async def gate(self) -> str:
        """Return a token that is cheap to get and moves whenever the catalog may have moved.

        It may move without a change; it must never stand still over one.
        """

    async def read(self) -> Catalog:
        """Return the whole catalog, consistent in itself, in canonical order and spelling."""


class Sampler(Protocol):
    """Looks at rows."""

    async def sample(self, table: Table, *, rows: int, full: bool) -> Sample:
        """Return up to `rows` rows spread over the table; with `full`, exact totals as well.

        Takes no lock that blocks a writer. Raises: DatabaseError.
        """

    async def tally(self, table: Table, wanted: Wanted) -> Tally:
        """Return what such rows add up to, counted in the database where it can count.

        The same rows each time while the table stands still, and no lock that blocks a writer.
        Raises: DatabaseError.
        """


class Commenter(Protocol):
    """Reads and writes comments, one statement a row."""

    async def current(self, targets: Sequence[CommentTarget]) -> dict[ObjectRef, str | None]:
        """Return the live comment of each target; a target that does not exist is absent."""

    def statement(self, target: CommentTarget, text: str | None) -> str:
        """Return the statement that sets (None: removes) the comment, properly quoted.

        Raises: StatementRefusedError for text or types that the database cannot hold, and for a
        target that `current` was not asked about where the statement depends on what it is.
        """

    async def execute(self, target: CommentTarget, text: str | None) -> str:
        """Run that statement by itself and return the comment as read back afterwards.

        Raises: StatementRefusedError, DatabaseUnavailableError.
        """

    async def execute_many(
        self, rows: Sequence[tuple[CommentTarget, str | None]]
    ) -> list[str | DatabaseError]:
        """Run one statement a row, each by itself, in order.

        Returns for each row the comment as read back afterwards, or why it was refused; a row
        that fails leaves the others as they are. Once the database is unavailable the rest is
        not tried, and has that error.
        """


class Hints(Protocol):
    """Says that now is a good moment to look. Hints may be lost, doubled or wrong."""

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Yield a short reason each time something may have moved, until the context ends.

        Raises: DatabaseUnavailableError when listening is over; the caller may listen again.
        """


class Database(Protocol):
    """One source database. Made without connecting; connects when first asked."""

    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def reader(self) -> Reader: ...
    @property
    def sampler(self) -> Sampler: ...
    @property
    def commenter(self) -> Commenter: ...
    @property
    def hints(self) -> Hints | None: ...
    async def aclose(self) -> None:
        """Close every connection. May be called twice."""
