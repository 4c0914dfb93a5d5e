"""Hears notifications on one channel, which anybody may send and none must."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import anyio

from amxwatch.databases.blocking import BlockingLane
from amxwatch.databases.postgres.connection import Address, Connection, open_connection

CHANNEL = "amxwatch_ddl"
"""LISTEN needs no rights; an event trigger or a migration script may NOTIFY it."""

LONGEST_REASON = 200


class PostgresHints:
    """Implements `ports.database.Hints` on a connection of its own."""

    def __init__(self, address: Address) -> None:
        self._address = address

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[str]]:
        opened: list[Connection] = []
        reasons = None
        try:
            await BlockingLane(lambda: None).run(lambda: self._start(opened))
            reasons = self._reasons(opened[0])
            yield reasons
        finally:
            if reasons is not None:
                await reasons.aclose()
            for connection in opened:
                connection.close()

    def _start(self, opened: list[Connection]) -> None:
        with self._address.translated():
            opened.append(open_connection(self._address))
            opened[0].execute(f"LISTEN {CHANNEL}")

    async def _reasons(self, connection: Connection) -> AsyncGenerator[str, None]:
        while True:
            with self._address.translated():
                heard = list(connection.notifies(timeout=0))
            for notice in heard:
                yield _reason(notice.payload)
            # Waits on the socket itself: no thread is held, and cancelling ends it at once.
            with self._address.translated():
                await anyio.wait_readable(connection.fileno())


def _reason(payload: str) -> str:
    line = "".join(letter if letter.isprintable() else " " for letter in payload).strip()
    return (line or CHANNEL)[:LONGEST_REASON]
