"""Find what is worth telling, and record it: which alerts open, and which are over.

What is to be told stands in the outbox in the same transaction, before anybody is told;
`flows.telling` empties it. So a kill at any moment loses nothing and doubles no alert.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from amxwatch.core import alert as rules
from amxwatch.core.alert import Alert, Condition, DownSource, Facts, News, Wanted
from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.change import Change
from amxwatch.core.errors import AmxwatchError, NotFoundError, StoreError
from amxwatch.core.heartbeat import is_stale
from amxwatch.core.run import RunStatus
from amxwatch.core.scope import Scope
from amxwatch.flows.pending import touches, without_echo
from amxwatch.flows.source import Source
from amxwatch.ports.clock import Clock
from amxwatch.ports.ledger import Ledger, RunFilter, Tx
from amxwatch.ports.notifier import Notifier
from amxwatch.settings.schema import Settings

log = logging.getLogger(__name__)

MANY = 10_000
"""More blocked runs, or open alerts, than this are not looked at."""


@dataclass(frozen=True, kw_only=True)
class Teller:
    """What alerts need of an install.

    `notifier` makes the notifier of a target by its name; it may raise UsageError or
    NotifyError. `is_daemon` says that this process is the daemon: it cannot be silent then.
    """

    ledger: Ledger
    clock: Clock
    settings: Callable[[], Settings]
    source: Callable[[str], Source]
    notifier: Callable[[str], Notifier]
    owner: str
    is_dead: Callable[[str], bool]
    is_daemon: bool = False

    def wanted(self) -> list[Wanted]:
        """Return every target's filters."""
        targets = self.settings().alerts.targets
        return [target.wanted(name) for name, target in targets.items()]


@dataclass(frozen=True, kw_only=True)
class _Looked:
    """A db profile's snapshots, looked through from `after` to `number`."""

    profile: str
    after: SnapshotNumber | None
    number: SnapshotNumber
    found: Sequence[Condition] = ()


async def evaluate(teller: Teller) -> None:
    """Record what is news, once, whoever else does the same. Writes nothing where nothing is.

    Raises: StoreError.
    """
    looked = await _look_through(teller)
    if not looked and not await teller.ledger.read(lambda tx: bool(_news(tx, teller))):
        return

    def work(tx: Tx) -> None:
        now = teller.clock.now()
        found = _news(tx, teller)
        for over in found.recovers:
            _recover(tx, over, now)
        for condition in found.opens:
            _open(tx, condition, teller.wanted(), now)
        for one in looked:
            if tx.alerts.seen(one.profile) != one.after:
                continue  # another process looked through them
            tx.alerts.saw(one.profile, one.number)
            for condition in one.found:
                _open(tx, condition, teller.wanted(), now)

    await teller.ledger.write(work)


def _news(tx: Tx, teller: Teller) -> News:
    holding = rules.conditions(_facts(tx, teller))
    return rules.news(holding, tx.alerts.list(only_open=True, limit=MANY))


def _facts(tx: Tx, teller: Teller) -> Facts:
    settings, now = teller.settings(), teller.clock.now()
    blocked = RunFilter(statuses=frozenset({RunStatus.BLOCKED}), limit=MANY)
    return Facts(
        now=now,
        schedules=[
            state
            for state in tx.alerts.troubled(settings.alerts.consecutive_failures)
            if state.name in settings.schedules
        ],
        blocked=tx.runs.list(blocked),
        down=[
            DownSource(
                profile=state.profile,
                since=state.failing_since,
                held=state.held,
                error=state.error,
            )
            for state in tx.sources.list()
            if state.failing_since is not None and state.profile in settings.db_profiles
        ],
        silent_since=None if teller.is_daemon else _silent_since(tx, now),
        consecutive_failures=settings.alerts.consecutive_failures,
        down_for=timedelta(minutes=settings.alerts.source_down_minutes),
    )


