"""The walk that is the truth for files: which match a pattern, and what they hold.

Events may be lost; a walk by modification time, size and inode, then by content, is not.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from amxwatch.core.errors import UsageError

_MOST_REMEMBERED = 200_000
_UNREADABLE = "unreadable"

Stamp = tuple[int, int, int]
"""mtime in nanoseconds, size, inode: while these stand still, so does the content."""


@dataclass(frozen=True, kw_only=True)
class FileMarks:
    """What the watched files held at one look.

    `files` are (path relative to the root, hash of the content), sorted; `mark` is one digest
    over them, stable over restarts and machines. A file that was only touched moves nothing.
    """

    mark: str
    files: tuple[tuple[str, str], ...]

    def moved_since(self, before: FileMarks) -> tuple[str, ...]:
        """Return the paths that were added, removed or changed since `before`, sorted."""
        return tuple(sorted({path for path, _ in set(self.files) ^ set(before.files)}))

    def to_text(self) -> str:
        """Write the marks as JSON."""
        return json.dumps({"mark": self.mark, "files": self.files}, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> FileMarks:
        """Read what `to_text` wrote. Raises: UsageError."""
        try:
            document = json.loads(text)
            files = tuple((str(path), str(digest)) for path, digest in document["files"])
            return cls(mark=str(document["mark"]), files=files)
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError("these are not file marks; take them anew") from error


@dataclass(frozen=True, kw_only=True)
class _Hashed:
    stamp: Stamp
    digest: str
    settled: bool


class _Hashes:
    """Content hashes by path, good for as long as the stamp stands still. Threads may share it."""

    def __init__(self) -> None:
        self._known: dict[str, _Hashed] = {}
        self._lock = threading.Lock()

    def of(self, path: str) -> str | None:
        """Return the hash of a file's content; None where it is not, or is no regular file."""
        try:
            state = Path(path).stat()
        except FileNotFoundError:
            return None
        except OSError:
            return _UNREADABLE
        if not stat.S_ISREG(state.st_mode):
            return None
        stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
        known = self._known.get(path)
        if known is not None and known.settled and known.stamp == stamp:
            return known.digest
        digest = _hash(path)
        # Two writes within one tick of the file system's clock leave the same stamp: a stamp
        # that is new is looked at once more before it is believed.
        settled = known is not None and known.stamp == stamp
        with self._lock:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[path] = _Hashed(stamp=stamp, digest=digest, settled=settled)
        return digest


def _hash(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError:
        return _UNREADABLE


_HASHES = _Hashes()


def digest(patterns: Sequence[str], root: Path, *, leave_out: frozenset[str]) -> FileMarks:
    """Look at every file that matches a pattern. Blocking; run it in a worker thread.

    Patterns start at `root` (`models/**/*.sql`); one that names a folder means all of it.
    Hidden names match only where the pattern says the dot. `leave_out` holds file names, or
    paths relative to `root`, that never count.
    """
    found: dict[str, str] = {}
    for pattern in patterns:
        for path in _matching(root, pattern):
            relative = Path(os.path.relpath(path, root)).as_posix()
            if relative in found or leave_out & {relative, relative.rsplit("/", 1)[-1]}:
                continue
            if (content := _HASHES.of(path)) is not None:
                found[relative] = content
    files = tuple(sorted(found.items()))
    whole = hashlib.blake2b(digest_size=16)
    for relative, content in files:
        whole.update(f"{relative}\0{content}\0".encode("utf-8", "surrogateescape"))
    return FileMarks(mark=whole.hexdigest(), files=files)


def _matching(root: Path, pattern: str) -> Iterator[str]:
    start = Path(pattern).anchor or str(root)
    parts = [part for part in pattern.replace("\\", "/").split("/") if part not in ("", ".")]
    while parts and not _is_glob(parts[0]) and len(parts) > 1:
        start = os.path.normpath(f"{start}/{parts.pop(0)}")
    if parts and not _is_glob(parts[0]) and Path(start, parts[0]).is_dir():
        parts += ["**"]
    yield from _below(start, parts, frozenset())


def _is_glob(part: str) -> bool:
    return bool(set(part) & set("*?["))


def _below(folder: str, parts: list[str], above: frozenset[tuple[int, int]]) -> Iterator[str]:
    """Yield the files under a folder that the rest of a pattern matches; may repeat one."""
    if not parts:
        return
    if parts == ["**"]:
        parts = ["**", "*"]
    first, rest = parts[0], parts[1:]
    if not _is_glob(first):
        yield from _step(f"{folder}/{first}", rest, above)
        return
    entries, here = _list(folder)
    if here in above:  # a link back to a folder that we came through
        return
    if first == "**":
        yield from _below(folder, rest, above)
    for entry in entries:
        if entry.name.startswith(".") and not first.startswith("."):
            continue
        if first == "**" and _is_folder(entry):
            yield from _below(entry.path, parts, above | {here})
        elif first != "**" and fnmatch.fnmatchcase(entry.name, first):
            yield from _step(entry.path, rest, above | {here})


def _step(path: str, rest: list[str], above: frozenset[tuple[int, int]]) -> Iterator[str]:
    if rest:
        yield from _below(path, rest, above)
    else:
        yield path


def _list(folder: str) -> tuple[list[os.DirEntry[str]], tuple[int, int]]:
    try:
        state = Path(folder).stat()
        with os.scandir(folder) as entries:
            return list(entries), (state.st_dev, state.st_ino)
    except OSError:
        return [], (-1, -1)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
