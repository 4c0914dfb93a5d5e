"""What the tests of the daemon look at from outside: the ledger's file and the model's requests."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.plugins.model_server import ModelServer

Name = tuple[str, str]
"""A table and a column; the column is empty for the table itself."""


class Witness:
    """Reads the state database of an install beside the processes that use it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "state.db"

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as ledger:
            return list(ledger.execute(query, values))

    def value(self, query: str, *values: object) -> Any:
        return self.rows(query, *values)[0][0]

    def count(self, table: str, where: str = "1", *values: object) -> int:
        return int(self.value(f"SELECT count(*) FROM {table} WHERE {where}", *values))

    def events(self, action: str) -> int:
        return self.count("event", "action = ?", action)

    def has_taken_a_turn(self, process: subprocess.Popen[bytes]) -> bool:
        """Say whether the daemon that is this process has told of its first cycle."""
        assert process.poll() is None, f"the daemon left with {process.returncode}"
        if not self._path.exists() or self.count("sqlite_master", "name = 'installation'") == 0:
            return False
        found = self.rows("SELECT value FROM installation WHERE key = 'daemon'")
        said = json.loads(found[0][0]) if found else {}
        return said.get("pid") == process.pid and said.get("last_cycle_result") is not None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other process from writing to the ledger."""
        with closing(sqlite3.connect(self._path, isolation_level=None, timeout=60)) as ledger:
            ledger.execute("BEGIN IMMEDIATE")
            yield
            ledger.execute("ROLLBACK")

    def served(self) -> Counter[Name]:
        """Count, for each object, its drafts out of completed runs."""
        found = self.rows(
            "SELECT table_name, column_name FROM draft JOIN run ON run.id = run_id"
            " JOIN object ON object.id = object_id WHERE run.status = 'completed'"
        )
        return Counter((table, column) for table, column in found)

    def open_drafts(self) -> Counter[Name]:
        """Count, for each object, its drafts that are still worth something."""
        found = self.rows(
            "SELECT table_name, column_name FROM draft JOIN object ON object.id = object_id"
            " WHERE status NOT IN ('superseded', 'withdrawn')"
        )
        return Counter((table, column) for table, column in found)

    def unfinished(self) -> list[str]:
        """Return the runs that are neither over nor waiting for a person."""
        query = "SELECT id FROM run WHERE status IN ('queued', 'running')"
        return [run_id for (run_id,) in self.rows(query)]


def paid(server: ModelServer) -> Counter[str]:
    """Count how often the model was asked each question."""
    return Counter(json.dumps(request, sort_keys=True) for request in server.requests)


def repeated(server: ModelServer) -> int:
    """Return how many requests were made that had been made before."""
    return sum(times - 1 for times in paid(server).values())
