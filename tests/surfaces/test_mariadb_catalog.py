"""MariaDB as it is: all kinds of objects, real locks, real outages, a gate that must not lie."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from amxwatch import databases
from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import Catalog, Key, KeyKind, ObjectRef, ObjectType, Table
from amxwatch.core.errors import (
    DatabaseUnavailableError,
    StatementRefusedError,
    UsageError,
)
from amxwatch.core.sample import Wanted
from amxwatch.ports.database import CommentTarget, Database
from tests.plugins.mariadb import MariadbServer, programs

pymysql = pytest.importorskip("pymysql", reason="pip install 'amxwatch[mysql]'")

OPTIONS = databases.ConnectOptions(
    clock=SystemClock(), connect_seconds=20, lock_seconds=0.2, statement_seconds=20
)
PASSWORD = "hunter2-and-more"


def connect(url: str, options: databases.ConnectOptions = OPTIONS) -> Database:
    return databases.connect(url, relative_to=Path(), options=options)


@pytest.fixture
async def database(mariadb_url: str) -> AsyncIterator[Database]:
    made = connect(mariadb_url)
    yield made
    await made.aclose()


class Admin:
    """Somebody else's connection to the same database."""

    def __init__(self, server: MariadbServer, name: str, **more: Any) -> None:
        self.name = name
        self.connection = server.connect(name, **more)

    def run(self, *statements: str) -> list[Any]:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())


@pytest.fixture
def admin(mariadb_server: MariadbServer, mariadb_name: str) -> Iterator[Admin]:
    made = Admin(mariadb_server, mariadb_name)
    yield made
    if made.connection.open:
        made.connection.close()


def table_of(catalog: Catalog, admin: Admin, name: str) -> Table:
    found = catalog.table(admin.name, name)
    assert found is not None
    return found


def content(catalog: Catalog) -> Catalog:
    """Return a catalog without the estimates, which move by themselves."""
    tables = tuple(replace(table, row_estimate=None) for table in catalog.tables)
    return replace(catalog, tables=tables, grants=None)


