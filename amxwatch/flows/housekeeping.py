"""Forget what has grown old, in small steps between which everybody else may write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from amxwatch.ports.clock import Clock
from amxwatch.ports.housekeeping import Room
from amxwatch.ports.ledger import Ledger, Tx
from amxwatch.settings.retention import Retention

BATCH = 500
"""How many rows one transaction forgets."""

PAUSE_SECONDS = 0.05

LEAST_AGE = timedelta(days=7)
"""What is younger stays, however large the state is."""

GIVEN_BACK = 4 * 2**20
"""How many bytes one transaction gives back to the disk."""

WORTH = 0.1
"""Room is given back once this share of the file is free, and never less than a step of it."""

KINDS: dict[str, Callable[[Tx, datetime, int], int]] = {
    "replies": lambda tx, before, limit: tx.housekeeping.replies(before, limit),
    "events": lambda tx, before, limit: tx.housekeeping.events(before, limit),
    "history": lambda tx, before, limit: tx.housekeeping.history(before, limit),
}
"""What can be forgotten, the least missed first."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """How much was forgotten of each kind, and what the state took before and after."""

    forgotten: dict[str, int]
    before: Room
    after: Room

    @property
    def is_news(self) -> bool:
        return any(self.forgotten.values()) or self.after.taken < self.before.taken


class House:
    """One round of keeping house. It ends early when `is_idle` no longer holds."""

    def __init__(
        self, ledger: Ledger, clock: Clock, rules: Retention, *, is_idle: Callable[[], bool]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._rules = rules
        self._is_idle = is_idle
        self._forgotten = dict.fromkeys(KINDS, 0)

    async def keep(self) -> Kept:
        """Forget what is too old, then what is too much, then give the room back."""
        before = await self._room()
        for kind in KINDS:
            days = getattr(self._rules, f"{kind}_days")
            if days:
                while await self._forget(kind, timedelta(days=days)) == BATCH:
                    pass
        if self._rules.max_mb:
            await self._fit(self._rules.max_mb * 2**20)
        await self._give_back()
        kept = Kept(forgotten=self._forgotten, before=before, after=await self._room())
        if kept.is_news:
            await self._tell(kept)
        return kept

    async def _forget(self, kind: str, age: timedelta) -> int:
        """Forget one batch and return how many rows that were; 0 where others want to work."""
        if not self._is_idle():
            return 0
        before = self._clock.now() - age
        count = await self._ledger.write(lambda tx: KINDS[kind](tx, before, BATCH))
        self._forgotten[kind] += count
        if count:
            await self._clock.sleep(PAUSE_SECONDS)
        return count

    async def _fit(self, size: int) -> None:
        """Forget the oldest of all kinds, batch by batch, until the state is small enough."""
        for kind in KINDS:
            while (await self._room()).used > size:
                if not await self._forget(kind, LEAST_AGE):
                    break

    async def _give_back(self) -> None:
        room = await self._room()
        while room.free >= max(GIVEN_BACK, WORTH * room.taken) and self._is_idle():
            await self._ledger.write(lambda tx: tx.housekeeping.give_back(GIVEN_BACK))
            await self._clock.sleep(PAUSE_SECONDS)
            former, room = room, await self._room()
            if room.free >= former.free:
                break  # a file of an older version that could not be rewritten

    async def _room(self) -> Room:
        return await self._ledger.read(lambda tx: tx.housekeeping.room())

    async def _tell(self, kept: Kept) -> None:
        now = self._clock.now()
        await self._ledger.write(
            lambda tx: tx.events.add(
                "house_kept",
                at=now,
                replies=kept.forgotten["replies"],
                events=kept.forgotten["events"],
                history=kept.forgotten["history"],
                bytes_before=kept.before.taken,
                bytes_after=kept.after.taken,
            )
        )
