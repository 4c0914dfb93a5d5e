"""Reading the audit trail in pages."""

from __future__ import annotations

from collections.abc import Iterator

from amxwatch.core.event import Event
from amxwatch.ports.ledger import Tx

PAGE = 1000


def pages(tx: Tx, after: int = 0) -> Iterator[list[Event]]:
    """Yield the trail after an event, oldest first, page by page."""
    while page := tx.events.after(after, limit=PAGE):
        yield page
        after = page[-1].id


def events_of(tx: Tx, run_id: str) -> list[Event]:
    """Return the events of one run, oldest first."""
    return [event for page in pages(tx) for event in page if event.run_id == run_id]
