"""A comment is a part of a column's definition in MariaDB; nothing else of it may move."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch import databases
from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import ObjectRef, ObjectType
from amxwatch.core.errors import DatabaseError, StatementRefusedError
from amxwatch.ports.database import CommentTarget, Database
from tests.plugins.mariadb import MariadbServer

pymysql = pytest.importorskip("pymysql", reason="pip install 'amxwatch[mysql]'")

OPTIONS = databases.ConnectOptions(
    clock=SystemClock(), connect_seconds=20, lock_seconds=0.3, statement_seconds=20
)
TEXT = "it's \\ a \"quoted\" `text`, COMMENT 'no' (é 表)\n%s {} -- /* x */"

KINDS = {
    "plain": "int",
    "required": "varchar(40) NOT NULL",
    "unsigned zerofill": "int unsigned zerofill NOT NULL DEFAULT 7",
    "decimal": "decimal(10,2) unsigned zerofill DEFAULT 1.5",
    "auto_increment": "bigint NOT NULL AUTO_INCREMENT UNIQUE",
    "virtual": "int GENERATED ALWAYS AS (id + 1) VIRTUAL",
    "virtual text": "varchar(99) AS (concat('COMMENT ''x''', ')', '\\\\')) VIRTUAL",
    "default expression": "varchar(99) DEFAULT (concat('x, COMMENT ''no''', uuid()))",
    "default sum": "int DEFAULT (1 + 2)",
    "default text": "varchar(40) DEFAULT 'a\\\\b''c, COMMENT ''d'' -- \\n`'",
    "default of a blob": "blob DEFAULT 'x'",
    "charset": "varchar(10) CHARACTER SET ascii COLLATE ascii_bin DEFAULT 'x'",
    "collation": "text COLLATE utf8mb4_turkish_ci NOT NULL",
    "moment": "timestamp(3) NOT NULL DEFAULT current_timestamp(3)",
    "on update": "datetime(6) DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6)",
    "bare timestamp": "timestamp NOT NULL",
    "zero date": "datetime DEFAULT '0000-00-00 00:00:00'",
    "invisible": "int INVISIBLE DEFAULT 3",
    "compressed": "mediumtext COMPRESSED",
    "bit": "bit(5) DEFAULT b'101'",
    "enum": "enum('a,b', 'COMMENT ''x''', 'c\\\\d', 'é)') NOT NULL DEFAULT 'a,b'",
    "set": "set('x', 'y''z', '`') DEFAULT 'x'",
    "point": "point",
    "point in a system": "point REF_SYSTEM_ID=4326 NOT NULL",
    "json": "json",
    "json required": "json NOT NULL DEFAULT '{}'",
    "inet6": "inet6 DEFAULT '::1'",
    "uuid": "uuid DEFAULT uuid()",
    "binary": "binary(4) DEFAULT 'a'",
    "year": "year DEFAULT 2024",
    "checked": "int DEFAULT 9",
    "long text": "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
}
CHECKS = {"checked": " CHECK (`checked` > 3 AND `checked` <> ')' AND `checked` <> 'COMMENT')"}
STORED = "varchar(20) GENERATED ALWAYS AS (concat('a', id)) STORED"
NAMES = (
    "a b",
    "tick``tick",
    "表",
    "COMMENT",
    "quo'te\"",
    "dot.ted",
    "new\nline",
    "e" * 64,
    "a,b (c)",
)


@pytest.fixture
async def database(mariadb_url: str) -> AsyncIterator[Database]:
    made = databases.connect(mariadb_url, relative_to=Path(), options=OPTIONS)
    yield made
    await made.aclose()


class Admin:
    """Somebody else's connection to the same database."""

    def __init__(self, server: MariadbServer, name: str) -> None:
        self.name = name
        self.connection = server.connect(name)
        self.run("SET sql_mode = ''")

    def run(self, *statements: str) -> list[Any]:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def shown(self, table: str = "t") -> str:
        found: str = self.run(f"SHOW CREATE TABLE `{table}`")[0][1]
        return found

    def facts(self, table: str = "t") -> list[Any]:
        """Return what the server knows of a table's columns, but for their comments."""
        columns = "*, NULL AS COLUMN_COMMENT"
        rows = self.run(
            f"SELECT {columns} FROM information_schema.COLUMNS "
            f"WHERE TABLE_SCHEMA = '{self.name}' AND TABLE_NAME = '{table}' ORDER BY COLUMN_NAME"
        )
        with self.connection.cursor() as cursor:
            cursor.execute("SHOW COLUMNS FROM information_schema.COLUMNS")
            place = [row[0] for row in cursor.fetchall()].index("COLUMN_COMMENT")
        systems = self.run(
            "SELECT G_GEOMETRY_COLUMN, SRID FROM information_schema.GEOMETRY_COLUMNS "
            f"WHERE G_TABLE_SCHEMA = '{self.name}' AND G_TABLE_NAME = '{table}'"
        )
        return [row[:place] + row[place + 1 :] for row in rows] + systems


