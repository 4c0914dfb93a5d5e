"""The documents and the code that a run may quote from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from amxwatch.context.library import Library
from amxwatch.core.catalog import Table
from amxwatch.core.comment import suspects
from amxwatch.core.errors import StoreError
from amxwatch.core.evidence import Cited
from amxwatch.ports.clock import Clock
from amxwatch.settings.schema import CodeProfile, DbProfile, DocProfile, Settings

if TYPE_CHECKING:
    from amxwatch.context.code import CodeIndex
    from amxwatch.context.docs import DocIndex
    from amxwatch.context.indexing import Refreshed

Say = Callable[..., None]

TABLE_PASSAGES = 4
TABLE_USES = 3
COLUMN_USES = 2
"""How many are looked up; how many are quoted, the room in a prompt decides."""

WITHHELD = frozenset({"instruction", "secret"})
"""A passage that reads like an order to a model, or holds a password, is not quoted."""

NAMED = 5
"""Files that are not read which a line names."""


@dataclass(frozen=True, kw_only=True)
class Quotes:
    """What is quoted about one table, and about its columns by name."""

    docs: tuple[Cited, ...] = ()
    code: tuple[Cited, ...] = ()
    column_docs: Mapping[str, tuple[Cited, ...]] = field(default_factory=dict)
    column_code: Mapping[str, tuple[Cited, ...]] = field(default_factory=dict)


class Books:
    """Indexes what a db profile names, once a run, and quotes from it."""

    def __init__(
        self,
        library: Library | None,
        settings: Settings,
        db_profile: DbProfile,
        *,
        dialect: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._library = library
        self._docs: dict[str, DocProfile] = {
            name: settings.doc_profiles[name] for name in db_profile.docs
        }
        self._code: dict[str, CodeProfile] = {
            name: settings.code_profiles[name] for name in db_profile.code
        }
        self._dialect = dialect
        self._clock = clock
        self._turn = anyio.Lock()
        self._opened: tuple[list[DocIndex], list[CodeIndex]] | None = None

    @property
    def is_empty(self) -> bool:
        """Claim that the profile names neither documents nor code."""
        return self._library is None or not (self._docs or self._code)

    def say_absent(self, say: Say) -> None:
        """Say which of the two the profile does not name."""
        if not self._docs:
            say("docs", detail="no doc profile, passed over")
        if not self._code:
            say("code", detail="no code profile, passed over")

    async def quotes(self, table: Table, columns: Sequence[str], say: Say) -> Quotes:
        """Return what tells of a table and of these columns. Without an index there is nothing."""
        if self.is_empty:
            return Quotes()
        async with self._turn:
            if self._opened is None:
                self._opened = await self._open(say)
        docs, code = self._opened
        started = self._clock.monotonic()
        try:
            found = await anyio.to_thread.run_sync(_look_up, docs, code, table, columns)
        except StoreError as error:
            say("docs" if docs else "code", object=str(table.ref), error=str(error))
            return Quotes()
        seconds = self._clock.monotonic() - started
        if docs:
            told = len(found.docs) + len(found.column_docs)
            say("docs", object=str(table.ref), detail=f"{told} passages", seconds=seconds)
        if code:
            told = len(found.code) + sum(map(len, found.column_code.values()))
            say("code", object=str(table.ref), detail=f"{told} uses", seconds=seconds)
        return found

    async def _open(self, say: Say) -> tuple[list[DocIndex], list[CodeIndex]]:
        docs = self._doc_indexes()
        code = self._code_indexes()
        return (
            [each for each in docs if await self._refreshed("docs", each, say)],
            [each for each in code if await self._refreshed("code", each, say)],
        )

    def _doc_indexes(self) -> list[DocIndex]:
        if not self._docs:
            return []
        from amxwatch.context.docs import DocIndex

        places = {name: self._place(each.path) for name, each in self._docs.items()}
        return [
            DocIndex(name=name, folder=folder, path=self._index("docs", name))
            for name, folder in places.items()
        ]

    def _code_indexes(self) -> list[CodeIndex]:
        if not self._code:
            return []
        from amxwatch.context.code import CodeIndex

        return [
            CodeIndex(
                name=name,
                folder=self._place(each.path),
                path=self._index("code", name),
                dialect=self._dialect(),
            )
            for name, each in self._code.items()
        ]

    async def _refreshed(self, stage: str, index: DocIndex | CodeIndex, say: Say) -> bool:
        """Bring an index up to date, and say what came of it; one that cannot be is left out."""
        started = self._clock.monotonic()
        if not await anyio.to_thread.run_sync(index.folder.is_dir):
            say(stage, error=f"{index.name}: there is no folder {index.folder}")
            return False
        try:
            done = await anyio.to_thread.run_sync(index.refresh)
        except StoreError as error:
            say(stage, error=str(error))
            return False
        seconds = self._clock.monotonic() - started
        say(stage, detail=f"{index.name}: {_words(done)}", seconds=seconds)
        return True

    def _place(self, path: str) -> Path:
        assert self._library is not None
        return self._library.folder(path)

    def _index(self, kind: str, name: str) -> Path:
        assert self._library is not None
        path = (self._docs if kind == "docs" else self._code)[name].path
        return self._library.index(kind, name, self._library.folder(path))


def _words(done: Refreshed) -> str:
    said = f"{done.files} files, {done.read} read"
    if not done.refused:
        return said
    named = ", ".join(f"{each.name} ({each.why})" for each in done.refused[:NAMED])
    more = f" and {len(done.refused) - NAMED} more" if len(done.refused) > NAMED else ""
    return f"{said}; left out: {named}{more}"


def _look_up(
    docs: Sequence[DocIndex], code: Sequence[CodeIndex], table: Table, columns: Sequence[str]
) -> Quotes:
    about: list[Cited] = []
    used: list[Cited] = []
    column_docs: dict[str, list[Cited]] = {}
    column_code: dict[str, list[Cited]] = {}
    for book in docs:
        about += book.about_table(table, most=TABLE_PASSAGES)
        for name, passage in book.about_columns(table, columns).items():
            column_docs.setdefault(name, []).append(passage)
    for source in code:
        used += source.about_table(table, most=TABLE_USES)
        for name, uses in source.about_columns(table, columns, most=COLUMN_USES).items():
            column_code.setdefault(name, []).extend(uses)
    return Quotes(
        docs=_plain(about, TABLE_PASSAGES),
        code=_plain(used, TABLE_USES),
        column_docs=_each_plain(column_docs, 1),
        column_code=_each_plain(column_code, COLUMN_USES),
    )


def _each_plain(found: Mapping[str, list[Cited]], most: int) -> dict[str, tuple[Cited, ...]]:
    plain = {name: _plain(each, most) for name, each in found.items()}
    return {name: each for name, each in plain.items() if each}


def _plain(found: Sequence[Cited], most: int) -> tuple[Cited, ...]:
    """Return the passages that read like a document, and not like an order to a model."""
    return tuple(each for each in found if not WITHHELD & {*suspects(each.text)})[:most]
