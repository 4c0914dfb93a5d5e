"""The state database of a simulated install: the SQL ledger on SQLite in memory, or plain Python.

With `sql`, statements, tables, indexes and constraints are the real ones; only threads and locks
are left out, as a transaction here is over before anyone else can look. What was read is
remembered until the next write. Without it the busy tables are those of `ledger`, which is
many times as quick.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.pool import StaticPool

from amxwatch.stores.ledger.connection import translated
from amxwatch.stores.ledger.tables import metadata
from amxwatch.stores.ledger.transaction import SqlTx
from tests.simulation.ledger import MemoryTx, Tables

T = TypeVar("T")
Row = dict[str, Any]

READS = frozenset(
    {"get", "list", "latest", "at", "oldest", "recent", "after", "recorded", "daemon"}
    | {"good_config", "names", "size", "count", "next_approved"}
    | {"sessions.open", "sessions.open_of", "sessions.spent", "outbox.waiting", "outbox.of"}
    | {"alerts.troubled", "alerts.seen", "news.untold", "keeping.oldest"}
    | {"history.of", "history.outcomes", "history.trail"}
)
"""Methods of the ledger's ports that change nothing, whose answers are remembered."""

REMEMBERED = frozenset(
    {"runs", "steps", "schedules", "snapshots", "sources", "events", "drafts", "objects"}
)
"""Ports of which all that they read is known; over SQL no other's answers are remembered."""

APART = frozenset({"schedules", "snapshots", "sources", "installation", "events"})
"""Ports whose tables no other port reads: a write to one leaves what was read of others true."""

APART_FROM_MEMORY = APART | {"alerts"}

WATCHED = {"run": "id", "schedule": "name", "event": "id"}
"""Tables whose rows are told of after each commit, and their keys."""


class Touched:
    """The rows that one commit wrote."""

    def __init__(self, rows: dict[str, list[Row]], gone: dict[str, list[Any]]) -> None:
        self.rows = rows
        self.gone = gone


