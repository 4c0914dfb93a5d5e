"""The tables. Column names are the fields' names; `columns` has the kinds of column."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
    text,
    true,
)

from amxwatch.core.batch import BatchEnd
from amxwatch.core.catalog import ObjectType
from amxwatch.core.continuous import SessionStatus
from amxwatch.core.draft import Band, DraftSource, DraftStatus
from amxwatch.core.intake import IntakeSource, IntakeState, Priority
from amxwatch.core.run import RunKind, RunStatus, RunTrigger
from amxwatch.stores.ledger.columns import (
    Choice,
    Document,
    MannerText,
    Moment,
    Money,
    Serial,
    Words,
)

metadata = MetaData()

run = Table(
    "run",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Choice(RunKind), nullable=False),
    Column("status", Choice(RunStatus), nullable=False),
    Column("trigger", Choice(RunTrigger), nullable=False),
    Column("trigger_reason", Words, nullable=False),
    Column("db_profile", Words, nullable=False),
    Column("llm_profile", Words),
    Column("schedule", Words),
    Column("database", Words),
    Column("scope", Words, nullable=False),
    Column("review_strategy", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("unique_key", Text, unique=True),
    Column("due_at", Moment),
    Column("from_snapshot", BigInteger),
    Column("to_snapshot", BigInteger),
    Column("queued_at", Moment, nullable=False),
    Column("not_before", Moment, nullable=False),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Column("timeout_seconds", Float),
    Column("attempt", Integer, nullable=False),
    Column("recovered", Integer, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("owner", Text),
    Column("reserved_for", Text),
    Column("lease_until", Moment),
    Column("cancel_requested", Boolean, nullable=False),
    Column("objects", BigInteger, nullable=False),
    Column("drafted", BigInteger, nullable=False),
    Column("reused", BigInteger, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_usd", Money),
    Column("unpriced", BigInteger, nullable=False, server_default="0"),
    Column("price_version", Text),
    Column("summary", Words),
    Column("failure_category", Text),
    Column("error", Words),
    Column("recovery_action", Words),
    Column("retries", Integer, nullable=False, server_default="0"),
    Column("max_retries", Integer, nullable=False, server_default="0"),
    Column("manner", MannerText, nullable=False, server_default="{}"),
)

OPEN_CHANGE = text(
    "status IN ('queued', 'running', 'blocked') AND \"trigger\" IN ('change', 'files')"
)
"""Literal, because PostgreSQL cannot match a partial index by bound values."""

Index("run_by_status", run.c.status, run.c.priority.desc(), run.c.queued_at, run.c.id)
Index("run_by_time", run.c.queued_at, run.c.id)
Index("run_by_schedule", run.c.schedule, run.c.queued_at, run.c.id)
Index("run_by_profile", run.c.db_profile, run.c.queued_at, run.c.id)
Index(
    "run_open_change",
    run.c.schedule,
    unique=True,
    sqlite_where=OPEN_CHANGE,
    postgresql_where=OPEN_CHANGE,
)

step = Table(
    "step",
    metadata,
    Column("key", Text, primary_key=True),
    Column("run_id", Text, ForeignKey("run.id"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("reply", Document, nullable=False),
)
"""Paid replies, until `[retention]` lets them go."""

Index("step_by_run", step.c.run_id)
Index("step_by_time", step.c.at)

flight = Table(
    "flight",
    metadata,
    Column("run_id", Text, ForeignKey("run.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("at", Moment, nullable=False),
)
"""Requests that are under way."""

request = Table(
    "request",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("run_id", Text, ForeignKey("run.id"), nullable=False, index=True),
    Column("key", Text, nullable=False),
    Column("at", Moment, nullable=False, index=True),
    Column("cost_usd", Money),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("price_version", Text),
    sqlite_autoincrement=True,
)
"""What each answered request took, and by which price table and rates that was reckoned."""

batch = Table(
    "batch",
    metadata,
    Column("tag", Text, primary_key=True),
    Column("run_id", Text, ForeignKey("run.id"), nullable=False, index=True),
    Column("llm_profile", Words, nullable=False),
    Column("keys", Document, nullable=False),
    Column("at", Moment, nullable=False),
    Column("job", Text),
    Column("looks", Integer, nullable=False),
    Column("ended", Choice(BatchEnd)),
)
"""Requests that were sent to be answered later; written down before they are sent."""

schedule = Table(
    "schedule",
    metadata,
    Column("name", Words, primary_key=True),
    Column("armed_at", Moment, nullable=False),
    Column("trigger_hash", Text, nullable=False),
    Column("scope", Words, nullable=False),
    Column("watermark", BigInteger),
    Column("former_scope", Words),
    Column("scope_since", BigInteger),
    Column("files_mark", Text),
    Column("fired_mark", Text),
    Column("paused", Boolean, nullable=False),
    Column("cancelled", Boolean, nullable=False),
    Column("missed_due_at", Moment),
    Column("last_due_at", Moment),
    Column("last_fired_at", Moment),
    Column("last_change_run_at", Moment),
    Column("settle_mark", Text),
    Column("settle_since", Moment),
    Column("settle_first", Moment),
    Column("skip_reason", Words),
    Column("last_run_id", Text),
    Column("last_run_status", Text),
    Column("last_error", Words),
    Column("consecutive_failures", Integer, nullable=False),
    Column("runs", BigInteger, nullable=False),
    Column("runs_completed", BigInteger, nullable=False),
    Column("declined_mark", Text),
    Column("enabled", Boolean, nullable=False, server_default=true()),
    Column("seq", BigInteger, nullable=False, server_default="0"),
)

Index("schedule_by_seq", schedule.c.seq)
"""So that who keeps an agenda asks what moved since it last asked, in one cheap look."""

FAILING = text("consecutive_failures > 0")
MISSED = text("missed_due_at IS NOT NULL")

Index(
    "schedule_failing",
    schedule.c.consecutive_failures,
    sqlite_where=FAILING,
    postgresql_where=FAILING,
)
Index("schedule_missed", schedule.c.missed_due_at, sqlite_where=MISSED, postgresql_where=MISSED)

snapshot = Table(
    "snapshot",
    metadata,
    Column("profile", Words, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("reader", Text, nullable=False),
    Column("source", Words, nullable=False),
    Column("ignore", Document, nullable=False),
    Column("baseline", Boolean, nullable=False),
    Column("tables", BigInteger, nullable=False),
    Column("columns", BigInteger, nullable=False),
    Column("changes", BigInteger, nullable=False),
    Column("delta", LargeBinary, nullable=False),  # last: SQLite reads a row up to what is asked
)

object_name = Table(
    "object",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("profile", Words, nullable=False),
    Column("schema_name", Words, nullable=False),
    Column("table_name", Words, nullable=False),
    Column("column_name", Words, nullable=False),
    Column("retired", Boolean, nullable=False),
    sqlite_autoincrement=True,
)
"""Ids and the names they stand under; a retired id keeps its last name."""

LIVE = text("NOT retired")

Index(
    "object_live",
    object_name.c.profile,
    object_name.c.schema_name,
    object_name.c.table_name,
    object_name.c.column_name,
    unique=True,
    sqlite_where=LIVE,
    postgresql_where=LIVE,
)

draft = Table(
    "draft",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("run_id", Text, ForeignKey("run.id"), nullable=False, index=True),
    Column("object_id", Serial, ForeignKey("object.id"), nullable=False),
    Column("object_type", Choice(ObjectType), nullable=False),
    Column("status", Choice(DraftStatus), nullable=False, index=True),
    Column("source", Choice(DraftSource), nullable=False),
    Column("alternatives", Document, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("band", Choice(Band), nullable=False),
    Column("flags", Document, nullable=False),
    Column("base_comment", Words),
    Column("input_hash", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("text", Words),
    Column("choice", Integer),
    Column("reviewed_at", Moment),
    Column("written_at", Moment),
    Column("written_text", Words),
    Column("undone_at", Moment),
    Column("owner", Text),
    Column("error", Words),
    sqlite_autoincrement=True,
)

Index("draft_by_object", draft.c.object_id, draft.c.status)

event = Table(
    "event",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("action", Text, nullable=False),
    Column("schedule", Words),
    Column("run_id", Text, index=True),
    Column("trigger", Words),
    Column("db_profile", Words),
    Column("detail", Document, nullable=False),
    sqlite_autoincrement=True,
)
"""Append-only."""

Index("event_by_action", event.c.action, event.c.id)

source = Table(
    "source",
    metadata,
    Column("profile", Words, primary_key=True),
    Column("gate", Words),
    Column("looked_at", Moment),
    Column("read_at", Moment),
    Column("failing_since", Moment),
    Column("failures", Integer, nullable=False),
    Column("retry_at", Moment),
    Column("error", Words),
    Column("problems", Document, nullable=False),
    Column("held", Boolean, nullable=False, server_default=false()),
    Column("grants", Words),
    Column("unseen", Document, nullable=False, server_default="[]"),
)

intake = Table(
    "intake",
    metadata,
    Column("id", Text, primary_key=True),
    Column("source", Choice(IntakeSource), nullable=False),
    Column("title", Words, nullable=False),
    Column("detail", Words, nullable=False),
    Column("db_profile", Words, nullable=False),
    Column("scope", Words, nullable=False),
    Column("priority", Choice(Priority), nullable=False),
    Column("state", Choice(IntakeState), nullable=False),
    Column("dedupe_key", Text, nullable=False),
    Column("signal", Text, unique=True),
    Column("added_at", Moment, nullable=False),
    Column("not_before", Moment, nullable=False),
    Column("approved_at", Moment),
    Column("ended_at", Moment),
    Column("run_id", Text, index=True),
    Column("session", Text),
    Column("schedule", Words),
    Column("tries", Integer, nullable=False),
    Column("outcome", Text),
    Column("reason", Words),
)
"""Signals that became work."""

OPEN_INTAKE = text("state IN ('new', 'approved', 'planned', 'running')")

UNTRIAGED = text("state = 'new' AND reason IS NULL")

Index(
    "intake_untriaged",
    intake.c.state,  # all equal: without them SQLite would take the index of all states
    intake.c.reason,
    intake.c.priority,
    intake.c.added_at,
    intake.c.id,
    sqlite_where=UNTRIAGED,
    postgresql_where=UNTRIAGED,
)
Index("intake_by_state", intake.c.state, intake.c.priority, intake.c.added_at, intake.c.id)
Index(
    "intake_open",
    intake.c.dedupe_key,
    unique=True,
    sqlite_where=OPEN_INTAKE,
    postgresql_where=OPEN_INTAKE,
)

git_ref = Table(
    "git_ref",
    metadata,
    Column("watch", Text, primary_key=True),
    Column("commit", Text, nullable=False),
)
"""How far each watched git ref was seen."""

session = Table(
    "session",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner_type", Text, nullable=False),
    Column("owner_id", Words, nullable=False),
    Column("db_profile", Words, nullable=False),
    Column("vision_path", Words, nullable=False),
    Column("status", Choice(SessionStatus), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("moved_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("due_key", Text, unique=True),
    Column("max_runs", BigInteger, nullable=False),
    Column("max_usd", Money),
    Column("runs_started", BigInteger, nullable=False),
    Column("runs_completed", BigInteger, nullable=False),
    Column("idle_cycles", BigInteger, nullable=False),
    Column("run_id", Text),
    Column("goal", Words),
    Column("intake_id", Text),
    Column("objective", Words),
    Column("met", Document),
    Column("tries", Document, nullable=False),
    Column("expansions", Document, nullable=False),
    Column("reason", Words),
    Column("category", Text),
    Column("recovery_action", Words),
)
"""Continuous sessions; at most one open for each owner."""

OPEN_SESSION = text("ended_at IS NULL")

Index(
    "session_open",
    session.c.owner_type,
    session.c.owner_id,
    unique=True,
    sqlite_where=OPEN_SESSION,
    postgresql_where=OPEN_SESSION,
)

table_look = Table(
    "table_look",
    metadata,
    Column("schedule", Words, primary_key=True),
    Column("schema_name", Words, primary_key=True),
    Column("table_name", Words, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("statistics", Text, nullable=False),
)
"""How each table looked to a persistent schedule last."""

installation = Table(
    "installation",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
"""A few documents that belong to the install as a whole."""
