"""When a daemon has been silent for too long."""

from __future__ import annotations

from datetime import datetime

STALE_POLLS = 3
STALE_SECONDS = 30.0


def stale_after(poll_seconds: float) -> float:
    """Return how many seconds without a heartbeat are too many."""
    return max(STALE_POLLS * poll_seconds, STALE_SECONDS)


def is_stale(heartbeat_at: datetime, now: datetime, *, poll_seconds: float) -> bool:
    """Claim that a daemon which did not say that it stopped should have been heard by now."""
    return (now - heartbeat_at).total_seconds() > stale_after(poll_seconds)
