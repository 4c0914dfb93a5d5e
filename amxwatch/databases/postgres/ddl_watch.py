"""Lets PostgreSQL announce DDL: two event triggers that NOTIFY the channel `hints` listens on."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from amxwatch.core.errors import StatementRefusedError
from amxwatch.databases.postgres.connection import Connection, Session
from amxwatch.databases.queries import load_queries
from amxwatch.ports.ddl_watch import DdlWatchPlan

QUERIES = load_queries("amxwatch.databases.postgres", "ddl_watch.sql")

FUNCTION = "amxwatch_ddl"
TRIGGERS = {"amxwatch_ddl": "ddl_command_end", "amxwatch_drop": "sql_drop"}
"""Names of our event triggers, and when each fires: a drop is told to the second alone."""

BODY = "\n".join(line for line in QUERIES["source"].splitlines() if not line.startswith("--")).join(
    "\n\n"
)


@dataclass(frozen=True, kw_only=True)
class _State:
    """What there is of ours. `place` is the schema that the function is to be in."""

    firing: tuple[str, ...]
    triggers: tuple[str, ...]
    schemas: tuple[str, ...]
    source: str | None
    place: str | None
    prepared: int

    @property
    def is_installed(self) -> bool:
        return (
            self.firing == tuple(sorted(TRIGGERS))
            and len(self.schemas) == 1
            and (self.source or "").strip() == BODY.strip()
        )


class PostgresDdlWatch:
    """Implements `ports.ddl_watch.DdlWatch`. See: PostgreSQL's chapter on event triggers."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def plan(self, *, install: bool) -> DdlWatchPlan:
        return await self._session.run(lambda connection: self._plan(connection, install))

    async def execute(self, plan: DdlWatchPlan) -> None:
        await self._session.run(lambda connection: self._execute(connection, plan))

    def _plan(self, connection: Connection, install: bool) -> DdlWatchPlan:
        with self._session.transaction(connection, read_only=True):
            row = connection.execute(QUERIES["state"]).fetchone()
        assert row is not None
        firing, triggers, schemas, source, place, prepared = row
        state = _State(
            firing=tuple(firing),
            triggers=tuple(triggers),
            schemas=tuple(schemas),
            source=source,
            place=place,
            prepared=prepared,
        )
        obstacle = _obstacle(state)
        statements = _removal(state)
        if install:
            statements = () if state.is_installed else (*statements, *_installation(state))
        return DdlWatchPlan(
            installed=state.is_installed and obstacle is None,
            statements=statements,
            obstacle=obstacle,
        )

    def _execute(self, connection: Connection, plan: DdlWatchPlan) -> None:
        try:
            with self._session.transaction(connection, read_only=False):
                for statement in plan.statements:
                    connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege as error:
            raise StatementRefusedError(
                f"{self._session.address.label}: event triggers want a superuser, or the role "
                "that a hosted service has for its administrators (rds_superuser and the like), "
                f"and {connection.info.user} is not one: {error.diag.message_primary}; let an "
                "administrator run the statements that --dry-run prints"
            ) from error


def _obstacle(state: _State) -> str | None:
    if state.place is None:
        return "this database has no schema that could hold a function"
    if state.prepared > 0:
        return (
            f"this server prepares transactions (max_prepared_transactions = {state.prepared}), "
            "and one that announces anything cannot be prepared: polls find its changes instead"
        )
    return None


def _removal(state: _State) -> tuple[str, ...]:
    """Return what takes away all there is of ours."""
    return (
        *(
            _text("DROP EVENT TRIGGER IF EXISTS {};", sql.Identifier(name))
            for name in state.triggers
        ),
        *(
            _text("DROP FUNCTION IF EXISTS {}();", sql.Identifier(schema, FUNCTION))
            for schema in state.schemas
        ),
    )


def _installation(state: _State) -> tuple[str, ...]:
    if state.place is None:
        return ()
    function = sql.Identifier(state.place, FUNCTION)
    return (
        _text(
            "CREATE FUNCTION {}() RETURNS event_trigger LANGUAGE plpgsql "
            "SET search_path = pg_catalog AS $amxwatch${}$amxwatch$;",
            function,
            sql.SQL(BODY),
        ),
        *(
            _text(
                "CREATE EVENT TRIGGER {} ON {} EXECUTE FUNCTION {}();",
                sql.Identifier(name),
                sql.SQL(event),
                function,
            )
            for name, event in TRIGGERS.items()
        ),
    )


def _text(template: str, *parts: sql.Composable) -> str:
    statement = sql.SQL(template)
    return statement.format(*parts).as_string(None)
