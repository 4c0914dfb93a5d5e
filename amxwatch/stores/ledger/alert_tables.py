"""The tables of alerts and their outbox; part of the same metadata as `tables`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text, text

from amxwatch.core.alert import AlertKind, Severity
from amxwatch.core.message import Phase
from amxwatch.stores.ledger.columns import Choice, Document, Moment, Serial, Words
from amxwatch.stores.ledger.tables import metadata

alert = Table(
    "alert",
    metadata,
    Column("id", Text, primary_key=True),
    Column("key", Words, nullable=False),
    Column("kind", Choice(AlertKind), nullable=False),
    Column("severity", Choice(Severity), nullable=False),
    Column("title", Words, nullable=False),
    Column("schedule", Words),
    Column("db_profile", Words),
    Column("run_id", Text),
    Column("detail", Document, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("recovered_at", Moment),
)

OPEN_ALERT = text("recovered_at IS NULL")

Index("alert_by_time", alert.c.opened_at, alert.c.id)
Index("alert_open", alert.c.key, unique=True, sqlite_where=OPEN_ALERT, postgresql_where=OPEN_ALERT)

delivery = Table(
    "alert_delivery",
    metadata,
    Column("number", Serial, primary_key=True),
    Column("alert_id", Text, ForeignKey("alert.id"), nullable=False),
    Column("target", Words, nullable=False),
    Column("phase", Choice(Phase), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("not_before", Moment, nullable=False),
    Column("told_at", Moment),
    Column("dropped_at", Moment),
    Column("owner", Text),
    Column("until", Moment),
    Column("error", Words),
    sqlite_autoincrement=True,
)
"""The outbox: who is to be told of which alert, and when they were."""

WAITING = text("told_at IS NULL AND dropped_at IS NULL")

Index("delivery_once", delivery.c.alert_id, delivery.c.target, delivery.c.phase, unique=True)
Index("delivery_waiting", delivery.c.number, sqlite_where=WAITING, postgresql_where=WAITING)

alert_seen = Table(
    "alert_seen",
    metadata,
    Column("profile", Words, primary_key=True),
    Column("number", BigInteger, nullable=False),
)
"""Up to which snapshot the changes of each db profile were looked through."""
