"""How runs draft, what is locked, what waits in batches, and by which prices was reckoned."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Remember the settings that a run drafted by, and the objects that only people describe."""
    op.add_column("run", sa.Column("manner", sa.Text(), nullable=False, server_default="{}"))
    op.create_table(
        "object_lock",
        sa.Column(
            "object_id", _SERIAL, sa.ForeignKey("object.id"), primary_key=True, autoincrement=False
        ),
        sa.Column("at", sa.Text(), nullable=False),
    )
    _make_batches()
    unpriced = sa.Column("unpriced", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("run", unpriced)
    op.execute("UPDATE run SET unpriced = requests WHERE cost_usd IS NULL")
    for table in ("run", "request"):
        op.add_column(table, sa.Column("price_version", sa.Text(), nullable=True))
    _make_profiles()


def _make_profiles() -> None:
    """Add how tables looked when they were sampled last."""
    op.create_table(
        "table_profile",
        sa.Column("db_profile", sa.Text(), primary_key=True),
        sa.Column("schema_name", sa.Text(), primary_key=True),
        sa.Column("table_name", sa.Text(), primary_key=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("statistics", sa.Text(), nullable=False),
    )


def _make_batches() -> None:
    """Add the requests that were sent to be answered later."""
    op.create_table(
        "batch",
        sa.Column("tag", sa.Text(), primary_key=True),
        sa.Column("run_id", sa.Text(), sa.ForeignKey("run.id"), nullable=False),
        sa.Column("llm_profile", sa.Text(), nullable=False),
        sa.Column("keys", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=True),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("ended", sa.Text(), nullable=True),
    )
    op.create_index("ix_batch_run_id", "batch", ["run_id"])


_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
