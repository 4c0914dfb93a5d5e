"""Wake-ups from the file system: something may have moved, look now.

watchdog's events are quick, but its queue overflows in a storm, and a folder that is replaced
goes blind; so what is watched is also looked at by path, and a wake-up comes now and then in
any case. Who is woken finds out what moved by `digest`, or by reading.
"""

from __future__ import annotations

import fnmatch
import logging
import os
import socket
import stat
import threading
import warnings
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from amxwatch.ports.clock import Clock
from amxwatch.watchers.walk import FileMarks, digest

__all__ = ["FileMarks", "digest", "watch"]

log = logging.getLogger(__name__)

# watchdog's walk of a new folder and the events from in it may both add the same watch, which
# it warns of and which is harmless; where warnings are errors, its reader thread would die.
warnings.filterwarnings("ignore", message="Callback with id", category=RuntimeWarning)

LOOK_SECONDS = 0.5
"""How often watched folders and critical files are looked at by path."""

WALK_SECONDS = 30.0
"""How often a wake-up comes although nothing was announced."""

_CLOSE_SECONDS = 5.0

# Opening and reading a file are events too; we read what we watch, and would wake ourselves.
# So is closing one that could have been written: every read of a SQLite file in WAL mode ends
# with that, and each real write has an event of its own.
# A folder's own "modified" says nothing that its entries' events do not.
_EVENTS: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]

Identity = tuple[str, int, int, int, int]
"""Real path, device, inode, mtime in nanoseconds, size; the last two are 0 for a folder."""

Mark = tuple[int, int, int, int]
"""The same without the real path, which takes a look at every folder above."""


class _Wakes:
    """Wake reasons from any thread to the one task that iterates.

    Holds one reason at most: what comes before it is taken is joined to it. Taking one may be
    cancelled at any time without losing it.
    """

    def __init__(self) -> None:
        self._reason: str | None = None
        self._lock = threading.Lock()
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)

    def wake(self, reason: str) -> None:
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            # Never blocks; a full buffer means that the reader is being woken already.
            with suppress(OSError):
                self._sender.send(b"\0")

    def __aiter__(self) -> _Wakes:
        return self

    async def __anext__(self) -> str:
        await anyio.lowlevel.checkpoint()
        while True:
            if (reason := self._take()) is not None:
                return reason
            await anyio.wait_readable(self._receiver)

    def _take(self) -> str | None:
        with self._lock:
            reason, self._reason = self._reason, None
            if reason is not None:
                with suppress(BlockingIOError):
                    self._receiver.recv(64)
            return reason

    def close(self) -> None:
        self._receiver.close()
        self._sender.close()


class _Handler(FileSystemEventHandler):
    """Runs in watchdog's thread."""

    def __init__(self, wakes: _Wakes, only: Sequence[str], names: frozenset[str]) -> None:
        self._wakes = wakes
        self._only = tuple(only)
        self._names = names

    def on_any_event(self, event: FileSystemEvent) -> None:
        paths = [os.fsdecode(path) for path in (event.dest_path, event.src_path) if path]
        if any(self._is_wanted(path.rsplit(os.sep, 1)[-1], event) for path in paths):
            self._wakes.wake(f"{event.event_type} {paths[0]}")

    def _is_wanted(self, name: str, event: FileSystemEvent) -> bool:
        if self._names and name not in self._names:
            return False
        if event.is_directory or not self._only:
            return True
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self._only)


@dataclass(frozen=True, kw_only=True)
class _Folder:
    """A folder to be told about, by its real path: all of it, or only the files named."""

    path: str
    names: frozenset[str] = frozenset()


