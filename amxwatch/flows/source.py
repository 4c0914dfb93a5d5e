"""One db profile, opened: its database, its catalog cache, and how it may be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import anyio

from amxwatch.core.catalog import Catalog, SnapshotNumber
from amxwatch.core.change import Change, Moved, explain
from amxwatch.core.errors import CacheBrokenError, NotFoundError
from amxwatch.ports.clock import Clock
from amxwatch.ports.database import Database
from amxwatch.ports.ledger import Ledger, SnapshotRecord
from amxwatch.ports.snapshots import Snapshots


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
    ignore: tuple[str, ...] = ()
    refresh: timedelta = field(default=timedelta(minutes=15))
    settling: anyio.Lock = field(default_factory=anyio.Lock)
    applying: set[int] = field(default_factory=set)
    """Drafts that a task of this process is writing just now."""
    remember: Callable[[Catalog], None] | None = None
    """Tells a reader that keeps last good versions what was known before this process."""
    _reminded: set[str] = field(default_factory=set)

    async def read(self) -> Catalog:
        """Read the catalog from the source. Raises: DatabaseUnavailableError."""
        if self.remember is not None and not self._reminded:
            newest = await self.newest()
            if newest is not None:
                self.remember(await self.as_of(newest.number))
            self._reminded.add(self.profile)
        return await self.database.reader.read()

    async def newest(self) -> SnapshotRecord | None:
        """Return the newest numbered snapshot, or None before the first look."""
        return await self.ledger.read(lambda tx: tx.snapshots.latest(self.profile))

    async def catch_up(self) -> SnapshotNumber | None:
        """Replay into the cache what only the ledger has; rebuild a broken cache.

        Returns the newest number, which the cache then holds.
        """
        try:
            return await self._replay()
        except CacheBrokenError as broken:
            await self.snapshots.discard()
            await self._note_rebuilt(str(broken))
            return await self._replay()

    async def _note_rebuilt(self, reason: str) -> None:
        await self.ledger.write(
            lambda tx: tx.events.add(
                "cache_rebuilt", at=self.clock.now(), db_profile=self.profile, reason=reason
            )
        )

    async def _replay(self) -> SnapshotNumber | None:
        held = await self.snapshots.latest()
        newest = await self.newest()
        if held is None and newest is not None and newest.number > 1:
            await self._note_rebuilt("the cache file was gone")
        if newest is None:
            if held is not None:
                raise CacheBrokenError("the cache holds snapshots that the ledger never numbered")
            return None
        if held is None or held < newest.number:
            log = await self.ledger.read(lambda tx: list(tx.snapshots.log(self.profile, held)))
            await self.snapshots.replay(log)
        elif held > newest.number:
            raise CacheBrokenError("the cache is ahead of the ledger")
        return newest.number

    async def moved(self, start: SnapshotNumber | None, end: SnapshotNumber) -> Moved:
        """Return what differs between two snapshots, whole versions."""
        await self.catch_up()
        return await self.snapshots.moved(start, end)

    async def changes(
        self, start: SnapshotNumber | None, end: SnapshotNumber
    ) -> tuple[Change, ...]:
        """Return what differs between two snapshots, named and explained."""
        return self.explain(await self.moved(start, end))

    async def as_of(self, number: SnapshotNumber) -> Catalog:
        """Return the whole catalog as it stood at a snapshot."""
        await self.catch_up()
        return await self.snapshots.as_of(number)

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
