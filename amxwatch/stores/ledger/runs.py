"""The queue and the history of runs."""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    RowMapping,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from amxwatch.core.errors import FencedError, NotFoundError, TransitionError
from amxwatch.core.run import OPEN, Run, RunEvent, RunId, RunStatus, RunTrigger, Slots, after
from amxwatch.ports.ledger import RunFilter
from amxwatch.stores.ledger.rows import values_of
from amxwatch.stores.ledger.tables import run as table

_BY_CHANGE = (RunTrigger.CHANGE, RunTrigger.FILES)

TOLERANCE = timedelta(minutes=1)
LONGEST_WAIT = timedelta(days=3)
"""Nothing is put off for longer: not by a pause between tries, nor by a spent day."""

# The statements of the busy paths are built once: building costs as much as running them.
_GET = select(table).where(table.c.id == bindparam("run_id"))
_SET = update(table).where(table.c.id == bindparam("run_id"))
_BUSY = select(table.c.db_profile, table.c.schedule).where(table.c.status == RunStatus.RUNNING)
_SAME_KEY = select(table.c.id).where(table.c.unique_key == bindparam("key"))
_OPEN_CHANGE = select(table.c.id).where(
    and_(
        table.c.schedule == bindparam("name"),
        table.c.trigger.in_(_BY_CHANGE),
        table.c.status.in_(sorted(OPEN)),
    )
)
_NEXT = (
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
        table.c.db_profile.not_in(bindparam("full_profiles", expanding=True)),
        or_(
            table.c.schedule.is_(None),
            table.c.schedule.not_in(bindparam("full_schedules", expanding=True)),
        ),
    )
    .order_by(table.c.priority.desc(), table.c.queued_at, table.c.id)
    .limit(1)
)
_THIS = _NEXT.where(table.c.id == bindparam("only"))
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
)


class SqlRuns:
    """Implements `ports.ledger.Runs`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, run: Run) -> bool:
        if self._is_taken(run):
            return False
        self._connection.execute(insert(table), values_of(run))
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
        return self._connection.execute(query.limit(1), values).first() is not None

    def claim(
        self, *, now: datetime, owner: str, lease: timedelta, slots: Slots, only: RunId | None
    ) -> Run | None:
        busy = self._connection.execute(_BUSY).all()
        if len(busy) >= slots.total:
            return None
        wanted = {
            "now": now,
            "ahead": now + TOLERANCE,
            "too_far": now + LONGEST_WAIT,
            "owner": owner,
            "full_profiles": _full([row[0] for row in busy], slots.profiles, slots.each_profile),
            "full_schedules": _full([row[1] for row in busy], slots.schedules, slots.each_schedule),
        }
        if only is None:
            run_id = self._connection.execute(_NEXT, wanted).scalar()
        else:
            run_id = self._connection.execute(_THIS, {**wanted, "only": only}).scalar()
        if run_id is None:
            return None
        taken = {"run_id": run_id, "now": now, "worker": owner, "until": now + lease}
        self._connection.execute(_TAKE, taken)
        return self.get(run_id)

    def update(self, run_id: RunId, token: int, **values: Any) -> None:
        self.held(run_id, token)
        self._connection.execute(_SET, {"run_id": run_id, **values})

    def move(self, run_id: RunId, event: RunEvent, *, token: int | None, **values: Any) -> Run:
        run = self.get(run_id) if token is None else self.held(run_id, token)
        if event is RunEvent.CLAIM:
            raise TransitionError(f"run {run_id} is claimed by `claim`, which gives it a token")
        status = after(run.status, event)
        if status in OPEN and not run.is_open and self._is_second(run):
            raise TransitionError(f"run {run_id} cannot {event}: its schedule has an open run")
        moved = {"status": status, "owner": None, "lease_until": None}
        self._connection.execute(_SET, {"run_id": run_id, **moved, **values})
        return self.get(run_id)

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
        query = select(table).order_by(table.c.queued_at.desc(), table.c.id.desc())
        if which.statuses is not None:
            query = query.where(table.c.status.in_(sorted(which.statuses)))
        if which.owned:
            query = query.where(or_(table.c.owner.is_not(None), table.c.reserved_for.is_not(None)))
        if which.schedule is not None:
            query = query.where(table.c.schedule == which.schedule)
        if which.db_profile is not None:
            query = query.where(table.c.db_profile == which.db_profile)
        rows = self._connection.execute(query.limit(which.limit)).mappings()
        return [_run(row) for row in rows]


def _full(busy: Iterable[str | None], limits: dict[str, int], each: int) -> builtins.list[str]:
    """Return the names that have no slot left for one more run."""
    count = Counter(name for name in busy if name is not None)
    return [name for name in {*count, *limits} if count[name] >= limits.get(name, each)]


def _run(row: RowMapping) -> Run:
    return Run(**row)
