"""Operational state: the one place that owns correctness.

`Ledger.write` runs a function in one transaction; everything that must stand or fall together
is written in one such function. The tables are small ports of at most six methods each.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from amxwatch.core.catalog import ObjectId, ObjectRef, SnapshotNumber, SourceProblem
from amxwatch.core.change import Delta
from amxwatch.core.draft import Draft, DraftEvent, DraftId, DraftStatus, NewDraft
from amxwatch.core.event import Event
from amxwatch.core.run import Run, RunEvent, RunId, RunStatus, Slots
from amxwatch.core.schedule import ScheduleState
from amxwatch.core.sight import Unseen
from amxwatch.ports.alerts import Alerts, Outbox
from amxwatch.ports.answers import Answers
from amxwatch.ports.batches import BatchJobs
from amxwatch.ports.history import History
from amxwatch.ports.housekeeping import Housekeeping
from amxwatch.ports.intake import GitRefs, Intake
from amxwatch.ports.locks import Locks
from amxwatch.ports.memory import Memory
from amxwatch.ports.news import News
from amxwatch.ports.profiles import Profiles
from amxwatch.ports.sessions import Sessions
from amxwatch.ports.steps import Steps

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SnapshotRecord:
    """One numbered snapshot, without its delta. `changes` counts what moved in it."""

    profile: str
    number: SnapshotNumber
    at: datetime
    reader: str
    source: str
    ignore: tuple[str, ...]
    baseline: bool
    tables: int
    columns: int
    changes: int


@dataclass(frozen=True, kw_only=True)
class SourceState:
    """How looking at one db profile goes. Times are aware UTC.

    `gate` is the token at the last read; `failing_since` is None while all is well. `held` says
    that the source answers but seems to be another database, so that a person must say what
    counts. `grants` is the digest of the reader's rights at the last whole read; `unseen` are
    the tables that stand in the newest snapshot though they were out of sight then.
    """

    profile: str
    gate: str | None = None
    looked_at: datetime | None = None
    read_at: datetime | None = None
    failing_since: datetime | None = None
    failures: int = 0
    retry_at: datetime | None = None
    error: str | None = None
    problems: tuple[SourceProblem, ...] = field(default=())
    held: bool = False
    grants: str | None = None
    unseen: tuple[Unseen, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DaemonState:
    """The heartbeat. `stopped_at` is set when a daemon left in good order."""

    owner: str
    pid: int
    started_at: datetime
    heartbeat_at: datetime
    poll_seconds: float
    stopped_at: datetime | None = None
    last_cycle_result: dict[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """Which runs to list; newest first.

    `owned` asks for those that a worker holds or that are reserved for one.
    """

    statuses: frozenset[RunStatus] | None = None
    owned: bool = False
    schedule: str | None = None
    db_profile: str | None = None
    limit: int = 50


@dataclass(frozen=True, kw_only=True)
class DraftFilter:
    """Which drafts to list; ordered by profile, schema, table, then table before column, id."""

    statuses: frozenset[DraftStatus] | None = None
    db_profile: str | None = None
    run_id: RunId | None = None
    objects: frozenset[ObjectId] | None = None
    ids: frozenset[DraftId] | None = None


class Runs(Protocol):
    """The queue and the history."""

    def put(self, run: Run) -> bool:
        """Queue a run and say whether it is new.

        False, and nothing is written, where its `unique_key` is taken, or where its schedule
        already has an open run of trigger `change` or `files` and this is another.
        """

    def claim(
        self, *, now: datetime, owner: str, lease: timedelta, slots: Slots, only: RunId | None
    ) -> Run | None:
        """Take the first due queued run that has a slot: higher priority first, then older.

        A run that is `reserved_for` someone else is passed over. The run gets the next token,
        one more `attempt`, and `started_at` where it had none; what an earlier attempt left in
        `error`, `failure_category` and `recovery_action` is cleared.
        """

    def update(self, run_id: RunId, token: int, **values: Any) -> None:
        """Set fields of a run that we hold (lease, counters, `to_snapshot`).

        A person asks a running run to stop by `update(id, run.token, cancel_requested=True)`.
        Raises: FencedError when the token is no longer ours or the run is not running.
        """

    def move(self, run_id: RunId, event: RunEvent, *, token: int | None, **values: Any) -> Run:
        """Make a move of `core.run.TRANSITIONS` and set fields with it.

        `token` fences a worker's own moves; None is a person's or the recovery's. A run that
        stops running loses its owner and lease. CLAIM is made by `claim` alone. A change run
        does not come back while its schedule has another open one.
        Raises: TransitionError, FencedError, NotFoundError; nothing is changed then.
        """

    def get(self, run_id: RunId) -> Run:
        """Raises: NotFoundError."""

    def list(self, which: RunFilter) -> list[Run]: ...


class Schedules(Protocol):
    """Runtime state, by name."""

    def get(self, name: str) -> ScheduleState | None: ...
    def some(self, names: Iterable[str]) -> dict[str, ScheduleState]:
        """Return the states of these names, as far as there are any, in one look."""

    def put(self, *states: ScheduleState) -> None: ...
    def drop(self, name: str) -> None: ...
    def list(self) -> list[ScheduleState]: ...
    def moved(self, since: int) -> tuple[int, builtins.list[str]]:
        """Return the number of the last change, and the names put after change `since`.

        Costs what moved, not what exists. The number never comes back, whatever is dropped;
        0 is before the first. A dropped name is not told: the config tells that.
        """


class Snapshots(Protocol):
    """The log of snapshot deltas: the truth that every cache is replayed from."""

    def append(
        self,
        profile: str,
        delta: Delta,
        *,
        at: datetime,
        after: SnapshotNumber | None,
        tables: int,
        columns: int,
        changes: int,
    ) -> SnapshotNumber | None:
        """Give the delta the next number; None where the newest is not `after` any more."""

    def latest(self, profile: str) -> SnapshotRecord | None: ...
    def list(self, profile: str) -> list[SnapshotRecord]:
        """Return all, oldest first."""

    def at(self, profile: str, moment: datetime) -> SnapshotRecord | None:
        """Return the newest snapshot that is not later than `moment`."""

    def log(
        self, profile: str, after: SnapshotNumber | None
    ) -> Iterable[tuple[SnapshotNumber, Delta]]:
        """Return the deltas after a number (None: all), in order.

        The first one of all is whole where earlier ones were pruned.
        Raises: DeltaDamagedError where the iteration comes to one that cannot be read.
        """


class SnapshotKeeping(Protocol):
    """How far back the log of snapshots goes, and what it takes."""

    def oldest(self, profile: str) -> SnapshotNumber | None: ...

    def compact(self, profile: str, oldest: SnapshotNumber, whole: Delta) -> None:
        """Forget every snapshot before `oldest`, whose delta becomes `whole`.

        Numbers are never given again. Raises: NotFoundError where there is no such snapshot.
        """

    def size(self, profile: str) -> int:
        """Return how many bytes the deltas take."""


class Objects(Protocol):
    """Ids that survive renames."""

    def resolve(self, profile: str, refs: Sequence[ObjectRef]) -> dict[ObjectRef, ObjectId]:
        """Return each name's id, giving new ones where needed."""

    def rename(self, profile: str, pairs: Sequence[tuple[ObjectRef, ObjectRef]]) -> None:
        """Move ids from old names to new ones, all at once (a swap works).

        Renaming a table takes its columns along, a schema all it holds; a pair for one of them
        (old name to new name, both whole) goes first. An id that stood under a new name is
        retired: withdraw the drafts of removed objects before.
        """

    def names(self, profile: str) -> dict[ObjectId, ObjectRef]: ...


