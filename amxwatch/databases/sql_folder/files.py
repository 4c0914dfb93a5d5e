"""The folder's files: found in the order they run in, read only when they have moved."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from amxwatch.core.errors import DatabaseUnavailableError

COMMENTS_FILE = "zz_amxwatch_comments.sql"
"""The file that amxwatch writes. It is applied last, whatever its name's order."""

LARGEST = 20 * 1024 * 1024
"""Bytes; a larger file is data, not definitions."""

_DIGITS = re.compile(r"(\d+)")
_UNDO = re.compile(r"(?:\.|_)down\.sql$|^U\d[\w.]*__", re.IGNORECASE)
_REPEATABLE = re.compile(r"^R__")
_DOWN = re.compile(
    r"^--[ \t]*(?:\+goose|\+migrate|migrate:)[ \t]*(up|down)\b.*$", re.IGNORECASE | re.MULTILINE
)
_EMPTY = hashlib.blake2b(b"", digest_size=16).hexdigest()

Stamp = tuple[int, int, int]
"""mtime in nanoseconds, size, inode: while these stand still, so does the content."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a file holds, or why it cannot be read. `digest` moves with either."""

    digest: str
    problem: str | None = None


@dataclass(kw_only=True)
class _Entry:
    stamp: Stamp
    content: Content
    settled: bool


@lru_cache(maxsize=100_000)
def run_order(path: str) -> tuple[object, ...]:
    """Return the sort key of a relative path: natural, so that V2 stands before V10.

    Flyway's repeatable migrations (R__) run after the numbered ones, and V1__x before V1.1__y.
    """
    *folders, name = path.split("/")
    late = bool(_REPEATABLE.match(name))
    stem = name[: name.rfind(".")].replace("__", "\0")
    parts = [tuple(_natural(part)) for part in (*folders, stem)]
    return path == COMMENTS_FILE, late, tuple(parts), path


def _natural(part: str) -> Iterator[tuple[int, int, str]]:
    for at, chunk in enumerate(_DIGITS.split(part.casefold())):
        if at % 2:
            yield (1, int(chunk), "")
        elif chunk or at:
            yield (0 if chunk[:1] < "0" else 2, 0, chunk)


