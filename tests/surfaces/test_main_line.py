"""The whole line on real databases: a schema moves, is drafted, reviewed, applied, read back."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from tests.plugins.install import Document, Installed
from tests.plugins.mariadb import MariadbServer

WATCH = """
[daemon]
poll_seconds = 0.5

[schedules.watch]
db_profile = "source"
trigger = {{ type = "change", cadence_cap_hours = 0, settle_seconds = 0.3 }}

[db_profiles.source]
url = "{url}"
"""

TABLE_OPS = {"add_table", "add_column", "alter_type", "alter_null", "alter_default"}


def moved_tables(changes: list[Document]) -> set[str]:
    """Return the tables in which something moved that asks for a draft."""
    tables = set()
    for change in changes:
        name = change["object"]
        if change["op"] in TABLE_OPS:
            tables.add(name.split(".")[1])
        elif change["op"] in ("add_constraint", "alter_constraint", "drop_constraint"):
            tables.add(name.split(":")[0].split(".")[-1])
    return tables


def drafted_tables(pending: list[Document]) -> set[str]:
    return {draft["table"] for draft in pending}


def version(cases: Path, project: str, number: int) -> tuple[str, list[Document]]:
    """Return the SQL of one version and what moved since the one before."""
    folder = cases / "c_schemas" / project
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    found = next(v for v in expected["versions"] if v["file"].startswith(f"v{number:02d}_"))
    return (folder / found["file"]).read_text(encoding="utf-8"), found["changes_from_previous"]


def start(install: Installed, url: str) -> None:
    install.config(WATCH.format(url=url))
    install.daemon()


def review_and_apply(install: Installed) -> Document:
    install.run("review", "--strategy", "accept-all")
    return install.json("apply", "-y", "--db", "source", status=None)


@pytest.mark.parametrize(
    ("project", "number"),
    [
        ("roundcube_postgres", 5),
        ("roundcube_postgres", 14),
        ("roundcube_postgres", 17),
        ("osm_website_postgres", 9),
        ("osm_website_postgres", 22),
    ],
)
def test_postgresql(
    install: Installed, cases: Path, postgres_url: str, project: str, number: int
) -> None:
    before, _ = version(cases, project, number - 1)
    after, changes = version(cases, project, number)
    load(postgres_url, before)
    start(install, postgres_url)
    load(postgres_url, after)
    run = install.completed_run()
    pending = install.pending()
    assert run["trigger"] == "change"
    assert drafted_tables(pending) == moved_tables(changes)
    assert run["drafted"] == len(pending) > 0
    applied = review_and_apply(install)
    assert (applied["written"], applied["failed"]) == (len(pending), [])
    chosen = {(d["schema"], d["table"], d["column"]): d["alternatives"][0] for d in pending}
    assert comments(postgres_url, chosen.keys()) == chosen
    # Our own comments coming back are not news, and nothing else is pending.
    install.run("catalog", "refresh", "source")
    assert [run["trigger"] for run in install.runs() if run["kind"] == "analyze"] == ["change"]


def load(url: str, dump: str) -> None:
    """Replace the whole schema by a dump, in one transaction."""
    with psycopg.connect(url) as connection:
        connection.execute("SET client_min_messages = error")
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.execute("SET search_path = public")
        for statement in plain(dump):
            connection.execute(statement)  # type: ignore[arg-type]
    # pg_dump files leave search_path empty for their session only.


def plain(dump: str) -> list[bytes]:
    """Return a dump as one script, without what only psql or another version understands."""
    lines = [
        line
        for line in dump.splitlines()
        if not line.startswith(("\\", "SET transaction_timeout", "CREATE SCHEMA public"))
    ]
    return ["\n".join(lines).encode()]


def comments(url: str, names: Any) -> dict[tuple[str, str, str | None], str]:
    """Ask PostgreSQL itself for the comments of tables and columns."""
    found = {}
    with psycopg.connect(url) as connection:
        for schema, table, column in names:
            if column is None:
                query = "SELECT obj_description(format('%%I.%%I', %s::text, %s::text)::regclass)"
                values: tuple[str, ...] = (schema, table)
            else:
                query = (
                    "SELECT col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = "
                    "format('%%I.%%I', %s::text, %s::text)::regclass AND attname = %s"
                )
                values = (schema, table, column)
            row = connection.execute(query, values).fetchone()  # type: ignore[arg-type]
            found[schema, table, column] = row[0] if row else None
    return found


def test_a_folder_of_sql_files(install: Installed, cases: Path, tmp_path: Path) -> None:
    before, _ = version(cases, "roundcube_postgres", 16)
    after, changes = version(cases, "roundcube_postgres", 17)
    folder = tmp_path / "models"
    folder.mkdir()
    schema = folder / "schema.sql"
    schema.write_text(before, encoding="utf-8")
    start(install, f"ddl:///{folder}?dialect=postgres")
    schema.write_text(after, encoding="utf-8")
    run = install.completed_run()
    pending = install.pending()
    assert drafted_tables(pending) == moved_tables(changes)
    assert run["drafted"] == len(pending) > 0
    assert review_and_apply(install)["written"] == len(pending)
    written = (folder / "zz_amxwatch_comments.sql").read_text(encoding="utf-8")
    shown = install.json("catalog", "show", "--db", "source")
    for draft in pending:
        text = draft["alternatives"][0]
        assert text.replace("'", "''") in written
        assert text in json.dumps(shown, ensure_ascii=False)


def test_sqlite_says_that_it_has_no_comments_and_exports(
    install: Installed, cases: Path, tmp_path: Path
) -> None:
    before, _ = version(cases, "roundcube_sqlite", 16)
    after, changes = version(cases, "roundcube_sqlite", 17)
    path = tmp_path / "mail.db"
    replace_sqlite(path, before)
    start(install, f"sqlite:///{path}")
    replace_sqlite(path, after)
    install.completed_run()
    pending = install.pending()
    assert drafted_tables(pending) == moved_tables(changes)
    install.run("review", "--strategy", "accept-all")
    done = install.run("apply", "-y", "--db", "source", status=None)
    said = done.stdout + done.stderr
    assert "SQLite" in said
    exported = (install.folder / "exports" / "source-comments.sql").read_text(encoding="utf-8")
    assert exported.count("COMMENT ON") == len(pending)


def replace_sqlite(path: Path, script: str) -> None:
    """Drop every table of a SQLite file and build the script's instead, at once."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        drops = [f'DROP TABLE "{name}";' for (name,) in connection.execute(query)]
        connection.executescript("\n".join(["BEGIN;", *drops, script, "COMMIT;"]))
    connection.close()


