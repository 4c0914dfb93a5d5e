"""Signals become items of work, and a person or the rules let them through.

`add` is what every way in calls: the command line, folders, git refs, and a web hook.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from amxwatch.core import intake
from amxwatch.core.errors import DatabaseError, NotFoundError, StoreError, TransitionError
from amxwatch.core.intake import (
    BUSY,
    IntakeEvent,
    IntakeId,
    IntakeItem,
    IntakeState,
    Move,
    Priority,
)
from amxwatch.core.scope import Scope
from amxwatch.core.signal import Signal, one_line, shortened
from amxwatch.flows.source import Source
from amxwatch.ports.clock import Clock
from amxwatch.ports.intake import IntakeFilter
from amxwatch.ports.ledger import Ledger, Tx
from amxwatch.settings.schema import Settings

TRIAGED_AT_ONCE = 100
"""How many new items one look decides about."""

EVENTS = {
    IntakeEvent.APPROVE: "intake_approved",
    IntakeEvent.REJECT: "intake_rejected",
    IntakeEvent.HOLD: "intake_held",
    IntakeEvent.PLAN: "intake_planned",
    IntakeEvent.PUT_BACK: "intake_put_back",
    IntakeEvent.RESOLVE: "intake_resolved",
}
"""The moves that the trail tells; its other ones are told by the run's own events."""

_TOLD = ("reason", "outcome", "tries", "session")


@dataclass(frozen=True, kw_only=True)
class IntakeDesk:
    """What intake draws on. Settings are asked for anew at each step."""

    settings: Callable[[], Settings]
    source: Callable[[str], Source]
    ledger: Ledger
    clock: Clock


@dataclass(frozen=True, kw_only=True)
class Added:
    """The item that a signal made, or had made before.

    `missing` says what its scope names and the catalog lacks.
    """

    item: IntakeItem
    is_new: bool
    missing: tuple[str, ...] = ()


def new_intake_id(now: datetime) -> IntakeId:
    """Return an id that sorts by time and that two processes do not both make."""
    return IntakeId(f"int_{now:%Y-%m-%d_%H-%M-%S}-{secrets.token_hex(4)}")


async def add(
    desk: IntakeDesk, signal: Signal, *, guard: Callable[[Tx], bool] | None = None
) -> Added | None:
    """Make a signal an item, once, and let it through at once where the rules do.

    `guard` is asked in the same transaction; where it says no, nothing is done and None comes
    back. Raises: UsageError (an unknown profile), ScopeError, SignalError.
    """
    now, settings = desk.clock.now(), desk.settings()
    item = _item(signal, settings, now)
    missing = await _missing(desk, item)

    def work(tx: Tx) -> Added | None:
        if guard is not None and not guard(tx):
            return None
        stored = tx.intake.add(item)
        if stored.id != item.id:
            return Added(item=_raised(tx, stored, item.priority), is_new=False)
        _tell(tx, stored, "intake_added", now, source=stored.source, title=stored.title)
        if settings.intake.triage == "auto":
            stored = _triaged(tx, stored, settings, missing, now)
        return Added(item=stored, is_new=True, missing=tuple(missing or ()))

    return await desk.ledger.write(work)


def _item(signal: Signal, settings: Settings, now: datetime) -> IntakeItem:
    profile = settings.db_profile(signal.db_profile or settings.intake.db_profile).name
    scope = str(Scope.parse(signal.scope or settings.intake.scope))
    named = replace(signal, title=one_line(signal.title), detail=shortened(signal.detail))
    return IntakeItem(
        id=new_intake_id(now),
        source=named.source,
        title=named.title,
        detail=named.detail,
        db_profile=profile,
        scope=scope,
        priority=named.priority or Priority.P2,
        dedupe_key=named.dedupe_key(profile, scope),
        signal=named.occurrence,
        added_at=now,
        not_before=now,
    )


async def _missing(desk: IntakeDesk, item: IntakeItem) -> list[str] | None:
    """Say what the scope names and the newest snapshot lacks; None where that is not known."""
    scope = Scope.parse(item.scope)
    if scope.is_all:
        return []
    try:
        source = desk.source(item.db_profile)
        return scope.missing(await source.catalog())
    except (NotFoundError, DatabaseError, StoreError):  # no snapshot yet, or a broken cache
        return None


