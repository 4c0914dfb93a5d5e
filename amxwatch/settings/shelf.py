"""What was read of very many drop-ins, kept so that what did not move is not read again.

A small database beside the state. A row is believed only while stat says exactly what it said
when the file was read, and only where that was well after the file's last move; all rows go when
the program's own rules move. It can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import amxwatch
from amxwatch.settings.folder import Folder, make_private
from amxwatch.settings.plans import Shelved, Stat

SURE_NS = 2_000_000_000
"""How long before it is read a file must have moved last: a second edit within one tick of the
file system's clock leaves no trace."""

_RULES = ("settings", "triggers", "core/scope.py", "core/retry.py")
"""What decides whether a schedule holds: when one of these files moves, nothing is believed."""

_SPARE = 10_000
"""How many tables that no row names any more are left lying."""

_CACHE_KB = 32_000
"""How much a transaction holds before it spills."""

_COLUMNS = (
    "file, inode, size, mtime, ctime, digest, name, db_profile, llm_profile, trigger,"
    " max_concurrent, warnings, mark"
)
_TABLES = (
    "CREATE TABLE shelf (rules, main, listing)",
    f"CREATE TABLE plan ({_COLUMNS}, PRIMARY KEY (file)) WITHOUT ROWID",
    "CREATE INDEX plan_name ON plan (name)",
    "CREATE TABLE body (mark, text, PRIMARY KEY (mark)) WITHOUT ROWID",
)
_PUT = f"INSERT OR REPLACE INTO plan VALUES ({', '.join('?' * 13)})"

_SHELVES: dict[Path, Shelf] = {}


