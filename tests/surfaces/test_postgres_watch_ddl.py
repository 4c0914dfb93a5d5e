"""`db watch-ddl`: PostgreSQL announces its DDL, and never at the cost of somebody's statement."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.install import Document, Installed
from tests.plugins.postgres import PostgresServer
from tests.surfaces.conftest import Inside

psycopg = pytest.importorskip("psycopg", reason="pip install 'amxwatch[postgres]'")

CONFIG = """
[db_profiles.source]
url = "{url}"

[db_profiles.lite]
url = "sqlite:///lite.db"
"""


@pytest.fixture
def admin(postgres_url: str) -> Iterator[Any]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def home(tmp_path: Path, postgres_url: str) -> Inside:
    made = Inside(tmp_path / "config")
    made.config(CONFIG.format(url=postgres_url))
    return made


def change(home: Inside, verb: str, *words: str, status: int = 0) -> Document:
    found: Document = json.loads(
        home.run("db", "watch-ddl", verb, "source", *words, "--json", status=status).stdout
    )
    return found


def left(admin: Any) -> tuple[int, int]:
    """Count what there is of ours in the database."""
    row: tuple[int, int] = admin.execute(
        "SELECT (SELECT count(*) FROM pg_event_trigger), "
        "(SELECT count(*) FROM pg_proc WHERE proname LIKE 'amxwatch%')"
    ).fetchone()
    return row


class Ear:
    """Listens as the daemon does."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute("LISTEN amxwatch_ddl")

    def hears(self) -> list[str]:
        """Return what was announced since the last time, in order."""
        self._connection.execute("NOTIFY amxwatch_ddl, 'end'")
        heard: list[str] = []
        for notice in self._connection.notifies(timeout=60):
            if notice.payload == "end":
                return heard
            heard.append(notice.payload)
        raise AssertionError("our own notification did not come")

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def ear(postgres_url: str) -> Iterator[Ear]:
    made = Ear(postgres_url)
    yield made
    made.close()


def test_installing_and_removing_it(home: Inside, admin: Any) -> None:
    assert home.json("db", "test", "source")["announces_ddl"] is False
    dry = change(home, "install", "--dry-run")
    assert (dry["installed"], dry["changed"]) == (False, False)
    assert change(home, "install", "--print") == dry
    assert left(admin) == (0, 0)
    assert home.run("db", "watch-ddl", "install", "source", status=2).stderr.count("-y") == 1
    assert left(admin) == (0, 0)

    done = change(home, "install", "-y")
    assert (done["installed"], done["changed"]) == (True, True)
    assert done["statements"] == dry["statements"]
    assert left(admin) == (2, 1)
    again = change(home, "install", "-y")
    assert (again["installed"], again["changed"], again["statements"]) == (True, False, [])
    said = home.run("db", "watch-ddl", "install", "source").stdout
    assert "pooler in transaction mode" in said
    assert home.json("db", "test", "source")["announces_ddl"] is True
    assert "announces DDL" in home.run("doctor", status=None).stdout

    gone = change(home, "uninstall", "-y")
    assert (gone["installed"], gone["changed"]) == (False, True)
    assert left(admin) == (0, 0)
    assert change(home, "uninstall", "-y")["changed"] is False


def test_the_printed_statements_do_the_same(home: Inside, admin: Any) -> None:
    for verb, expected in (("install", True), ("uninstall", False)):
        printed = home.run("db", "watch-ddl", verb, "source", "--dry-run").stdout
        script = printed[: printed.rindex(";") + 1]
        admin.execute(script.encode())
        assert home.json("db", "test", "source")["announces_ddl"] is expected
    assert left(admin) == (0, 0)


EMPTIED = """CREATE OR REPLACE FUNCTION public.amxwatch_ddl() RETURNS event_trigger
    LANGUAGE plpgsql AS 'BEGIN END'"""
MOVED = """CREATE SCHEMA moved; ALTER FUNCTION public.amxwatch_ddl() SET SCHEMA moved;
    DROP SCHEMA public"""


@pytest.mark.parametrize(
    "damage",
    [
        "DROP EVENT TRIGGER amxwatch_drop",
        "ALTER EVENT TRIGGER amxwatch_ddl DISABLE",
        "ALTER EVENT TRIGGER amxwatch_ddl ENABLE REPLICA",
        EMPTIED,
        MOVED,
    ],
)
def test_what_was_damaged_is_made_whole(home: Inside, admin: Any, damage: str, ear: Ear) -> None:
    change(home, "install", "-y")
    admin.execute(damage.encode())
    if damage is not MOVED:  # which is as good
        assert home.json("db", "test", "source")["announces_ddl"] is False
    assert change(home, "install", "-y")["installed"] is True
    assert left(admin) == (2, 1)
    ear.hears()
    admin.execute("CREATE SCHEMA s; CREATE TABLE s.t (a int)")
    assert "CREATE TABLE" in ear.hears()
    change(home, "uninstall", "-y")
    assert left(admin) == (0, 0)


def test_other_databases_are_told_plainly(home: Inside) -> None:
    done = home.run("db", "watch-ddl", "install", "lite", "-y", status=2)
    assert "PostgreSQL only" in done.stderr
    assert "SQLite" in done.stderr