class Files:
    """Walks the folder and keeps what was read. Used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, _Entry] = {}
        self._texts: dict[str, tuple[str, str]] = {}
        self._seen: list[tuple[str, Content]] = []
        self._places: dict[str, int] = {}

    def look(self) -> list[tuple[str, Content]]:
        """Return every file that runs, in order, reading those that moved.

        It is the same list again where nothing moved.
        Raises: DatabaseUnavailableError when the folder is not there.
        """
        walk = _Walk(self._known)
        walk.go(self._real(), "", frozenset())
        if len(walk.paths) == len(self._seen) and walk.moved.keys() <= self._places.keys():
            self._look_again(walk.moved)
        else:
            self._look_at_all(walk.paths, walk.moved)
        return self._seen

    def _look_again(self, moved: Mapping[str, Stamp | None]) -> None:
        """Read what moved among the same files as before."""
        if not moved:
            return
        seen = list(self._seen)
        for path, stamp in moved.items():
            seen[self._places[path]] = (path, self._content(path, stamp))
        self._seen = seen

    def _look_at_all(self, paths: list[str], moved: Mapping[str, Stamp | None]) -> None:
        paths.sort(key=run_order)
        self._seen = [
            (path, self._content(path, moved[path]) if path in moved else self._known[path].content)
            for path in paths
        ]
        self._places = {path: place for place, path in enumerate(paths)}
        self._known = {path: self._known[path] for path in paths if path in self._known}

    def text(self, path: str, digest: str) -> str | None:
        """Return the text that was read under this digest, once; None where it has moved on."""
        held, text = self._texts.pop(path, ("", ""))
        if held == digest:
            return text
        now, again, _ = _read(self._folder / path, self._known[path].stamp)
        return again if now == digest else None

    def forget_texts(self) -> None:
        """Drop the texts that nobody asked for."""
        self._texts.clear()

    def _real(self) -> str:
        try:
            real = os.path.realpath(self._folder)
            with os.scandir(real):
                return real
        except OSError as error:
            raise DatabaseUnavailableError(
                f"SQL folder {self._folder} cannot be read ({error.strerror}): "
                "make it, or correct the profile's url"
            ) from error

    def _content(self, path: str, stamp: Stamp | None) -> Content:
        known = self._known.pop(path, None)
        if stamp is None:
            reason = "it cannot be looked at: check its rights and where its link points"
            return Content(digest="problem: " + reason, problem=reason)
        digest, read, problem = _read(self._folder / path, stamp)
        is_new = known is None or known.stamp != stamp
        # Many editors empty a file before they fill it: one that is found empty counts as it was
        # until it is seen so again.
        is_being_saved = is_new and digest == _EMPTY
        if known is not None and (known.content.digest == digest or is_being_saved):
            content = known.content
        else:
            content = Content(digest=digest, problem=problem)
            self._texts[path] = (digest, read or "")
        # Two writes within one tick of the file system's clock leave the same stamp: a stamp
        # that is new is looked at once more before it is believed.
        settled = not is_new
        self._known[path] = _Entry(stamp=stamp, content=content, settled=settled)
        return content


class _Walk:
    """One walk: every path that runs, and the stamps of those that are not as they were.

    Of what stands still nothing but its path is kept: a poll is little more than one `stat` a
    file, and leaves the collector nothing to walk over.
    """

    def __init__(self, known: Mapping[str, _Entry]) -> None:
        self._known = known
        self.paths: list[str] = []
        self.moved: dict[str, Stamp | None] = {}

    def go(self, folder: str, prefix: str, above: frozenset[tuple[int, int]]) -> None:
        try:
            state = os.stat(folder)  # noqa: PTH116 no paths are built here
            with os.scandir(folder) as listed:
                entries = list(listed)
        except OSError:
            self._put(prefix.rstrip("/"), None)
            return
        here = (state.st_dev, state.st_ino)
        if here in above:  # a link back to a folder that we came through
            return
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            if _is_folder(entry):
                self.go(entry.path, f"{prefix}{name}/", above | {here})
            elif _runs(name):
                self._look(entry, prefix + name)

    def _look(self, entry: os.DirEntry[str], path: str) -> None:
        try:
            found = entry.stat()
        except FileNotFoundError:
            return  # gone between the listing and now
        except OSError:
            self._put(path, None)
            return
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        known = self._known.get(path)
        if known is not None and known.settled and known.stamp == stamp:
            self.paths.append(path)
        elif stat.S_ISREG(found.st_mode):
            self._put(path, stamp)

    def _put(self, path: str, stamp: Stamp | None) -> None:
        self.paths.append(path)
        self.moved[path] = stamp


@lru_cache(maxsize=100_000)
def _runs(name: str) -> bool:
    return name.lower().endswith(".sql") and not _UNDO.search(name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _read(path: Path, stamp: Stamp) -> tuple[str, str | None, str | None]:
    """Return digest, text and problem; one of the last two is None."""
    if stamp[1] > LARGEST:
        return _unread(f"it is larger than {LARGEST // 1024 // 1024} MB: keep data elsewhere")
    try:
        data = path.read_bytes()
    except OSError as error:
        return _unread(f"it cannot be read ({error.strerror}): check its rights")
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return digest, None, f"line {line} is not UTF-8 text: save the file as UTF-8"
    return digest, _without_down(text), None


def _unread(problem: str) -> tuple[str, None, str]:
    return "problem: " + problem, None, problem


def _without_down(text: str) -> str:
    """Blank the sections that undo a migration (goose, dbmate, sql-migrate); lines stay."""
    marks = list(_DOWN.finditer(text))
    for mark, after in pairwise([*marks, None]):
        if mark is not None and mark[1].lower() == "down":
            end = after.start() if after is not None else len(text)
            blank = re.sub(r"[^\n]", " ", text[mark.end() : end])
            text = text[: mark.end()] + blank + text[end:]
    return text
