"""Intake items as people and scripts see them, and what people decide about them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from amxwatch.cli.documents import Document
from amxwatch.cli.output import Column, cut, local, moment, shown, visible
from amxwatch.cli.session import Desk
from amxwatch.core.errors import SignalError
from amxwatch.core.intake import OPEN, IntakeItem, IntakeSource, IntakeState, Priority
from amxwatch.core.report import report_signal
from amxwatch.core.scope import Scope
from amxwatch.core.signal import Signal
from amxwatch.daemon.signals import intake_desk
from amxwatch.flows import intake
from amxwatch.flows.intake import Added
from amxwatch.ports.intake import IntakeFilter

MAX_BYTES = 64 * 1024 * 1024
"""A longer report is refused; it is read whole."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What was asked for on the command line."""

    title: str | None = None
    ci: Path | None = None
    db: str | None = None
    scope: str | None = None
    priority: str | None = None
    detail: str | None = None
    key: str | None = None


def item_document(item: IntakeItem) -> Document:
    """Return one element of `intake list --json`."""
    return {
        "id": item.id,
        "source": item.source,
        "title": item.title,
        "detail": item.detail,
        "db_profile": item.db_profile,
        "scope": item.scope,
        "priority": item.priority,
        "state": item.state,
        "added_at": moment(item.added_at),
        "approved_at": moment(item.approved_at),
        "not_before": moment(item.not_before),
        "ended_at": moment(item.ended_at),
        "run_id": item.run_id,
        "session": item.session,
        "schedule": item.schedule,
        "tries": item.tries,
        "outcome": item.outcome,
        "reason": item.reason,
    }


def open_counts(counts: Mapping[IntakeState, int]) -> Document:
    """Return how many items are in each open state, as `intake list` and `status` show it."""
    return {state: counts.get(state, 0) for state in IntakeState if state in OPEN}


async def add_item(wish: Wish, desk: Desk) -> None:
    """Add one item; a report in which nothing failed adds none."""
    signal = await _signal(wish)
    if signal is None:
        desk.out.document({"item": None, "is_new": False, "warnings": []})
        desk.out.say("Nothing failed in this report: there is nothing to add.")
        return
    added = await intake.add(intake_desk(desk.install), signal)
    if added is not None:
        _tell_added(added, desk)


async def _signal(wish: Wish) -> Signal | None:
    """Return what was wished for; what a flag says goes before what the report says."""
    scope = None if wish.scope is None else str(Scope.parse_bare(wish.scope))
    if wish.ci is None:
        found: Signal | None = Signal(source=IntakeSource.MANUAL, title=wish.title or "")
    else:
        found = await anyio.to_thread.run_sync(_report, wish.ci)
    if found is None:
        return None
    return Signal(
        source=found.source,
        title=found.title,
        detail=found.detail if wish.detail is None else wish.detail,
        db_profile=wish.db or found.db_profile,
        scope=scope or found.scope,
        priority=None if wish.priority is None else Priority(wish.priority),
        key=wish.key,
        occurrence=found.occurrence,
    )


def _report(path: Path) -> Signal | None:
    try:
        if str(path) == "-":
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SignalError(f"{path}: it cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise SignalError(f"{path}: it is too long; allowed: at most {MAX_BYTES:,} bytes")
    return report_signal(path.name, content)


def _tell_added(added: Added, desk: Desk) -> None:
    item = added.item
    document = {
        "item": item_document(item),
        "is_new": added.is_new,
        "warnings": list(added.missing),
    }
    desk.out.document(document)
    for line in added.missing:
        desk.out.warn(f"warning: {item.db_profile}: {line}")
    verb = "Added" if added.is_new else "This signal is there already:"
    desk.out.say(f"{verb} {item.id} ({item.priority}, {item.state}): {shown(item.title)}")
    desk.out.say(f"  {_next_step(item)}")


def _next_step(item: IntakeItem) -> str:
    """Say what happens to an item next, or who has to do what."""
    match item.state:
        case IntakeState.NEW if item.reason:
            return f"It waits for a person: {shown(item.reason)}; amxwatch intake approve {item.id}"
        case IntakeState.NEW:
            return f"It waits to be let through; by hand: amxwatch intake approve {item.id}"
        case IntakeState.APPROVED:
            return (
                "It becomes a run at the daemon's next poll, or now with: amxwatch schedule run-due"
            )
        case IntakeState.PLANNED | IntakeState.RUNNING:
            return f"Its run: amxwatch history show {item.run_id}"
    return f"It is {item.state}: {shown(item.reason or item.outcome)}"


async def list_items(states: frozenset[str], db: str | None, limit: int, desk: Desk) -> None:
    """Print the items in these states, the most urgent first."""
    which = IntakeFilter(
        states=frozenset(IntakeState(state) for state in states), db_profile=db, limit=limit
    )
    items, counts = await desk.install.ledger.read(
        lambda tx: (tx.intake.list(which), tx.intake.count())
    )
    desk.out.document(
        {"items": [item_document(item) for item in items], "open": open_counts(counts)}
    )
    if not items:
        desk.out.say('No such item. Add one with: amxwatch intake add "TITLE"')
        return
    desk.out.table(
        [Column("id", rigid=True), "prio", "state", "source", "scope", Column("added"), "title"],
        [
            [
                item.id,
                item.priority,
                item.state,
                item.source,
                cut(f"{item.db_profile}: {item.scope}"),
                local(item.added_at),
                cut(item.title),
            ]
            for item in items
        ],
    )


async def show_item(text: str, desk: Desk) -> None:
    """Print one item whole."""
    item = await intake.find(intake_desk(desk.install), text)
    document = item_document(item)
    desk.out.document(document)
    desk.out.say(f"{item.id}: {shown(item.title)}", colour="cyan")
    for key, value in document.items():
        if key not in ("id", "title", "detail") and value is not None:
            desk.out.say(f"{key:>14}  {shown(value)}")
    if item.detail:
        desk.out.say()
        desk.out.say(visible(item.detail))
    desk.out.say(_next_step(item))


async def approve_item(text: str, desk: Desk) -> None:
    """Let an item through."""
    _tell_decided(await intake.approve(intake_desk(desk.install), text), desk)


async def reject_item(text: str, reason: str, desk: Desk) -> None:
    """Turn an item down."""
    _tell_decided(await intake.reject(intake_desk(desk.install), text, reason), desk)


def _tell_decided(item: IntakeItem, desk: Desk) -> None:
    desk.out.document(item_document(item))
    desk.out.say(f"{item.id} is {item.state}. {_next_step(item)}")