async def test_every_kind_of_object_is_read_as_it_is(database: Database, admin: Admin) -> None:
    admin.run(
        f"ALTER DATABASE {admin.name} COMMENT 'of the schema'",
        """CREATE TABLE kinds (
          id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT 'it''s',
          wide bigint(20) DEFAULT -1, narrow int(5), flag tinyint(1) NOT NULL, z int(4) zerofill,
          name varchar(40) NOT NULL DEFAULT 'a''b', code char(2) CHARACTER SET ascii,
          body text COLLATE utf8mb4_turkish_ci, packed text COMPRESSED,
          at timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
          exact datetime(3) DEFAULT now(3), fixed datetime DEFAULT '2024-02-03 04:05:06',
          twice int AS (narrow * 2) VIRTUAL, kept int AS (narrow + 1) STORED,
          expr varchar(40) DEFAULT (uuid()), place point REF_SYSTEM_ID=4326, other geometry,
          choice enum('a,b', 'c') DEFAULT 'c', doc json, born year(4), nothing int DEFAULT NULL,
          UNIQUE KEY by_name (name, wide), KEY plain (narrow)
        ) COMMENT 'of the table'""",
        "CREATE TABLE refers "
        "(a int unsigned, FOREIGN KEY f (a) REFERENCES kinds (id), UNIQUE f (a))",
        "CREATE TABLE my (a int) ENGINE=MyISAM",
        "CREATE TABLE parts (a int) PARTITION BY HASH (a) PARTITIONS 2",
        "CREATE TABLE history (a int) WITH SYSTEM VERSIONING",
        "CREATE SEQUENCE numbers",
        "CREATE TEMPORARY TABLE fleeting (a int)",
        "CREATE VIEW seen AS SELECT id, name AS `a b` FROM kinds WHERE id > 1",
    )
    catalog = await database.reader.read()
    assert [(schema.name, schema.comment) for schema in catalog.schemas] == [
        (admin.name, "of the schema")
    ]
    assert [table.name for table in catalog.tables] == [
        "history", "kinds", "my", "parts", "refers", "seen",
    ]  # fmt: skip
    kinds = table_of(catalog, admin, "kinds")
    assert kinds.comment == "of the table"
    assert [(c.name, c.type, c.nullable, c.default) for c in kinds.columns] == [
        ("id", "int unsigned", False, "AUTO_INCREMENT"),
        ("wide", "bigint", True, "-1"),
        ("narrow", "int(5)", True, None),
        ("flag", "tinyint(1)", False, None),
        ("z", "int(4) unsigned zerofill", True, None),
        ("name", "varchar(40)", False, "'a''b'"),
        ("code", "char(2) collate ascii_general_ci", True, None),
        ("body", "text collate utf8mb4_turkish_ci", True, None),
        ("packed", "text", True, None),
        ("at", "timestamp", False, "CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP"),
        ("exact", "datetime(3)", True, "CURRENT_TIMESTAMP(3)"),
        ("fixed", "datetime", True, "'2024-02-03 04:05:06'"),
        ("twice", "int", True, "GENERATED ALWAYS AS (`narrow` * 2) VIRTUAL"),
        ("kept", "int", True, "GENERATED ALWAYS AS (`narrow` + 1) STORED"),
        ("expr", "varchar(40)", True, "uuid()"),
        ("place", "point srid 4326", True, None),
        ("other", "geometry", True, None),
        ("choice", "enum('a,b','c')", True, "'c'"),
        ("doc", "longtext collate utf8mb4_bin", True, None),
        ("born", "year", True, None),
        ("nothing", "int", True, None),
    ]
    assert [column.ordinal for column in kinds.columns] == list(range(1, 22))
    assert kinds.columns[0].comment == "it's"
    assert {column.comment for column in kinds.columns[1:]} == {None}
    assert kinds.keys == (
        Key(kind=KeyKind.PRIMARY, columns=("id",), name="PRIMARY"),
        Key(kind=KeyKind.UNIQUE, columns=("name", "wide"), name="by_name"),
    )
    foreign, unique = table_of(catalog, admin, "refers").keys
    assert (unique.kind, unique.columns) == (KeyKind.UNIQUE, ("a",))
    assert foreign.kind is KeyKind.FOREIGN
    assert (foreign.references, foreign.referenced_columns) == ((admin.name, "kinds"), ("id",))
    seen = table_of(catalog, admin, "seen")
    assert (seen.type, seen.comment, seen.row_estimate) == (ObjectType.VIEW, None, None)
    assert seen.definition == (
        f"select `{admin.name}`.`kinds`.`id` AS `id`,`{admin.name}`.`kinds`.`name` AS `a b` "
        f"from `{admin.name}`.`kinds` where `{admin.name}`.`kinds`.`id` > 1"
    )
    variants = {table.name: table.variant for table in catalog.tables}
    assert variants == {
        "history": "system versioned", "kinds": None, "my": "MyISAM", "parts": "partitioned",
        "refers": None, "seen": None,
    }  # fmt: skip
    assert table_of(catalog, admin, "my").row_estimate == 0


async def test_a_url_without_a_name_reads_every_database_but_the_servers_own(
    mariadb_server: MariadbServer, admin: Admin
) -> None:
    admin.run(
        "CREATE TABLE t (a int PRIMARY KEY)",
        f"CREATE DATABASE {admin.name}_b",
        f"CREATE TABLE {admin.name}_b.u (a int, FOREIGN KEY (a) REFERENCES {admin.name}.t (a))",
    )
    whole = connect(mariadb_server.url())
    catalog = await whole.reader.read()
    assert [schema.name for schema in catalog.schemas] == [admin.name, f"{admin.name}_b"]
    assert [table.name for table in catalog.tables] == ["t", "u"]
    assert catalog.tables[1].keys[0].references == (admin.name, "t")
    one = connect(mariadb_server.url(f"{admin.name}_b"))
    assert [table.name for table in (await one.reader.read()).tables] == ["u"]
    await whole.aclose()
    await one.aclose()


async def test_spelling_and_gate_do_not_depend_on_the_servers_settings(
    database: Database, admin: Admin, mariadb_url: str
) -> None:
    admin.run(
        "CREATE TABLE t (a timestamp DEFAULT '2024-02-03 04:05:06', "
        "b varchar(9) CHARACTER SET utf8, c int AS (if(b = 'x\\\\y', 1, 2)) VIRTUAL)",
        "CREATE VIEW v AS SELECT a, concat(b, 'x') AS d FROM t",
    )
    expected, token = await database.reader.read(), await database.reader.gate()
    settings = {
        "sql_mode": "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'",
        "time_zone": "'+09:00'",
        "old_mode": "''",
        "sql_quote_show_create": "0",
        "explicit_defaults_for_timestamp": "0",
    }
    kept = admin.run(f"SELECT {', '.join(f'@@GLOBAL.{name}' for name in settings)}")[0]
    try:
        admin.run(*(f"SET GLOBAL {name} = {text}" for name, text in settings.items()))
        other = connect(mariadb_url)
        assert content(await other.reader.read()) == content(expected)
        assert await other.reader.gate() == token
        await other.aclose()
    finally:
        for name, text in zip(settings, kept, strict=True):
            admin.run(
                f"SET GLOBAL {name} = " + (repr(text) if isinstance(text, str) else str(text))
            )


