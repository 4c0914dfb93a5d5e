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
    "schedule_armed": "a schedule counts from now on; the reason says why",
    "schedule_added": "a schedule was written by `schedule add`",
    "schedule_edited": "a schedule was changed by `schedule edit`",
    "schedule_paused": "a schedule was paused, by a person or after failures in a row",
    "schedule_resumed": "a person resumed a schedule",
    "schedule_cancelled": "a person cancelled a schedule",
    "schedule_removed": "a person removed a schedule",
    "schedule_skipped": "a person dismissed a missed firing",
    "schedule_missed": "one firing, or `count` of them, came due while nothing ran",
    "schedule_passed_over": "a firing came due while an earlier run was open",
    "schedule_backfilled": "a person queued past firings",
    "schedule_waiting": "a change waits for its burst to settle or its cap to end",
    "watermark_moved": "a schedule's pending changes came to nothing",
    "run_queued": "a run was put in the queue",
    "run_started": "a worker took a run",
    "run_completed": "a run came to its end",
    "run_failed": "a run ended in an error",
    "run_cancelled": "a run was stopped by a person",
    "run_blocked": "a run waits for a person",
    "run_unblocked": "a person let a blocked run go on",
    "run_retried": "a run failed in a way that passes by itself; it is tried again later",
    "run_released": "a worker left in good order and gave its run back",
    "run_recovered": "a run whose worker died goes on from its last recorded step",
    "request_sent": "a request goes to a model; `holds` says which kinds of data are in it",
    "reply_lost": "a request was in flight when its worker died; it is asked, and paid, again",
    "batch_sent": "requests that can wait were sent as a batch, at half the price",
    "batch_ended": "a batch was answered, or is lost; what is missing is asked one by one",
    "reply_problem": "a part of a model's reply could not be used",
    "confidence_fallback": "a confidence signal could not be had; the evidence stood in for it",
    "profile_deviated": "a table's values differ from how a persistent schedule saw them last",
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
    "object_locked": "a person keeps an object's description to themselves",
    "object_unlocked": "a person lets an object be described again",
    "comments_exported": "accepted descriptions were written to a file",
    "intake_added": "a signal from outside became an intake item",
    "intake_held": "automatic triage left an item to a person",
    "intake_approved": "an item was let through, by the rules or by a person",
    "intake_rejected": "an item was turned down, or given up after failed runs",
    "intake_planned": "an item became a run",
    "intake_put_back": "an item's run failed; it waits for another one",
    "intake_resolved": "an item's run came to its end",
    "intake_refused": "a dropped file could not be used; it lies beside a reason",
    "session_started": "a continuous session began",
    "session_step": "a session moved: a run was put or ended, or it waits for something else now",
    "session_ended": "a session came to its end; the reason says which",
    "goal_met": "what a goals file asks for was found to be true",
    "alert_opened": "something is worth telling, and its alert was put in the outbox",
    "alert_recovered": "what an alert told of is over",
    "alert_sent": "a target was told",
    "alert_failed": "a target could not be told; it is tried again until it is given up",
    "house_kept": "what was older than `[retention]` says was forgotten",
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
