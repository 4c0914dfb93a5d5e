"""The queue and the history of runs."""

from __future__ import annotations

import builtins
import functools
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    RowMapping,
    Select,
    and_,
    bindparam,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)

from amxwatch.core.errors import FencedError, NotFoundError, TransitionError
from amxwatch.core.run import (
    OPEN,
    TRANSITIONS,
    Run,
    RunEvent,
    RunId,
    RunStatus,
    RunTrigger,
    Slots,
    after,
)
from amxwatch.ports.ledger import RunFilter
from amxwatch.stores.ledger.rows import values_of
from amxwatch.stores.ledger.tables import run as table

_BY_CHANGE = (RunTrigger.CHANGE, RunTrigger.FILES)

TOLERANCE = timedelta(minutes=1)
LONGEST_WAIT = timedelta(days=3)
"""Nothing is put off for longer: not by a pause between tries, nor by a spent day."""

# The statements of the busy paths are built once: building costs as much as running them.
_PUT = insert(table)
_GET = select(table).where(table.c.id == bindparam("run_id"))
_SET = update(table).where(table.c.id == bindparam("run_id"))
_BUSY = select(table.c.db_profile, table.c.schedule).where(table.c.status == RunStatus.RUNNING)
_SAME_KEY = select(table.c.id).where(table.c.unique_key == bindparam("key")).limit(1)
_OPEN_CHANGE = (
    select(table.c.id)
    .where(
        and_(
            table.c.schedule == bindparam("name"),
            table.c.trigger.in_(_BY_CHANGE),
            table.c.status.in_(sorted(OPEN)),
        )
    )
    .limit(1)
)
_DUE = (
    select(table.c.id)
    .where(
        table.c.status == RunStatus.QUEUED,
        # What a clock that has been set back since put off is due now.
        or_(
            table.c.not_before <= bindparam("now"),
            table.c.queued_at > bindparam("ahead"),
            table.c.not_before > bindparam("too_far"),
        ),
        or_(table.c.reserved_for.is_(None), table.c.reserved_for == bindparam("owner")),
    )
    .order_by(table.c.priority.desc(), table.c.queued_at, table.c.id)
    .limit(1)
)
_HELD = (
    update(table)
    .where(
        table.c.id == bindparam("run_id"),
        table.c.token == bindparam("held_token"),
        table.c.status == RunStatus.RUNNING,
    )
    .returning(table)
)
_TAKE = _SET.values(
    status=after(RunStatus.QUEUED, RunEvent.CLAIM),
    token=table.c.token + 1,
    attempt=table.c.attempt + 1,
    owner=bindparam("worker"),
    lease_until=bindparam("until"),
    started_at=func.coalesce(table.c.started_at, bindparam("now", type_=table.c.started_at.type)),
    error=None,
    failure_category=None,
    recovery_action=None,
).returning(table)


@functools.cache
def _next(asked: frozenset[str]) -> Select[Any]:
    """Return what finds the first due run, leaving out what has no slot; `only` names one run."""
    query = _DUE
    if "full_profiles" in asked:
        query = query.where(table.c.db_profile.not_in(bindparam("full_profiles", expanding=True)))
    if "full_schedules" in asked:
        is_full = table.c.schedule.in_(bindparam("full_schedules", expanding=True))
        query = query.where(or_(table.c.schedule.is_(None), not_(is_full)))
    if "only" in asked:
        query = query.where(table.c.id == bindparam("only"))
    return query