@pytest.mark.parametrize("number", [7, 18])
def test_mariadb(
    install: Installed, cases: Path, mariadb_server: MariadbServer, mariadb_name: str, number: int
) -> None:
    before, _ = version(cases, "roundcube_mysql", number - 1)
    after, changes = version(cases, "roundcube_mysql", number)
    load_mariadb(mariadb_server, mariadb_name, before)
    start(install, mariadb_server.url(mariadb_name))
    load_mariadb(mariadb_server, mariadb_name, after)
    run = install.completed_run()
    pending = install.pending()
    assert run["trigger"] == "change"
    assert drafted_tables(pending) == moved_tables(changes)
    assert run["drafted"] == len(pending) > 0
    applied = review_and_apply(install)
    assert (applied["written"], applied["failed"]) == (len(pending), [])
    chosen = {(d["table"], d["column"] or ""): d["alternatives"][0] for d in pending}
    with closing(mariadb_server.connect(mariadb_name)) as opened, opened.cursor() as cursor:
        cursor.execute(
            "SELECT TABLE_NAME, '', TABLE_COMMENT FROM information_schema.TABLES "
            f"WHERE TABLE_SCHEMA = '{mariadb_name}' UNION ALL "
            "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_COMMENT FROM information_schema.COLUMNS "
            f"WHERE TABLE_SCHEMA = '{mariadb_name}'"
        )
        found = {row[:2]: row[2] for row in cursor.fetchall() if row[2]}
    assert found == chosen
    # Our own comments coming back are not news, and nothing else is pending.
    install.run("catalog", "refresh", "source")
    assert [run["trigger"] for run in install.runs() if run["kind"] == "analyze"] == ["change"]
    again = install.json("catalog", "diff", "source")
    assert {change["change"] for change in again["changes"]} <= {"comment_changed"}


def load_mariadb(server: MariadbServer, name: str, script: str) -> None:
    """Replace a whole database by a script's, so that nobody sees it in between."""
    from pymysql.constants import CLIENT

    flags = {"client_flag": CLIENT.MULTI_STATEMENTS}
    with closing(server.connect(f"{name}", **flags)) as opened, opened.cursor() as cursor:
        cursor.execute("SHOW TABLES")
        former = [row[0] for row in cursor.fetchall()]
        aside = f"{name}_{len(former)}_{len(script)}"
        cursor.execute(f"CREATE DATABASE {aside}")
        cursor.execute(f"USE {aside}; {script}")
        while cursor.nextset():
            pass
        cursor.execute("SHOW TABLES")
        come = [row[0] for row in cursor.fetchall()]
        cursor.execute(f"CREATE DATABASE {aside}_gone")
        moves = [f"{name}.`{table}` TO {aside}_gone.`{table}`" for table in former]
        moves += [f"{aside}.`{table}` TO {name}.`{table}`" for table in come]
        cursor.execute(f"RENAME TABLE {', '.join(moves)}")


def test_duckdb(install: Installed, cases: Path, tmp_path: Path) -> None:
    folder = cases / "c_schemas" / "omop_cdm"
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    changes = next(d for d in expected["dialects"] if d["dialect"] == "duckdb")["changes"]
    path = tmp_path / "omop.duckdb"
    replace_duckdb(path, folder / "omop_duckdb_5.3.sql")
    start(install, f"duckdb:///{path}")
    replace_duckdb(path, folder / "omop_duckdb_5.4.sql")
    run = install.completed_run()
    pending = install.pending()
    assert drafted_tables(pending) == moved_tables(changes)
    assert run["drafted"] == len(pending) > 0
    assert review_and_apply(install)["written"] == len(pending)
    with duckdb.connect(str(path), read_only=True) as connection:
        count = connection.execute(
            "SELECT (SELECT count(*) FROM duckdb_tables() WHERE comment IS NOT NULL) + "
            "(SELECT count(*) FROM duckdb_columns() WHERE comment IS NOT NULL)"
        ).fetchone()
    assert count == (len(pending),)


def replace_duckdb(path: Path, script: Path) -> None:
    sql = script.read_text(encoding="utf-8").replace("@cdmDatabaseSchema.", "")
    with duckdb.connect(str(path)) as connection:
        connection.execute("BEGIN")
        names = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        for (name,) in names:
            connection.execute(f'DROP TABLE "{name}"')
        connection.execute(sql)
        connection.execute("COMMIT")