class _Watching:
    """Keeps watchdog on the folders that the paths lead to just now. One thread at a time."""

    def __init__(
        self,
        paths: Sequence[Path],
        critical: Sequence[Path],
        wakes: _Wakes,
        only: Sequence[str],
        glance: Callable[[], object],
    ) -> None:
        self._paths = tuple(paths)
        self._critical = tuple(critical)
        self._wakes = wakes
        self._only = tuple(only)
        self._glance = glance
        self._glanced: object = None
        self._ended = threading.Event()
        self._looking: threading.Thread | None = None
        self._observer: BaseObserver = Observer()
        self._scheduled: dict[_Folder, tuple[Identity, ObservedWatch]] = {}
        self._seen: dict[Path, Identity | None] = {}
        self._marked: list[Mark] = []
        self._missed = False

    def start(self, look_seconds: float) -> None:
        self._observer.start()
        self._seen = self._look()
        self._follow()
        self._glanced = self._glance()
        # A thread that sleeps by itself: handing each look to a worker thread and back takes
        # ten times as much as the look. Real time is meant: files know no other clock.
        self._looking = threading.Thread(
            target=self._look_on, args=(look_seconds,), name="amxwatch-looks", daemon=True
        )
        self._looking.start()

    def _look_on(self, look_seconds: float) -> None:
        while not self._ended.wait(look_seconds):
            self._check()

    def _check(self) -> None:
        """Look at every path, wake when one has moved, and watch what it leads to now."""
        glanced = self._glance()
        if glanced != self._glanced:
            self._glanced = glanced
            self._wakes.wake("moved at a glance")
        marks = self._marks()
        if marks == self._marked and self._is_watching_all():
            return
        self._marked = marks
        seen = self._look()
        moved = [path for path, identity in seen.items() if self._seen.get(path) != identity]
        self._seen = seen
        self._follow()
        if moved:
            self._wakes.wake(f"replaced {moved[0]}")

    def stop(self) -> None:
        self._ended.set()
        if self._looking is not None:
            self._looking.join(_CLOSE_SECONDS)
        self._observer.stop()
        self._observer.join(_CLOSE_SECONDS)

    def _marks(self) -> list[Mark]:
        """Return what is cheap to ask twice a second; while it stands still, so does the rest."""
        places = (*self._paths, *self._critical)
        return [_mark(place) for path in places for place in (path, path.parent)]

    def _is_watching_all(self) -> bool:
        if self._missed:
            return False
        return all(self._is_alive(observed) for _, observed in self._scheduled.values())

    def _look(self) -> dict[Path, Identity | None]:
        return {path: _identity(path) for path in (*self._paths, *self._critical)}

    def _follow(self) -> None:
        wanted = self._wanted()
        for folder, (identity, observed) in list(self._scheduled.items()):
            if wanted.get(folder) != identity or not self._is_alive(observed):
                with suppress(KeyError):
                    self._observer.unschedule(observed)
                del self._scheduled[folder]
        for folder, identity in wanted.items():
            if folder not in self._scheduled:
                self._schedule(folder, identity)
        self._missed = len(self._scheduled) < len(wanted)

    def _is_alive(self, observed: ObservedWatch) -> bool:
        return any(e.watch == observed and e.is_alive() for e in self._observer.emitters)

    def _schedule(self, folder: _Folder, identity: Identity) -> None:
        try:
            observed = self._observer.schedule(
                _Handler(self._wakes, self._only, folder.names),
                folder.path,
                recursive=not folder.names,
                event_filter=_EVENTS,
            )
        except OSError as error:
            # Gone again, or no watches left: the looks and walks go on without events.
            log.debug(
                "No events from %s: %s",
                folder.path,
                error,
                extra={"action": "watch_failed", "path": folder.path},
            )
            return
        self._scheduled[folder] = (identity, observed)

    def _wanted(self) -> dict[_Folder, Identity]:
        """Return the folders to be told about: those of a file are its own and its target's."""
        whole: set[Identity] = set()
        named: defaultdict[Identity, set[str]] = defaultdict(set)
        for path in (*self._paths, *self._critical):
            is_whole = path in self._paths and path.is_dir()
            for place in (path,) if is_whole else (path, path.resolve()):
                identity = _identity(place if is_whole else place.parent)
                if identity is None or not Path(identity[0]).is_dir():
                    continue
                if is_whole:
                    whole.add(identity)
                else:
                    named[identity].add(place.name)
        found = {_Folder(path=identity[0]): identity for identity in whole}
        for identity, names in named.items():
            found[_Folder(path=identity[0], names=frozenset(names))] = identity
        return found


def _mark(path: Path) -> Mark:
    try:
        state = path.stat()
    except OSError as error:
        return (-1, error.errno or 0, 0, 0)
    if stat.S_ISDIR(state.st_mode):
        return (state.st_dev, state.st_ino, 0, 0)
    return (state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size)


def _identity(path: Path) -> Identity | None:
    try:
        real = path.resolve(strict=True)
        state = real.stat()
    except (OSError, RuntimeError):  # RuntimeError: a loop of links
        return None
    if real.is_dir():
        return (str(real), state.st_dev, state.st_ino, 0, 0)
    return (str(real), state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size)


@asynccontextmanager
async def watch(
    paths: Sequence[Path],
    *,
    clock: Clock,
    look_seconds: float = LOOK_SECONDS,
    walk_seconds: float = WALK_SECONDS,
    critical: Sequence[Path] = (),
    only: Sequence[str] = (),
    glance: Callable[[], object] = lambda: None,
) -> AsyncIterator[AsyncIterator[str]]:
    """Yield an iterator of wake reasons, for one task at a time.

    `paths` are folders (with all below) and files; they need not exist yet, and may be
    replaced. Every `look_seconds` all of them are looked at by path, links followed; that is
    how a replaced folder is found, and an edit of a `critical` file where no event comes.
    `only` are globs of file names; others wake nobody. `glance` is a look of the caller's own,
    made as often, in another thread: what it returns wakes when it moves. A reason also comes every
    `walk_seconds`. Reasons are hints: joined, doubled, or about nothing; what happened while
    nobody waited is told at the next wait.
    """
    wakes = _Wakes()
    watching = _Watching(paths, critical, wakes, only, glance)
    limiter = anyio.CapacityLimiter(1)
    try:
        await anyio.to_thread.run_sync(watching.start, look_seconds, limiter=limiter)
        async with anyio.create_task_group() as group:
            group.start_soon(_walk_again, wakes, clock, walk_seconds)
            yield wakes
            group.cancel_scope.cancel()
    except ExceptionGroup as errors:
        # What the caller's own block raises comes out as it was: it knows of no task group.
        if len(errors.exceptions) > 1:
            raise
        raise errors.exceptions[0] from None
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(watching.stop, limiter=limiter)
        wakes.close()


async def _walk_again(wakes: _Wakes, clock: Clock, walk_seconds: float) -> None:
    while True:
        await clock.sleep(walk_seconds)
        wakes.wake("walk")