CHANGES = (
    "ALTER TABLE things ADD COLUMN b int",
    "ALTER TABLE things MODIFY b bigint",
    "ALTER TABLE things ALTER COLUMN b SET DEFAULT 4",
    "ALTER TABLE things ALTER COLUMN b SET DEFAULT 5",
    "ALTER TABLE things MODIFY b bigint NOT NULL",
    "ALTER TABLE things RENAME COLUMN b TO c",
    "ALTER TABLE things MODIFY c bigint COMMENT 'x'",
    "ALTER TABLE things MODIFY p point REF_SYSTEM_ID=4326",
    "ALTER TABLE things COMMENT 'x'",
    "ALTER TABLE things CONVERT TO CHARACTER SET latin1",
    "CREATE UNIQUE INDEX by_c ON things (c)",
    "DROP INDEX by_c ON things",
    "ALTER TABLE things ADD FOREIGN KEY (parent) REFERENCES things (id)",
    "ALTER TABLE things ENGINE=InnoDB, ADD SYSTEM VERSIONING",
    "CREATE OR REPLACE VIEW seen AS SELECT id + 1 AS id FROM things",
    "ALTER VIEW seen AS SELECT id + 2 AS id FROM things",
    "RENAME TABLE other TO another",
    "CREATE TABLE copied AS SELECT * FROM another",
    "CREATE TABLE alike LIKE another",
    "CREATE OR REPLACE TABLE alike (z int)",
    "PREPARE p FROM 'ALTER TABLE alike ADD COLUMN y int'; EXECUTE p",
    "EXECUTE IMMEDIATE 'CREATE TABLE at_once (a int)'",
    "CALL procedure_that_alters()",
    "BEGIN NOT ATOMIC ALTER TABLE alike ADD COLUMN w int; END",
    "CREATE TABLE t1 (a int); DROP TABLE alike",
    "START TRANSACTION; CREATE TABLE inside (a int); ROLLBACK",
    "ALTER DATABASE {name} COMMENT 'x'",
    "CREATE DATABASE {name}_more",
    "DROP DATABASE {name}_more",
    "SET STATEMENT max_statement_time=9 FOR ALTER TABLE t1 ADD COLUMN b int",
    "/* by a tool */ DROP VIEW seen",
    "DROP TABLE another",
)
WRITES = (
    "INSERT INTO things (id) VALUES (1), (2)",
    "UPDATE things SET parent = 1",
    "DELETE FROM things",
    "TRUNCATE other",
    "SELECT nextval(numbers)",
    "CREATE TEMPORARY TABLE fleeting (a int)",
    "ANALYZE TABLE things",
    "OPTIMIZE TABLE other",
    "FLUSH TABLES",
    "FLUSH STATUS",
    "CREATE INDEX plain ON things (parent)",
    "CREATE TRIGGER tr BEFORE INSERT ON other FOR EACH ROW SET NEW.a = 1",
    "CREATE PROCEDURE unrelated() SELECT 1",
)


def make_things(admin: Admin) -> None:
    admin.run(
        "CREATE TABLE things (id int PRIMARY KEY, parent int, t text, p point)",
        "CREATE TABLE other (a int)",
        "CREATE VIEW seen AS SELECT id FROM things",
        "CREATE SEQUENCE numbers",
        "CREATE PROCEDURE procedure_that_alters() "
        "BEGIN CREATE TABLE by_procedure (x int); RENAME TABLE by_procedure TO renamed; END",
    )


