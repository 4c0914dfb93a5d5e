"""Every so many minutes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import field_validator, model_validator

from amxwatch.triggers.clock import Recurring
from amxwatch.triggers.fields import Minutes

_LEAST = timedelta(seconds=1)


class Every(Recurring):
    """Due on a fixed grid: `minutes`, twice `minutes`, and so on after it was armed.

    How long runs take, and when they really start, moves nothing. A window only leaves ticks
    out; `minutes` may be a fraction, down to one second.
    """

    type: Literal["every"] = "every"
    minutes: Minutes

    @field_validator("minutes")
    @classmethod
    def _is_a_second_or_more(cls, minutes: float) -> float:
        if timedelta(minutes=minutes) < _LEAST:
            raise ValueError(f"minutes: found {minutes:g}; allowed: 1/60 (one second) or more")
        return minutes

    @model_validator(mode="after")
    def _keeps_its_order(self) -> Every:
        if self.jitter_seconds > self.interval.total_seconds():
            raise ValueError(
                f"jitter_seconds: found {self.jitter_seconds:g}; allowed: not more than the"
                f" {self.interval.total_seconds():g} seconds between two ticks"
            )
        return self

    @property
    def interval(self) -> timedelta:
        """Return the time between two ticks."""
        return timedelta(minutes=self.minutes)

    def tick_after(self, moment: datetime, *, armed_at: datetime) -> datetime | None:
        count = max(1, (moment - armed_at) // self.interval + 1)
        try:
            return armed_at + count * self.interval
        except OverflowError:  # the calendar ends with the year 9999
            return None

    def describe(self) -> str:
        return f"every {_in_words(self.interval)}{self.within()}"

    def hash(self) -> str:
        start, end = self.window
        return f"every {self.interval} {start} {end}"


def _in_words(interval: timedelta) -> str:
    seconds = interval.total_seconds()
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds % length == 0:
            count = int(seconds // length)
            return unit if count == 1 else f"{count} {unit}s"
    return "second" if seconds == 1 else f"{seconds:g} seconds"
