"""What the scheduler remembers beyond one firing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Remember whether a schedule was enabled when it was last looked at."""
    op.add_column(
        "schedule", sa.Column("enabled", sa.Boolean(), nullable=False, server_default=sa.true())
    )
    op.add_column("draft", sa.Column("undone_at", sa.Text(), nullable=True))
    _number_moves()
    _add_retries()
    _make_intake()
    _make_sessions()
    _make_alerts()
    _make_memory()


def _number_moves() -> None:
    """Give each change of a schedule's state a number, to ask what moved since."""
    column = sa.Column("seq", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("schedule", column)
    op.create_index("schedule_by_seq", "schedule", ["seq"])
    op.create_index("step_by_run", "step", ["run_id"])
    op.create_index("step_by_time", "step", ["at"])


def _add_retries() -> None:
    """Count how often a run was tried again, and find events by what they say."""
    for name in ("retries", "max_retries"):
        op.add_column("run", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.create_index("event_by_action", "event", ["action", "id"])


def _make_intake() -> None:
    """Add the queue of signals that became work, and how far each git ref was seen."""
    op.create_table(
        "intake",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("db_profile", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("dedupe_key", sa.Text(), nullable=False),
        sa.Column("signal", sa.Text(), nullable=True),
        sa.Column("added_at", sa.Text(), nullable=False),
        sa.Column("not_before", sa.Text(), nullable=False),
        sa.Column("approved_at", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("session", sa.Text(), nullable=True),
        sa.Column("schedule", sa.Text(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.UniqueConstraint("signal"),
    )
    op.create_index("ix_intake_run_id", "intake", ["run_id"])
    op.create_index("intake_by_state", "intake", ["state", "priority", "added_at", "id"])
    untriaged = sa.text("state = 'new' AND reason IS NULL")
    op.create_index(
        "intake_untriaged",
        "intake",
        ["state", "reason", "priority", "added_at", "id"],
        sqlite_where=untriaged,
        postgresql_where=untriaged,
    )
    is_open = sa.text("state IN ('new', 'approved', 'planned', 'running')")
    op.create_index(
        "intake_open",
        "intake",
        ["dedupe_key"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    op.create_table(
        "git_ref",
        sa.Column("watch", sa.Text(), primary_key=True),
        sa.Column("commit", sa.Text(), nullable=False),
    )


def _make_sessions() -> None:
    """Add continuous sessions, of which an owner has at most one open."""
    op.create_table(
        "session",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("owner_type", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("db_profile", sa.Text(), nullable=False),
        sa.Column("vision_path", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Text(), nullable=False),
        sa.Column("moved_at", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Text(), nullable=True),
        sa.Column("due_key", sa.Text(), nullable=True),
        sa.Column("max_runs", sa.BigInteger(), nullable=False),
        sa.Column("max_usd", sa.Text(), nullable=True),
        sa.Column("runs_started", sa.BigInteger(), nullable=False),
        sa.Column("runs_completed", sa.BigInteger(), nullable=False),
        sa.Column("idle_cycles", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("goal", sa.Text(), nullable=True),
        sa.Column("intake_id", sa.Text(), nullable=True),
        sa.Column("objective", sa.Text(), nullable=True),
        sa.Column("met", sa.Text(), nullable=True),
        sa.Column("tries", sa.Text(), nullable=False),
        sa.Column("expansions", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("recovery_action", sa.Text(), nullable=True),
        sa.UniqueConstraint("due_key"),
    )
    is_open = sa.text("ended_at IS NULL")
    op.create_index(
        "session_open",
        "session",
        ["owner_type", "owner_id"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def _make_memory() -> None:
    """Add how each table looked to a persistent schedule last."""
    op.create_table(
        "table_look",
        sa.Column("schedule", sa.Text(), primary_key=True),
        sa.Column("schema_name", sa.Text(), primary_key=True),
        sa.Column("table_name", sa.Text(), primary_key=True),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("statistics", sa.Text(), nullable=False),
    )


def _make_alerts() -> None:
    """Add the alerts and their outbox, and find the schedules that are in trouble."""
    op.create_table(
        "alert",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=True),
        sa.Column("db_profile", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.Text(), nullable=False),
        sa.Column("recovered_at", sa.Text(), nullable=True),
    )
    op.create_index("alert_by_time", "alert", ["opened_at", "id"])
    _partial_index("alert_open", "alert", "key", "recovered_at IS NULL", unique=True)
    op.create_table(
        "alert_delivery",
        sa.Column("number", _SERIAL, primary_key=True),
        sa.Column("alert_id", sa.Text(), sa.ForeignKey("alert.id"), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.Text(), nullable=False),
        sa.Column("told_at", sa.Text(), nullable=True),
        sa.Column("dropped_at", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("until", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sqlite_autoincrement=True,
    )
    once = ["alert_id", "target", "phase"]
    op.create_index("delivery_once", "alert_delivery", once, unique=True)
    waiting = "told_at IS NULL AND dropped_at IS NULL"
    _partial_index("delivery_waiting", "alert_delivery", "number", waiting)
    op.create_table(
        "alert_seen",
        sa.Column("profile", sa.Text(), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
    )
    failing = "consecutive_failures > 0"
    _partial_index("schedule_failing", "schedule", "consecutive_failures", failing)
    _partial_index("schedule_missed", "schedule", "missed_due_at", "missed_due_at IS NOT NULL")


_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _partial_index(name: str, table: str, column: str, where: str, *, unique: bool = False) -> None:
    clause = sa.text(where)
    op.create_index(
        name, table, [column], unique=unique, sqlite_where=clause, postgresql_where=clause
    )