async def test_the_gate_moves_with_every_change_and_never_without_one(
    mariadb_server: MariadbServer, admin: Admin
) -> None:
    make_things(admin)
    database = connect(mariadb_server.url())
    reader = database.reader
    token, catalog = await reader.gate(), await reader.read()
    for statement in WRITES:
        admin.run(statement)
        assert content(await reader.read()) == content(catalog), statement
        assert await reader.gate() == token, statement
    for statement in CHANGES:
        bare = statement.format(name=admin.name)
        admin.run(*([bare] if "BEGIN NOT" in bare else bare.split("; ")))
        assert await reader.gate() != token, statement
        token, before = await reader.gate(), catalog
        catalog = await reader.read()
        assert content(catalog) != content(before), statement
    await database.aclose()


async def test_the_gate_sees_what_an_event_of_the_server_does(
    database: Database, admin: Admin
) -> None:
    token = await database.reader.gate()
    admin.run("SET GLOBAL event_scheduler = ON")
    try:
        admin.run("CREATE EVENT e ON SCHEDULE AT now() DO CREATE TABLE by_event (a int)")
        with anyio.fail_after(60):
            while await database.reader.gate() == token:
                await anyio.sleep(0.05)
        assert [table.name for table in (await database.reader.read()).tables] == ["by_event"]
    finally:
        admin.run("SET GLOBAL event_scheduler = OFF")


@pytest.mark.parametrize("rights", ["ALL PRIVILEGES ON *.*", "SELECT ON *.*"])
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE things ADD COLUMN late int",
        "CREATE OR REPLACE VIEW seen AS SELECT id + 1 AS id FROM things",
        "RENAME TABLE other TO late",
        "ALTER TABLE things COMMENT 'late'",
    ],
)
async def test_the_gate_sees_what_began_before_the_last_look_and_ended_after_it(
    mariadb_server: MariadbServer, admin: Admin, statement: str, rights: str
) -> None:
    """The server counts a statement as it begins, and this one waits for a lock first."""
    make_things(admin)
    admin.run("CREATE USER watcher@'127.0.0.1'", f"GRANT {rights} TO watcher@'127.0.0.1'")
    database = connect(mariadb_server.url(admin.name, user="watcher"))
    slow = Admin(mariadb_server, admin.name)
    thread = threading.Thread(target=slow.run, args=(statement,))
    with closing(mariadb_server.connect(admin.name)) as holder:
        cursor = holder.cursor()
        cursor.execute("LOCK TABLES things READ, other READ, seen READ")
        try:
            thread.start()
            wait_for(admin, f"INFO = '{statement.replace(chr(39), chr(39) * 2)}'")
            for _ in range(3):
                token, catalog = await database.reader.gate(), await database.reader.read()
        finally:
            cursor.execute("UNLOCK TABLES")
            thread.join()
    assert await database.reader.gate() != token
    assert content(await database.reader.read()) != content(catalog)
    settled = await database.reader.gate()
    admin.run("INSERT INTO things (id) VALUES (7)")
    assert await database.reader.gate() == settled
    await database.aclose()
    admin.run("DROP USER watcher@'127.0.0.1'")
    slow.connection.close()


def wait_for(admin: Admin, what: str) -> None:
    """Wait until the server shows a thread of that kind."""
    deadline = time.monotonic() + 60
    query = f"SELECT count(*) FROM information_schema.PROCESSLIST WHERE {what}"
    while not admin.run(query)[0][0]:
        assert time.monotonic() < deadline, what


async def test_an_idle_gate_over_150_tables_is_one_small_query(
    database: Database, admin: Admin
) -> None:
    for number in range(150):
        admin.run(f"CREATE TABLE t{number} (a int PRIMARY KEY, b text, c date) ENGINE=MyISAM")

    def asked() -> int:
        rows = admin.run("SHOW GLOBAL STATUS LIKE 'Questions'")
        return int(rows[0][1])

    catalog = await database.reader.read()
    assert len(catalog.tables) == 150
    first = await database.reader.gate()
    start = asked()
    for _ in range(5):
        assert await database.reader.gate() == first
    assert asked() - start == 5 + 1  # and our own question
    # A change costs one pass over the catalog: the read after the gate takes what it found.
    admin.run("ALTER TABLE t7 ADD COLUMN d int")
    start = asked()
    assert await database.reader.gate() != first
    looked = asked()
    assert table_of(await database.reader.read(), admin, "t7").column("d") is not None
    assert (looked - start, asked() - looked) < (25, 4)