def test_an_ordinary_user_is_told_what_is_missing(
    home: Inside, admin: Any, postgres_server: PostgresServer
) -> None:
    admin.execute("CREATE ROLE plain LOGIN; GRANT ALL ON SCHEMA public TO plain")
    try:
        home.config(CONFIG.format(url=postgres_server.url(admin.info.dbname, user="plain")))
        done = home.run("db", "watch-ddl", "install", "source", "-y", status=1)
        assert "superuser" in done.stderr
        assert "plain is not one" in done.stderr
        assert "--dry-run" in done.stderr
        assert left(admin) == (0, 0)  # the function would have been allowed; it is all or none
        printed = home.run("db", "watch-ddl", "install", "source", "--dry-run").stdout
        assert printed.count("CREATE EVENT TRIGGER") == 2
    finally:
        admin.execute("DROP OWNED BY plain; DROP ROLE plain")


SAID: tuple[tuple[str, list[str]], ...] = (
    ("CREATE TABLE t (a int)", ["CREATE TABLE"]),
    ("CREATE TABLE made AS SELECT 1 AS a", ["CREATE TABLE AS"]),
    ("ALTER TABLE t ADD COLUMN b int", ["ALTER TABLE"]),
    ("ALTER TABLE t DROP COLUMN b", ["ALTER TABLE"]),
    ("ALTER TABLE t RENAME COLUMN a TO c", ["ALTER TABLE"]),
    ("COMMENT ON TABLE t IS 'x'", ["COMMENT"]),
    ("COMMENT ON COLUMN t.c IS 'x'", ["COMMENT"]),
    ("CREATE VIEW v AS SELECT c FROM t", ["CREATE VIEW"]),
    ("DROP VIEW v", ["DROP VIEW"]),
    ("CREATE SCHEMA s", ["CREATE SCHEMA"]),
    ("ALTER SCHEMA s RENAME TO s2", ["ALTER SCHEMA"]),
    ("DROP SCHEMA s2", ["DROP SCHEMA"]),
    ("CREATE TYPE mood AS ENUM ('glad')", ["CREATE TYPE"]),
    ("DROP TABLE made", ["DROP TABLE"]),
    ("CREATE TABLE IF NOT EXISTS t (a int)", []),
    ("CREATE TEMP TABLE fleeting (a serial PRIMARY KEY, b text)", []),
    ("ALTER TABLE fleeting ADD COLUMN c int", []),
    ("COMMENT ON COLUMN fleeting.a IS 'x'", []),
    ("CREATE TEMP VIEW passing AS SELECT a FROM fleeting", []),
    ("DROP TABLE fleeting CASCADE", []),
    ("CREATE TEMP TABLE short ON COMMIT DROP AS SELECT 1 AS a", []),
    ("INSERT INTO t VALUES (1)", []),
    ("CREATE INDEX i ON t (c)", []),
    ("GRANT SELECT ON t TO PUBLIC", []),
    ("BEGIN; ALTER TABLE t ADD COLUMN undone int; ROLLBACK", []),
    ("BEGIN; ALTER TABLE t ADD COLUMN d int; ALTER TABLE t ADD COLUMN e int; COMMIT",
     ["ALTER TABLE"]),
)  # fmt: skip


def test_what_is_announced_and_what_is_nobodys_news(home: Inside, admin: Any, ear: Ear) -> None:
    change(home, "install", "-y")
    ear.hears()
    for statement, expected in SAID:
        admin.execute(statement.encode())
        assert ear.hears() == expected, statement


@pytest.mark.parametrize(
    "breaking",
    [
        # The function's own means are taken from it, one after the other.
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_notify(text, text) FROM PUBLIC",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_event_trigger_ddl_commands() FROM PUBLIC",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_notification_queue_usage() FROM PUBLIC",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_event_trigger_dropped_objects() FROM PUBLIC",
    ],
)
def test_a_function_that_fails_makes_no_statement_fail(
    home: Inside, admin: Any, ear: Ear, postgres_server: PostgresServer, breaking: str
) -> None:
    change(home, "install", "-y")
    admin.execute("CREATE ROLE plain LOGIN; GRANT ALL ON SCHEMA public TO plain")
    try:
        admin.execute(breaking.encode())
        ear.hears()
        url = postgres_server.url(admin.info.dbname, user="plain")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE mine (a int)")
            connection.execute("ALTER TABLE mine ADD COLUMN b int")
            connection.execute("DROP TABLE mine")
            # An operator of the user's own is not what the function compares with.
            connection.execute("SET search_path = public, pg_catalog")
            connection.execute("CREATE TABLE mine (a int)")
        assert len(ear.hears()) <= 3
        assert admin.execute("SELECT to_regclass('public.mine')::text").fetchone() != (None,)
    finally:
        admin.execute("DROP OWNED BY plain; DROP ROLE plain")


WATCH = """
[daemon]
poll_seconds = 300

[schedules.watch]
db_profile = "source"
trigger = {{ type = "change", cadence_cap_hours = 0, settle_seconds = 0 }}

[db_profiles.source]
url = "{url}"
"""


def test_a_change_is_served_at_once_though_polls_are_far_apart(
    install: Installed, admin: Any, postgres_url: str
) -> None:
    admin.execute("CREATE TABLE t (a int)")
    install.config(WATCH.format(url=postgres_url))
    install.run("db", "watch-ddl", "install", "source", "-y")
    install.daemon()
    install.until(lambda: listens(admin), "listener")
    started = time.time()
    admin.execute("CREATE TABLE orders (order_id int PRIMARY KEY, total numeric)")
    run = install.completed_run()
    queued = time.mktime(time.strptime(run["queued_at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert run["trigger"] == "change"
    assert queued - started < 90  # about one second; polls are five minutes apart
    assert {draft["table"] for draft in install.pending()} == {"orders"}


def listens(admin: Any) -> bool:
    query = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE application_name = 'amxwatch' AND query LIKE 'LISTEN%'"
    )
    return bool(admin.execute(query).fetchone() != (0,))
