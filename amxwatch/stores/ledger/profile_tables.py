"""The table of kept profiles; part of the same metadata as `tables`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from amxwatch.stores.ledger.columns import Moment, Words
from amxwatch.stores.ledger.tables import metadata

table_profile = Table(
    "table_profile",
    metadata,
    Column("db_profile", Words, primary_key=True),
    Column("schema_name", Words, primary_key=True),
    Column("table_name", Words, primary_key=True),
    Column("key", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("statistics", Text, nullable=False),
)
"""How each table looked when it was sampled last."""
