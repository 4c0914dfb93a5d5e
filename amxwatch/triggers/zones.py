"""Local times and the zones that they are meant in."""

from __future__ import annotations

import difflib
import re
import zoneinfo
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from amxwatch.core.errors import TriggerError

LOCAL_TIME = "YYYY-MM-DD HH:MM[:SS]"
"""How a local time is written; a T may stand for the blank."""

_LOCAL_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2})?", re.ASCII)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


def zone(name: str) -> ZoneInfo:
    """Return the IANA zone of that name.

    Raises: TriggerError, with the closest names.
    """
    # ZoneInfo looks for a file of that name, so its errors are those of paths as well.
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        hint = _closest(name)
        raise TriggerError(
            f"timezone: found {name!r}; allowed: an IANA zone such as Europe/Istanbul, or UTC{hint}"
        ) from None


def _closest(name: str) -> str:
    """Name up to two zones: of that very city, else spelled much alike."""
    known = {zone.casefold(): zone for zone in sorted(zoneinfo.available_timezones())}
    wanted = name.strip().replace(" ", "_").casefold()
    close = [zone for zone in known if zone.rpartition("/")[2] == wanted]
    close = close or difflib.get_close_matches(wanted, known, n=2, cutoff=0.8)
    return f"; did you mean {' or '.join(known[zone] for zone in close[:2])}?" if close else ""


def parse_local_time(text: str, *, key: str = "at") -> datetime:
    """Read a local time, without a zone. `key` is what the message calls it.

    Raises: TriggerError.
    """
    try:
        if not _LOCAL_TIME.fullmatch(text.strip()):
            raise ValueError
        return datetime.fromisoformat(text.strip())
    except ValueError:
        hint = "; give the zone as timezone" if re.search(r"[Zz]|\d[+-]\d\d:?\d\d$", text) else ""
        raise TriggerError(
            f"{key}: found {text!r}; allowed: a local time as {LOCAL_TIME},"
            f" for example 2026-12-31 09:00{hint}"
        ) from None


def from_local(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant, in UTC, that a local time without a zone means there.

    A time that the clock skips counts with the offset before the gap; of a time that the clock
    shows twice the first is meant. See: RFC 5545, section 3.3.5, form 3.

    Raises: TriggerError where the instant is outside of the calendar.
    """
    try:
        return local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    except OverflowError:
        raise TriggerError(f"found {local}; allowed: a time between the years 1 and 9999") from None


def offset_at(instant: datetime, zone: ZoneInfo) -> timedelta:
    """Return what the zone adds to UTC at that instant."""
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def next_transition(after: datetime, until: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first second in (after, until] with another offset than at `after`, or None.

    Looks a day at a time: no zone moves its clock there and back within one.
    """
    low, end = after.replace(microsecond=0), until.replace(microsecond=0)
    offset = offset_at(low, zone)
    while low < end:
        high = min(low + _DAY, end)
        if offset_at(high, zone) != offset:
            return _first_second(low, high, zone)
        low = high
    return None


def _first_second(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """Find, by halving, the second at which the offset of `low` becomes that of `high`."""
    offset = offset_at(low, zone)
    while high - low > _SECOND:
        middle = low + _SECOND * ((high - low) // _SECOND // 2)
        if offset_at(middle, zone) == offset:
            low = middle
        else:
            high = middle
    return high