def _raised(tx: Tx, item: IntakeItem, priority: Priority) -> IntakeItem:
    """The same signal again, more urgent: what still waits becomes so too."""
    waits = item.state in (IntakeState.NEW, IntakeState.APPROVED)
    if not waits or priority >= item.priority:
        return item
    return tx.intake.move(item.id, IntakeEvent.RAISE, priority=priority)


def _triaged(
    tx: Tx, item: IntakeItem, settings: Settings, missing: list[str] | None, now: datetime
) -> IntakeItem:
    counts = tx.intake.count()
    decided = intake.triage(
        item,
        knows_profile=item.db_profile in settings.db_profiles,
        missing=missing,
        busy=sum(number for state, number in counts.items() if state in BUSY),
        max_open=settings.intake.max_open,
        now=now,
    )
    return item if decided is None else moved(tx, item, decided, now, by="rules")


async def triage_new(desk: IntakeDesk) -> int:
    """Decide about the items that wait for the rules; return how many were let through.

    Those that wait for a person are passed over. Costs one indexed read where there are none.
    """
    settings = desk.settings()
    which = IntakeFilter(untriaged=True, limit=TRIAGED_AT_ONCE)
    if settings.intake.triage != "auto":
        return 0
    waiting = await desk.ledger.read(lambda tx: tx.intake.list(which))
    missing = {
        item.id: await _missing(desk, item)
        for item in waiting
        if item.db_profile in settings.db_profiles
    }
    now = desk.clock.now()

    def work(tx: Tx) -> int:
        items = [item for item in tx.intake.list(which) if item in waiting]
        ended = [_triaged(tx, item, settings, missing.get(item.id), now) for item in items]
        return sum(item.state is IntakeState.APPROVED for item in ended)

    return await desk.ledger.write(work) if waiting else 0


def moved(
    tx: Tx, item: IntakeItem, move: Move, now: datetime, *, by: str | None = None
) -> IntakeItem:
    """Make a move and tell it in the trail, with who decided. Raises: TransitionError."""
    after = tx.intake.move(item.id, move.event, **move.values)
    if move.event in EVENTS:
        told = {"by": by, **{name: move.values.get(name) for name in _TOLD}}
        said = {name: value for name, value in told.items() if value}
        _tell(tx, after, EVENTS[move.event], now, **said)
    return after


def _tell(tx: Tx, item: IntakeItem, action: str, now: datetime, **detail: Any) -> None:
    tx.events.add(
        action,
        at=now,
        schedule=item.schedule,
        run_id=item.run_id,
        db_profile=item.db_profile,
        item=item.id,
        priority=item.priority,
        **detail,
    )


# -- what a person decides -------------------------------------------------------------------


async def approve(desk: IntakeDesk, text: str) -> IntakeItem:
    """Let an item through, also one that was rejected. Raises: NotFoundError, TransitionError."""
    now = desk.clock.now()

    def work(tx: Tx) -> IntakeItem:
        item = _find(tx, text)
        return moved(tx, item, intake.approval(now), now, by="person")

    return await desk.ledger.write(work)


async def reject(desk: IntakeDesk, text: str, reason: str) -> IntakeItem:
    """Turn an item down before it is planned. Raises: NotFoundError, TransitionError."""
    now = desk.clock.now()

    def work(tx: Tx) -> IntakeItem:
        item = _find(tx, text)
        if item.state in (IntakeState.PLANNED, IntakeState.RUNNING):
            raise TransitionError(
                f"{item.id} is {item.state}: stop its run with: amxwatch cancel {item.run_id}"
            )
        return moved(tx, item, intake.rejection(reason, now), now, by="person")

    return await desk.ledger.write(work)


async def find(desk: IntakeDesk, text: str) -> IntakeItem:
    """Return the item that a person means by its id or an unambiguous part of its beginning.

    Raises: NotFoundError.
    """
    return await desk.ledger.read(lambda tx: _find(tx, text))


def _find(tx: Tx, text: str) -> IntakeItem:
    try:
        return tx.intake.get(IntakeId(text))
    except NotFoundError:
        items = tx.intake.list(IntakeFilter(limit=100_000))
        close = [item for item in items if text and item.id.startswith(text)]
        if len(close) > 1:
            raise NotFoundError(
                f"{text!r} could be any of {len(close)} intake items; give more of its id"
            ) from None
        if not close:
            raise
        return close[0]
