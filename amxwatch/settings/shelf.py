"""What was read of very many drop-ins, kept so that what did not move is not read again.

A small database beside the state. A row is believed only while stat says exactly what it said
when the file was read, and only where that was well after the file's last move; all rows go when
the program's own rules move. It can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import amxwatch
from amxwatch.settings.folder import Folder, make_private
from amxwatch.settings.plans import Shelved

SURE_NS = 2_000_000_000
"""How long before it is read a file must have moved last: a second edit within one tick of the
file system's clock leaves no trace."""

_RULES = ("settings", "triggers", "core/scope.py", "core/retry.py")
"""What decides whether a schedule holds: when one of these files moves, nothing is believed."""

_TABLE = f"CREATE TABLE plan ({', '.join(Shelved._fields)}, PRIMARY KEY (file))"
_PUT = f"INSERT OR REPLACE INTO plan VALUES ({', '.join('?' for _ in Shelved._fields)})"


_SHELVES: dict[Path, Shelf] = {}


def shelf_of(folder: Folder) -> Shelf:
    """Return this process's shelf of an install."""
    if folder.path not in _SHELVES:
        _SHELVES[folder.path] = Shelf(folder)
    return _SHELVES[folder.path]


class Shelf:
    """The rows by file name. A process keeps one, so that it reads the database once."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._path = folder.shelf
        self._rules = _rules()
        self.rows: dict[str, Shelved] = self._read()

    def _read(self) -> dict[str, Shelved]:
        if not self._path.exists():
            return {}
        try:
            with closing(self._connect()) as connection:
                if connection.execute("SELECT rules FROM shelf").fetchone() != (self._rules,):
                    return {}
                return {
                    row[0]: Shelved._make(row) for row in connection.execute("SELECT * FROM plan")
                }
        except sqlite3.OperationalError:  # busy, or none of ours yet
            return {}
        except (sqlite3.DatabaseError, TypeError):  # damaged, or of another shape
            self._discard()
            return {}

    def _discard(self) -> None:
        for end in ("", "-wal", "-shm"):
            Path(f"{self._path}{end}").unlink(missing_ok=True)

    def keep(self, rows: Iterable[Shelved], gone: Iterable[str]) -> None:
        """Put rows in and take others out. What cannot be written is only read again later."""
        new, old = list(rows), list(gone)
        self.rows.update((row.file, row) for row in new)
        for file in old:
            self.rows.pop(file, None)
        if not new and not old:
            return
        try:
            self._write(new, old)
        except (sqlite3.OperationalError, OSError):  # busy, full or read-only
            return
        except sqlite3.DatabaseError:
            self._discard()

    def _write(self, new: list[Shelved], old: list[str]) -> None:
        make_private(self._path)
        with closing(self._connect()) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            rules = connection.execute("SELECT rules FROM shelf").fetchone() if tables else None
            if rules != (self._rules,):
                for name in ("plan", "shelf"):
                    connection.execute(f"DROP TABLE IF EXISTS {name}")
                connection.execute(_TABLE)
                connection.execute("CREATE TABLE shelf (rules)")
                connection.execute("INSERT INTO shelf VALUES (?)", (self._rules,))
                new = list(self.rows.values())
            connection.executemany("DELETE FROM plan WHERE file = ?", [(file,) for file in old])
            connection.executemany(_PUT, new)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=2.0, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        return connection

    def sure_before(self) -> int:
        """Return what a file's last move must lie before to be believed, by the disk's clock."""
        with tempfile.NamedTemporaryFile(dir=self._folder.path, prefix=".now.") as file:
            return Path(file.name).stat().st_mtime_ns - SURE_NS


def _rules() -> str:
    """Return a hash over the files that hold the rules."""
    root = Path(amxwatch.__file__).parent
    total = hashlib.blake2b(amxwatch.__version__.encode(), digest_size=16)
    for place in _RULES:
        path = root / place
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            state = file.stat()
            total.update(f"{file.name} {state.st_size} {state.st_mtime_ns}\n".encode())
    return total.hexdigest()
