"""What every trigger that goes by the clock can do, and what the recurring ones share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from amxwatch.core.errors import TriggerError
from amxwatch.core.retry import share
from amxwatch.triggers.fields import Flag, LocalTime, Seconds, ZoneName
from amxwatch.triggers.zones import from_local, parse_local_time, zone

_MOMENT = timedelta(microseconds=1)


WALKED = 4
"""How many due times are gone through one by one before the newest is searched for."""


class ClockTrigger(BaseModel, ABC):
    """A set of due times. All instants are aware and in UTC.

    `armed_at` is when the schedule was first seen with this trigger; it must stay the same
    between calls. Due times are the firing's identity and know nothing of jitter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_recurring: ClassVar[bool]

    timezone: ZoneName = "UTC"
    only_if_changed: Flag = False

    @property
    def zone(self) -> str:
        return self.timezone

    @abstractmethod
    def next_after(self, moment: datetime, *, armed_at: datetime) -> datetime | None:
        """Return the first due time strictly later than `moment`, or None after the last."""

    @abstractmethod
    def describe(self) -> str:
        """Say in plain words when it is due."""

    @abstractmethod
    def hash(self) -> str:
        """Return text that moves exactly when the due times do; then it is armed again."""

    def due_between(
        self, after: datetime, until: datetime, *, armed_at: datetime, limit: int = 1000
    ) -> list[datetime]:
        """Return the due times in (after, until], oldest first, at most the first `limit`."""
        found: list[datetime] = []
        due = self.next_after(after, armed_at=armed_at)
        while due is not None and due <= until and len(found) < limit:
            found.append(due)
            due = self.next_after(due, armed_at=armed_at)
        return found

    def latest_due(
        self, after: datetime, until: datetime, *, armed_at: datetime
    ) -> datetime | None:
        """Return the newest due time in (after, until], or None.

        However long the span and however dense the due times, it takes some dozens of steps.
        """

        def later(moment: datetime) -> datetime | None:
            due = self.next_after(moment, armed_at=armed_at)
            return due if due is not None and due <= until else None

        newest, high = later(after), until
        for _ in range(WALKED):  # mostly there are few: to count them is quicker than to search
            if newest is None or (following := later(newest)) is None:
                return newest
            newest = following
        while newest is not None and (following := later(newest)) is not None:
            middle = newest + (high - newest) / 2
            beyond = later(middle)
            if beyond is None:
                newest, high = following, middle
            else:
                newest = beyond
        return newest

    def jitter_for(self, due: datetime, name: str) -> timedelta:
        """Return how much later than `due` schedule `name` starts; the same at each call."""
        return timedelta(0)


class Recurring(ClockTrigger):
    """A clock trigger that comes again, from `starts_at` to `ends_at`, both included.

    `jitter_seconds` spreads schedules that are due together: each starts up to so much later.
    """

    is_recurring: ClassVar[bool] = True

    jitter_seconds: Seconds = 0
    starts_at: LocalTime | None = None
    ends_at: LocalTime | None = None

    @model_validator(mode="after")
    def _has_a_window(self) -> Recurring:
        try:
            start, end = self.window
        except TriggerError as error:
            raise ValueError(str(error)) from None
        if start and end and end < start:
            raise ValueError(
                f"ends_at: found {self.ends_at}, before starts_at {self.starts_at};"
                " allowed: a later time"
            )
        return self

    @property
    def window(self) -> tuple[datetime | None, datetime | None]:
        """Return the instants of `starts_at` and `ends_at`."""
        place = zone(self.timezone)
        start, end = (
            from_local(parse_local_time(text), place) if text else None
            for text in (self.starts_at, self.ends_at)
        )
        return start, end

    @abstractmethod
    def tick_after(self, moment: datetime, *, armed_at: datetime) -> datetime | None:
        """Return the first due time after `moment`, whatever the window."""

    def next_after(self, moment: datetime, *, armed_at: datetime) -> datetime | None:
        start, end = self.window
        if start is not None and moment < start:
            moment = start - _MOMENT
        due = self.tick_after(moment, armed_at=armed_at)
        return None if due is None or (end is not None and due > end) else due

    def jitter_for(self, due: datetime, name: str) -> timedelta:
        drawn = share(f"{name}\0{self.hash()}\0{due.isoformat()}")
        return timedelta(seconds=self.jitter_seconds * drawn)

    def within(self) -> str:
        """Say the window in words, with a comma before, or nothing."""
        start = f", from {self.starts_at}" if self.starts_at else ""
        end = f", until {self.ends_at}" if self.ends_at else ""
        return start + end