@pytest.fixture
def admin(mariadb_server: MariadbServer, mariadb_name: str) -> Iterator[Admin]:
    made = Admin(mariadb_server, mariadb_name)
    yield made
    made.connection.close()


def column(admin: Admin, name: str = "c", table: str = "t") -> CommentTarget:
    ref = ObjectRef(schema=admin.name, table=table, column=name)
    return CommentTarget(ref=ref, type=ObjectType.COLUMN)


def of_table(admin: Admin, table: str = "t") -> CommentTarget:
    return CommentTarget(ref=ObjectRef(schema=admin.name, table=table), type=ObjectType.TABLE)


async def exchange(database: Database, admin: Admin, target: CommentTarget, old: str) -> None:
    """Write comments in turn, and hold the table against what it was each time."""
    table = target.ref.table
    before, facts = admin.shown(table), admin.facts(table)
    assert before.count(f"COMMENT '{old}'") == 1
    for text in (TEXT, "'"):
        assert await database.commenter.execute(target, text) == text
        written = text.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n")
        expected = before.replace(f"COMMENT '{old}'", f"COMMENT '{written}'")
        assert admin.shown(table) == expected, target
    assert admin.facts(table) == facts
    assert await database.commenter.current([target]) == {target.ref: text}
    assert await database.commenter.execute(target, None) == ""
    assert admin.shown(table) == before.replace(f" COMMENT '{old}'", "")
    assert await database.commenter.execute(target, old) == old
    assert admin.shown(table) == before, target
    assert admin.facts(table) == facts
    assert admin.run(f"SELECT count(*) FROM `{table}`")[0] == (1,)


async def test_every_kind_of_column_stays_as_it_is(database: Database, admin: Admin) -> None:
    columns = [
        f"`{kind}` {declared} COMMENT 'old {kind}'{CHECKS.get(kind, '')}"
        for kind, declared in KINDS.items()
    ]
    admin.run(
        f"CREATE TABLE t (id int PRIMARY KEY, {', '.join(columns)}) COMMENT 'of the table'",
        "INSERT IGNORE INTO t (id, `point in a system`) "
        "VALUES (1, ST_GeomFromText('POINT(1 2)', 4326))",
    )
    rows = admin.run("SELECT * FROM t")
    for kind in KINDS:
        await exchange(database, admin, column(admin, kind), f"old {kind}")
    assert admin.run("SELECT * FROM t") == rows


async def test_a_comment_that_would_copy_the_table_is_refused(
    database: Database, admin: Admin
) -> None:
    admin.run(f"CREATE TABLE t (id int PRIMARY KEY, c {STORED})", "INSERT INTO t (id) VALUES (1)")
    before = admin.shown()
    with pytest.raises(StatementRefusedError, match="copy the whole table"):
        await database.commenter.execute(column(admin), "x")
    assert admin.shown() == before
    # What is refused may be run by a person, without the word that refuses it.
    await database.commenter.current([column(admin)])
    statement = database.commenter.statement(column(admin), "x")
    admin.run(statement.replace(", ALGORITHM=INSTANT", ""))
    assert admin.shown() == before.replace(" STORED", " STORED COMMENT 'x'")


async def test_names_of_columns_and_tables(database: Database, admin: Admin) -> None:
    columns = ", ".join(f"`{n}` int COMMENT 'old {at}', KEY (`{n}`)" for at, n in enumerate(NAMES))
    table = 'a "table", (name'
    admin.run(
        f"CREATE TABLE `{table}` (id int PRIMARY KEY, {columns})",
        f"INSERT INTO `{table}` (id) VALUES (1)",
    )
    for at, name in enumerate(NAMES):
        target = column(admin, name.replace("``", "`"), table)
        await exchange(database, admin, target, f"old {at}")