async def test_the_gate_stays_cheap_while_others_only_read(
    database: Database, admin: Admin, mariadb_server: MariadbServer
) -> None:
    make_things(admin)
    busy = Admin(mariadb_server, admin.name)
    admin.run("SELECT GET_LOCK('busy', 9)")
    thread = threading.Thread(target=busy.run, args=("SELECT GET_LOCK('busy', 60)",))
    thread.start()
    try:
        wait_for(admin, "STATE = 'User lock'")
        token = await database.reader.gate()
        (start,) = admin.run("SHOW GLOBAL STATUS LIKE 'Questions'")
        for _ in range(5):
            assert await database.reader.gate() == token
        (end,) = admin.run("SHOW GLOBAL STATUS LIKE 'Questions'")
        assert int(end[1]) - int(start[1]) == 5 * 3 + 1
    finally:
        admin.run("SELECT RELEASE_LOCK('busy')")
        thread.join()
        busy.connection.close()


async def test_the_gate_is_the_same_for_a_reader_that_was_started_again(
    database: Database, admin: Admin, mariadb_url: str, mariadb_server: MariadbServer
) -> None:
    make_things(admin)
    token = await database.reader.gate()
    again = connect(mariadb_url)
    assert await again.reader.gate() == token
    await again.aclose()
    admin.connection.close()
    mariadb_server.stop()
    mariadb_server.resume()
    assert await database.reader.gate() == token
    Admin(mariadb_server, admin.name).run("ALTER TABLE things ADD COLUMN b int")
    assert await database.reader.gate() != token


async def test_a_catalog_that_moves_while_it_is_read_is_never_read_by_halves(
    database: Database, admin: Admin, mariadb_server: MariadbServer
) -> None:
    """Two tables always change together, so a reading that sees one only is a lie."""
    admin.run("CREATE TABLE a_left (x int)", "CREATE TABLE z_right (x int)")
    stop = threading.Event()

    def churn() -> None:
        other = Admin(mariadb_server, admin.name)
        number = 0
        while not stop.is_set():
            number += 1
            other.run(
                "RENAME TABLE a_left TO aside, z_right TO a_left, aside TO z_right",
                f"CREATE OR REPLACE TABLE moving (n{number} int)",
            )
            stop.wait(0.2)
        other.connection.close()

    thread = threading.Thread(target=churn)
    thread.start()
    read = 0
    try:
        for _ in range(20):
            with suppress(DatabaseUnavailableError):
                catalog = await database.reader.read()
                read += 1
                names = {table.name for table in catalog.tables} - {"moving"}
                assert names == {"a_left", "z_right"}
                assert all(len(table.columns) == 1 for table in catalog.tables)
    finally:
        stop.set()
        thread.join()
    assert read > 0
    assert len((await database.reader.read()).tables) == 3


async def test_what_cannot_be_seen_is_named_and_grants_tell_of_moved_rights(
    mariadb_server: MariadbServer, admin: Admin
) -> None:
    admin.run(
        "CREATE TABLE shown (a int, hidden int)",
        "CREATE TABLE secret (a int)",
        "CREATE VIEW v AS SELECT a FROM shown",
        "CREATE VIEW broken AS SELECT hidden FROM shown",
        "ALTER TABLE shown DROP COLUMN hidden, ADD COLUMN other int",
        f"CREATE USER guest@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
        f"GRANT ALTER ON {admin.name}.secret TO guest@'127.0.0.1'",
        f"GRANT SELECT ON {admin.name}.v TO guest@'127.0.0.1'",
        f"GRANT SELECT (a) ON {admin.name}.shown TO guest@'127.0.0.1'",
        f"GRANT SELECT ON {admin.name}.broken TO guest@'127.0.0.1'",
    )
    url = mariadb_server.url(admin.name, user=f"guest:{PASSWORD}")
    guest = connect(url)
    try:
        catalog = await guest.reader.read()
        assert {t.name: [c.name for c in t.columns] for t in catalog.tables} == {
            "shown": ["a"],
            "v": ["a"],
        }
        assert table_of(catalog, admin, "v").definition is None
        assert {ref.table for ref in catalog.unseen} == {"secret", "broken"}
        said = {problem.file.partition(".")[2]: problem.message for problem in catalog.problems}
        assert set(said) == {"secret", "broken", "v"}
        assert "GRANT SELECT" in said["secret"]
        assert "broken" in said["broken"]
        assert "SHOW VIEW" in said["v"]
        assert catalog.grants is not None
        admin.run(f"SET PASSWORD FOR guest@'127.0.0.1' = PASSWORD('{PASSWORD}2')")
        assert (await guest.reader.read()).grants == catalog.grants
        admin.run(f"REVOKE SELECT (a) ON {admin.name}.shown FROM guest@'127.0.0.1'")
        after = await guest.reader.read()
        assert [table.name for table in after.tables] == ["v"]
        assert after.grants != catalog.grants
    finally:
        await guest.aclose()
        admin.run("DROP USER guest@'127.0.0.1'")


