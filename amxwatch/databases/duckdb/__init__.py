"""DuckDB files: opened for one operation at a time, and never created.

DuckDB admits one process, and within a process one mode, so a file is held open as briefly as
can be; a lock that somebody else holds is waited for a bounded number of times. Each file here
is one window of `ports.database`; `catalog.sql` holds the queries.
"""

from __future__ import annotations

from pathlib import Path

from amxwatch.databases import ConnectOptions, file_of
from amxwatch.databases.duckdb.comments import COMMENTED, DuckCommenter
from amxwatch.databases.duckdb.file import DuckFile
from amxwatch.databases.duckdb.reader import DuckReader
from amxwatch.databases.duckdb.sampler import DuckSampler
from amxwatch.ports.database import Capabilities


class DuckDatabase:
    """Implements `ports.database.Database`. Use `open_duckdb`."""

    def __init__(self, file: DuckFile) -> None:
        self.capabilities = Capabilities(
            product="DuckDB", dialect="duckdb", comments=frozenset(COMMENTED)
        )
        self.reader = DuckReader(file)
        self.sampler = DuckSampler(file)
        self.commenter = DuckCommenter(file)
        self.hints = None

    async def aclose(self) -> None:
        """Do nothing: no connection outlives an operation."""


def open_duckdb(url: str, *, relative_to: Path, options: ConnectOptions) -> DuckDatabase:
    """Return a DuckDB file, not yet opened. Raises: UsageError."""
    return DuckDatabase(DuckFile(file_of(url, relative_to=relative_to), options))
