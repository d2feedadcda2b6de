"""Rename the actions of existing audit rows, so that every one reads ``noun.verb``."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

RENAMED_ACTIONS = {
    "sign_up": "users.sign_up",
    "sign_in": "sessions.sign_in",
    "sign_in_failed": "sessions.sign_in_failed",
    "sign_out": "sessions.sign_out",
    "refresh": "sessions.refresh",
    "refresh_reused": "sessions.refresh_reused",
    "request_reset": "password_resets.request",
    "reset_password": "password_resets.complete",
    "invite": "invitations.send",
    "resend_invitation": "invitations.resend",
    "revoke_invitation": "invitations.revoke",
    "accept_invitation": "invitations.accept",
}


def upgrade() -> None:
    """Rename them; a node of the previous version writes old names as long as it runs."""
    _rename(RENAMED_ACTIONS)


def downgrade() -> None:
    """Bring the old names back."""
    _rename({new: old for old, new in RENAMED_ACTIONS.items()})


def _rename(new_names: dict[str, str]) -> None:
    audit = sa.table("audit", sa.column("action", sa.Text()))
    op.execute(
        sa.update(audit)
        .where(audit.c.action.in_(list(new_names)))
        .values(action=sa.case(new_names, value=audit.c.action))
    )
