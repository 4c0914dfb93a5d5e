"""A small shop, installed once, for the tests of the command line."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import duckdb
import pytest

from tests.plugins.install import Done, Installed, call


class Inside(Installed):
    """An install whose every command runs in this process, `daemon` and `service` too."""

    def run(self, *words: str, status: int | None = 0) -> Done:
        done = call(words, self.folder, self.env)
        if status is not None:
            assert done.returncode == status, f"{words}: {done.stdout}\n{done.stderr}"
        return done


CONFIG = """
[db_profiles.house]
url = "duckdb:///house.duckdb"

[db_profiles.shop]
url = "sqlite:///shop.db"

[db_profiles.models]
url = "ddl:///models?dialect=postgres"

[defaults]
db_profile = "house"
"""

HOUSE = """
CREATE TABLE customer (
    customer_id INTEGER PRIMARY KEY, email VARCHAR NOT NULL, status VARCHAR DEFAULT 'new');
CREATE TABLE orders (
    order_id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer (customer_id),
    total DECIMAL(10, 2));
CREATE VIEW big_orders AS SELECT * FROM orders WHERE total > 100;
COMMENT ON COLUMN customer.email IS 'Written by a person';
INSERT INTO customer VALUES (1, 'a@example.com', 'new'), (2, 'b@example.com', 'old');
"""

MODELS = """
CREATE TABLE stg_events (event_id int PRIMARY KEY, happened_at timestamptz NOT NULL);
CREATE TABLE dim_user (user_id int PRIMARY KEY, full_name text);
"""


def change_house(folder: Path, sql: str) -> None:
    """Run SQL in the DuckDB file of an install."""
    with duckdb.connect(str(folder / "house.duckdb")) as connection:
        connection.execute(sql)


def comment_in_house(folder: Path, table: str, column: str) -> str | None:
    """Ask DuckDB itself for the comment of a column."""
    with duckdb.connect(str(folder / "house.duckdb"), read_only=True) as connection:
        row = connection.execute(
            "SELECT comment FROM duckdb_columns() WHERE table_name = ? AND column_name = ?",
            [table, column],
        ).fetchone()
    return row[0] if row else None


def build(folder: Path) -> None:
    """Make the config and its three databases."""
    folder.mkdir(mode=0o700)
    (folder / "amxwatch.toml").write_text(CONFIG, encoding="utf-8")
    (folder / "amxwatch.toml").chmod(0o600)
    change_house(folder, HOUSE)
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.execute("CREATE TABLE item (item_id INTEGER PRIMARY KEY, price NUMERIC)")
    connection.close()
    (folder / "models").mkdir()
    (folder / "models" / "schema.sql").write_text(MODELS, encoding="utf-8")


@pytest.fixture(scope="session")
def shop_once(tmp_path_factory: pytest.TempPathFactory) -> Inside:
    """The shop with two snapshots, a completed run and a queue; only to be read."""
    folder = tmp_path_factory.mktemp("shop") / "config"
    build(folder)
    made = Inside(folder)
    made.run("catalog", "refresh", "house")
    change_house(folder, "ALTER TABLE customer ADD COLUMN phone VARCHAR")
    made.run("catalog", "refresh", "--db", "house")
    made.run("catalog", "refresh", "models")
    made.run("run", "main")
    made.run(
        "schedule", "add", "--name", "nightly", "--cron", "0 3 * * 1-5", "--tz", "Europe/Istanbul"
    )
    made.run("schedule", "add", "--name", "watch", "--on-change", "--scope", "schema:main")
    return made


@pytest.fixture
def shop(shop_once: Inside, tmp_path: Path) -> Inside:
    """A copy of the shop, to be changed."""
    folder = tmp_path / "config"
    shutil.copytree(shop_once.folder, folder, ignore=shutil.ignore_patterns("owners", "*.lock"))
    return Inside(folder)
