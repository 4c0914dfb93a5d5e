"""How an install does: the document of `status`."""

from __future__ import annotations

from datetime import datetime

from amxwatch.cli.documents import Document, session_detail, session_document
from amxwatch.cli.intaking import open_counts
from amxwatch.cli.output import moment
from amxwatch.core.draft import APPLICABLE, REVIEWABLE
from amxwatch.core.errors import StoreError
from amxwatch.core.heartbeat import is_stale, stale_after
from amxwatch.core.run import Run, RunStatus
from amxwatch.daemon.wiring import Install
from amxwatch.ports.ledger import DaemonState, RunFilter, SourceState, Tx
from amxwatch.settings.folder import Folder

ALL_RUNS = 1_000_000


async def status_document(install: Install) -> Document:
    """Return what `status --json` prints."""
    now = install.clock.now()
    profiles = sorted(install.settings.db_profiles)
    service = await _service(install.folder)

    dead = await _dead_sessions(install)

    def read(tx: Tx) -> Document:
        runs = tx.runs.list(RunFilter(limit=ALL_RUNS))
        states = tx.schedules.list()
        sources = [tx.sources.get(name) for name in profiles]
        sessions = [session for session in tx.sessions.open() if session.id not in dead]
        return {
            "daemon": _daemon(tx, now),
            "service": service,
            "runs": _counts(runs),
            "pending_review": tx.drafts.count(REVIEWABLE),
            "ready_to_apply": tx.drafts.count(APPLICABLE),
            "intake": open_counts(tx.intake.count()),
            "blocked": [
                *(_blocked(run) for run in runs if run.status is RunStatus.BLOCKED),
                *(_held(state) for state in sources if state.held),
            ],
            "continuous_session": session_document(sessions[0]) if sessions else None,
            "continuous_sessions": [
                session_detail(session, tx.sessions.spent(session)) for session in sessions
            ],
            "missed": sorted(
                state.name
                for state in states
                if state.missed_due_at is not None and state.name in install.settings.schedules
            ),
            "sources": [source_document(tx, name) for name in profiles],
            "config_error": None if install.config_error is None else str(install.config_error),
        }

    return await install.ledger.read(read)


async def _dead_sessions(install: Install) -> set[str]:
    """Return the sessions whose process died; the next turn of anything ends them."""
    found = await install.ledger.read(lambda tx: tx.sessions.open())
    return {s.id for s in found if s.owner_type == "cli" and install.owner.is_dead(s.owner_id)}


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
        "stale_after_seconds": stale_after(state.poll_seconds),
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
    stale = is_stale(state.heartbeat_at, now, poll_seconds=state.poll_seconds)
    return "stale" if stale else "running"


async def _service(folder: Folder) -> Document:
    """Say what the operating system makes of the service; without its file it is not asked."""
    from amxwatch.cli.service import log_facts
    from amxwatch.daemon.os_service import service_status

    return {"status": await service_status(folder.path), **log_facts(folder.log)}


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