class Drafts(Protocol):
    """Everything that was ever proposed."""

    def put(
        self,
        profile: str,
        run_id: RunId,
        drafts: Sequence[NewDraft],
        at: datetime,
        *,
        again: bool = False,
    ) -> list[Draft]:
        """Put drafts in the review queue; an open draft of the same object is superseded.

        Open is pending or in conflict; an event `draft_superseded` is written for each.
        A draft whose `input_hash` is that of a pending or rejected draft of the same object is
        not put again (and is absent from the result), unless `again` says so.
        """

    def move(self, draft_id: DraftId, event: DraftEvent, **values: Any) -> Draft:
        """Make a move of `core.draft.TRANSITIONS` and set fields with it.

        Raises: TransitionError, NotFoundError; nothing is changed then.
        """

    def get(self, draft_id: DraftId) -> Draft:
        """Raises: NotFoundError."""

    def list(self, which: DraftFilter) -> list[Draft]: ...

    def latest(self, profile: str, objects: Iterable[ObjectId]) -> dict[ObjectId, Draft]:
        """Return each object's newest draft that is accepted, edited, writing or written."""

    def count(self, statuses: frozenset[DraftStatus]) -> int: ...


class Events(Protocol):
    """The audit trail; only ever appended to."""

    def add(
        self,
        action: str,
        *,
        at: datetime,
        schedule: str | None = None,
        run_id: str | None = None,
        trigger: str | None = None,
        db_profile: str | None = None,
        **detail: object,
    ) -> None:
        """Append one line. `action` must be in `core.event.ACTIONS`."""

    def add_each(
        self, action: str, schedules: Iterable[str], *, at: datetime, **detail: object
    ) -> None:
        """Append one line about each of these schedules, which may be very many."""

    def after(self, event_id: int, *, limit: int = 1000) -> list[Event]:
        """Return events with a greater id, oldest first."""

    def recent(self, limit: int) -> list[Event]:
        """Return the newest, oldest first."""


