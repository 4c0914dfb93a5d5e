"""The JSON of runs, drafts, events and snapshots: fields that scripts rely on."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from amxwatch.cli.output import moment
from amxwatch.core.draft import Draft
from amxwatch.core.event import Event
from amxwatch.core.run import Run
from amxwatch.ports.ledger import SnapshotRecord

if TYPE_CHECKING:
    from amxwatch.core.continuous import Session

Document = dict[str, object]


def run_document(run: Run) -> Document:
    """Return one element of `history list --json`."""
    return {
        "id": run.id,
        "kind": run.kind,
        "status": run.status,
        "trigger": run.trigger,
        "trigger_reason": run.trigger_reason,
        "schedule": run.schedule,
        "db_profile": run.db_profile,
        "database": run.database,
        "llm_profile": run.llm_profile,
        "scope": run.scope,
        "queued_at": moment(run.queued_at),
        "started_at": moment(run.started_at),
        "finished_at": moment(run.finished_at),
        "duration_seconds": duration(run.started_at, run.finished_at),
        "objects": run.objects,
        "drafted": run.drafted,
        "reused": run.reused,
        "cost_usd": None if run.cost_usd is None else float(run.cost_usd),
        "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens,
        "summary": run.summary,
        "failure_category": run.failure_category,
        "error": run.error,
        "recovery_action": run.recovery_action,
        "recovered": run.recovered,
        "requests": run.requests,
        "unpriced_requests": run.unpriced,
        "price_version": run.price_version,
        "from_snapshot": run.from_snapshot,
        "to_snapshot": run.to_snapshot,
    }


def duration(start: datetime | None, end: datetime | None) -> float | None:
    """Return the seconds between, or None while either is unknown."""
    return None if start is None or end is None else round((end - start).total_seconds(), 3)


def session_document(session: Session) -> Document:
    """Return the `continuous_session` of `status --json`."""
    return {
        "session_id": session.id,
        "status": session.status,
        "vision_path": session.vision_path,
        "runs_completed": session.runs_completed,
        "max_runs": session.max_runs,
        "owner_type": session.owner_type,
        "owner_id": session.owner_id,
        "current_vision_objective": session.objective,
    }


def session_detail(session: Session, spent: Decimal) -> Document:
    """Return one element of `continuous_sessions` of `status --json`."""
    return {
        **session_document(session),
        "db_profile": session.db_profile,
        "started_at": moment(session.started_at),
        "run_id": session.run_id,
        "runs_started": session.runs_started,
        "idle_cycles": session.idle_cycles,
        "goals_met": None if session.met is None else len(session.met),
        "spent_usd": float(spent),
        "reason": session.reason,
        "blocked_category": session.category,
        "recovery_action": session.recovery_action,
    }


def draft_document(draft: Draft) -> Document:
    """Return one element of `review --list --json`."""
    return {
        "id": draft.id,
        "run_id": draft.run_id,
        "db_profile": draft.db_profile,
        "object_type": draft.object_type,
        "schema": draft.ref.schema,
        "table": draft.ref.table or None,
        "column": draft.ref.column or None,
        "current": draft.base_comment,
        "alternatives": list(draft.alternatives),
        "confidence": draft.confidence,
        "band": draft.band,
        "flags": list(draft.flags),
        "source": draft.source,
        "status": draft.status,
        "text": draft.text,
        "error": draft.error,
    }


def event_document(event: Event) -> Document:
    """Return one line of `events --json`; details stand beside the fixed fields."""
    fixed: Document = {
        "id": event.id,
        "at": moment(event.at),
        "action": event.action,
        "schedule": event.schedule,
        "run_id": event.run_id,
        "trigger": event.trigger,
        "db_profile": event.db_profile,
    }
    return {**event.detail, **fixed}


def snapshot_document(record: SnapshotRecord) -> Document:
    """Return one element of `catalog log --json`."""
    return {
        "profile": record.profile,
        "snapshot": record.number,
        "at": moment(record.at),
        "tables": record.tables,
        "columns": record.columns,
        "changes": record.changes,
        "baseline": record.baseline,
        "reader": record.reader,
        "source": record.source,
    }
