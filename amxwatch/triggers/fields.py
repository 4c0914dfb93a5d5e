"""Kinds of values that several triggers are configured with, checked where the text enters."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, ValidationInfo

from amxwatch.core.errors import TriggerError
from amxwatch.triggers.zones import LOCAL_TIME, parse_local_time, zone

# Nobody needs to pass these bounds; without them a typing error overflows far from its cause.
MAX_HOURS = 10 * 366 * 24
MAX_SECONDS = 7 * 24 * 3600


def _zone_name(value: str) -> str:
    try:
        return zone(value).key
    except TriggerError as error:
        raise ValueError(str(error)) from None


def _local_time(value: object, info: ValidationInfo) -> str:
    """Accept text, and what TOML makes of a local time without quotes."""
    key = info.field_name or "time"
    if isinstance(value, datetime) and value.tzinfo is None and not value.microsecond:
        local = value
    elif isinstance(value, str):
        try:
            local = parse_local_time(value, key=key)
        except TriggerError as error:
            raise ValueError(str(error)) from None
    else:
        raise ValueError(
            f"{key}: found {value}; allowed: a local time as {LOCAL_TIME}, its zone as timezone"
        )
    return local.isoformat(sep=" ", timespec="seconds" if local.second else "minutes")


ZoneName = Annotated[str, AfterValidator(_zone_name)]
"""An IANA zone."""

LocalTime = Annotated[str, BeforeValidator(_local_time)]
"""A local time in the trigger's zone, `YYYY-MM-DD HH:MM[:SS]`."""

Seconds = Annotated[float, Field(strict=True, ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
Hours = Annotated[float, Field(strict=True, ge=0, le=MAX_HOURS, allow_inf_nan=False)]
Minutes = Annotated[float, Field(strict=True, gt=0, le=MAX_HOURS * 60, allow_inf_nan=False)]
Flag = StrictBool