class Store:
    """One state database for a whole worker; `reset` empties it for the next seed.

    `sql` keeps the busy tables in SQLite too; else only what is rarely asked for is there.
    """

    def __init__(self, *, sql: bool = False) -> None:
        self.sql = sql
        self._raw = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        engine = create_engine("sqlite://", creator=lambda: self._raw, poolclass=StaticPool)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        metadata.create_all(engine)
        self._watch()
        self._empty = self._raw.serialize()
        self._connection = engine.connect()
        self._columns = {
            table: [row[1] for row in self._raw.execute(f"PRAGMA table_info({table})")]
            for table in WATCHED
        }
        self.tables = Tables()
        self.on_commit: Callable[[Touched], None] = lambda _: None
        self.verify = False
        """Whether what is remembered is read again and compared; slow."""
        self._memory: dict[str, dict[Any, Any]] = {}
        self._blank: dict[str, dict[Any, Any]] = {}
        self._is_ready = False
        self._written: set[str] = set()
        """Ports through which SQL was written since the last `reset`."""
        self._reader = _Transaction(self, writes=False)
        self._writer = _Transaction(self)
        self._shown: dict[tuple[str, Any], tuple[Any, Row]] = {}
        """What was told last of a row in memory: of most columns it holds the next time, too."""
        self.commits = 0
        self.version = 0
        """Moves with every commit but a heartbeat's, as the stamp of `recall` does."""

    def reset(self) -> None:
        if self._written or not self._is_ready:
            self._raw.deserialize(self._empty)
            # What is in memory is not there for a foreign key to find.
            self._raw.execute(f"PRAGMA foreign_keys = {'ON' if self.sql else 'OFF'}")
            self._written.clear()
            self._is_ready = True
        self._memory.clear()
        self.tables = Tables()
        self._reader = _Transaction(self, writes=False)
        self._writer = _Transaction(self)
        self._shown.clear()
        self.commits = self.version = 0

    def remembered(self, port: str) -> dict[Any, Any]:
        """Return what was read through a port since anything that it reads was written.

        Where nothing was in this seed, that is what other seeds found in the empty tables.
        """
        if not self.sql and self._is_blank(port):
            return self._blank.setdefault(port, {})
        return self._memory.setdefault(port, {})

    def _is_blank(self, port: str) -> bool:
        apart = self._apart
        return port not in self._written if port in apart else self._written <= apart

    @property
    def _apart(self) -> frozenset[str]:
        return APART if self.sql else APART_FROM_MEMORY

    def telling(self, port: str, args: Iterable[Any]) -> tuple[Any, ...]:
        """Return what an answer depends on: where nothing is stored, not on what time it is."""
        if self.sql or not self._is_blank(port):
            return tuple(args)
        return tuple([each for each in args if not isinstance(each, datetime)])

    def forget(self, written: Iterable[str]) -> None:
        apart = self._apart
        for port in written:
            self._written.add(port)
            stale = [port] if port in apart else [p for p in self._memory if p not in apart]
            for each in stale:
                self._memory.pop(each, None)

    def write(self, work: Callable[[Any], T], *, twice: bool = False) -> T:
        """Run `work` in one transaction; with `twice`, once for nothing before that."""
        transaction = self._writer
        if twice:
            self._undone(transaction, work)
        transaction.begin()
        try:
            with translated(_NOWHERE):
                result = work(transaction)
                transaction.commit()
        except BaseException:
            transaction.roll_back()
            raise
        memory, written = transaction.memory, transaction.written
        if written or (memory is not None and memory.journal):
            self.commits += 1
            if written - {"installation"} or (memory is not None and memory.is_news):
                self.version += 1
            self._tell(memory)
        return result

    def read(self, work: Callable[[Any], T]) -> T:
        reader = self._reader
        try:
            return work(reader)
        finally:
            assert reader.memory is None or not reader.memory.journal, "a read that writes"
            reader.roll_back()

    def _undone(self, transaction: _Transaction, work: Callable[[Any], Any]) -> None:
        transaction.begin()
        try:
            work(transaction)
        except Exception:  # noqa: BLE001 the second call says the same
            pass
        finally:
            transaction.roll_back()

    def _watch(self) -> None:
        self._raw.execute("CREATE TABLE touched (kind TEXT, key)")
        for table, key in WATCHED.items():
            for moment, side in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
                self._raw.execute(
                    f"CREATE TRIGGER touched_{table}_{moment} AFTER {moment} ON {table} BEGIN"
                    f" INSERT INTO touched VALUES ('{table}', {side}.{key}); END"
                )

    def _tell(self, memory: MemoryTx | None) -> None:
        """Tell of the rows that a commit wrote, as SQL gives them."""
        rows: dict[str, list[Row]] = {table: [] for table in WATCHED}
        gone: dict[str, list[Any]] = {table: [] for table in WATCHED}
        for table, key in self._touched() if memory is None else _touched_in(memory):
            row = self._row(table, key)
            if row is None:
                gone[table].append(key)
            else:
                rows[table].append(row)
        self.on_commit(Touched(rows, gone))

    def _touched(self) -> list[tuple[str, Any]]:
        keys = self._raw.execute("SELECT DISTINCT kind, key FROM touched").fetchall()
        self._raw.execute("DELETE FROM touched")
        return keys

    def _row(self, table: str, key: Any) -> Row | None:
        if not self.sql:
            return self._row_in_memory(table, key)
        query = f"SELECT * FROM {table} WHERE {WATCHED[table]} = ?"
        row = self._raw.execute(query, (key,)).fetchone()
        return None if row is None else dict(zip(self._columns[table], row, strict=True))

    def _row_in_memory(self, table: str, key: Any) -> Row | None:
        tables = self.tables
        if table == "schedule":
            found: Any = tables.schedules.get(key, (None,))[0]
        else:
            found = (tables.runs if table == "run" else tables.events).get(key)
        if found is None:
            return None
        if table == "event":
            return dict(found.__dict__)
        known = self._shown.get((table, key))
        if known is None:
            row = {name: _plain(value) for name, value in found.__dict__.items()}
        else:
            was, row = known[0].__dict__, dict(known[1])
            for name, value in found.__dict__.items():
                if was[name] is not value:
                    row[name] = _plain(value)
        self._shown[table, key] = found, row
        return row