@pytest.mark.parametrize(
    "options",
    [
        "ENGINE=MyISAM",
        "ENGINE=Aria",
        "ENGINE=MEMORY",
        "WITH SYSTEM VERSIONING",
        "PARTITION BY HASH (id) PARTITIONS 3",
        "ROW_FORMAT=COMPRESSED CHARSET=latin1",
        "CHARSET=utf8mb3 AUTO_INCREMENT=50",
    ],
)
async def test_tables_of_every_kind(database: Database, admin: Admin, options: str) -> None:
    admin.run(
        "CREATE TABLE t (id int PRIMARY KEY, c varchar(9) COMMENT 'old') "
        f"COMMENT='the table' {options}"
    )
    admin.run("INSERT INTO t (id) VALUES (1)")
    await exchange(database, admin, column(admin), "old")
    before = admin.shown()
    for text in (TEXT, "", "the table"):
        assert await database.commenter.execute(of_table(admin), text) == text
    assert admin.shown() == before


async def test_system_versioning_keeps_what_it_knows(database: Database, admin: Admin) -> None:
    admin.run(
        "CREATE TABLE t (id int PRIMARY KEY, c int, d int WITHOUT SYSTEM VERSIONING, "
        "b timestamp(6) GENERATED ALWAYS AS ROW START INVISIBLE, "
        "e timestamp(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (b, e)) "
        "WITH SYSTEM VERSIONING",
        "INSERT INTO t (id, c, d) VALUES (1, 1, 1)",
        "UPDATE t SET c = 2",
    )
    history = admin.run("SELECT * FROM t FOR SYSTEM_TIME ALL ORDER BY c")
    before = admin.shown()
    for name in ("c", "d"):
        assert await database.commenter.execute(column(admin, name), "x") == "x"
        assert await database.commenter.execute(column(admin, name), None) == ""
    assert admin.shown() == before
    assert admin.run("SELECT * FROM t FOR SYSTEM_TIME ALL ORDER BY c") == history
    with pytest.raises(StatementRefusedError, match="period"):
        await database.commenter.execute(column(admin, "e"), "x")


@pytest.mark.parametrize("mode", ["ANSI_QUOTES,NO_BACKSLASH_ESCAPES", "ORACLE", "TRADITIONAL", ""])
async def test_the_servers_sql_mode_changes_nothing(
    mariadb_url: str, mariadb_server: MariadbServer, admin: Admin, mode: str
) -> None:
    admin.run(
        "CREATE TABLE t (id int PRIMARY KEY, c enum('a\\\\b', 'c''d') DEFAULT 'a\\\\b' "
        "COMMENT 'old', d datetime DEFAULT '0000-00-00 00:00:00' COMMENT 'old')",
        "INSERT INTO t (id) VALUES (1)",
    )
    kept = admin.run("SELECT @@GLOBAL.sql_mode")[0][0]
    admin.run(f"SET GLOBAL sql_mode = '{mode}'")
    other = databases.connect(mariadb_url, relative_to=Path(), options=OPTIONS)
    try:
        before = admin.shown().replace("'0000-00-00 00:00:00' COMMENT 'old'", "MARK")
        for name in ("c", "d"):
            for text in (TEXT, "old"):
                assert await other.commenter.execute(column(admin, name), text) == text
        assert admin.shown().replace("'0000-00-00 00:00:00' COMMENT 'old'", "MARK") == before
    finally:
        admin.run(f"SET GLOBAL sql_mode = '{kept}'")
        await other.aclose()


