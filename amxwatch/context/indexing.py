"""One index file: what was found in the files of a folder, kept until they move."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from amxwatch.context.walking import Found, Refused, walk
from amxwatch.core.errors import StoreError

BUSY_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """What a look at a folder came to. `refused` names the files that are not read, and why."""

    files: int = 0
    read: int = 0
    dropped: int = 0
    refused: tuple[Refused, ...] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The tables of an index. `version` moves when what is kept of a file does.

    Each of `tables` has a column `file`; what belongs to a file is dropped when it moves.
    """

    version: str
    schema: str
    tables: tuple[str, ...]


_FILES = "CREATE TABLE file (name TEXT PRIMARY KEY, stamp TEXT NOT NULL, refused TEXT)"


class Index:
    """A file of ours that is made anew whenever it is of another version, or damaged."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self._path = path
        self._layout = layout

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """Open the index, made where there is none. Raises: StoreError."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with closing(self._connected()) as connection:
                yield connection
        except sqlite3.Error as error:
            raise StoreError(
                f"the index {self._path} cannot be used: {error}; delete it, it is made anew"
            ) from error

    def _connected(self) -> sqlite3.Connection:
        try:
            return self._prepared()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self._path.unlink(missing_ok=True)
            return self._prepared()

    def _prepared(self) -> sqlite3.Connection:
        self._path.touch(mode=0o600)
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            self._prepare(connection)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if self._is_ready(connection):
            return
        with writing(connection):
            if self._is_ready(connection):  # another process was quicker
                return
            for name in ("made", "file", *self._layout.tables):
                connection.execute(f"DROP TABLE IF EXISTS {name}")
            connection.execute("CREATE TABLE made (version TEXT NOT NULL)")
            connection.execute(_FILES)
            for statement in filter(str.strip, self._layout.schema.split(";")):
                connection.execute(statement)
            connection.execute("INSERT INTO made VALUES (?)", [self._layout.version])

    def _is_ready(self, connection: sqlite3.Connection) -> bool:
        query = "SELECT count(*) FROM sqlite_schema WHERE name = 'made'"
        if not connection.execute(query).fetchone()[0]:
            return False
        return connection.execute("SELECT version FROM made").fetchall() == [
            (self._layout.version,)
        ]

    def refresh(
        self,
        folder: Path,
        endings: Sequence[str],
        keep: Callable[[sqlite3.Connection, Found], str | None],
        *,
        larger: Sequence[str] = (),
    ) -> Refreshed:
        """Read the files that moved since the last look, and drop those that are gone.

        `keep` puts what a file holds into the tables, or returns why the file is refused. Each
        file is committed by itself.
        """
        refused: list[Refused] = []
        there: set[str] = set()
        read = 0
        with self.opened() as connection:
            query = "SELECT name, stamp, refused FROM file"
            known = {name: (stamp, why) for name, stamp, why in connection.execute(query)}
            for found in walk(folder, endings, larger=larger):
                if isinstance(found, Refused):
                    refused.append(found)
                    continue
                there.add(found.name)
                stamp, why = known.get(found.name, (None, None))
                if stamp != found.stamp:
                    read += 1
                    why = self._read(connection, found, keep)
                if why:
                    refused.append(Refused(name=found.name, why=why))
            gone = known.keys() - there
            with writing(connection):
                for name in gone:
                    self._drop(connection, name)
        return Refreshed(files=len(there), read=read, dropped=len(gone), refused=tuple(refused))

    def _read(
        self,
        connection: sqlite3.Connection,
        found: Found,
        keep: Callable[[sqlite3.Connection, Found], str | None],
    ) -> str | None:
        with writing(connection):
            self._drop(connection, found.name)
            why = keep(connection, found)
            connection.execute("INSERT INTO file VALUES (?, ?, ?)", [found.name, found.stamp, why])
        return why

    def _drop(self, connection: sqlite3.Connection, name: str) -> None:
        for table in ("file", *self._layout.tables):
            column = "name" if table == "file" else "file"
            connection.execute(f"DELETE FROM {table} WHERE {column} = ?", [name])


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all of it or nothing; other processes wait meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
