"""The catalog cache of one db profile: versions with validity, rebuilt from the ledger's log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from amxwatch.core.catalog import Catalog, ObjectRef, SnapshotNumber
from amxwatch.core.change import Delta, Moved


class Snapshots(Protocol):
    """One db profile's cache. Each call opens the file, does one thing, and closes it.

    `latest` is the newest number that the cache holds. Calls wait for other processes up to a
    bound, then raise StoreBusyError. A damaged file raises CacheBrokenError from every call but
    `discard`; the caller then replays the ledger's log. A lost file is an empty cache.
    """

    async def latest(self) -> SnapshotNumber | None: ...

    async def compare(self, catalog: Catalog, *, ignore: Sequence[str]) -> tuple[Delta, Moved]:
        """Return what turns the newest snapshot into `catalog`, and the same as version pairs.

        Changes nothing. `catalog` has been filtered by `ignore` already.
        """

    async def replay(self, log: Iterable[tuple[SnapshotNumber, Delta]]) -> None:
        """Apply deltas in order, in one transaction. A number it already holds is skipped.

        Raises: CacheBrokenError where a number is missing in between.
        """

    async def moved(self, start: SnapshotNumber | None, end: SnapshotNumber) -> Moved:
        """Return every object whose version differs between two snapshots, whole.

        `start` None is the empty catalog. What moved only at a baseline is left out.
        """

    async def as_of(self, number: SnapshotNumber) -> Catalog:
        """Return the whole catalog as it stood."""

    async def history(self, ref: ObjectRef) -> list[tuple[SnapshotNumber, Moved]]:
        """Return each snapshot in which the object (or its table) moved, oldest first."""

    async def discard(self) -> None:
        """Remove the cache; the next replay starts from nothing. Not an error where it is gone."""
