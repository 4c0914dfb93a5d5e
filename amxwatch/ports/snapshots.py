"""The catalog cache of one db profile: versions with validity, rebuilt from the ledger's log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from amxwatch.core.catalog import Catalog, ObjectRef, SnapshotNumber
from amxwatch.core.change import Delta, Moved, Patch
from amxwatch.core.life import Lives


class SnapshotPast(Protocol):
    """What stood when, and what moved in between."""

    async def moved(self, start: SnapshotNumber | None, end: SnapshotNumber) -> Moved:
        """Return every object whose version differs between two snapshots, whole.

        `start` None is the empty catalog. What moved only at a baseline is left out.
        """

    async def as_of(self, number: SnapshotNumber) -> Catalog:
        """Return the whole catalog as it stood."""

    async def history(self, ref: ObjectRef) -> list[tuple[SnapshotNumber, Moved]]:
        """Return each snapshot in which the object (or its table) moved, oldest first."""

    async def lives(self) -> Lives:
        """Return every version of each table that moved after it came, baselines included.

        Costs what ever moved, not what the catalog holds.
        """


class SnapshotIntake(Protocol):
    """How what was read, or what the ledger has logged, comes in."""

    async def latest(self) -> SnapshotNumber | None: ...

    async def compare(self, catalog: Catalog, *, ignore: Sequence[str]) -> tuple[Delta, Moved]:
        """Return what turns the newest snapshot into `catalog`, and the same as version pairs.

        Changes nothing. `catalog` has been filtered by `ignore` already.
        """

    async def compare_patch(self, patch: Patch, *, ignore: Sequence[str]) -> tuple[Delta, Moved]:
        """Do as `compare` for what a patch names; every other table stands as it is.

        Costs what the patch holds, not what the catalog does. The patch has been filtered by
        `ignore`, and reader, source and ignore set are those of the newest snapshot.
        """

    async def replay(self, log: Iterable[tuple[SnapshotNumber, Delta]]) -> None:
        """Apply deltas in order, in one transaction. A number it already holds is skipped.

        The first one of an empty cache is number 1 or whole.
        Raises: CacheBrokenError where a number is missing in between, or was pruned.
        """


class SnapshotKeeping(Protocol):
    """The cache as a thing on the disk."""

    async def forget(self, oldest: SnapshotNumber) -> None:
        """Drop what ended before a snapshot, and give its room back.

        Costs next to nothing where there is nothing to drop.
        """

    async def size(self) -> int:
        """Return how many bytes it takes on the disk."""

    async def discard(self) -> Path | None:
        """Remove the cache; the next replay starts from nothing. Not an error where it is gone.

        What the last CacheBrokenError told of is moved aside where it is damaged or another
        program's, and its new place returned; it stays where another process mended it since.
        """


class Snapshots(SnapshotPast, SnapshotIntake, SnapshotKeeping, Protocol):
    """One db profile's cache. Each call opens the file, does one thing, and closes it.

    `latest` is the newest number that the cache holds. Calls wait for other processes up to a
    bound, then raise StoreBusyError. A damaged file raises CacheBrokenError from every call but
    `discard`; the caller then replays the ledger's log. A lost file is an empty cache.
    """
