"""An invitation remembers which user came of it, whatever address that user has by then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KNOWN_BY_ITS_ADDRESS = """
    UPDATE invitations SET accepted_by = (
        SELECT users.id FROM users
        WHERE users.email_key = invitations.email_key AND users.deleted_at IS NULL
        AND users.tenant_id = invitations.tenant_id)
    WHERE accepted_at > 0 AND EXISTS (
        SELECT 1 FROM users
        WHERE users.email_key = invitations.email_key AND users.deleted_at IS NULL
        AND users.tenant_id = invitations.tenant_id)
"""


def upgrade() -> None:
    """Add the column; nodes of the schema before go on working."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column(
        "invitations", sa.Column("accepted_by", number, nullable=False, server_default="0")
    )
    op.create_index("invitations_by_user", "invitations", ["accepted_by"])
    op.execute(_KNOWN_BY_ITS_ADDRESS)


def downgrade() -> None:
    """Forget it."""
    op.drop_index("invitations_by_user", "invitations")
    op.drop_column("invitations", "accepted_by")