async def test_rights_by_a_role_count(mariadb_server: MariadbServer, admin: Admin) -> None:
    admin.run(
        "CREATE TABLE t (a int)",
        "CREATE ROLE writers",
        f"GRANT SELECT, ALTER ON {admin.name}.* TO writers",
        "CREATE USER guest@'127.0.0.1'",
        "GRANT writers TO guest@'127.0.0.1'",
        "SET DEFAULT ROLE writers FOR guest@'127.0.0.1'",
    )
    guest = connect(mariadb_server.url(admin.name, user="guest"))
    target = CommentTarget(ref=ObjectRef(schema=admin.name, table="t"), type=ObjectType.TABLE)
    try:
        assert await guest.privileges.missing() == ()  # type: ignore[attr-defined]
        assert await guest.commenter.execute(target, "x") == "x"
        before = (await guest.reader.read()).grants
        admin.run(f"REVOKE ALTER ON {admin.name}.* FROM writers")
        assert (await guest.reader.read()).grants != before
        assert len(await guest.privileges.missing()) == 1  # type: ignore[attr-defined]
    finally:
        await guest.aclose()
        admin.run("DROP USER guest@'127.0.0.1'", "DROP ROLE writers")


async def test_a_database_that_is_not_there_is_said_to_be_missing(
    mariadb_server: MariadbServer, admin: Admin, database: Database
) -> None:
    admin.run("CREATE TABLE t (a int)")
    assert (await database.reader.read()).tables
    admin.run(f"DROP DATABASE {admin.name}")
    # Not an empty catalog: that would look as if every table had been dropped.
    for attempt in (database.reader.gate, database.reader.read):
        with pytest.raises(DatabaseUnavailableError, match=f"no database {admin.name}"):
            await attempt()


async def test_a_connection_that_died_is_made_again(database: Database, admin: Admin) -> None:
    admin.run("CREATE TABLE t (a int)")
    before = await database.reader.read()
    own = admin.run("SELECT CONNECTION_ID()")[0][0]
    for _ in range(2):
        rows = admin.run(
            "SELECT ID FROM information_schema.PROCESSLIST "
            "WHERE COMMAND = 'Sleep' AND USER = 'root'"
        )
        for (number,) in rows:
            if number != own:
                with suppress(pymysql.err.MySQLError):
                    admin.run(f"KILL {number}")
        assert content(await database.reader.read()) == content(before)
        assert await database.reader.gate()


async def test_a_slow_query_is_given_up(
    admin: Admin, mariadb_url: str, mariadb_server: MariadbServer
) -> None:
    admin.run("CREATE VIEW slow AS SELECT sleep(600) AS s")
    impatient = connect(mariadb_url, replace(OPTIONS, statement_seconds=0.3))
    slow = table_of(await impatient.reader.read(), admin, "slow")
    with anyio.fail_after(60), pytest.raises(DatabaseUnavailableError, match="max_statement_time"):
        await impatient.sampler.sample(slow, rows=1, full=False)
    await impatient.aclose()

    patient = connect(mariadb_url)
    start = time.monotonic()
    with anyio.move_on_after(0.3):
        await patient.sampler.sample(slow, rows=1, full=False)
    assert time.monotonic() - start < 60
    running = "SELECT count(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%`slow`%'"
    assert admin.run(running + " AND COMMAND = 'Query' AND ID <> CONNECTION_ID()") == [(0,)]
    assert len((await patient.reader.read()).tables) == 1
    await patient.aclose()


@pytest.mark.parametrize(
    "place", ["127.0.0.1:1/db", "no-such-host.invalid/db", "127.0.0.1:{port}/missing"]
)
async def test_no_message_holds_the_password(place: str, mariadb_server: MariadbServer) -> None:
    url = f"mysql://joe:{PASSWORD}@{place.format(port=mariadb_server.port)}"
    unreachable = connect(url)
    assert unreachable.capabilities.product == "MySQL"
    for attempt in (unreachable.reader.gate, unreachable.reader.read):
        with pytest.raises(DatabaseUnavailableError) as caught:
            await attempt()
        message = str(caught.value)
        assert PASSWORD not in message
        assert "\n" not in message
        assert "joe:***@" in message
    await unreachable.aclose()


