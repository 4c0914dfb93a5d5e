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