async def test_texts_at_the_limits(database: Database, admin: Admin) -> None:
    admin.run("CREATE TABLE t (id int, c int)", "CREATE VIEW v AS SELECT c FROM t")
    schema = CommentTarget(ref=ObjectRef(schema=admin.name), type=ObjectType.SCHEMA)
    whole = admin.run(f"SHOW CREATE DATABASE `{admin.name}`")
    for target, longest, letter in (
        (of_table(admin), 2048, "é"),
        (column(admin), 1024, "é"),
        (schema, 1024, "x"),
        (schema, 512, "é"),  # more of these and MariaDB 10.11 crashes
    ):
        text = letter * longest
        assert await database.commenter.execute(target, text) == text
        with pytest.raises(StatementRefusedError, match="holds"):
            await database.commenter.execute(target, text + letter)
        with pytest.raises(StatementRefusedError, match=r"U\+1F986"):
            await database.commenter.execute(target, "a duck: 🦆")
    with pytest.raises(StatementRefusedError, match="line break"):
        await database.commenter.execute(schema, "two\nlines")
    assert await database.commenter.execute(schema, None) == ""
    assert admin.run(f"SHOW CREATE DATABASE `{admin.name}`") == whole


async def test_views_hold_no_comment_and_say_so(database: Database, admin: Admin) -> None:
    admin.run("CREATE TABLE t (c int COMMENT 'x')", "CREATE VIEW v AS SELECT c FROM t")
    view = CommentTarget(ref=ObjectRef(schema=admin.name, table="v"), type=ObjectType.VIEW)
    inside = replace(column(admin, table="v"), owner_type=ObjectType.VIEW)
    assert database.capabilities.holds(column(admin))
    for target in (view, inside):
        assert not database.capabilities.holds(target)
        for attempt in (database.commenter.execute,):
            with pytest.raises(StatementRefusedError, match="view"):
                await attempt(target, "x")
    # Whoever takes the view for a table is told, too.
    for target in (of_table(admin, "v"), column(admin, table="v")):
        with pytest.raises(StatementRefusedError, match="not a table"):
            await database.commenter.execute(target, "x")
    assert (await database.commenter.current([view]))[view.ref] is None


@pytest.mark.parametrize(
    "lock", ["BEGIN; SELECT * FROM t", "LOCK TABLES t WRITE", "LOCK TABLES t READ"]
)
async def test_a_table_that_somebody_holds_is_left_alone_and_nobody_queues(
    database: Database, admin: Admin, mariadb_server: MariadbServer, mariadb_name: str, lock: str
) -> None:
    admin.run("CREATE TABLE t (id int, c int)", "CREATE TABLE free (c int)")
    rows = [(column(admin), "x"), (of_table(admin), "x"), (column(admin, table="free"), "x")]
    reads: list[float] = []
    stop = threading.Event()

    def read() -> None:
        with closing(mariadb_server.connect(mariadb_name)) as reader, reader.cursor() as cursor:
            while not stop.is_set():
                start = time.monotonic()
                cursor.execute("SELECT * FROM t")
                reads.append(time.monotonic() - start)
                stop.wait(0.005)

    with closing(mariadb_server.connect(mariadb_name)) as holder:
        with holder.cursor() as cursor:
            for statement in lock.split(";"):
                cursor.execute(statement)
        reader = threading.Thread(target=read)
        if "WRITE" not in lock:
            reader.start()
        try:
            start = time.monotonic()
            results = await database.commenter.execute_many(rows)
            assert time.monotonic() - start < 60
        finally:
            stop.set()
            if reader.ident is not None:
                reader.join()
        assert [isinstance(result, StatementRefusedError) for result in results[:2]] == [True, True]
        assert "held by another session" in str(results[0])
        assert results[2] == "x"  # what is free is written
        assert max(reads, default=0) < 30
        # To look at it is possible all the while.
        assert len((await database.reader.read()).tables) == 2
    assert await database.commenter.execute(column(admin), "x") == "x"


async def test_a_connection_that_is_killed_again_and_again_harms_nothing(
    database: Database, admin: Admin, mariadb_server: MariadbServer
) -> None:
    names = [f"c{number}" for number in range(40)]
    columns = ", ".join(f"{name} varchar(9) DEFAULT 'COMMENT' COMMENT 'old'" for name in names)
    admin.run(f"CREATE TABLE t (id int PRIMARY KEY, {columns})")
    before = admin.shown()
    await database.commenter.current([])
    stop = threading.Event()

    def kill() -> None:
        with closing(mariadb_server.connect()) as killer, killer.cursor() as cursor:
            while not stop.is_set():
                cursor.execute(
                    "SELECT ID FROM information_schema.PROCESSLIST "
                    f"WHERE INFO LIKE '%{admin.name}%' AND ID <> CONNECTION_ID()"
                )
                for (number,) in cursor.fetchall():
                    try:
                        cursor.execute(f"KILL {number}")
                    except pymysql.err.MySQLError:
                        continue  # it had just ended
                stop.wait(0.003)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        results = await database.commenter.execute_many([(column(admin, n), "new") for n in names])
    finally:
        stop.set()
        killer.join()
    assert all(each == "new" or isinstance(each, DatabaseError) for each in results)
    assert not any("\n" in str(each) for each in results)
    assert admin.shown().replace("COMMENT 'new'", "COMMENT 'old'") == before
    for name in names:
        assert await database.commenter.execute(column(admin, name), "new") == "new"
    assert admin.shown() == before.replace("COMMENT 'old'", "COMMENT 'new'")