@pytest.mark.parametrize(
    "end", ["?nonsense=1", "h:99999/db", "h:x/db", "h/%zz%ff", "[::1/db", "h/db?ssl_key=a&b=c"]
)
def test_a_url_that_cannot_be_meant_is_refused_without_its_password(end: str) -> None:
    with pytest.raises(UsageError) as caught:
        connect(f"mariadb://joe:{PASSWORD}@{end}")
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "scheme", ["mysql", "mariadb", "mysql+pymysql", "mysql+mysqldb", "mariadb+mariadbconnector"]
)
async def test_other_spellings_of_the_scheme(
    scheme: str, mariadb_server: MariadbServer, admin: Admin
) -> None:
    url = mariadb_server.url(admin.name, scheme=scheme) + "?charset=utf8mb4"
    other = connect(url)
    assert (await other.reader.read()).tables == ()
    # The server says what it is, whatever the URL thought.
    assert other.capabilities.product == "MariaDB"
    assert ObjectType.SCHEMA in other.capabilities.comments
    await other.aclose()
    by_socket = connect(f"{scheme}://root@/{admin.name}?unix_socket={mariadb_server.socket}")
    assert (await by_socket.reader.read()).tables == ()
    await by_socket.aclose()


async def test_a_password_of_odd_letters(mariadb_server: MariadbServer, admin: Admin) -> None:
    from urllib.parse import quote

    password = "a:b/c@d%e?f#g ü'\""
    admin.run(
        "CREATE USER odd@'127.0.0.1' IDENTIFIED BY "
        + pymysql.converters.escape_string(password).join("''"),
        f"GRANT SELECT ON {admin.name}.* TO odd@'127.0.0.1'",
    )
    try:
        url = mariadb_server.url(admin.name, user=f"odd:{quote(password, safe='')}")
        odd = connect(url)
        assert (await odd.reader.read()).tables == ()
        await odd.aclose()
        wrong = connect(mariadb_server.url(admin.name, user=f"odd:{PASSWORD}"))
        with pytest.raises(DatabaseUnavailableError, match="Access denied") as caught:
            await wrong.reader.read()
        assert PASSWORD not in str(caught.value)
    finally:
        admin.run("DROP USER odd@'127.0.0.1'")


async def test_samples_of_any_type(database: Database, admin: Admin) -> None:
    admin.run(
        "SET sql_mode = ''",
        """CREATE TABLE odd (j json, p point, b bit(5), bl longblob, big longtext, d date,
          dt datetime(6), t time, y year, e enum('a', 'b'), s set('x', 'y'), i inet6, u uuid,
          f float, n decimal(20, 5), v int AS (1 + 1))""",
        "INSERT INTO odd (j, p, b, bl, big, d, dt, t, y, e, s, i, u, f, n) VALUES ('{\"a\":1}', "
        "point(1, 2), 5, 0x00ff, repeat('x', 100000), '0000-00-00', '2024-01-02 03:04:05.6', "
        "'-800:00:00', 2024, 'b', 'x,y', '::1', uuid(), 1.5, 2.5)",
        "INSERT INTO odd () VALUES ()",
    )
    odd = table_of(await database.reader.read(), admin, "odd")
    sample = await database.sampler.sample(odd, rows=10, full=True)
    assert len(sample.rows) == sample.row_count == 2
    first = dict(zip(sample.columns, sample.rows[0], strict=True))
    assert len(first["big"]) == 4096
    assert first["p"] == "POINT(1 2)"
    assert (first["b"], first["bl"]) == ("05", "00FF")
    assert str(first["d"]) == "0000-00-00"
    assert {name: totals.nulls for name, totals in sample.totals.items()} == {
        name: 0 if name == "v" else 1 for name in sample.columns
    }
    assert {totals.distinct for totals in sample.totals.values()} == {1}


