"""What happens to the cache file as a whole: it is removed, moved aside, or written anew."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import duckdb

from amxwatch.core.catalog import SnapshotNumber
from amxwatch.stores.snapshots.damage import BlamedError
from amxwatch.stores.snapshots.opening import (
    CONFIG,
    attach,
    is_ours,
    lay_out,
    locked,
    signature,
    translated,
)
from amxwatch.stores.snapshots.queries import queries
from amxwatch.stores.snapshots.reading import held

KEPT = 2
"""How many bad files are kept beside the cache, newest first."""


def remove(path: Path, blamed: BlamedError | None, *, wait_seconds: float) -> Path | None:
    """Make room for a new cache, and return where the old file went if it was kept. Blocks.

    A file that is damaged or not ours is moved aside: `NAME.bad-1`, the one before it
    `NAME.bad-2`. One that another process has mended since it was blamed stays.
    Raises: StoreBusyError, StoreError.
    """
    if not path.parent.is_dir():
        return None
    with locked(path, wait_seconds), translated(path):
        if blamed is not None and blamed.signature != signature(path):
            return None
        # The log first: alone it would be replayed into the next file.
        Path(f"{path}.wal").unlink(missing_ok=True)
        if blamed is not None and not blamed.outdated and path.exists():
            return _move_aside(path)
        path.unlink(missing_ok=True)
        return None


def _move_aside(path: Path) -> Path:
    places = [Path(f"{path}.bad-{place}") for place in range(1, KEPT + 1)]
    if places[-1].is_dir():
        # Nobody's folder is deleted: it gives way, and is not counted.
        free = KEPT + 1
        while Path(f"{path}.bad-{free}").exists():
            free += 1
        places[-1].rename(f"{path}.bad-{free}")
    for older, newer in zip(places[:0:-1], places[-2::-1], strict=True):
        if newer.exists():
            newer.replace(older)
    path.rename(places[0])
    return places[0]


def size(path: Path) -> int:
    """Return the bytes of the file and of its log. Raises: StoreError."""
    with translated(path):
        files = (path, Path(f"{path}.wal"))
        return sum(file.stat().st_size for file in files if file.exists())


def forget(path: Path, oldest: SnapshotNumber, *, wait_seconds: float) -> None:
    """Write the cache anew without what ended before snapshot `oldest`. Blocks.

    A kill leaves the old file or the new one. Nothing is done where nothing ended.
    Raises: StoreBusyError, CacheBrokenError, StoreError.
    """
    fresh = Path(f"{path}.new")
    with locked(path, wait_seconds), translated(path):
        if not path.exists() or not _copy(path, fresh, oldest):
            return
        fresh.replace(path)


def _copy(path: Path, fresh: Path, oldest: SnapshotNumber) -> bool:
    """Copy what is kept; False where that is everything."""
    with closing(duckdb.connect(":memory:", config=CONFIG)) as connection:
        # Opened to write, a log that a kill left beside it is taken in, and gone when we close.
        attach(connection, path, "cache")
        span = held(connection) if is_ours(connection) else None
        if span is None or span[0] >= oldest or span[1] < oldest:
            return False
        for leftover in (fresh, Path(f"{fresh}.wal")):
            leftover.unlink(missing_ok=True)
        attach(connection, fresh, "fresh")
        fresh.chmod(0o600)
        connection.begin()
        lay_out(connection)
        for query in queries("forget").values():
            connection.execute(query, {"oldest": oldest} if "$oldest" in query else None)
        connection.commit()
    return True
