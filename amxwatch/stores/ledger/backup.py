"""A copy of the state database while it is in use, and what is wrong with one."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from amxwatch.core.errors import NotFoundError
from amxwatch.stores.ledger.connection import translated
from amxwatch.stores.ledger.migrations import HEAD

PAGES = 2000
"""Pages that are copied at a time; in between, others may write."""

MOST_PROBLEMS = 20


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What was found of one state database. `version` is None where it could not be read."""

    path: Path
    version: str | None
    size: int
    free: int
    problems: tuple[str, ...]


def back_up(path: Path, target: Path) -> None:
    """Copy the database as it stands at one moment into a new file (mode 0600).

    Writers go on meanwhile. Raises: StoreError, NotFoundError.
    """
    if not path.exists():
        raise NotFoundError(f"there is no state database {path} to back up")
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with (
        translated(path),
        closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy, pages=PAGES)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a -wal beside it


def examine(path: Path) -> Examined:
    """Read the whole file and say what is wrong with it; nothing is written.

    Raises: NotFoundError.
    """
    if not path.exists():
        raise NotFoundError(f"there is no state database {path}")
    problems: list[str] = []
    version, size, free = None, path.stat().st_size, 0
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            problems += _damage(connection)
            version = _version(connection)
            free = _number(connection, "freelist_count") * _number(connection, "page_size")
    except sqlite3.Error as error:
        problems.append(f"it cannot be read: {error}")
    else:
        problems += _of_version(version)
    return Examined(path=path, version=version, size=size, free=free, problems=tuple(problems))


def _damage(connection: sqlite3.Connection) -> list[str]:
    found = [row[0] for row in connection.execute(f"PRAGMA integrity_check({MOST_PROBLEMS})")]
    problems = [] if found == ["ok"] else found
    lost = connection.execute("PRAGMA foreign_key_check").fetchmany(MOST_PROBLEMS)
    return problems + [
        f"row {row} of {table} points at a {to} that is gone" for table, row, to, _ in lost
    ]


def _version(connection: sqlite3.Connection) -> str | None:
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return None
    return None if row is None else str(row[0])


def _of_version(version: str | None) -> list[str]:
    if version is None:
        return ["it is no state database of amxwatch"]
    if version <= HEAD:
        return []
    newer = f"its tables are at version {version}, and this program knows up to {HEAD}"
    return [f"{newer}; upgrade amxwatch"]


def _number(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
