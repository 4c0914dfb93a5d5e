"""The ledger on SQLAlchemy Core: `open_ledger` gives one; a file holds one port each.

`tables` says what is stored, `connection` alone knows SQLite, `migrations` brings old files up
to date. A new port is a file here and a property of `transaction.SqlTx`.
"""

from __future__ import annotations

from pathlib import Path

from amxwatch.ports.clock import Clock
from amxwatch.stores.ledger.connection import make_engine
from amxwatch.stores.ledger.opening import prepare
from amxwatch.stores.ledger.transaction import SqlLedger


def open_ledger(path: Path, clock: Clock) -> SqlLedger:
    """Open the state database at `path`, making or migrating it first where needed.

    Blocks: milliseconds where the schema is current. Raises: StoreError with what to do for a
    damaged, foreign or newer file; StoreBusyError while another process migrates it for long.
    """
    prepare(path)
    return SqlLedger(make_engine(path), path=path, clock=clock)


__all__ = ["SqlLedger", "open_ledger"]
