"""A schedule that is evaluated at one moment, and what came of it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from amxwatch.core.run import Run, RunId, RunKind, RunStatus, RunTrigger
from amxwatch.flows.source import Source
from amxwatch.ports.ledger import Tx
from amxwatch.settings.schema import Schedule


@dataclass(frozen=True, kw_only=True)
class Dispatched:
    """What one evaluation of one schedule came to.

    `look_at` is when to evaluate it again; `armed` says why it counts from now on, if it does.
    """

    schedule: str
    action: str
    run_id: str | None = None
    status: str | None = None
    skip_reason: str | None = None
    blocked_category: str | None = None
    recovery_action: str | None = None
    look_at: datetime | None = None
    armed: str | None = None

    def document(self) -> dict[str, object]:
        """Return the fields that `run-due --json` and `daemon --json` print."""
        document: dict[str, object] = {
            "schedule": self.schedule,
            "action": self.action,
            "run_id": self.run_id,
            "status": self.status,
            "skip_reason": self.skip_reason,
            "blocked_category": self.blocked_category,
            "recovery_action": self.recovery_action,
        }
        if self.armed is not None:
            document["armed"] = self.armed
        return document


TRIED_AGAIN = frozenset({RunTrigger.SCHEDULE, RunTrigger.INTAKE, RunTrigger.CONTINUOUS})
"""Whose runs are tried again by themselves. A change stays pending, and a person sees it fail."""


def new_run_id(now: datetime) -> RunId:
    """Return a run id that sorts by time and that two processes do not both make."""
    return RunId(f"run_{now:%Y-%m-%d_%H-%M-%S}-{secrets.token_hex(4)}")


@dataclass(frozen=True, kw_only=True)
class Firing:
    """A schedule that is being evaluated at one moment."""

    schedule: Schedule
    source: Source
    llm_profile: str
    now: datetime

    def run(self, trigger: RunTrigger, **values: object) -> Run:
        """Return a queued run of this schedule."""
        plan = self.schedule
        fields: dict[str, object] = {
            "id": new_run_id(self.now),
            "kind": RunKind(plan.kind),
            "status": RunStatus.QUEUED,
            "trigger": trigger,
            "trigger_reason": plan.reason,
            "db_profile": plan.db_profile,
            "llm_profile": self.llm_profile,
            "schedule": plan.name,
            "database": plan.database,
            "scope": plan.scope,
            "review_strategy": plan.review_strategy,
            "timeout_seconds": plan.timeout_seconds,
            "priority": plan.run_priority,
            "max_retries": plan.max_retries if trigger in TRIED_AGAIN else 0,
            "queued_at": self.now,
            "not_before": self.now,
        }
        return Run(**{**fields, **values})  # type: ignore[arg-type]  # names checked by Run itself


def blocked(run: Run) -> Dispatched:
    """Return what is said of a schedule whose run waits for a person."""
    return Dispatched(
        schedule=run.schedule or "",
        action="blocked",
        run_id=run.id,
        status=run.status,
        blocked_category=run.failure_category,
        recovery_action=run.recovery_action,
    )


def busy(run: Run) -> Dispatched:
    """Return what is said of a schedule whose run goes on or waits for a slot."""
    return Dispatched(
        schedule=run.schedule or "",
        action="skip",
        run_id=run.id,
        status=run.status,
        skip_reason=f"run {run.id} is {run.status}",
    )


def put(tx: Tx, run: Run, now: datetime) -> bool:
    """Queue a run and say so in the trail; False where this firing was already started."""
    if not tx.runs.put(run):
        return False
    tx.events.add(
        "run_queued",
        at=now,
        schedule=run.schedule,
        run_id=run.id,
        trigger=run.trigger,
        db_profile=run.db_profile,
        kind=run.kind,
    )
    return True
