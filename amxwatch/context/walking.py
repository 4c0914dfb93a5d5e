"""Finds the files of a folder that may be read: of known kinds, not too large, no links."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_FILES = 20_000
"""Files of one folder; more are left out, and said to be."""

MAX_BYTES = 2_000_000
"""Of one file of text."""

PASSED_OVER = frozenset(
    {"node_modules", "__pycache__", "venv", "site-packages", "dist", "build", "dbt_packages"}
)
"""Folders that hold other people's files; those whose name begins with a dot are too."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """One file; `name` is its path within the folder, with slashes."""

    name: str
    path: Path
    stamp: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A file that is not read, and why."""

    name: str
    why: str


def walk(
    folder: Path, endings: Collection[str], *, larger: Collection[str] = (), most: int = MAX_BYTES
) -> Iterator[Found | Refused]:
    """Yield the files with these endings, in the order of their names.

    `larger` endings may be ten times the size. Links are refused: they may lead anywhere. What is
    no file (a pipe, a device) is never opened. A folder that is not there has no files.
    """
    count = 0
    for root, folders, files in os.walk(folder, followlinks=False):
        place = Path(root)
        links = [name for name in folders if (place / name).is_symlink()]
        yield from (Refused(name=_name(folder, place / each), why="is a link") for each in links)
        folders[:] = sorted(
            name
            for name in folders
            if name not in PASSED_OVER and not name.startswith(".") and name not in links
        )
        for name in sorted(files):
            ending = Path(name).suffix.lower()
            if ending not in endings or name.startswith("."):
                continue
            count += 1
            if count > MAX_FILES:
                yield Refused(name=_name(folder, place), why=f"more than {MAX_FILES:,} files")
                return
            yield _look(folder, place / name, most * (10 if ending in larger else 1))


def _look(folder: Path, path: Path, most: int) -> Found | Refused:
    name = _name(folder, path)
    try:
        seen = path.lstat()
    except OSError as error:
        return Refused(name=name, why=error.strerror or "cannot be read")
    if stat.S_ISLNK(seen.st_mode):
        return Refused(name=name, why="is a link")
    if not stat.S_ISREG(seen.st_mode):
        return Refused(name=name, why="is no file")
    if seen.st_size > most:
        return Refused(name=name, why=f"is larger than {most:,} bytes")
    stamp = f"{seen.st_mtime_ns}:{seen.st_size}:{seen.st_ino}"
    return Found(name=name, path=path, stamp=stamp, size=seen.st_size)


def read_text(found: Found) -> str | None:
    """Return a file's text, or None where it holds none or changed into something else."""
    try:
        # A link that was put in the file's place meanwhile is not followed.
        handle = os.open(found.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        content = file.read(found.size + 1)
    if b"\0" in content[:4096]:
        return None
    return content.decode("utf-8-sig", errors="replace")


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix().encode("utf-8", "replace").decode()
