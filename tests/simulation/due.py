"""When a clock trigger is due, found the slow way: by looking at every minute of the clock.

Independent of `amxwatch.triggers`, which computes it. Minutes are those of UTC; local time is
asked of the zone for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
FAR = timedelta(days=3)
"""Further than this nobody looks at every minute; a scenario has no longer gap between ticks."""


class DueTimes:
    """The due times of one trigger as it was armed. `spec` is its table as TOML holds it."""

    def __init__(self, spec: dict[str, Any], armed_at: datetime) -> None:
        self.spec = spec
        self.armed_at = armed_at
        self.place = ZoneInfo(spec.get("timezone", "UTC"))

    def after(self, moment: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the due times in (moment, until], oldest first."""
        kind = self.spec["type"]
        if kind == "every":
            yield from self._grid(moment, until)
        elif kind == "at":
            local = datetime.fromisoformat(self.spec["at"])
            due = local.replace(tzinfo=self.place).astimezone(UTC)
            if moment < due <= until:
                yield due
        else:
            yield from self._cron(moment, until)

    def newest(self, moment: datetime, until: datetime) -> datetime | None:
        """Return the last due time in (moment, until]."""
        if self.spec["type"] == "at":
            return next(self.after(moment, until), None)
        start = max(moment, until - FAR)
        return max(self.after(start, until), default=None)

    def _grid(self, moment: datetime, until: datetime) -> Iterator[datetime]:
        step = timedelta(minutes=self.spec["minutes"])
        count = max(1, (moment - self.armed_at) // step)
        while (due := self.armed_at + count * step) <= until:
            if due > moment:
                yield due
            count += 1

    def _cron(self, moment: datetime, until: datetime) -> Iterator[datetime]:
        minute, hour = self.spec["cron"].split()[:2]
        if hour == "*":
            yield from self._minutes(minute, moment, until)
            return
        day = moment.astimezone(self.place).date() - DAY
        while day <= until.astimezone(self.place).date() + DAY:
            due = self._on(day, int(hour), int(minute))
            if moment < due <= until:
                yield due
            day += DAY

    def _minutes(self, minute: str, moment: datetime, until: datetime) -> Iterator[datetime]:
        tick = moment.replace(second=0, microsecond=0)
        while tick <= until:
            shown = tick.astimezone(self.place).minute
            wanted = shown % int(minute[2:]) == 0 if minute[0] == "*" else shown == int(minute)
            if wanted and tick > moment:
                yield tick
            tick += MINUTE

    def _on(self, day: date, hour: int, minute: int) -> datetime:
        """Debian's cron: the first of two such times; for none, right after the gap."""
        local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.place)
        instant = local.astimezone(UTC)
        shown = instant.astimezone(self.place)
        if (shown.hour, shown.minute) == (hour, minute):
            return instant
        offset = shown.utcoffset()
        while (instant - MINUTE).astimezone(self.place).utcoffset() == offset:
            instant -= MINUTE
        return instant
