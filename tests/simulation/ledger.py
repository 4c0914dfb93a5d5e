"""The busy part of the ledger as plain Python: many times as quick as SQL, and as strict.

Runs, steps, schedules, snapshots, sources, events and the heartbeat; whatever else a transaction
asks for is left to the SQL ledger. `tests/simulation/test_ledger.py` holds both to one contract.
"""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.change import Delta
from amxwatch.core.errors import FencedError, NotFoundError, TransitionError
from amxwatch.core.event import ACTIONS, Event
from amxwatch.core.run import OPEN, Paid, Run, RunEvent, RunId, RunStatus, RunTrigger, Slots, after
from amxwatch.core.schedule import ScheduleState
from amxwatch.ports.ledger import DaemonState, RunFilter, SnapshotRecord, SourceState
from amxwatch.stores.ledger.runs import LONGEST_WAIT, TOLERANCE

BY_CHANGE = (RunTrigger.CHANGE, RunTrigger.FILES)
_ABSENT: Any = object()


@dataclass
class Tables:
    """What is stored. Values are frozen; a key that is absent is a row that is absent."""

    runs: dict[str, Run] = field(default_factory=dict)
    open: dict[str, bool] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    schedules: dict[str, tuple[ScheduleState, int]] = field(default_factory=dict)
    replies: dict[str, str] = field(default_factory=dict)
    flights: dict[tuple[str, str], bool] = field(default_factory=dict)
    snapshots: dict[tuple[str, int], tuple[SnapshotRecord, Delta]] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    sources: dict[str, SourceState] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    installation: dict[str, Any] = field(default_factory=dict)
    requests: dict[int, tuple[datetime, Decimal | None]] = field(default_factory=dict)