def shelf_of(folder: Folder) -> Shelf:
    """Return this process's shelf of an install."""
    if folder.path not in _SHELVES:
        _SHELVES[folder.path] = Shelf(folder)
    return _SHELVES[folder.path]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the whole config was when it was last found to hold.

    `main` is the hash of the main file, empty where the whole did not hold; `listing` what stat
    said of the folder, empty where it could not say which files are in it.
    """

    main: str = ""
    listing: str = ""


class Shelf:
    """The rows by file name. A process keeps one, so that it reads the database once."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._path = folder.shelf
        self._rules = _rules()
        self._rows: dict[str, Shelved] | None = None
        self._bodies: dict[bytes, str] = {}
        self._lock = threading.Lock()
        self._reading: sqlite3.Connection | None = None

    @property
    def rows(self) -> dict[str, Shelved]:
        """All of them, of which those without a stat are this process's alone."""
        if self._rows is None:
            self._rows = {row.file: row for row in self.select("")}
        return self._rows

    # -- reading -----------------------------------------------------------------------------

    def judged(self) -> Judged:
        found = self._ask("SELECT main, listing FROM shelf WHERE rules = ?", (self._rules,))
        if not found or not all(isinstance(each, str) for each in found[0]):
            return Judged()
        return Judged(main=found[0][0], listing=found[0][1])

    def select(self, clause: str, values: Sequence[object] = ()) -> list[Shelved]:
        """Return the rows of which an SQL clause holds; none where the rules moved."""
        same: Callable[[Any, Any], Any] = {}.setdefault

        def row_of(found: tuple[Any, ...]) -> Shelved:
            # Few different words, in very many rows: each is held once.
            words = [same(word, word) for word in found[7:]]
            return Shelved(found[0], found[1:5], found[5], found[6], *words)

        if not self._ask("SELECT 1 FROM shelf WHERE rules = ?", (self._rules,)):
            return []
        return self._ask(f"SELECT {_COLUMNS} FROM plan {clause}", values, row_of)

    def files(self) -> set[str]:
        return {file for (file,) in self._ask("SELECT file FROM plan")}

    def count(self) -> int:
        return sum(count for (count,) in self._ask("SELECT count(*) FROM plan"))

    def body(self, mark: bytes) -> str | None:
        if mark in self._bodies:
            return self._bodies[mark]
        found = self._ask("SELECT text FROM body WHERE mark = ?", (mark,))
        text = found[0][0] if found else None
        return text if isinstance(text, str) and mark_of(text) == mark else None

    def _ask(
        self,
        query: str,
        values: Sequence[object] = (),
        made: Callable[[tuple[Any, ...]], Any] = tuple,
    ) -> list[Any]:
        """Return what a query finds; nothing where the database cannot say."""
        with self._lock:
            try:
                if self._reading is None:
                    if not self._path.exists():
                        return []
                    self._reading = self._connect(shared=True)
                    weakref.finalize(self, self._reading.close)
                return [made(row) for row in self._reading.execute(query, values)]
            except (sqlite3.DatabaseError, OSError) as error:
                if not _may_be_mended(error):
                    self._discard()
                return []

    def _discard(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None
        for end in ("", "-wal", "-shm"):
            Path(f"{self._path}{end}").unlink(missing_ok=True)

    # -- writing -----------------------------------------------------------------------------

    def hold(self, bodies: Mapping[bytes, str]) -> None:
        """Remember tables, by their marks, until they are kept."""
        self._bodies.update(bodies)

    def keep(self, rows: Iterable[Shelved], gone: Iterable[str], judged: Judged | None) -> None:
        """Put rows in and take others out. What cannot be written is only read again later.

        `judged` is what the whole is now; None leaves what is known of it.
        """
        new, old = list(rows), list(gone)
        if self._rows is not None:
            self._rows.update((row.file, row) for row in new)
            for file in old:
                self._rows.pop(file, None)
        if not (new or old or self._bodies) and judged in (None, self.judged()):
            return
        with self._writing() as connection:
            old += [row.file for row in new if not row.stat]
            connection.executemany("DELETE FROM plan WHERE file = ?", [(file,) for file in old])
            connection.executemany("INSERT OR IGNORE INTO body VALUES (?, ?)", self._bodies.items())
            connection.executemany(
                _PUT, ((row[0], *row[1], *row[2:]) for row in new if _is_kept(row))
            )
            if judged is not None:
                connection.execute(
                    "UPDATE shelf SET main = ?, listing = ?", (judged.main, judged.listing)
                )
            self._sweep(connection)

    def doubt(self) -> None:
        """Note that the whole does not hold: who needs one schedule looks at all of them."""
        if self.judged() != Judged():
            self.keep((), (), Judged())

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction; nothing comes of it where nothing can be written."""
        try:
            make_private(self._path)
            with closing(self._connect()) as connection, connection:
                connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
                connection.execute("BEGIN IMMEDIATE")
                self._prepare(connection)
                yield connection
            self._bodies.clear()
        except (sqlite3.DatabaseError, OSError) as error:
            if not _may_be_mended(error):
                with self._lock:
                    self._discard()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the tables where there are none that were made by the same rules."""
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        rules = connection.execute("SELECT rules FROM shelf").fetchone() if tables else None
        if rules == (self._rules,):
            return
        for name in ("plan", "shelf", "body"):
            connection.execute(f"DROP TABLE IF EXISTS {name}")
        for table in _TABLES:
            connection.execute(table)
        connection.execute("INSERT INTO shelf VALUES (?, '', '')", (self._rules,))
        kept = [row for row in (self._rows or {}).values() if _is_kept(row)]
        connection.executemany(_PUT, ((row[0], *row[1], *row[2:]) for row in kept))

    def _sweep(self, connection: sqlite3.Connection) -> None:
        """Drop tables that no row names, once there are very many of them."""
        plans, bodies = connection.execute(
            "SELECT (SELECT count(*) FROM plan), (SELECT count(*) FROM body)"
        ).fetchone()
        if bodies > 2 * plans + _SPARE:
            connection.execute("DELETE FROM body WHERE mark NOT IN (SELECT mark FROM plan)")

    def _connect(self, *, shared: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=2.0, isolation_level=None, check_same_thread=not shared
        )
        connection.execute("PRAGMA journal_mode = WAL")
        return connection

    def sure_before(self) -> int:
        """Return what a file's last move must lie before to be believed, by the disk's clock."""
        with tempfile.NamedTemporaryFile(dir=self._folder.path, prefix=".now.") as file:
            return Path(file.name).stat().st_mtime_ns - SURE_NS


def mark_of(body: str) -> bytes:
    """Return the hash that a checked table goes by."""
    return hashlib.blake2b(body.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def is_sure(stat: Stat, before: int) -> bool:
    """Say whether a file stood still for so long before it was read that stat tells its moves."""
    return len(stat) == 4 and max(stat[2:]) < before


def _may_be_mended(error: Exception) -> bool:
    """Say whether the database may be well: it is busy, or nothing can be written."""
    code = getattr(error, "sqlite_errorcode", None)
    shape = code == sqlite3.SQLITE_ERROR and "no such table" not in str(error)
    return isinstance(error, sqlite3.OperationalError | OSError) and not shape


def _is_kept(row: Shelved) -> bool:
    return bool(row.stat)


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
