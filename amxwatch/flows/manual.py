"""Runs that a person asks for: reserved for the process that asked, under the shared slots."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from amxwatch.core.errors import NotFoundError
from amxwatch.core.manner import UNASKED, Manner
from amxwatch.core.run import Run, RunEvent, RunId, RunKind, RunStatus, RunTrigger
from amxwatch.core.scope import Scope
from amxwatch.flows.firing import new_run_id
from amxwatch.flows.settling import settled
from amxwatch.ports.clock import Clock
from amxwatch.ports.ledger import Ledger, RunFilter, Tx


def made(
    now: datetime,
    *,
    kind: RunKind,
    db_profile: str,
    llm_profile: str | None,
    scope: Scope,
    review_strategy: str,
    reserved_for: str | None = None,
    schedule: str | None = None,
    trigger_reason: str = "by hand",
    timeout_seconds: float | None = None,
    priority: int = 0,
    manner: Manner = UNASKED,
) -> Run:
    """Return a run that is not queued yet; one whose manner names another is a rerun of that."""
    return Run(
        id=new_run_id(now),
        kind=kind,
        status=RunStatus.QUEUED,
        trigger=RunTrigger.RERUN if manner.rerun_of else RunTrigger.MANUAL,
        trigger_reason=trigger_reason,
        db_profile=db_profile,
        llm_profile=llm_profile,
        schedule=schedule,
        scope=str(scope),
        review_strategy=review_strategy,
        reserved_for=reserved_for,
        queued_at=now,
        not_before=now,
        timeout_seconds=timeout_seconds,
        priority=priority,
        manner=manner,
    )


async def put(ledger: Ledger, clock: Clock, **values: Any) -> Run:
    """Queue a run that only `reserved_for` may execute (None: whoever comes first).

    The values are those of `made`.
    """
    now = clock.now()
    run = made(now, **values)

    def work(tx: Tx) -> None:
        tx.runs.put(run)
        tx.events.add(
            "run_queued",
            at=now,
            schedule=run.schedule,
            run_id=run.id,
            trigger=run.trigger,
            db_profile=run.db_profile,
            kind=run.kind,
        )

    await ledger.write(work)
    return run


async def cancel(ledger: Ledger, clock: Clock, run_id: RunId) -> Run:
    """Stop a run: at once where it waits, at its next step where it goes on.

    Raises: NotFoundError, TransitionError (it has ended already).
    """
    now = clock.now()

    def work(tx: Tx) -> Run:
        run = tx.runs.get(run_id)
        if run.status is RunStatus.RUNNING:
            tx.runs.update(run_id, run.token, cancel_requested=True)
            return tx.runs.get(run_id)
        moved = tx.runs.move(run_id, RunEvent.CANCEL, token=None, finished_at=now)
        settled(tx, moved)
        return _told(tx, moved, "run_cancelled", now)

    return await ledger.write(work)


async def unblock(ledger: Ledger, clock: Clock, run_id: RunId) -> Run:
    """Let a blocked run go on. Raises: NotFoundError, TransitionError.

    Its database is asked again at once: a person who mended the login does not wait for a
    backoff that knows nothing of that.
    """
    now = clock.now()

    def work(tx: Tx) -> Run:
        run = tx.runs.move(run_id, RunEvent.UNBLOCK, token=None, not_before=now)
        source = tx.sources.get(run.db_profile)
        if source.retry_at is not None:
            tx.sources.put(replace(source, retry_at=None))
        return _told(tx, run, "run_unblocked", now)

    return await ledger.write(work)


def _told(tx: Tx, run: Run, action: str, now: datetime) -> Run:
    """Say in the trail what a person did to a run."""
    tx.events.add(
        action,
        at=now,
        schedule=run.schedule,
        run_id=run.id,
        trigger=run.trigger,
        db_profile=run.db_profile,
    )
    return run


async def find(ledger: Ledger, text: str) -> RunId:
    """Return the run that a person means by a whole id or an unambiguous beginning of one.

    Raises: NotFoundError.
    """
    runs = await ledger.read(lambda tx: tx.runs.list(RunFilter(limit=10_000)))
    exact = [run.id for run in runs if run.id == text]
    close = exact or [run.id for run in runs if run.id.startswith(text)]
    if len(close) == 1:
        return close[0]
    if close:
        raise NotFoundError(f"{text!r} could be any of {len(close)} runs; give more of its id")
    raise NotFoundError(f"there is no run {text!r}; see them with: amxwatch history list")