class MemoryTx:
    """One transaction over the tables: what it wrote can be taken back."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.journal: list[tuple[dict[Any, Any], Any, Any]] = []
        self.touched: dict[str, dict[Any, None]] = {"run": {}, "schedule": {}, "event": {}}
        self.runs = MemoryRuns(self)
        self.steps = MemorySteps(self)
        self.schedules = MemorySchedules(self)
        self.snapshots = MemoryLog(self)
        self.sources = MemorySources(self)
        self.events = MemoryEvents(self)
        self.installation = MemoryInstallation(self)

    def set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        self.journal.append((table, key, table.get(key, _ABSENT)))
        if value is _ABSENT:
            table.pop(key, None)
        else:
            table[key] = value

    def next(self, name: str) -> int:
        number = self.tables.counters.get(name, 0) + 1
        self.set(self.tables.counters, name, number)
        return number

    @property
    def is_news(self) -> bool:
        """Claim that more than a heartbeat was written."""
        return any(table is not self.tables.installation for table, _, _ in self.journal)

    def begin(self) -> None:
        """Start afresh: what was written before is committed."""
        self.journal.clear()
        for keys in self.touched.values():
            keys.clear()

    def roll_back(self) -> None:
        for table, key, old in reversed(self.journal):
            if old is _ABSENT:
                table.pop(key, None)
            else:
                table[key] = old
        self.journal.clear()


class MemoryRuns:
    """Implements `ports.ledger.Runs`."""

    def __init__(self, tx: MemoryTx) -> None:
        self._tx = tx
        self._tables = tx.tables

    def put(self, run: Run) -> bool:
        if run.unique_key is not None and run.unique_key in self._tables.keys:
            return False
        if run.is_open and self._is_second(run):
            return False
        if run.unique_key is not None:
            self._tx.set(self._tables.keys, run.unique_key, run.id)
        self._set(run)
        return True

    def claim(
        self, *, now: datetime, owner: str, lease: timedelta, slots: Slots, only: RunId | None
    ) -> Run | None:
        held = [run for run in self._open() if run.status is RunStatus.RUNNING]
        if len(held) >= slots.total:
            return None
        profiles = Counter(run.db_profile for run in held)
        schedules = Counter(run.schedule for run in held if run.schedule is not None)

        def may_start(run: Run) -> bool:
            return (
                run.status is RunStatus.QUEUED
                and only in (None, run.id)
                and run.reserved_for in (None, owner)
                and _is_due(run, now)
                and profiles[run.db_profile]
                < slots.profiles.get(run.db_profile, slots.each_profile)
                and (
                    run.schedule is None
                    or schedules[run.schedule]
                    < slots.schedules.get(run.schedule, slots.each_schedule)
                )
            )

        ready = [run for run in self._open() if may_start(run)]
        if not ready:
            return None
        run = min(ready, key=lambda each: (-each.priority, each.queued_at, each.id))
        taken = replace(
            run,
            status=after(run.status, RunEvent.CLAIM),
            token=run.token + 1,
            attempt=run.attempt + 1,
            owner=owner,
            lease_until=now + lease,
            started_at=run.started_at or now,
            error=None,
            failure_category=None,
            recovery_action=None,
        )
        self._set(taken)
        return taken

    def update(self, run_id: RunId, token: int, **values: Any) -> None:
        self._set(replace(self.held(run_id, token), **values))

    def move(self, run_id: RunId, event: RunEvent, *, token: int | None, **values: Any) -> Run:
        run = self.get(run_id) if token is None else self.held(run_id, token)
        if event is RunEvent.CLAIM:
            raise TransitionError(f"run {run_id} is claimed by `claim`")
        status = after(run.status, event)
        if status in OPEN and not run.is_open and self._is_second(run):
            raise TransitionError(f"run {run_id} cannot {event}: its schedule has an open run")
        moved = replace(run, **{"status": status, "owner": None, "lease_until": None, **values})
        self._set(moved)
        return moved

    def get(self, run_id: RunId) -> Run:
        try:
            return self._tables.runs[run_id]
        except KeyError:
            raise NotFoundError(f"there is no run {run_id}") from None

    def held(self, run_id: RunId, token: int) -> Run:
        """Return a run that we hold. Raises: FencedError."""
        run = self.get(run_id)
        if run.token != token or run.status is not RunStatus.RUNNING:
            raise FencedError(f"run {run_id} is {run.status} and no longer this worker's")
        return run

    def list(self, which: RunFilter) -> builtins.list[Run]:
        only_open = which.statuses is not None and which.statuses <= OPEN
        found = [
            run
            for run in (self._open() if only_open else self._tables.runs.values())
            if (which.statuses is None or run.status in which.statuses)
            and (not which.owned or run.owner is not None or run.reserved_for is not None)
            and which.schedule in (None, run.schedule)
            and which.db_profile in (None, run.db_profile)
        ]
        found.sort(key=lambda run: (run.queued_at, run.id), reverse=True)
        return found[: which.limit]

    def _set(self, run: Run) -> None:
        self._tx.touched["run"][run.id] = None
        self._tx.set(self._tables.runs, run.id, run)
        self._tx.set(self._tables.open, run.id, True if run.is_open else _ABSENT)

    def _open(self) -> builtins.list[Run]:
        return [self._tables.runs[run_id] for run_id in self._tables.open]

    def _is_second(self, run: Run) -> bool:
        if run.schedule is None or run.trigger not in BY_CHANGE:
            return False
        return any(
            other.schedule == run.schedule and other.trigger in BY_CHANGE for other in self._open()
        )


def _is_due(run: Run, now: datetime) -> bool:
    """What a clock that has been set back since put off is due now."""
    return (
        run.not_before <= now
        or run.queued_at > now + TOLERANCE
        or run.not_before > now + LONGEST_WAIT
    )


class MemorySteps:
    """Implements `ports.ledger.Steps`."""

    def __init__(self, tx: MemoryTx) -> None:
        self._tx = tx
        self._tables = tx.tables

    def begin(self, key: str, run_id: RunId, token: int, at: datetime) -> str | None:
        self._tx.runs.held(run_id, token)
        reply = self._tables.replies.get(key)
        if reply is None:
            self._tx.set(self._tables.flights, (run_id, key), True)
        return reply

    def finish(self, key: str, run_id: RunId, paid: Paid, at: datetime) -> Run:
        self.keep(key, run_id, paid.reply, at)
        self.forget(key, run_id)
        self._tx.set(self._tables.requests, self._tx.next("request"), (at, paid.cost_usd))
        run = self._tx.runs.get(run_id)
        cost = run.cost_usd
        if paid.cost_usd is not None:
            cost = (cost or Decimal(0)) + paid.cost_usd
        counted = replace(
            run,
            requests=run.requests + 1,
            input_tokens=run.input_tokens + paid.input_tokens,
            output_tokens=run.output_tokens + paid.output_tokens,
            cost_usd=cost,
        )
        self._tx.runs._set(counted)
        return counted

    def recorded(self, key: str) -> str | None:
        return self._tables.replies.get(key)

    def keep(self, key: str, run_id: RunId, text: str, at: datetime) -> None:
        if key not in self._tables.replies:
            self._tx.set(self._tables.replies, key, text)

    def forget(self, key: str, run_id: RunId) -> None:
        self._tx.set(self._tables.flights, (run_id, key), _ABSENT)

    def lost(self, run_id: RunId) -> list[str]:
        keys = sorted(key for owner, key in self._tables.flights if owner == run_id)
        for key in keys:
            self.forget(key, run_id)
        return keys


class MemorySchedules:
    """Implements `ports.ledger.Schedules`."""

    def __init__(self, tx: MemoryTx) -> None:
        self._tx = tx
        self._rows = tx.tables.schedules

    def get(self, name: str) -> ScheduleState | None:
        return self._rows[name][0] if name in self._rows else None

    def some(self, names: Iterable[str]) -> dict[str, ScheduleState]:
        return {name: self._rows[name][0] for name in names if name in self._rows}

    def put(self, *states: ScheduleState) -> None:
        seq = self._tx.next("schedule_seq") if states else 0
        for state in states:
            self._tx.touched["schedule"][state.name] = None
            self._tx.set(self._rows, state.name, (state, seq))

    def drop(self, name: str) -> None:
        self._tx.touched["schedule"][name] = None
        self._tx.set(self._rows, name, _ABSENT)

    def list(self) -> builtins.list[ScheduleState]:
        return [self._rows[name][0] for name in sorted(self._rows)]

    def moved(self, since: int) -> tuple[int, builtins.list[str]]:
        found = sorted((seq, name) for name, (_, seq) in self._rows.items() if seq > since)
        return self._tx.tables.counters.get("schedule_seq", 0), [name for _, name in found]


class MemoryLog:
    """Implements `ports.ledger.Snapshots`, but for pruning."""

    def __init__(self, tx: MemoryTx) -> None:
        self._tx = tx
        self._rows = tx.tables.snapshots

    def append(
        self,
        profile: str,
        delta: Delta,
        *,
        at: datetime,
        after: SnapshotNumber | None,
        **counts: int,
    ) -> SnapshotNumber | None:
        newest = self._tx.tables.newest.get(profile)
        if newest != after:
            return None
        number = SnapshotNumber((newest or 0) + 1)
        record = SnapshotRecord(
            profile=profile,
            number=number,
            at=at,
            reader=delta.reader,
            source=delta.source,
            ignore=delta.ignore,
            baseline=delta.baseline,
            **counts,
        )
        self._tx.set(self._rows, (profile, number), (record, delta))
        self._tx.set(self._tx.tables.newest, profile, number)
        return number

    def latest(self, profile: str) -> SnapshotRecord | None:
        newest = self._tx.tables.newest.get(profile)
        return None if newest is None else self._rows[profile, newest][0]

    def list(self, profile: str) -> builtins.list[SnapshotRecord]:
        return [record for record, _ in self._of(profile)]

    def at(self, profile: str, moment: datetime) -> SnapshotRecord | None:
        return max(
            (record for record, _ in self._of(profile) if record.at <= moment),
            key=lambda record: record.number,
            default=None,
        )

    def log(
        self, profile: str, after: SnapshotNumber | None
    ) -> Iterator[tuple[SnapshotNumber, Delta]]:
        for record, delta in self._of(profile):
            if record.number > (after or 0):
                yield record.number, delta

    def oldest(self, profile: str) -> SnapshotNumber | None:
        return min((record.number for record, _ in self._of(profile)), default=None)

    def _of(self, profile: str) -> builtins.list[tuple[SnapshotRecord, Delta]]:
        newest = self._tx.tables.newest.get(profile, 0)
        return [self._rows[profile, number] for number in range(1, newest + 1)]


class MemorySources:
    """Implements `ports.ledger.Sources`."""

    def __init__(self, tx: MemoryTx) -> None:
        self._tx = tx
        self._rows = tx.tables.sources

    def get(self, profile: str) -> SourceState:
        return self._rows.get(profile) or SourceState(profile=profile)

    def put(self, state: SourceState) -> None:
        self._tx.set(self._rows, state.profile, state)

    def list(self) -> builtins.list[SourceState]:
        return [self._rows[profile] for profile in sorted(self._rows)]


class MemoryEvents:
    """Implements `ports.ledger.Events`."""

    def __init__(self, tx: MemoryTx) -> None:
        self._tx = tx
        self._rows = tx.tables.events

    def add(self, action: str, *, at: datetime, **values: Any) -> None:
        if action not in ACTIONS:
            raise ValueError(f"{action!r} is no action of core.event.ACTIONS")
        told = {k: values.pop(k, None) for k in ("schedule", "run_id", "trigger", "db_profile")}
        number = self._tx.next("event")
        self._tx.touched["event"][number] = None
        made = Event(id=number, at=at, action=action, detail=values, **told)
        self._tx.set(self._rows, number, made)

    def add_each(
        self, action: str, schedules: Iterable[str], *, at: datetime, **detail: Any
    ) -> None:
        for name in schedules:
            self.add(action, at=at, schedule=name, **detail)

    def after(self, event_id: int, *, limit: int = 1000) -> list[Event]:
        last = self._tx.tables.counters.get("event", 0)
        return [self._rows[number] for number in range(event_id + 1, last + 1)][:limit]

    def recent(self, limit: int) -> list[Event]:
        return list(self._rows.values())[-limit:]


class MemoryInstallation:
    """Implements `ports.ledger.Installation`."""

    def __init__(self, tx: MemoryTx) -> None:
        self._tx = tx
        self._rows = tx.tables.installation

    def daemon(self) -> DaemonState | None:
        found: DaemonState | None = self._rows.get("daemon")
        return found

    def beat(self, state: DaemonState) -> None:
        self._tx.set(self._rows, "daemon", state)

    def good_config(self) -> str | None:
        found: str | None = self._rows.get("good_config")
        return found

    def keep_config(self, document: str) -> None:
        self._tx.set(self._rows, "good_config", document)

    def spent_since(self, moment: datetime) -> str:
        paid = self._tx.tables.requests.values()
        return format(sum((cost for at, cost in paid if at >= moment and cost), Decimal(0)), "f")

    def tell_once(self, hint: str) -> bool:
        is_news = f"told:{hint}" not in self._rows
        self._tx.set(self._rows, f"told:{hint}", "yes")
        return is_news
