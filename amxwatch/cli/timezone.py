"""The zone of this machine, by its IANA name."""

from __future__ import annotations

import os
from pathlib import Path
from zoneinfo import ZoneInfo

LOCALTIME = Path("/etc/localtime")
TIMEZONE = Path("/etc/timezone")


def machine_zone() -> str:
    """Return the IANA name of the machine's zone; UTC where it has none that is known.

    Asked in this order: TZ, the target of /etc/localtime, /etc/timezone.
    See: tzset(3), localtime(5).
    """
    for name in (os.environ.get("TZ", "").lstrip(":"), _linked(), _written()):
        if name and _is_zone(name):
            return name
    return "UTC"


def _linked() -> str:
    try:
        target = str(LOCALTIME.readlink())
    except OSError:
        return ""
    return target.partition("zoneinfo/")[2]


def _written() -> str:
    try:
        return TIMEZONE.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
