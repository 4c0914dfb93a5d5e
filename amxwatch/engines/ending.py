"""How a run ended, as a move of its state machine."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from amxwatch.core.errors import (
    AmxwatchError,
    DatabaseError,
    FencedError,
    KeyRefusedError,
    LoginRefusedError,
    ProviderError,
    ProviderUnavailableError,
    RunBlockedError,
    RunCancelledError,
    RunReleasedError,
    StoreError,
    StoreFullError,
    UsageError,
)
from amxwatch.core.retry import backoff
from amxwatch.core.run import Outcome, Run, RunEvent

log = logging.getLogger(__name__)

CATEGORIES: tuple[tuple[type[AmxwatchError], str], ...] = (
    (DatabaseError, "database"),
    (ProviderError, "provider"),
    (StoreError, "store"),
    (UsageError, "usage"),
)
"""What kinds of failure are told apart, besides `timeout`, `interrupted` and `internal`."""

NO_ROOM = timedelta(minutes=1)
"""How long a run waits that found the disk full."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """A move, the action of its event, and the fields that are set with it."""

    event: RunEvent
    action: str
    values: dict[str, Any] = field(default_factory=dict)


def completed(outcome: Outcome, at: datetime) -> Ending:
    """Return the ending of a run that did its work."""
    values: dict[str, Any] = {
        "summary": outcome.summary,
        "objects": outcome.objects,
        "drafted": outcome.drafted,
        "reused": outcome.reused,
        "finished_at": at,
    }
    if outcome.to_snapshot is not None:
        values["to_snapshot"] = outcome.to_snapshot
    return Ending(event=RunEvent.COMPLETE, action="run_completed", values=values)


def failed(error: str, category: str, at: datetime) -> Ending:
    """Return the ending of a run that could not do its work; `error` becomes one line."""
    values = {"error": _one_line(error), "failure_category": category, "finished_at": at}
    return Ending(event=RunEvent.FAIL, action="run_failed", values=values)


def cancelled(at: datetime) -> Ending:
    """Return the ending of a run that was asked to stop."""
    return Ending(event=RunEvent.CANCEL, action="run_cancelled", values={"finished_at": at})


def released(not_before: datetime | None = None) -> Ending:
    """Return the ending of a claim whose worker leaves; any other worker may go on."""
    values: dict[str, Any] = {"reserved_for": None}
    if not_before is not None:
        values["not_before"] = not_before
    return Ending(event=RunEvent.RELEASE, action="run_released", values=values)


def timed_out(run: Run, at: datetime) -> Ending:
    """Return the ending of a run that took too long."""
    says = (
        f"the run took longer than its timeout_seconds = {run.timeout_seconds:g}; raise it, or"
        f" narrow the scope (what was drafted is kept, and a new run goes on from there)"
    )
    return failed(says, "timeout", at)


def of_error(error: BaseException, run: Run, at: datetime) -> Ending | None:
    """Return the ending that an exception of the handler means; None where we were fenced."""
    ended = _of_error(error, run, at)
    if ended is not None and "not_before" in ended.values and run.queued_at > at:
        # It was queued by a clock that has been set back since: what is queued in the future
        # waits for nothing, and would be claimed and put off again and again until then.
        ended.values["queued_at"] = at
    return ended


def _of_error(error: BaseException, run: Run, at: datetime) -> Ending | None:
    cause = _cause(error)
    if isinstance(cause, FencedError):
        return None
    if isinstance(cause, RunCancelledError):
        return cancelled(at)
    if isinstance(cause, RunReleasedError):
        return released(cause.not_before)
    if isinstance(cause, AmxwatchError):
        return _of_ours(cause, run, at)
    log.error(
        "a run failed for a reason unknown to amxwatch",
        exc_info=error,
        extra={"action": "run_failed", "run_id": run.id},
    )
    # Only the kind: a foreign message may hold values or secrets.
    says = f"internal error ({type(cause).__name__}): please report it with the log's traceback"
    return failed(says, "internal", at)


def _of_ours(error: AmxwatchError, run: Run, at: datetime) -> Ending:
    if isinstance(error, RunBlockedError):
        return _blocked(error, run)
    if isinstance(error, KeyRefusedError | LoginRefusedError):
        return _blocked(_credentials(error), run)
    if isinstance(error, StoreFullError):
        return released(at + NO_ROOM)  # no fault of the run's: it goes on once there is room
    category = next((word for kind, word in CATEGORIES if isinstance(error, kind)), "internal")
    if error.transient and run.retries < run.max_retries:
        return _retried(error, run, category, at)
    return failed(str(error), category, at)


def _retried(error: AmxwatchError, run: Run, category: str, at: datetime) -> Ending:
    """Return the ending of an attempt that another one may mend, after a growing pause."""
    count = run.retries + 1
    pause = backoff(count, key=run.id)
    if isinstance(error, ProviderUnavailableError) and error.retry_after is not None:
        pause = max(pause, error.retry_after)
    values = {
        "error": _one_line(str(error)),
        "failure_category": category,
        "retries": count,
        "not_before": at + pause,
        "reserved_for": None,
    }
    return Ending(event=RunEvent.RETRY, action="run_retried", values=values)


def _credentials(error: AmxwatchError) -> RunBlockedError:
    return RunBlockedError(
        str(error), category="credentials", recovery_action="amxwatch unblock RUN"
    )


def _blocked(error: RunBlockedError, run: Run) -> Ending:
    values = {
        "error": _one_line(str(error)),
        "failure_category": error.category,
        "recovery_action": re.sub(r"\bRUN\b", run.id, error.recovery_action),
    }
    return Ending(event=RunEvent.BLOCK, action="run_blocked", values=values)


_FIRST = (FencedError, RunCancelledError, RunBlockedError, RunReleasedError)


def _cause(error: BaseException) -> BaseException:
    """Return the exception that decides, out of the group that concurrent tasks may raise.

    A fault of ours before all, then the order of `_FIRST`, then whatever came first.
    """
    leaves = _leaves(error)
    unknown = [leaf for leaf in leaves if not isinstance(leaf, AmxwatchError)]
    ranked = [leaf for kind in _FIRST for leaf in leaves if isinstance(leaf, kind)]
    return [*unknown, *ranked, *leaves][0]


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


def _one_line(text: str) -> str:
    return " ".join(text.split())
