"""Intake in a turn of the agent: collect signals, and plan what is approved."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from amxwatch.core.errors import AmxwatchError
from amxwatch.core.intake import IntakeState
from amxwatch.core.run import RunId
from amxwatch.daemon.wiring import Install
from amxwatch.flows.intake import IntakeDesk
from amxwatch.flows.intake_planning import plan
from amxwatch.flows.intake_sources import Found, collect_folder, collect_ref
from amxwatch.ports.ledger import Tx


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What intake came to in one turn. `look_at` is when a dropped file will stand still."""

    added: tuple[str, ...] = ()
    planned: tuple[RunId, ...] = ()
    errors: tuple[str, ...] = ()
    look_at: datetime | None = None

    @property
    def is_news(self) -> bool:
        return bool(self.added or self.planned)

    def document(self) -> dict[str, object]:
        """Return what a turn's document says of intake."""
        return {"added": list(self.added), "planned": list(self.planned)}


def intake_desk(install: Install) -> IntakeDesk:
    """Return what the flows of intake draw on."""
    return IntakeDesk(
        settings=lambda: install.settings,
        source=install.source,
        ledger=install.ledger,
        clock=install.clock,
    )


OPEN = "open intake"
"""Under this they are recalled."""


def open_items(tx: Tx) -> dict[IntakeState, int]:
    """Return how many items have not ended, by their state."""
    return tx.intake.count()


async def take_signals(
    install: Install, *, has_open: bool = True, leave: Collection[str] = ()
) -> Taken:
    """Collect what came in, and plan what is approved; errors are told, not raised.

    `has_open` says whether there was anything before. Items of the db profiles in `leave` are
    left to the sessions that work on them.
    """
    desk, found = intake_desk(install), Found()
    planned: list[RunId] = []
    try:
        await _collect(install, desk, found)
        if has_open or found.items:
            planned = await plan(desk, leave=frozenset(leave))
    except AmxwatchError as error:
        found.errors.append(str(error))
    return Taken(
        added=tuple(item.id for item in found.items),
        planned=tuple(planned),
        errors=tuple(f"intake: {error}" for error in found.errors),
        look_at=found.look_at,
    )


async def _collect(install: Install, desk: IntakeDesk, found: Found) -> None:
    told = install.settings.intake
    if not (told.folders or told.git):
        return
    from amxwatch.watchers.drops import FolderDrops
    from amxwatch.watchers.git import GitRepository

    settle = timedelta(seconds=told.settle_seconds)
    for name in told.folders:
        folder = install.folder.path / name
        drops = FolderDrops(folder, settle=settle, clock=install.clock)
        await collect_folder(desk, drops, found)
    for watch in told.git:
        where = (install.folder.path / watch.repository).resolve()
        await collect_ref(desk, GitRepository(where), watch, str(where), found)
