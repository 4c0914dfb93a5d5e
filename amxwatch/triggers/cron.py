"""By a cron line, in a zone, as Debian's cron reads it.

When the clock is moved, a line with fixed times fires once: of times that are skipped right
after the gap, of times that come twice at the first. A line whose minute or hour begins with a
star goes by the real clock instead: it fires at every minute that the clock shows and the line
names, each time that it shows it. So `*/30 2 * * *` finds no 02:xx on the day that skips them,
and `0,30 2 * * *` fires once then. See: cron(8), crontab(5), and Debian's cron.c, find_jobs.

cronsim reads the lines. It takes a little more than Debian does: `5/15` (from 5 on), `L` and `LW`
as a day of the month (the last; the last weekday), `5L` and `5#2` as a day of the week (the last
Friday; the second).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator

from amxwatch.core.errors import TriggerError
from amxwatch.triggers.clock import Recurring
from amxwatch.triggers.zones import next_transition, offset_at, zone

MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

FIELDS: Final = (
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of month", "1-31, L for the last"),
    ("month", "1-12 or JAN-DEC"),
    ("day of week", "0-7 (0 and 7 are Sunday) or SUN-SAT"),
)

_SHAPE = f"5 fields (minute hour day-of-month month day-of-week) or one of {', '.join(MACROS)}"
_MANY = 1000
_START = datetime(2000, 1, 1)  # noqa: DTZ001  # only whether a line ever fires is asked
_SECOND = timedelta(seconds=1)


def parse_cron(text: str) -> str:
    """Return a cron line with single blanks, five fields or a macro.

    Raises: TriggerError, which names the field that is wrong and what it may hold.
    """
    line = " ".join(text.split())
    if line.lower() in MACROS:
        return line.lower()
    fields = line.split(" ")
    if len(fields) != len(FIELDS) or not line.isascii() or len(line) > _MANY:
        raise TriggerError(_not_a_line(line))
    for place, (name, allowed) in enumerate(FIELDS):
        if not _fires(" ".join("*" if i != place else f for i, f in enumerate(fields))):
            raise TriggerError(
                f"cron: found {fields[place]!r} as {name} in {line!r}; allowed: * or {allowed};"
                " lists (1,3), ranges upward (1-5) and steps (*/2)"
            )
    if not _fires(line):
        raise TriggerError(f"cron: {line!r} never fires; allowed: a day that its months have")
    return line


def _not_a_line(line: str) -> str:
    shown = repr(line) if len(line) <= 120 else repr(line[:120]) + "..."
    count = len(line.split())
    hint = "; seconds cannot be given" if count == len(FIELDS) + 1 else ""
    counted = f", {count} fields" if count > 1 else ""
    return f"cron: found {shown}{counted}; allowed: {_SHAPE}{hint}"


@lru_cache(maxsize=4096)  # very many schedules share few lines, and this takes longest of all
def _fires(line: str) -> bool:
    try:
        next(CronSim(line, _START))
    except (CronSimError, StopIteration):
        return False
    return True


def _cron_line(value: str) -> str:
    try:
        return parse_cron(value)
    except TriggerError as error:
        raise ValueError(str(error)) from None


class Cron(Recurring):
    """Due at the minutes that a cron line names in its zone."""

    type: Literal["cron"] = "cron"
    cron: Annotated[str, AfterValidator(_cron_line)]

    @property
    def line(self) -> str:
        """Return the five fields, without macros."""
        return MACROS.get(self.cron, self.cron)

    def tick_after(self, moment: datetime, *, armed_at: datetime) -> datetime | None:
        minute, hour, *_ = self.line.split(" ")
        goes_by_the_clock = minute.startswith("*") or hour.startswith("*")
        find = _clock_tick if goes_by_the_clock else _fixed_tick
        try:
            return find(self.line, moment, zone(self.timezone))
        except (StopIteration, OverflowError):  # the calendar ends with the year 9999
            return None

    def describe(self) -> str:
        said = CronSim(self.line, _START).explain()
        return f"{said[:1].lower()}{said[1:]} ({self.timezone}){self.within()}"

    def hash(self) -> str:
        start, end = self.window
        return f"cron {self.line} {self.timezone} {start} {end}"


def _fixed_tick(line: str, moment: datetime, place: ZoneInfo) -> datetime | None:
    """Return the next of fixed times; cronsim puts those in a gap to its end."""
    for found in CronSim(line, moment.astimezone(place)):
        # Within the second pass of an hour, the first pass of it comes up again.
        if (due := found.astimezone(UTC)) > moment:
            return due
    return None


def _clock_tick(line: str, moment: datetime, place: ZoneInfo) -> datetime:
    """Return the next minute that the clock shows and the line names.

    Between two moves of the clock local time runs evenly, so cronsim is asked without a zone;
    asked with one, it loses hours where a clock moves by less than a whole one.
    """
    since = start = moment.astimezone(UTC)
    while True:
        offset = offset_at(since, place)
        local = (start + offset).replace(tzinfo=None)
        due = (next(CronSim(line, local)) - offset).replace(tzinfo=UTC)
        moved = next_transition(since, due, place)
        if moved is None:
            return due
        since, start = moved, moved - _SECOND
