"""PostgreSQL keeps room on the pages of rows that change often, so that no index has to follow."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_CHANGED_OFTEN = ("users", "tokens", "counts")


def upgrade() -> None:
    """Say so, for pages that are filled from now on; nodes of the schema before go on working."""
    if op.get_bind().dialect.name == "postgresql":
        for table in _CHANGED_OFTEN:
            op.execute(f"ALTER TABLE {table} SET (fillfactor = 90)")


def downgrade() -> None:
    """Fill pages to the brim again."""
    if op.get_bind().dialect.name == "postgresql":
        for table in _CHANGED_OFTEN:
            op.execute(f"ALTER TABLE {table} RESET (fillfactor)")
