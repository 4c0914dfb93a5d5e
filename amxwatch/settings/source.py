"""The bytes of the config: one main file and its drop-ins, as they lie on disk."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from amxwatch.settings.folder import Folder

MAX_BYTES = 256 * 1024
"""What one file may hold. Beyond this a hostile file could take minutes to parse."""


LARGE = 500
"""From so many drop-ins on, those that did not move are not read again. See: shelf."""


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """One file. `problem` says why it could not be read; then `data` is empty.

    `name` is relative to the config folder. `drop_in` files hold one schedule each.
    """

    path: Path
    name: str
    data: bytes = b""
    problem: str = ""
    drop_in: bool = False


def read_sources(
    folder: Folder, instead: Mapping[Path, bytes | None] | None = None
) -> tuple[SourceFile, ...]:
    """Read the main file, if there is one, and the drop-ins, sorted by name.

    `instead` shows a file as it would be after an edit; None there means that it is gone.
    Never raises for what it finds: the problem is in the file's place.
    """
    changed = {**instead} if instead else {}
    drop_ins, problem = list_drop_ins(folder)
    sources = []
    if problem:
        sources.append(
            SourceFile(path=folder.schedules, name=folder.schedules.name, problem=problem)
        )
    return (*sources, *_sources(folder, {folder.config_file, *drop_ins, *changed}, changed))


def read_some(
    folder: Folder, names: Iterable[str], instead: Mapping[Path, bytes | None] | None = None
) -> tuple[SourceFile, ...]:
    """Read the main file, if there is one, and the named drop-ins, as `read_sources` does."""
    changed = {**instead} if instead else {}
    paths = {folder.config_file, *(folder.schedules / name for name in names)}
    return tuple(_sources(folder, paths, changed))


def _sources(
    folder: Folder, paths: set[Path], changed: dict[Path, bytes | None]
) -> list[SourceFile]:
    sources = []
    for path in sorted(paths, key=lambda path: (path != folder.config_file, path.name)):
        drop_in = path != folder.config_file
        name = f"{folder.schedules.name}/{path.name}" if drop_in else path.name
        data, problem = _look(path, changed)
        if data is not None or problem:
            sources.append(
                SourceFile(path=path, name=name, data=data or b"", problem=problem, drop_in=drop_in)
            )
    return sources


def is_large(folder: Folder) -> bool:
    """Say whether there are so many drop-ins that reading all of them takes long."""
    try:
        with os.scandir(folder.schedules) as entries:
            return sum(1 for _ in islice(entries, LARGE)) == LARGE
    except OSError:
        return False


def is_drop_in(name: str) -> bool:
    """Hidden files are left out: editors and our own writer keep theirs there for a moment."""
    return name.endswith(".toml") and not name.startswith(".")


def _look(path: Path, changed: dict[Path, bytes | None]) -> tuple[bytes | None, str]:
    return (changed[path], "") if path in changed else _read(path)


def list_drop_ins(folder: Folder) -> tuple[list[Path], str]:
    """Return the drop-ins' paths, and why the folder could not be listed, if so."""
    try:
        names = [path.name for path in folder.schedules.iterdir()]
    except FileNotFoundError:
        return [], ""
    except OSError as error:
        return [], f"a folder that cannot be listed ({error.strerror})"
    return [folder.schedules / name for name in sorted(names) if is_drop_in(name)], ""


def _read(path: Path) -> tuple[bytes | None, str]:
    """Return the file's bytes (None where it does not exist) and what is wrong with it."""
    try:
        # A FIFO would block for ever on open, so look before.
        if not stat.S_ISREG(path.stat().st_mode):
            return None, "a folder" if path.is_dir() else "something that is no regular file"
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None, "a symlink to nothing" if path.is_symlink() else ""
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None, "a symlink that leads to itself"
        return None, f"a file that cannot be read ({error.strerror})"
    if len(data) > MAX_BYTES:
        return None, "a file that is too large"
    return data, ""


def digest(sources: tuple[SourceFile, ...]) -> str:
    """Return a hash that moves when any file comes, goes or reads differently."""
    total = hashlib.sha256()
    for source in sources:
        for part in (os.fsencode(source.name), source.data, source.problem.encode()):
            total.update(len(part).to_bytes(8, "big"))
            total.update(part)
    return total.hexdigest()
