"""Alerts and the outbox: what was decided stands in the ledger before anybody is told."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from amxwatch.core.alert import Alert
from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.message import Delivery
from amxwatch.core.schedule import ScheduleState


class Alerts(Protocol):
    """What was found worth telling, and how far the log of snapshots was looked through."""

    def troubled(self, failures: int) -> list[ScheduleState]:
        """Return the schedules with so many failures in a row or a missed firing, by name.

        Costs what is in trouble, not what exists.
        """

    def open(self, alert: Alert, targets: Collection[str]) -> bool:
        """Record an alert and put its telling in the outbox; say whether it is new.

        False, and nothing is written, where one with its key is open already. A momentary one
        is closed as it is opened.
        """

    def recover(self, alert_id: str, at: datetime) -> None:
        """Close an alert, and put that in the outbox for everyone who was to be told of it."""

    def list(self, *, only_open: bool = False, limit: int = 50) -> list[Alert]:
        """Return alerts, newest first."""

    def seen(self, profile: str) -> SnapshotNumber | None:
        """Return the last snapshot whose changes were looked through; None before the first."""

    def saw(self, profile: str, number: SnapshotNumber) -> None: ...


class Outbox(Protocol):
    """Who is to be told what. A row stays, as the record of when it was told."""

    def waiting(self) -> list[Delivery]:
        """Return what is not over, in the order in which it was put."""

    def put(self, delivery: Delivery) -> None:
        """Set how a delivery stands."""

    def of(self, alert_ids: Collection[str]) -> list[Delivery]:
        """Return every delivery of these alerts, in the order in which they were put."""

    def alert(self, alert_id: str) -> Alert:
        """Raises: NotFoundError."""
