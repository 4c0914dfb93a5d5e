"""What a target is given, and the outbox that says who was told what."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from amxwatch.core.alert import Alert


class Phase(enum.StrEnum):
    """What of an alert is told."""

    OPENED = "opened"
    RECOVERED = "recovered"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One thing to tell one target: a row of the outbox.

    It is over once `told_at` or `dropped_at` is set. `owner` is who is telling it just now, and
    `until` when somebody else may. `error` is why the last try failed.
    """

    alert_id: str
    target: str
    phase: Phase
    tries: int = 0
    not_before: datetime
    told_at: datetime | None = None
    dropped_at: datetime | None = None
    owner: str | None = None
    until: datetime | None = None
    error: str | None = None

    @property
    def id(self) -> str:
        """The message's id: the same at each try, so that a receiver can drop a repeat."""
        return f"{self.alert_id}_{self.phase}"

    @property
    def is_over(self) -> bool:
        return self.told_at is not None or self.dropped_at is not None

    @property
    def due_at(self) -> datetime:
        """When to look at it again: its time, or the end of somebody's try."""
        return self.until if self.owner is not None and self.until else self.not_before


def tellable(waiting: Sequence[Delivery]) -> list[Delivery]:
    """Return those that may be told: that a condition is over, only after that it began."""
    unopened = {
        (one.alert_id, one.target)
        for one in waiting
        if one.phase is Phase.OPENED and not one.is_over
    }
    return [
        one
        for one in waiting
        if one.phase is Phase.OPENED or (one.alert_id, one.target) not in unopened
    ]


@dataclass(frozen=True, kw_only=True)
class Message:
    """What a target is given. Holds no secret and no row of a database."""

    id: str
    phase: Phase
    at: datetime
    alert: Alert
    is_test: bool = False

    @property
    def subject(self) -> str:
        """One line for people."""
        condition = self.alert.condition
        mark = "test" if self.is_test else condition.severity.value
        mark = "recovered" if self.phase is Phase.RECOVERED else mark
        return f"[amxwatch {mark}] {condition.title}"

    def lines(self) -> list[str]:
        """Return what there is to say, line by line."""
        condition = self.alert.condition
        told = [condition.title]
        if self.phase is Phase.RECOVERED:
            told.append(f"It is over, after {_span(self.at - self.alert.opened_at)}.")
        elif condition.recovery_action:
            told.append(f"What to do: {condition.recovery_action}")
        told += [f"  {line}" for line in condition.changes]
        if condition.more_changes:
            told.append(f"  … and {condition.more_changes} more")
        if self.is_test:
            told.append("This is a test, sent by: amxwatch alerts test")
        return told

    def document(self) -> dict[str, object]:
        """Return the JSON of the message: a type, a time and the data, as Standard Webhooks."""
        condition, alert = self.alert.condition, self.alert
        over = alert.recovered_at if self.phase is Phase.RECOVERED else None
        return {
            "type": f"alert.{'test' if self.is_test else self.phase}",
            "timestamp": self.at.isoformat(),
            "data": {
                "id": alert.id,
                "kind": condition.kind,
                "severity": condition.severity,
                "title": condition.title,
                "schedule": condition.schedule,
                "db_profile": condition.db_profile,
                "run_id": condition.run_id,
                "recovery_action": condition.recovery_action,
                "changes": list(condition.changes),
                "more_changes": condition.more_changes,
                "opened_at": alert.opened_at.isoformat(),
                "recovered_at": over.isoformat() if over else None,
                "is_test": self.is_test,
            },
        }


def _span(distance: timedelta) -> str:
    minutes = max(int(distance.total_seconds()), 0) // 60
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{rest} min"
