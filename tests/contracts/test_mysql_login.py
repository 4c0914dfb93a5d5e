"""Logins that a real MariaDB refuses, told from a server that is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from amxwatch import databases
from amxwatch.clocks.system import SystemClock
from amxwatch.core.errors import DatabaseUnavailableError, LoginRefusedError
from amxwatch.ports.database import Database
from tests.plugins.mariadb import MariadbServer

pytestmark = pytest.mark.anyio

OPTIONS = databases.ConnectOptions(clock=SystemClock(), connect_seconds=20)
USER = "keeper_of_login"


def connect(url: str) -> Database:
    return databases.connect(url, relative_to=Path(), options=OPTIONS)


@pytest.fixture
def account(mariadb_server: MariadbServer) -> Iterator[str]:
    """A user with a password who may log in and read everything."""
    run(mariadb_server, f"CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY 's3cr3t'",
        f"GRANT SELECT ON *.* TO {USER}@'127.0.0.1'")  # fmt: skip
    yield f"{USER}@'127.0.0.1'"
    run(mariadb_server, f"DROP USER {USER}@'127.0.0.1'")


def run(server: MariadbServer, *statements: str) -> None:
    with closing(server.connect()) as admin, admin.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.mark.parametrize(
    ("statement", "user"),
    [
        ("SELECT 1", f"{USER}:wr0ngs3cret"),
        ("SELECT 1", "nobody_at_all:wr0ngs3cret"),
        ("ALTER USER {account} ACCOUNT LOCK", f"{USER}:s3cr3t"),
        ("ALTER USER {account} IDENTIFIED BY 'an0ther'", f"{USER}:s3cr3t"),
    ],
    ids=["wrong password", "unknown user", "locked", "changed"],
)
async def test_a_refused_login_is_one_a_person_mends(
    mariadb_server: MariadbServer, mariadb_name: str, account: str, statement: str, user: str
) -> None:
    run(mariadb_server, statement.format(account=account))
    await refused(mariadb_server.url(mariadb_name, user=user))


async def test_no_right_to_the_database_is_one_too(
    mariadb_server: MariadbServer, account: str
) -> None:
    # Not named test_…: by default everybody has rights to those.
    run(mariadb_server, "CREATE DATABASE closed_books")
    run(mariadb_server, f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {account}")
    try:
        await refused(mariadb_server.url("closed_books", user=f"{USER}:s3cr3t"))
    finally:
        run(mariadb_server, "DROP DATABASE closed_books")


async def refused(url: str) -> None:
    """Ask for what stands at a URL, and expect to be turned away, without the password."""
    database = connect(url)
    for ask in (database.reader.gate, database.reader.read):
        with pytest.raises(LoginRefusedError) as caught:
            await ask()
        assert "s3cr" not in str(caught.value)
        assert "\n" not in str(caught.value)
    await database.aclose()


async def test_a_server_that_is_away_is_no_refused_login() -> None:
    database = connect("mariadb://u:s3cr3t@127.0.0.1:1/d")
    with pytest.raises(DatabaseUnavailableError) as caught:
        await database.reader.gate()
    assert not isinstance(caught.value, LoginRefusedError)
    await database.aclose()


async def test_a_mended_login_goes_on(
    mariadb_server: MariadbServer, mariadb_name: str, account: str
) -> None:
    database = connect(mariadb_server.url(mariadb_name, user=f"{USER}:s3cr3t"))
    run(mariadb_server, f"ALTER USER {account} ACCOUNT LOCK")
    with pytest.raises(LoginRefusedError):
        await database.reader.gate()
    run(mariadb_server, f"ALTER USER {account} ACCOUNT UNLOCK")
    assert await database.reader.gate()
    await database.aclose()