class SqlRuns:
    """Implements `ports.ledger.Runs`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, run: Run) -> bool:
        if self._is_taken(run):
            return False
        self._connection.execute(_PUT, values_of(run))
        return True

    def _is_taken(self, run: Run) -> bool:
        if run.unique_key is not None and self._exists(_SAME_KEY, key=run.unique_key):
            return True
        return run.is_open and self._is_second(run)

    def _is_second(self, run: Run) -> bool:
        """Say whether a change schedule has an open run already."""
        if run.schedule is None or run.trigger not in _BY_CHANGE:
            return False
        return self._exists(_OPEN_CHANGE, name=run.schedule)

    def _exists(self, query: Any, **values: str) -> bool:
        return self._connection.execute(query, values).first() is not None

    def claim(
        self, *, now: datetime, owner: str, lease: timedelta, slots: Slots, only: RunId | None
    ) -> Run | None:
        busy = self._connection.execute(_BUSY).all()
        if len(busy) >= slots.total:
            return None
        moments = {"now": now, "ahead": now + TOLERANCE, "too_far": now + LONGEST_WAIT}
        asked: dict[str, Any] = {
            "full_profiles": _full([row[0] for row in busy], slots.profiles, slots.each_profile),
            "full_schedules": _full([row[1] for row in busy], slots.schedules, slots.each_schedule),
            "only": only,
        }
        asked = {name: value for name, value in asked.items() if value}
        query = _next(frozenset(asked))
        run_id = self._connection.execute(query, {**moments, "owner": owner, **asked}).scalar()
        if run_id is None:
            return None
        taken = {"run_id": run_id, "now": now, "worker": owner, "until": now + lease}
        return _run(self._connection.execute(_TAKE, taken).mappings().one())

    def update(self, run_id: RunId, token: int, **values: Any) -> None:
        self.held(run_id, token)
        self._connection.execute(_SET, {"run_id": run_id, **values})

    def move(self, run_id: RunId, event: RunEvent, *, token: int | None, **values: Any) -> Run:
        if token is not None and (RunStatus.RUNNING, event) in TRANSITIONS:
            return self._move_held(run_id, event, token, values)
        run = self.get(run_id) if token is None else self.held(run_id, token)
        if event is RunEvent.CLAIM:
            raise TransitionError(f"run {run_id} is claimed by `claim`, which gives it a token")
        status = after(run.status, event)
        if status in OPEN and not run.is_open and self._is_second(run):
            raise TransitionError(f"run {run_id} cannot {event}: its schedule has an open run")
        moved = {"status": status, "owner": None, "lease_until": None}
        self._connection.execute(_SET, {"run_id": run_id, **moved, **values})
        return self.get(run_id)

    def _move_held(self, run_id: RunId, event: RunEvent, token: int, values: dict[str, Any]) -> Run:
        """Move a run that we hold: one that is running, which no other run was put beside."""
        moved = {"status": after(RunStatus.RUNNING, event), "owner": None, "lease_until": None}
        wanted = {"run_id": run_id, "held_token": token, **moved, **values}
        row = self._connection.execute(_HELD, wanted).mappings().first()
        return self.held(run_id, token) if row is None else _run(row)

    def get(self, run_id: RunId) -> Run:
        row = self._connection.execute(_GET, {"run_id": run_id}).mappings().first()
        if row is None:
            raise NotFoundError(f"there is no run {run_id}; `amxwatch history list` shows all")
        return _run(row)

    def held(self, run_id: RunId, token: int) -> Run:
        """Return a run that we hold. Raises: FencedError."""
        run = self.get(run_id)
        if run.token != token or run.status is not RunStatus.RUNNING:
            raise FencedError(
                f"run {run_id} is {run.status} and no longer this worker's; nothing was written"
            )
        return run

    def list(self, which: RunFilter) -> builtins.list[Run]:
        asked = {name for name in _ASKED if getattr(which, name) is not None}
        wanted: dict[str, Any] = {f"wanted_{name}": getattr(which, name) for name in asked}
        if which.statuses is not None:
            wanted["wanted_statuses"] = sorted(which.statuses)
        query = _listing(frozenset(asked), which.owned)
        rows = self._connection.execute(query, {**wanted, "most": which.limit}).mappings()
        return [_run(row) for row in rows]


_ASKED = ("statuses", "schedule", "db_profile")


@functools.cache
def _listing(asked: frozenset[str], owned: bool) -> Select[Any]:
    query = select(table).order_by(table.c.queued_at.desc(), table.c.id.desc())
    if "statuses" in asked:
        query = query.where(table.c.status.in_(bindparam("wanted_statuses", expanding=True)))
    if owned:
        query = query.where(or_(table.c.owner.is_not(None), table.c.reserved_for.is_not(None)))
    if "schedule" in asked:
        query = query.where(table.c.schedule == bindparam("wanted_schedule"))
    if "db_profile" in asked:
        query = query.where(table.c.db_profile == bindparam("wanted_db_profile"))
    return query.limit(bindparam("most"))


def _full(busy: Iterable[str | None], limits: dict[str, int], each: int) -> builtins.list[str]:
    """Return the names that have no slot left for one more run."""
    count = Counter(name for name in busy if name is not None)
    return [name for name in {*count, *limits} if count[name] >= limits.get(name, each)]


def _run(row: RowMapping) -> Run:
    return Run(**row)