async def test_a_cancelled_write_leaves_nothing_running(database: Database, admin: Admin) -> None:
    admin.run("CREATE TABLE t (id int, c int COMMENT 'old')")
    before = admin.shown()
    for seconds in (0, 0.001, 0.003, 0.01):
        with anyio.move_on_after(seconds):
            await database.commenter.execute(column(admin), "new")
    assert admin.shown().replace("'new'", "'old'") == before
    assert await database.commenter.execute(column(admin), "new") == "new"


async def test_the_missing_grant_is_named_and_mends_it(
    mariadb_server: MariadbServer, admin: Admin
) -> None:
    other = f"{admin.name}_x"
    admin.run(
        f"CREATE DATABASE {other}",
        f"CREATE TABLE {other}.t (id int)",
        "CREATE TABLE t (id int)",
        "CREATE VIEW v AS SELECT id FROM t",
        "CREATE USER `gu est`@'127.0.0.1' IDENTIFIED BY 'pass'",
        f"GRANT SELECT, SHOW VIEW ON `{admin.name}`.* TO `gu est`@'127.0.0.1'",
        f"GRANT SELECT, ALTER ON {other}.t TO `gu est`@'127.0.0.1'",
    )
    try:
        url = mariadb_server.url(user="gu%20est:pass")
        guest = databases.connect(url, relative_to=Path(), options=OPTIONS)
        with pytest.raises(StatementRefusedError, match=r"ALTER command denied"):
            await guest.commenter.execute(of_table(admin), "x")
        (grant,) = await guest.privileges.missing()  # type: ignore[attr-defined]
        escaped = admin.name.replace("_", "\\_")
        assert grant == f"GRANT ALTER ON `{escaped}`.* TO `gu est`@`127.0.0.1`;"
        digest = (await guest.reader.read()).grants
        admin.run(grant)
        assert await guest.privileges.missing() == ()  # type: ignore[attr-defined]
        assert (await guest.reader.read()).grants not in (None, digest)
        await guest.aclose()
        guest = databases.connect(url, relative_to=Path(), options=OPTIONS)
        assert await guest.commenter.execute(of_table(admin), "x") == "x"
        await guest.aclose()
    finally:
        admin.run("DROP USER `gu est`@'127.0.0.1'")


TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=30)


@given(old=TEXTS, new=TEXTS, default=TEXTS, name=TEXTS.filter(bool))
def test_only_the_comment_is_exchanged(old: str, new: str, default: str, name: str) -> None:
    from amxwatch.databases.mysql.connection import literal, quoted
    from amxwatch.databases.mysql.definitions import ColumnText, parse_table

    def text(comment: str | None) -> str:
        clause = f" COMMENT {literal(comment)}" if comment is not None else ""
        return (
            f"{quoted(name)} enum({literal(default)},'COMMENT') DEFAULT {literal(default)}{clause} "
            f"CHECK ({quoted(name)} <> {literal(default)})"
        )

    for before in (old, None):
        column_text = ColumnText(text=text(before))
        assert column_text.commented(literal(new)) == text(new)
        assert column_text.commented(None) == text(None)
    table = parse_table(
        f"CREATE TABLE {quoted(default + 'x')} (\n  `a``b` int,\n  {text(old)},"
        f"\n  PRIMARY KEY ({quoted(name)})\n) ENGINE=InnoDB COMMENT={literal(old)}"
    )
    assert table is not None
    found = table.column(name)
    assert table.column("a`b") is not None
    assert found is not None
