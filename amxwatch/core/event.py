"""The audit trail: one line for everything that happened, in stable action names."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

ACTIONS: dict[str, str] = {
    "config_loaded": "the config was read and is in force",
    "config_rejected": "an edit of the config was wrong; the last good one stays in force",
    "daemon_started": "a daemon took the heartbeat",
    "daemon_stopped": "a daemon left in good order",
    "source_down": "a database could not be read; its last snapshot is kept",
    "source_held": "a source seems to be another database than before; a person decides",
    "objects_unseen": "tables vanished when the reader's rights moved; they are kept, not dropped",
    "source_up": "a database that was down can be read again",
    "source_problem": "a part of a source could not be read; the rest counts",
    "snapshot_taken": "a new snapshot was numbered",
    "baseline_taken": "the reader, the source or the ignore set moved: a new baseline, no change",
    "cache_rebuilt": "the catalog cache was rebuilt from the ledger",
    "snapshots_pruned": "old snapshots were forgotten by `catalog prune`",
    "schedule_armed": "a schedule was seen for the first time, or its trigger was edited",
    "schedule_added": "a schedule was written by `schedule add`",
    "schedule_paused": "a person paused a schedule",
    "schedule_resumed": "a person resumed a schedule",
    "schedule_cancelled": "a person cancelled a schedule",
    "schedule_removed": "a person removed a schedule",
    "schedule_skipped": "a person dismissed a missed firing",
    "schedule_missed": "a firing came due while nothing ran",
    "schedule_waiting": "a change waits for its burst to settle or its cap to end",
    "watermark_moved": "a schedule's pending changes came to nothing",
    "run_queued": "a run was put in the queue",
    "run_started": "a worker took a run",
    "run_completed": "a run came to its end",
    "run_failed": "a run ended in an error",
    "run_cancelled": "a run was stopped by a person",
    "run_blocked": "a run waits for a person",
    "run_unblocked": "a person let a blocked run go on",
    "run_released": "a worker left in good order and gave its run back",
    "run_recovered": "a run whose worker died goes on from its last recorded step",
    "reply_lost": "a request was in flight when its worker died; it is asked, and paid, again",
    "reply_problem": "a part of a model's reply could not be used",
    "draft_made": "a draft was put in the review queue",
    "draft_accepted": "a reviewer accepted an alternative",
    "draft_edited": "a reviewer wrote their own text",
    "draft_skipped": "a reviewer left a draft for later",
    "draft_rejected": "a reviewer turned a draft down",
    "draft_reopened": "a reviewer took their answer back",
    "draft_superseded": "a newer draft took this one's place",
    "draft_withdrawn": "the draft's object is gone",
    "comment_written": "a comment was written and read back",
    "comment_failed": "the database refused a comment; it stays queued",
    "comment_conflict": "someone else changed the comment since the draft; nothing was written",
    "comment_undone": "a written comment was put back to what it was",
    "budget_warning": 'spending passed a limit under `on_limit = "warn"`',
}
"""Every action name and what it says. Public: scripts and dashboards rely on them."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of the trail. `id` grows; `at` is aware UTC; `detail` is JSON-able, no secrets."""

    id: int
    at: datetime
    action: str
    schedule: str | None = None
    run_id: str | None = None
    trigger: str | None = None
    db_profile: str | None = None
    detail: dict[str, object] = field(default_factory=dict)
