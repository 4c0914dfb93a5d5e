"""A process that keeps altering a SQLite and a DuckDB file: `python -m ... SQLITE DUCKDB LOG`.

What it did stands in the log once it is committed. It ends when its stdin does.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import duckdb

WORDS = ("customer", "order", "invoice", "shipment", "payment", "product")
COLUMNS = ("customer_id", "email", "created_at", "total_amount", "status", "country_code")
PATIENCE = 30.0


def main() -> None:
    sqlite_file, duckdb_file, log = map(Path, sys.argv[1:])
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    chance = random.Random(11)
    number = 0
    while not ended.wait(chance.uniform(0.1, 0.9)):
        number += 1
        name = f"{chance.choice(WORDS)}_{number}"
        columns = ", ".join(f"{each} VARCHAR" for each in chance.sample(COLUMNS, 3))
        statement = f"CREATE TABLE {name} ({columns})"
        if number % 3:
            on_sqlite(sqlite_file, statement)
        else:
            on_duckdb(duckdb_file, statement)
        with log.open("a") as told:
            told.write(f"{name}\n")


def on_sqlite(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection, connection:
        connection.execute(statement)


def on_duckdb(path: Path, statement: str) -> None:
    """DuckDB admits one process: wait for the turn."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with duckdb.connect(str(path)) as connection:
                connection.execute(statement)
                return
        except duckdb.IOException:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


if __name__ == "__main__":
    main()