class Sources(Protocol):
    """How looking at each db profile goes."""

    def get(self, profile: str) -> SourceState: ...
    def put(self, state: SourceState) -> None: ...
    def list(self) -> list[SourceState]: ...


class Installation(Protocol):
    """What belongs to the install as a whole."""

    def daemon(self) -> DaemonState | None:
        """Raises: StoreError where the record is unreadable."""

    def beat(self, state: DaemonState) -> None: ...

    def good_config(self) -> str | None:
        """Return the last good config, as JSON without secrets, or None."""

    def keep_config(self, document: str) -> None: ...

    def spent_since(self, moment: datetime) -> str:
        """Return the known cost in USD of all requests since then, as a decimal."""

    def tell_once(self, hint: str) -> bool:
        """Say whether this hint was never told in this install, and remember that it now is."""


class Tx(Protocol):
    """One transaction. Not to be kept after the function that got it returns."""

    @property
    def runs(self) -> Runs: ...
    @property
    def steps(self) -> Steps: ...
    @property
    def batches(self) -> BatchJobs: ...
    @property
    def schedules(self) -> Schedules: ...
    @property
    def snapshots(self) -> Snapshots: ...
    @property
    def keeping(self) -> SnapshotKeeping: ...
    @property
    def objects(self) -> Objects: ...
    @property
    def drafts(self) -> Drafts: ...
    @property
    def answers(self) -> Answers: ...
    @property
    def locks(self) -> Locks: ...
    @property
    def events(self) -> Events: ...
    @property
    def sources(self) -> Sources: ...
    @property
    def intake(self) -> Intake: ...
    @property
    def git_refs(self) -> GitRefs: ...
    @property
    def history(self) -> History: ...
    @property
    def alerts(self) -> Alerts: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def memory(self) -> Memory: ...
    @property
    def profiles(self) -> Profiles: ...
    @property
    def news(self) -> News: ...
    @property
    def installation(self) -> Installation: ...
    @property
    def housekeeping(self) -> Housekeeping: ...


class Ledger(Protocol):
    """The whole of it; one function a transaction."""

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in one transaction in a worker thread; all of it is durable, or none.

        `work` may be called again when another process was in the way: it must only touch
        `tx`. Raises: StoreBusyError after a bounded wait, and whatever `work` raises.
        """

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run `work`, which only reads, on one consistent view."""

    async def recall(self, key: Hashable, work: Callable[[Tx], T]) -> T:
        """Do the same, or return what `work` found before where nothing was written since.

        `key` stands for all that `work` draws on besides the ledger; nobody changes what it
        returned. What is in `events` and `installation` is not to be asked for: a heartbeat
        does not count as written. Costs next to nothing while nobody writes.
        """

    async def foresee(self, questions: Mapping[Hashable, Callable[[Tx], object]]) -> None:
        """Read the answers of recalls to come in one look, as far as they are not known."""

    async def aclose(self) -> None: ...
