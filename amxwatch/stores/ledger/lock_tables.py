"""The table of locked objects."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Table

from amxwatch.stores.ledger.columns import Moment, Serial
from amxwatch.stores.ledger.tables import metadata

object_lock = Table(
    "object_lock",
    metadata,
    Column("object_id", Serial, ForeignKey("object.id"), primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
)
"""What only a person may describe."""
