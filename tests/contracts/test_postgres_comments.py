"""Writing many comments on PostgreSQL: few round trips, and still each row by itself."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from amxwatch import databases
from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import ObjectRef, ObjectType
from amxwatch.core.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    StatementRefusedError,
)
from amxwatch.ports.database import CommentTarget, Database
from tests.plugins.postgres import PostgresServer

psycopg = pytest.importorskip("psycopg", reason="pip install 'amxwatch[postgres]'")

LOCK_SECONDS = 0.3
OPTIONS = databases.ConnectOptions(
    clock=SystemClock(), connect_seconds=20, lock_seconds=LOCK_SECONDS
)
TABLES = 30


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    made = databases.connect(postgres_url, relative_to=Path(), options=OPTIONS)
    yield made
    await made.aclose()


@pytest.fixture
def admin(postgres_url: str) -> Iterator[Any]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for number in range(TABLES):
            connection.execute(f"CREATE TABLE t{number} (a int, b int, c int)")
        yield connection


def column(table: str, name: str) -> CommentTarget:
    ref = ObjectRef(schema="public", table=table, column=name)
    return CommentTarget(ref=ref, type=ObjectType.COLUMN)


def rows(text: str) -> list[tuple[CommentTarget, str | None]]:
    return [
        (column(f"t{number}", name), f"{text} {number} {name}")
        for number in range(TABLES)
        for name in "abc"
    ]


def sent(server: PostgresServer, admin: Any) -> int:
    """Count the COMMENT statements that we sent."""
    text = "\n".join(server.statements("amxwatch", admin.info.dbname))
    return text.count("COMMENT ON ")


def transactions(server: PostgresServer, admin: Any) -> int:
    said = server.statements("amxwatch", admin.info.dbname)
    return sum("BEGIN" in line for line in said)


async def test_only_what_differs_is_sent_and_in_few_round_trips(
    database: Database, admin: Any, postgres_server: PostgresServer
) -> None:
    first = rows("it's \\ a text; --")
    assert await database.commenter.execute_many(first) == [text for _, text in first]
    assert transactions(postgres_server, admin) == 3  # look, write, look again
    assert await database.commenter.execute_many(first) == [text for _, text in first]
    assert transactions(postgres_server, admin) == 4  # one look, and nothing to write
    second = [*first[:-1], (first[-1][0], "another")]
    before = sent(postgres_server, admin)
    assert (await database.commenter.execute_many(second))[-1] == "another"
    assert sent(postgres_server, admin) == before + 1
    live = await database.commenter.current([target for target, _ in second])
    assert list(live.values()) == [text for _, text in second]
    cleared = await database.commenter.execute_many([(target, None) for target, _ in second])
    assert set(cleared) == {""}
    assert await database.commenter.execute_many([]) == []


async def test_a_refused_row_leaves_the_others_as_they_are(
    database: Database, admin: Any, postgres_server: PostgresServer
) -> None:
    admin.execute("CREATE ROLE guest LOGIN; CREATE ROLE other; ALTER TABLE t3 OWNER TO other")
    for number in range(TABLES):
        if number != 3:
            admin.execute(f"ALTER TABLE t{number} OWNER TO guest")
    url = postgres_server.url(admin.info.dbname, user="guest")
    guest = databases.connect(url, relative_to=Path(), options=OPTIONS)
    try:
        wanted = [*rows("x"), (column("t1", "gone"), "y"), (column("t1", "a"), "bad \0 text")]
        results = await guest.commenter.execute_many(wanted)
    finally:
        await guest.aclose()
        admin.execute("DROP OWNED BY guest, other; DROP ROLE guest; DROP ROLE other")
    refused = {
        target.ref: str(result)
        for (target, _), result in zip(wanted, results, strict=True)
        if isinstance(result, StatementRefusedError)
    }
    assert {ref.table for ref in refused} == {"t3", "t1"}
    assert len(refused) == 3 + 2
    assert all("must be owner" in why for ref, why in refused.items() if ref.table == "t3")
    for (target, text), result in zip(wanted, results, strict=True):
        if target.ref not in refused:
            assert result == text


async def test_a_locked_table_is_waited_for_once_and_holds_up_no_other(
    database: Database, admin: Any, postgres_url: str
) -> None:
    wanted = rows("x")
    with psycopg.connect(postgres_url) as holder:
        holder.execute("LOCK TABLE t7 IN ACCESS EXCLUSIVE MODE")
        start = time.monotonic()
        results = await database.commenter.execute_many(wanted)
        took = time.monotonic() - start
        holder.rollback()
    failed = {
        target.ref.table
        for (target, _), result in zip(wanted, results, strict=True)
        if isinstance(result, DatabaseError)
    }
    assert failed == {"t7"}
    # An outage would end the caller's work; this is none.
    assert not any(isinstance(result, DatabaseUnavailableError) for result in results)
    assert took < len(wanted) * LOCK_SECONDS  # together and then alone, not once for each
    assert await database.commenter.execute_many(wanted) == [text for _, text in wanted]


async def test_more_than_goes_into_one_transaction(database: Database, admin: Any) -> None:
    names = [f"c{number}" for number in range(700)]
    admin.execute(f"CREATE TABLE wide ({', '.join(f'{name} int' for name in names)})")
    texts: list[tuple[CommentTarget, str | None]] = [
        (column("wide", name), name * 40) for name in names
    ]
    assert await database.commenter.execute_many(texts) == [text for _, text in texts]
    long = [(column("wide", name), name + "x" * 900_000) for name in names[:12]]
    assert await database.commenter.execute_many(long) == [text for _, text in long]


async def test_an_outage_is_told_of_every_row(postgres_server: PostgresServer) -> None:
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    gone = databases.connect(url, relative_to=Path(), options=OPTIONS)
    results = await gone.commenter.execute_many(rows("x"))
    assert all(isinstance(result, DatabaseUnavailableError) for result in results)
    await gone.aclose()


async def test_a_cancelled_write_stops(database: Database, admin: Any, postgres_url: str) -> None:
    patient = databases.connect(
        postgres_url, relative_to=Path(), options=replace(OPTIONS, lock_seconds=600)
    )
    with psycopg.connect(postgres_url) as holder:
        holder.execute("LOCK TABLE t0 IN ACCESS EXCLUSIVE MODE")
        start = time.monotonic()
        with anyio.move_on_after(0.3):
            await patient.commenter.execute_many(rows("x"))
        assert time.monotonic() - start < 60
        holder.rollback()
    await patient.aclose()
    live = await database.commenter.current([target for target, _ in rows("x")])
    assert set(live.values()) == {None}
