"""Counters remember how often they were written: whoever knows a page knows whether it still holds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; nodes of the schema before go on working."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("counts", sa.Column("moves", number, nullable=False, server_default="0"))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("counts", "moves")