def _silent_since(tx: Tx, now: datetime) -> datetime | None:
    """Return the last heartbeat of a daemon that is stale; None where all is well."""
    try:
        state = tx.installation.daemon()
    except StoreError:
        return None
    if state is None or state.stopped_at is not None:
        return None
    stale = is_stale(state.heartbeat_at, now, poll_seconds=state.poll_seconds)
    return state.heartbeat_at if stale else None


def _open(tx: Tx, condition: Condition, wanted: Sequence[Wanted], now: datetime) -> None:
    targets = [one.target for one in wanted if one.takes(condition)]
    made = Alert(id=new_alert_id(now), condition=condition, opened_at=now)
    if not tx.alerts.open(made, targets):
        return
    tx.events.add(
        "alert_opened",
        at=now,
        schedule=condition.schedule,
        run_id=condition.run_id,
        db_profile=condition.db_profile,
        alert=made.id,
        kind=condition.kind,
        severity=condition.severity,
        title=condition.title,
        targets=targets,
    )


def _recover(tx: Tx, over: Alert, now: datetime) -> None:
    tx.alerts.recover(over.id, now)
    tx.events.add(
        "alert_recovered",
        at=now,
        schedule=over.condition.schedule,
        run_id=over.condition.run_id,
        db_profile=over.condition.db_profile,
        alert=over.id,
        kind=over.condition.kind,
        title=over.condition.title,
    )


def new_alert_id(now: datetime) -> str:
    """Return an alert's id, which sorts by time."""
    return f"alert_{now:%Y-%m-%d_%H-%M-%S}-{secrets.token_hex(4)}"


# -- changes of the catalog ------------------------------------------------------------------


async def _look_through(teller: Teller) -> list[_Looked]:
    """Look through the snapshots that are newer than the last ones looked through.

    What a profile holds at first sight is no news. A profile whose snapshots cannot be compared
    just now is left for the next time.
    """
    profiles = sorted(teller.settings().db_profiles)

    def positions(tx: Tx) -> list[tuple[str, SnapshotNumber | None, SnapshotNumber]]:
        found = []
        for name in profiles:
            newest = tx.snapshots.latest(name)
            seen = tx.alerts.seen(name)
            if newest is not None and newest.number != seen:
                found.append((name, seen, newest.number))
        return found

    looked = []
    for name, seen, newest in await teller.ledger.read(positions):
        try:
            found = await _told_changes(teller, name, seen, newest)
        except AmxwatchError as error:
            log.warning(
                "The changes of %s cannot be told yet: %s",
                name,
                error,
                extra={"action": "alert_postponed", "db_profile": name},
            )
            continue
        looked.append(_Looked(profile=name, after=seen, number=newest, found=found))
    return looked


async def _told_changes(
    teller: Teller, profile: str, seen: SnapshotNumber | None, newest: SnapshotNumber
) -> list[Condition]:
    wanted = [one for one in teller.wanted() if one.kinds]
    if seen is None or not wanted or newest < seen:
        return []
    source = teller.source(profile)
    try:
        changes = await source.changes(seen, newest)
    except NotFoundError:  # the snapshot was pruned
        return []
    changes = await without_echo(source, changes)
    found = []
    for one in wanted:
        inside = _in_scope(changes, _scopes(teller, one, profile))
        told = rules.of_changes(inside, profile=profile, number=newest, wanted=one)
        found += [] if told is None else [told]
    return found


def _scopes(teller: Teller, wanted: Wanted, profile: str) -> list[Scope]:
    """Return the scopes of the schedules on a db profile that a target follows."""
    plans = teller.settings().schedules.values()
    followed = {p.scope for p in plans if p.db_profile == profile and wanted.follows(p.name)}
    return [Scope.parse(scope) for scope in sorted(followed)]


def _in_scope(changes: Sequence[Change], scopes: Sequence[Scope]) -> list[Change]:
    return [change for change in changes if any(touches(scope, change) for scope in scopes)]
