"""Once, at a local time."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import model_validator

from amxwatch.core.errors import TriggerError
from amxwatch.triggers.clock import ClockTrigger
from amxwatch.triggers.fields import LocalTime
from amxwatch.triggers.zones import from_local, parse_local_time, zone


class At(ClockTrigger):
    """Due once. See: RFC 5545, section 3.3.5, for local times that a clock skips or repeats."""

    is_recurring: ClassVar[bool] = False

    type: Literal["at"] = "at"
    at: LocalTime

    @model_validator(mode="after")
    def _is_on_the_calendar(self) -> At:
        try:
            assert self.instant
        except TriggerError as error:
            raise ValueError(f"at: {error}") from None
        return self

    @property
    def instant(self) -> datetime:
        """Return the due time in UTC."""
        return from_local(parse_local_time(self.at), zone(self.timezone))

    def ensure_future(self, now: datetime) -> None:
        """Refuse a time that has passed; for new schedules.

        Raises: TriggerError.
        """
        if self.instant <= now:
            here = now.astimezone(zone(self.timezone))
            raise TriggerError(
                f"at: found {self.at} {self.timezone}, which has passed"
                f" (there it is {here:%Y-%m-%d %H:%M:%S}); allowed: a time to come"
            )

    def next_after(self, moment: datetime, *, armed_at: datetime) -> datetime | None:
        return self.instant if self.instant > moment else None

    def describe(self) -> str:
        return f"once, at {self.at} {self.timezone}"

    def hash(self) -> str:
        return f"at {self.at} {self.timezone}"
