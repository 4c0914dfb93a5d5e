"""What is out of a source's sight, what waits for a person, and what a person declined."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add to sources and schedules what looks and cancels leave behind."""
    op.add_column(
        "source", sa.Column("held", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("schedule", sa.Column("declined_mark", sa.Text(), nullable=True))
    op.add_column("source", sa.Column("grants", sa.Text(), nullable=True))
    op.add_column("source", sa.Column("unseen", sa.Text(), nullable=False, server_default="[]"))