async def test_samples_of_wide_large_and_locking_tables(database: Database, admin: Admin) -> None:
    columns = ", ".join(f"c{number} int" for number in range(900))
    admin.run(
        f"CREATE TABLE wide ({columns})",
        "INSERT INTO wide () VALUES ()",
        "CREATE TABLE large (n int PRIMARY KEY, m int)",
        "INSERT INTO large SELECT seq, seq % 7 FROM seq_1_to_30000",
        "ANALYZE TABLE large",
        "CREATE TABLE locking (n int) ENGINE=MyISAM",
        "INSERT INTO locking SELECT seq FROM seq_1_to_100",
    )
    catalog = await database.reader.read()
    wide = await database.sampler.sample(table_of(catalog, admin, "wide"), rows=5, full=True)
    assert len(wide.totals) == 900
    large = table_of(catalog, admin, "large")
    assert large.row_estimate is not None
    sample = await database.sampler.sample(large, rows=500, full=False)
    numbers = [row[0] for row in sample.rows]
    assert len(numbers) == len(set(numbers)) == 500
    assert max(numbers) - min(numbers) > 20000  # spread over the table, not its beginning
    assert await database.sampler.sample(large, rows=500, full=False) == sample
    tally = await database.sampler.tally(large, Wanted(rows=500))
    assert tally.rows == 500
    assert await database.sampler.tally(large, Wanted(rows=500)) == tally
    # To count it all would keep writers out of it meanwhile.
    locking = await database.sampler.sample(table_of(catalog, admin, "locking"), rows=9, full=True)
    assert (len(locking.rows), locking.row_count, locking.totals) == (9, None, {})


async def test_a_sample_writes_nothing_and_leaves_no_lock(
    database: Database, admin: Admin, mariadb_server: MariadbServer
) -> None:
    admin.run(
        "CREATE TABLE log (a int)",
        "CREATE FUNCTION noted() RETURNS int BEGIN INSERT INTO log VALUES (1); RETURN 1; END",
        "CREATE VIEW nosy AS SELECT noted() AS n",
        "CREATE TABLE t (a int)",
    )
    catalog = await database.reader.read()
    with pytest.raises(StatementRefusedError, match="READ ONLY"):
        await database.sampler.sample(table_of(catalog, admin, "nosy"), rows=1, full=False)
    assert admin.run("SELECT count(*) FROM log") == [(0,)]
    await database.sampler.sample(table_of(catalog, admin, "t"), rows=1, full=True)
    admin.run("SET lock_wait_timeout = 1", "ALTER TABLE t ADD COLUMN b int")


async def test_a_crash_of_the_server_is_an_outage_that_ends(
    database: Database, admin: Admin, mariadb_server: MariadbServer
) -> None:
    admin.run("CREATE TABLE t (a int)", "SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    admin.run("INSERT INTO t VALUES (1)", "FLUSH TABLES")
    before = await database.reader.read()
    mariadb_server.stop(at_once=True)
    try:
        with pytest.raises(DatabaseUnavailableError):
            await database.reader.gate()
    finally:
        mariadb_server.resume()
    assert content(await database.reader.read()) == content(before)


async def test_what_a_replica_repeats_moves_its_gate(
    mariadb_server: MariadbServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = programs()
    assert found is not None
    folder = tmp_path_factory.mktemp("replicated")
    source = MariadbServer(found, folder / "source", extra=["--log-bin=b", "--server-id=1"])
    replica = MariadbServer(found, folder / "replica", extra=["--server-id=2"])
    try:
        for server in (source, replica):
            server.folder.mkdir()
            server.start()
        ahead = Admin(source, "")
        ahead.run("CREATE USER r@'127.0.0.1'", "GRANT REPLICATION SLAVE ON *.* TO r@'127.0.0.1'")
        behind = Admin(replica, "")
        behind.run(
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={source.port}, "
            "MASTER_USER='r', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1",
            "START SLAVE",
        )
        database = connect(replica.url())
        try:
            for statement in ("CREATE DATABASE s", "CREATE TABLE s.t (a int)",
                              "ALTER TABLE s.t ADD COLUMN b int", "RENAME TABLE s.t TO s.u",
                              "CREATE VIEW s.v AS SELECT a FROM s.u", "DROP VIEW s.v"):  # fmt: skip
                token = await database.reader.gate()
                ahead.run(statement)
                with anyio.fail_after(60):
                    while await database.reader.gate() == token:
                        await anyio.sleep(0.05)
            assert [table.name for table in (await database.reader.read()).tables] == ["u"]
        finally:
            await database.aclose()
        ahead.connection.close()
        behind.connection.close()
    finally:
        for server in (source, replica):
            server.stop(at_once=True)