def _touched_in(memory: MemoryTx) -> Iterator[tuple[str, Any]]:
    for table, keys in memory.touched.items():
        for key in keys:
            yield table, key


def _plain(value: Any) -> Any:
    """Return a value as a row of SQLite holds it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"))
    return str(value) if isinstance(value, StrEnum) else value


class _Transaction:
    """Looks like `ports.ledger.Tx`; begins when it must, and remembers what was read."""

    def __init__(self, store: Store, *, writes: bool = True) -> None:
        self.store = store
        self.writes = writes
        self.written: set[str] = set()
        self._begun: Any = None
        self._tx: Any = None
        self.memory = None if store.sql else MemoryTx(store.tables)

    def __getattr__(self, port: str) -> Any:
        made = getattr(self.memory, port, None) or _Port(self, port)
        setattr(self, port, made)
        return made

    def begin(self) -> None:
        self.written.clear()
        if self.memory is not None:
            self.memory.begin()

    def call(self, port: str, method: str, args: Any, kwargs: Any) -> Any:
        if self._tx is None:
            self._begun = self.store._connection.begin()
            self._tx = SqlTx(self.store._connection)
        return getattr(getattr(self._tx, port), method)(*args, **kwargs)

    def note(self, port: str) -> None:
        if self.writes:
            self.written.add(port)
            self.store.forget([port])

    def commit(self) -> None:
        if self._begun is not None:
            self._begun.commit()
            self._begun = self._tx = None

    def roll_back(self) -> None:
        if self.memory is not None and self.memory.journal:
            self.memory.roll_back()
        if self._begun is not None:
            self._begun.rollback()
            self._begun = self._tx = None
            self.store.forget(self.written)


class _Port:
    """A port whose tables are SQL's; its methods are made when first asked for."""

    def __init__(self, transaction: _Transaction, name: str) -> None:
        self._transaction = transaction
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., Any]:
        port, sql = self._name, self._transaction.store.sql
        is_read = method in READS or f"{port}.{method}" in READS
        if method == "log":
            made = self._log
        elif not is_read or (sql and port not in REMEMBERED):
            made = partial(self._write, method)
        else:
            made = partial(self._read, method)
        setattr(self, method, made)
        return made

    def _log(self, *args: Any) -> Iterator[Any]:
        return iter(list(self._transaction.call(self._name, "log", args, {})))

    def _write(self, method: str, *args: Any, **kwargs: Any) -> Any:
        self._transaction.note(self._name)
        return self._transaction.call(self._name, method, args, kwargs)

    def _read(self, method: str, *args: Any, **kwargs: Any) -> Any:
        port, call, store = self._name, self._transaction.call, self._transaction.store
        memory = store.remembered(port)
        key = (method, store.telling(port, args), store.telling(port, kwargs.values()))
        try:
            known = key in memory
        except TypeError:  # a list among the arguments
            return call(port, method, args, kwargs)
        if not known:
            memory[key] = call(port, method, args, kwargs)
        elif store.verify:
            again = call(port, method, args, kwargs)
            assert again == memory[key], f"{port}.{method}{args} is not what it was"
        found = memory[key]
        return type(found)(found) if isinstance(found, list | dict) else found


class _Nowhere:
    def __str__(self) -> str:
        return "(in memory)"


_NOWHERE: Any = _Nowhere()
