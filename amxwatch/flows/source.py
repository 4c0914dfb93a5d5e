"""One db profile, opened: its database, its catalog cache, and how it may be read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import anyio
import anyio.to_thread

from amxwatch.core.catalog import Catalog, ObjectRef, SnapshotNumber
from amxwatch.core.change import Change, Delta, Moved, Patch, explain
from amxwatch.core.draft import Draft, DraftStatus
from amxwatch.core.errors import CacheBrokenError, DeltaDamagedError, NotFoundError
from amxwatch.core.life import Lives
from amxwatch.ports.clock import Clock
from amxwatch.ports.database import Database, Sampler
from amxwatch.ports.ledger import DraftFilter, Ledger, SnapshotRecord, SourceState, Tx
from amxwatch.ports.partial import PartialReader
from amxwatch.ports.snapshots import Snapshots

T = TypeVar("T")
type_of_numbered = tuple[SnapshotNumber, Delta]


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the flows need to look at, sample and comment one database.

    `refresh` bounds how long an exact read may be put off while the gate stands still. The lock
    `settling` is held while the writes of a killed process are settled.
    """

    profile: str
    database: Database
    snapshots: Snapshots
    ledger: Ledger
    clock: Clock
    replica: Database | None = None
    """Where rows are looked at; None for the database itself."""
    ignore: tuple[str, ...] = ()
    refresh: timedelta = field(default=timedelta(minutes=15))
    looking: anyio.Lock = field(default_factory=anyio.Lock)
    """Held while one task reads and numbers: a partial read goes on from the one before it."""
    settling: anyio.Lock = field(default_factory=anyio.Lock)
    applying: set[int] = field(default_factory=set)
    """Drafts that a task of this process is writing just now."""
    remember: Callable[[Catalog], None] | None = None
    """Tells a reader that keeps last good versions what was known before this process."""
    words_of_files: Callable[[Catalog], dict[ObjectRef, str]] | None = None
    """Says which objects a file of people's describes, and which file; it blocks."""
    _reminded: set[str] = field(default_factory=set)
    _read_as: dict[str, SnapshotNumber] = field(default_factory=dict)
    """The number under which the reader's last read was recorded; empty where it was not."""

    @property
    def databases(self) -> tuple[Database, ...]:
        """What is to be closed."""
        return (self.database,) if self.replica is None else (self.database, self.replica)

    @property
    def sampler(self) -> Sampler:
        """What looks at rows: the read replica's, where there is one."""
        return (self.replica or self.database).sampler

    async def read(self) -> Catalog:
        """Read the catalog from the source. Raises: DatabaseUnavailableError."""
        if self.remember is not None and not self._reminded:
            newest = await self.newest()
            if newest is not None:
                self.remember(await self.as_of(newest.number))
            self._reminded.add(self.profile)
        return await self.database.reader.read()

    async def read_since(self, number: SnapshotNumber | None) -> Catalog | Patch:
        """Read what moved since snapshot `number`, or everything where only that can tell.

        What was read must be given to `recorded` once it is in the ledger: until then nobody
        knows which snapshot the reader's memory belongs to, and the next read is a whole one.
        Raises: DatabaseUnavailableError.
        """
        reader = self.database.reader
        known = number is not None and self._read_as.get(self.profile) == number
        self._read_as.clear()
        if known and isinstance(reader, PartialReader):
            patch = await reader.read_moved()
            if patch is not None:
                return patch
        return await self.read()

    def recorded(self, number: SnapshotNumber) -> None:
        """Note that the reader's last read is what snapshot `number` holds."""
        self._read_as[self.profile] = number

    async def owned(self, catalog: Catalog | None = None) -> dict[ObjectRef, str]:
        """Return the objects whose words a file decides, each with that file's name.

        Raises: UsageError where such a file cannot be read.
        """
        if self.words_of_files is None:
            return {}
        return await anyio.to_thread.run_sync(self.words_of_files, catalog or await self.catalog())

    async def newest(self) -> SnapshotRecord | None:
        """Return the newest numbered snapshot, or None before the first look."""
        return await self.ledger.recall(("newest", self.profile), self.newest_in)

    def questions(self) -> dict[Hashable, Callable[[Tx], object]]:
        """Return what every look recalls of the ledger, so that it can be read in one."""
        return {
            ("source", self.profile): self.state_in,
            ("newest", self.profile): self.newest_in,
            ("writing", self.profile): self.writing_in,
        }

    def state_in(self, tx: Tx) -> SourceState:
        """Return how looking at it goes."""
        return tx.sources.get(self.profile)

    def newest_in(self, tx: Tx) -> SnapshotRecord | None:
        """Return the newest numbered snapshot, or None before the first look."""
        return tx.snapshots.latest(self.profile)

    def writing_in(self, tx: Tx) -> list[Draft]:
        """Return the drafts that somebody is writing, or was writing when he died."""
        return tx.drafts.list(self.writing)

    @property
    def writing(self) -> DraftFilter:
        return DraftFilter(statuses=frozenset({DraftStatus.WRITING}), db_profile=self.profile)

    async def catch_up(self, fresh: type_of_numbered | None = None) -> SnapshotNumber | None:
        """Replay into the cache what only the ledger has; rebuild a broken cache.

        Returns the newest number, which the cache then holds. `fresh` is the newest delta where
        it is at hand, so that it need not be read back.
        Raises: DeltaDamagedError once all that comes before the damage is replayed.
        """
        try:
            return await self._replay(fresh)
        except CacheBrokenError as broken:
            return await self._rebuild(broken)

    async def ask(
        self,
        question: Callable[[Snapshots], Awaitable[T]],
        *,
        up_to: SnapshotNumber | None = None,
    ) -> T:
        """Ask the cache once it has caught up; rebuild it, once, where it proves broken.

        With `up_to` it need not hold more than that snapshot.
        """
        try:
            await self.catch_up()
        except DeltaDamagedError:
            held = await self.snapshots.latest()
            if up_to is None or held is None or held < up_to:
                raise
        try:
            return await question(self.snapshots)
        except CacheBrokenError as broken:
            await self._rebuild(broken)
            return await question(self.snapshots)

    async def _rebuild(self, broken: CacheBrokenError) -> SnapshotNumber | None:
        kept = await self.snapshots.discard()
        told = {} if kept is None else {"kept": str(kept)}
        await self._note_rebuilt(str(broken), **told)
        return await self._replay(None, is_told=True)

    async def _note_rebuilt(self, reason: str, **told: str) -> None:
        now = self.clock.now()
        await self.ledger.write(
            lambda tx: tx.events.add(
                "cache_rebuilt", at=now, db_profile=self.profile, reason=reason, **told
            )
        )

    async def _replay(
        self, fresh: type_of_numbered | None, *, is_told: bool = False
    ) -> SnapshotNumber | None:
        held = await self.snapshots.latest()
        newest, oldest = await self.ledger.read(
            lambda tx: (tx.snapshots.latest(self.profile), tx.keeping.oldest(self.profile))
        )
        if held is None and newest is not None and newest.number > 1 and not is_told:
            await self._note_rebuilt("the cache file was gone")
        if newest is None:
            if held is not None:
                raise CacheBrokenError("the cache holds snapshots that the ledger never numbered")
            return None
        if held is None or held < newest.number:
            if fresh is not None and fresh[0] == newest.number == (held or 0) + 1:
                await self.snapshots.replay([fresh])
            else:
                await self._replay_log(held)
        elif held > newest.number:
            raise CacheBrokenError("the cache is ahead of the ledger")
        if oldest is not None:
            await self.snapshots.forget(oldest)
        return newest.number

    async def _replay_log(self, held: SnapshotNumber | None) -> None:
        """Replay what the ledger holds after a number, as far as it can be read."""

        def work(tx: Tx) -> tuple[list[type_of_numbered], DeltaDamagedError | None]:
            log: list[type_of_numbered] = []
            try:
                for numbered in tx.snapshots.log(self.profile, held):
                    log.append(numbered)  # noqa: PERF402 what came before the damage counts
            except DeltaDamagedError as damage:
                return log, damage
            return log, None

        log, damage = await self.ledger.read(work)
        await self.snapshots.replay(log)
        if damage is not None:
            raise damage

    async def kept(self, number: SnapshotNumber | None) -> SnapshotNumber | None:
        """Return a snapshot's number, or the oldest one's where it was pruned."""
        if number is None:
            return None
        oldest = await self.ledger.read(lambda tx: tx.keeping.oldest(self.profile))
        return max(number, oldest) if oldest is not None else number

    async def moved(self, start: SnapshotNumber | None, end: SnapshotNumber) -> Moved:
        """Return what differs between two snapshots, whole versions."""
        last = max(start or end, end)
        return await self.ask(lambda cache: cache.moved(start, end), up_to=last)

    async def changes(
        self, start: SnapshotNumber | None, end: SnapshotNumber
    ) -> tuple[Change, ...]:
        """Return what differs between two snapshots, named and explained."""
        return self.explain(await self.moved(start, end))

    async def as_of(self, number: SnapshotNumber) -> Catalog:
        """Return the whole catalog as it stood at a snapshot."""
        return await self.ask(lambda cache: cache.as_of(number), up_to=number)

    async def history(self, ref: ObjectRef) -> list[tuple[SnapshotNumber, Moved]]:
        """Return each snapshot in which an object (or its table) moved, oldest first."""
        return await self.ask(lambda cache: cache.history(ref))

    async def lives(self) -> Lives:
        """Return every version of each table that moved after it came."""
        return await self.ask(lambda cache: cache.lives())

    async def catalog(self) -> Catalog:
        """Return the newest catalog. Raises: NotFoundError before the first snapshot."""
        newest = await self.newest()
        if newest is None:
            raise NotFoundError(
                f"no snapshot of {self.profile} yet; take one with: "
                f"amxwatch catalog refresh {self.profile}"
            )
        return await self.as_of(newest.number)

    def explain(self, moved: Moved) -> tuple[Change, ...]:
        able = self.database.capabilities
        return explain(moved, native_ids=able.native_ids, dialect=able.dialect)
