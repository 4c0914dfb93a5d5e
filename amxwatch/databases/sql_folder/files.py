"""The folder's files: found in the order they run in, read only when they have moved."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
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

Stamp = tuple[int, int, int]
"""mtime in nanoseconds, size, inode: while these stand still, so does the content."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """One file: its path relative to the folder, and its stamp (None: it cannot be looked at)."""

    path: str
    stamp: Stamp | None


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a file holds: its text, or why it has none. `digest` moves with either."""

    digest: str
    text: str | None = None
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

    def look(self) -> list[tuple[str, Content]]:
        """Return every file that runs, in order, reading those that moved.

        Raises: DatabaseUnavailableError when the folder is not there.
        """
        found = sorted(self._walk(), key=lambda item: run_order(item.path))
        contents = [(item.path, self._content(item)) for item in found]
        kept = {path for path, _ in contents}
        self._known = {path: entry for path, entry in self._known.items() if path in kept}
        return contents

    def _walk(self) -> Iterator[Found]:
        try:
            real = os.path.realpath(self._folder)
            with os.scandir(real):
                pass
        except OSError as error:
            raise DatabaseUnavailableError(
                f"SQL folder {self._folder} cannot be read ({error.strerror}): "
                "make it, or correct the profile's url"
            ) from error
        yield from _walk(real, "", frozenset())

    def _content(self, item: Found) -> Content:
        known = self._known.get(item.path)
        if item.stamp is None:
            return _unread("it cannot be looked at: check its rights and where its link points")
        if known is not None and known.settled and known.stamp == item.stamp:
            return known.content
        content = _read(self._folder / item.path, item.stamp)
        if known is not None and known.content.digest == content.digest:
            content = known.content
        # Two writes within one tick of the file system's clock leave the same stamp: a stamp
        # that is new is looked at once more before it is believed.
        settled = known is not None and known.stamp == item.stamp
        self._known[item.path] = _Entry(stamp=item.stamp, content=content, settled=settled)
        return content


def _walk(folder: str, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[Found]:
    try:
        state = Path(folder).stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield Found(path=prefix.rstrip("/"), stamp=None)
        return
    here = (state.st_dev, state.st_ino)
    if here in above:  # a link back to a folder that we came through
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = prefix + entry.name
        if _is_folder(entry):
            yield from _walk(entry.path, path + "/", above | {here})
        elif entry.name.lower().endswith(".sql") and not _UNDO.search(entry.name):
            yield from _found(entry, path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _found(entry: os.DirEntry[str], path: str) -> Iterator[Found]:
    try:
        state = entry.stat()
    except FileNotFoundError:
        return  # gone between the listing and now
    except OSError:
        yield Found(path=path, stamp=None)
        return
    if stat.S_ISREG(state.st_mode):
        yield Found(path=path, stamp=(state.st_mtime_ns, state.st_size, state.st_ino))


def _unread(problem: str) -> Content:
    return Content(digest="problem: " + problem, problem=problem)


def _read(path: Path, stamp: Stamp) -> Content:
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
        problem = f"line {line} is not UTF-8 text: save the file as UTF-8"
        return Content(digest=digest, problem=problem)
    return Content(digest=digest, text=_without_down(text))


def _without_down(text: str) -> str:
    """Blank the sections that undo a migration (goose, dbmate, sql-migrate); lines stay."""
    marks = list(_DOWN.finditer(text))
    for mark, after in pairwise([*marks, None]):
        if mark is not None and mark[1].lower() == "down":
            end = after.start() if after is not None else len(text)
            blank = re.sub(r"[^\n]", " ", text[mark.end() : end])
            text = text[: mark.end()] + blank + text[end:]
    return text
