"""Tells cheaply that nobody can have changed a catalog since the last look.

The server counts each statement as it begins, whoever runs it: clients, procedures, events,
prepared statements, replication. So while the counters stand still and nobody was in the middle
of such a statement at the last look, the catalog stands still too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from amxwatch.databases.mysql.connection import QUERIES, Connection, Session, execute

IDLE = frozenset({"Sleep", "Daemon", "Binlog Dump", "Binlog Dump GTID"})
WAITING = ("Slave_", "Connect")
"""Threads of replication; they run a statement only where they show one."""

HARMLESS = re.compile(
    r"(?:\s|/\*(?![!M]).*?\*/|\()*(?:select|insert|update|delete|replace|show|commit|rollback|with|"
    r"values|explain|desc|describe|do|kill|load|use|handler)\b",
    re.IGNORECASE | re.DOTALL,
)
"""Statements that move no catalog, nor run others that do."""

UPTIME = "Uptime"
SINCE_FLUSH = "Uptime_since_flush_status"
RUNNING = "Threads_running"


@dataclass(frozen=True, kw_only=True)
class Stillness:
    """One look at the counters.

    `counters` mean something only on the connection that they were asked on, as they end with
    the server. `is_quiet` says that no statement that moves a catalog was running.
    """

    counters: tuple[tuple[str, str], ...]
    uptime: int
    is_quiet: bool

    def stands_since(self, earlier: Stillness) -> bool:
        """Claim that what was read after `earlier` is what would be read now."""
        return (
            earlier.is_quiet
            and self.counters == earlier.counters
            # A proxy may have asked another server this time.
            and self.uptime >= earlier.uptime
        )


def look(session: Session, connection: Connection) -> Stillness:
    """Ask for the counters, and where the server is not idle, who is at work."""
    found = {str(name): str(value) for name, value in execute(connection, QUERIES["status"])}
    uptime = int(found.pop(UPTIME))
    # When the counters were last reset, in seconds after the start.
    found["reset"] = str(uptime - int(found.pop(SINCE_FLUSH, uptime)))
    running = int(found.pop(RUNNING))
    return Stillness(
        counters=tuple(sorted(found.items())),
        uptime=uptime,
        is_quiet=(session.product.runs_all_threads and running <= 1)
        or _is_harmless(session, connection),
    )


def _is_harmless(session: Session, connection: Connection) -> bool:
    """Claim that nobody runs DDL now; False where we may not see what others run."""
    if not execute(connection, QUERIES["process_privilege"]):
        return False
    own = session.number
    return all(
        row[0] == own or _is_calm(str(row[4]), row[7])
        for row in execute(connection, QUERIES["processes"])
    )


def _is_calm(command: str, statement: str | None) -> bool:
    if command in IDLE:
        return True
    if not statement:
        return command.startswith(WAITING)
    return HARMLESS.match(statement) is not None
