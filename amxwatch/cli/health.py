"""How an install does: the document of `status`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from amxwatch.cli.documents import Document
from amxwatch.cli.output import moment
from amxwatch.core.draft import APPLICABLE, REVIEWABLE
from amxwatch.core.errors import StoreError
from amxwatch.core.run import Run, RunStatus
from amxwatch.daemon.wiring import Install
from amxwatch.ports.ledger import DaemonState, RunFilter, SourceState, Tx

STALE_POLLS = 3
STALE_SECONDS = 30.0
ALL_RUNS = 1_000_000


async def status_document(install: Install) -> Document:
    """Return what `status --json` prints."""
    now = install.clock.now()
    profiles = sorted(install.settings.db_profiles)

    def read(tx: Tx) -> Document:
        runs = tx.runs.list(RunFilter(limit=ALL_RUNS))
        states = tx.schedules.list()
        sources = [tx.sources.get(name) for name in profiles]
        return {
            "daemon": _daemon(tx, now),
            "service": _service(install.folder.log),
            "runs": _counts(runs),
            "pending_review": tx.drafts.count(REVIEWABLE),
            "ready_to_apply": tx.drafts.count(APPLICABLE),
            "blocked": [
                *(_blocked(run) for run in runs if run.status is RunStatus.BLOCKED),
                *(_held(state) for state in sources if state.held),
            ],
            "continuous_session": None,
            "missed": sorted(
                state.name
                for state in states
                if state.missed_due_at is not None and state.name in install.settings.schedules
            ),
            "sources": [source_document(tx, name) for name in profiles],
            "config_error": None if install.config_error is None else str(install.config_error),
        }

    return await install.ledger.read(read)


def _daemon(tx: Tx, now: datetime) -> Document:
    try:
        state = tx.installation.daemon()
    except StoreError:
        return {**_NO_DAEMON, "status": "not_running"}
    if state is None:
        return {**_NO_DAEMON, "status": "never_started"}
    return {
        "status": daemon_status(state, now),
        "pid": state.pid,
        "started_at": moment(state.started_at),
        "last_heartbeat_at": moment(state.heartbeat_at),
        "last_cycle_result": state.last_cycle_result,
        "poll_seconds": state.poll_seconds,
        "stale_after_seconds": stale_after(state),
    }


_NO_DAEMON: Document = dict.fromkeys(
    (
        "status",
        "pid",
        "started_at",
        "last_heartbeat_at",
        "last_cycle_result",
        "poll_seconds",
        "stale_after_seconds",
    )
)


def daemon_status(state: DaemonState, now: datetime) -> str:
    """Return `running`, `stale` or `not_running`."""
    if state.stopped_at is not None:
        return "not_running"
    silent = (now - state.heartbeat_at).total_seconds()
    return "stale" if silent > stale_after(state) else "running"


def stale_after(state: DaemonState) -> float:
    """Return how many seconds without a heartbeat are too many."""
    return max(STALE_POLLS * state.poll_seconds, STALE_SECONDS)


def _service(log: Path) -> Document:
    """Say what is known of the OS service: this version installs none, and has a log."""
    try:
        found = log.stat()
    except OSError:
        return {"status": "not_installed", "log_size_bytes": None, "log_mtime": None}
    from datetime import UTC

    return {
        "status": "not_installed",
        "log_size_bytes": found.st_size,
        "log_mtime": moment(datetime.fromtimestamp(found.st_mtime, UTC)),
    }


def _counts(runs: list[Run]) -> Document:
    counts: Document = {
        str(status): sum(run.status is status for run in runs) for status in RunStatus
    }
    return {**counts, "total": len(runs)}


def _blocked(run: Run) -> Document:
    return {
        "id": run.id,
        "category": run.failure_category,
        "recovery_action": run.recovery_action,
        "schedule": run.schedule,
        "error": run.error,
    }


def _held(state: SourceState) -> Document:
    """A source that seems to be another database waits for a person, as a flooded run does."""
    return {
        "id": state.profile,
        "category": "flood",
        "recovery_action": f"amxwatch catalog refresh {state.profile} --accept",
        "schedule": None,
        "error": state.error,
    }


def source_document(tx: Tx, profile: str) -> Document:
    """Return how looking at one db profile goes, as `status --json` shows it."""
    state, newest = tx.sources.get(profile), tx.snapshots.latest(profile)
    return {
        "profile": profile,
        "status": source_status(state),
        "looked_at": moment(state.looked_at),
        "read_at": moment(state.read_at),
        "failing_since": moment(state.failing_since),
        "failures": state.failures,
        "retry_at": moment(state.retry_at),
        "error": state.error,
        "snapshot": newest.number if newest else None,
        "tables": newest.tables if newest else None,
        "columns": newest.columns if newest else None,
        "problems": [str(problem) for problem in state.problems],
        "unseen": [str(each.ref) for each in state.unseen],
    }


def source_status(state: SourceState) -> str:
    """Return `ok`, `down`, `held`, or `unseen` before the first look."""
    if state.failing_since is not None:
        return "held" if state.held else "down"
    return "ok" if state.looked_at is not None else "unseen"
