"""A broken promise, and how the rows of the state database spell moments."""

from __future__ import annotations

from datetime import UTC, datetime


class Violation(AssertionError):
    """A promise was broken."""


def must(holds: bool, otherwise: str) -> None:
    """Raises: Violation."""
    if not holds:
        raise Violation(otherwise)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def text_of(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
