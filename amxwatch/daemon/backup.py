"""Backups of one install: the state, and the config without the values of secrets.

The catalog caches are left out: they are rebuilt from the state when they are next asked for.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from amxwatch import __version__
from amxwatch.core.errors import ConfigError, StoreBusyError, UsageError
from amxwatch.settings.edit import edited
from amxwatch.settings.file import load
from amxwatch.settings.folder import FILE_MODE, Folder, prepare
from amxwatch.settings.reload import dump
from amxwatch.settings.replacement import file_problems
from amxwatch.settings.schema import Settings
from amxwatch.settings.secrets import NOT_STORED
from amxwatch.settings.source import read_sources
from amxwatch.stores.ledger.backup import Examined, back_up, examine

FORMAT = 1
MANIFEST = "manifest.json"
STATE = "state.db"

Keys = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Backup:
    """One backup file. `left_out` are the keys of plain secrets, or files, that are not in it."""

    path: Path
    size: int
    files: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was put in place, and where what stood there before was moved."""

    folder: Path
    made_at: str
    files: int
    set_aside: Path | None
    left_out: tuple[str, ...]


def check_state(folder: Path) -> Examined:
    """Read the whole state database. Raises: NotFoundError."""
    return examine(Folder(path=folder).state)


def make_backup(config_dir: Path, target: Path, now: datetime) -> Backup:
    """Write a backup while everything goes on: to the file named, or into the folder named.

    Raises: UsageError where the file exists or cannot be written; StoreError, NotFoundError.
    """
    if target.is_dir():
        target = target / f"amxwatch-{now:%Y%m%d-%H%M%S}.tar.gz"
    if target.exists():
        raise UsageError(f"{target} exists: name another file, or a folder")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}: make it, or name a file elsewhere")
    config, left_out = _config(config_dir)
    manifest = {
        "format": FORMAT,
        "amxwatch": __version__,
        "made_at": now.isoformat(),
        "left_out": list(left_out),
    }
    with file_problems(target), tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        state, packed = Path(scratch) / STATE, Path(scratch) / "packed"
        back_up(Folder(path=config_dir).state, state)
        os.close(os.open(packed, os.O_CREAT | os.O_WRONLY, FILE_MODE))
        with tarfile.open(packed, "w:gz", compresslevel=3) as archive:
            _add(archive, MANIFEST, json.dumps(manifest, indent=1).encode(), now)
            for name, data in config.items():
                _add(archive, name, data, now)
            archive.add(state, STATE)
        packed.rename(target)
    return Backup(path=target, size=target.stat().st_size, files=len(config) + 1, left_out=left_out)


def _add(archive: tarfile.TarFile, name: str, data: bytes, now: datetime) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(data), FILE_MODE, now.timestamp()
    archive.addfile(entry, io.BytesIO(data))


def _config(config_dir: Path) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return the config files without plain secrets, and what was left out."""
    folder = Folder(path=config_dir)
    sources = [source for source in read_sources(folder) if not source.problem]
    files = {source.name: source.data for source in sources}
    name = folder.config_file.name
    try:
        secrets = _plain_secrets(load(config_dir).settings)
    except ConfigError:
        # What is a secret in a file that makes no sense is not known: rather none of it.
        return {key: data for key, data in files.items() if key != name}, (name,)
    for keys, instead in secrets:
        files[name] = edited(config_dir, folder.config_file, files[name], keys, instead)
    return files, tuple(".".join(keys) for keys, _ in secrets)


def _plain_secrets(settings: Settings) -> list[tuple[Keys, str]]:
    """Return where the config itself holds a secret, and what stands there in a copy."""
    found: list[tuple[Keys, str]] = []

    def walk(node: Any, keys: Keys) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(value, (*keys, key))
        elif isinstance(node, str) and node.startswith(NOT_STORED):
            found.append((keys, node))

    tree = json.loads(dump(settings))
    tree.pop("schedules", None)
    walk(tree, ())
    return found


# -- restoring -------------------------------------------------------------------------------


def restore_backup(config_dir: Path, source: Path, now: datetime) -> Restored:
    """Put a backup in place; what stood there is moved into a folder beside, never deleted.

    Raises: UsageError for what is no backup or is damaged; StoreBusyError while a daemon runs.
    """
    folder = prepare(config_dir)
    lock = FileLock(folder.path / "daemon.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise StoreBusyError(
            f"a daemon runs for {folder.path}: stop it before restoring (amxwatch service"
            " uninstall, or end its process; amxwatch status names it)"
        ) from None
    try:
        with file_problems(folder.path), tempfile.TemporaryDirectory(dir=folder.path) as scratch:
            manifest = _unpack(source, Path(scratch))
            aside = _set_aside(folder, now)
            return Restored(
                folder=folder.path,
                made_at=manifest["made_at"],
                files=_put(Path(scratch), folder),
                set_aside=aside,
                left_out=tuple(manifest["left_out"]),
            )
    finally:
        lock.release()


def _unpack(source: Path, scratch: Path) -> dict[str, Any]:
    """Unpack and check a backup. Raises: UsageError."""
    try:
        with tarfile.open(source, "r:gz") as archive:
            archive.extractall(scratch, filter="data")
        manifest = json.loads((scratch / MANIFEST).read_bytes())
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise UsageError(f"{source} is no backup, or is damaged: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UsageError(f"{source} is a backup of another version of amxwatch; upgrade it")
    found = examine(scratch / STATE)
    if found.problems:
        raise UsageError(f"{source}: its state database is damaged: {found.problems[0]}")
    return manifest


def _set_aside(folder: Folder, now: datetime) -> Path | None:
    """Move what a restore replaces into a folder of its own."""
    state = folder.state
    old = [folder.config_file, state, *(Path(f"{state}{end}") for end in ("-wal", "-shm"))]
    old += [*folder.schedules.glob("*.toml"), *folder.catalog.iterdir()]
    there = [path for path in old if path.exists() or path.is_symlink()]
    if not there:
        return None
    aside = folder.path / f"before-restore-{now:%Y%m%d-%H%M%S}"
    for path in there:
        kept = aside / path.relative_to(folder.path)
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.rename(kept)
    return aside


def _put(scratch: Path, folder: Folder) -> int:
    """Move the unpacked files in; the state comes last, so that a half restore is none."""
    (scratch / MANIFEST).unlink()
    files = sorted((path for path in scratch.rglob("*") if path.is_file()), key=_state_last)
    for path in files:
        path.chmod(FILE_MODE)
        shutil.move(path, folder.path / path.relative_to(scratch))
    return len(files)


def _state_last(path: Path) -> tuple[bool, str]:
    return path.name == STATE, str(path)
