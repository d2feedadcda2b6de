"""Add approval, proof of addresses, sort keys and the state of the server; stop old nodes first.

Keys, sort keys and search texts of existing rows are rewritten in batches (``key_rewrite.py``).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context, op

from dragoman.store import key_rewrite

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
_LIVING = sa.text("deleted_at IS NULL")
_APPROVED = sa.text("deleted_at IS NULL AND approved")
LIVING: dict[str, Any] = {"postgresql_where": _LIVING, "sqlite_where": _LIVING}
APPROVED: dict[str, Any] = {"postgresql_where": _APPROVED, "sqlite_where": _APPROVED}
_DAILY = sa.text("day > 0")
DAILY: dict[str, Any] = {"postgresql_where": _DAILY, "sqlite_where": _DAILY}
_WITH_DATA = sa.text("data <> ''")
WITH_DATA: dict[str, Any] = {"postgresql_where": _WITH_DATA, "sqlite_where": _WITH_DATA}
INDEXES_BY_NAME = {
    "users_by_name": [],
    "users_by_tenant_name": ["tenant_id"],
    "users_by_state": ["tenant_id", "role", "active"],
    "users_by_role": ["role", "active"],
}

_SIGNED_UP = """
    UPDATE users SET signed_up = TRUE WHERE id IN (
        SELECT target_id FROM audit WHERE action = 'users.sign_up' AND target_kind = 'user')
"""
_PROVEN = """
    UPDATE users SET
        verified = email <> '' AND (NOT signed_up OR verified OR id IN (
            SELECT target_id FROM audit
            WHERE action = 'password_resets.complete' AND target_kind = 'user')),
        email_assigned = email <> '' AND NOT signed_up
"""
_FIRST_SORT_KEYS = """
    UPDATE users SET username_sort = username_key, first_name_sort = lower(first_name),
        last_name_sort = lower(last_name)
    WHERE deleted_at IS NULL
"""
"""Right for names in ASCII, so that only the others are rewritten one by one."""


def upgrade() -> None:
    """Add the columns; everyone who exists is approved, whoever did not sign up is proven."""
    for name in ("username_sort", "first_name_sort", "last_name_sort"):
        _add("users", sa.Column(name, TEXT, nullable=False, server_default=""))
    _add("users", sa.Column("strong_password", sa.Boolean()))
    _add("users", _flag("approved", default=True))
    for name in ("signed_up", "email_assigned"):
        _add("users", _flag(name, default=False))
    _add("invitations", sa.Column("session_id", BIG, nullable=False, server_default="0"))
    _add("one_time", sa.Column("data", TEXT, nullable=False, server_default=""))
    op.create_index("one_time_by_purpose", "one_time", ["purpose"], unique=False, **WITH_DATA)
    _add("signing_keys", sa.Column("signs_from", BIG, nullable=False, server_default="0"))
    op.create_table(
        "server_state",
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
    )
    _add("audit", sa.Column("day", BIG, nullable=False, server_default="0"))
    _add("audit", sa.Column("count", BIG, nullable=False, server_default="1"))
    _add("audit", sa.Column("last_at", BIG, nullable=False, server_default="0"))
    op.create_index(
        "audit_by_day", "audit", ["day", "action", "contract", "target_id"], unique=False, **DAILY
    )
    op.execute(_SIGNED_UP)
    op.execute(_PROVEN)
    op.execute(_FIRST_SORT_KEYS)
    key_rewrite.run(op.get_bind(), context.config.attributes["report"])
    _index_by_name("username_sort")
    op.create_index("users_approved", "users", ["tenant_id", "id"], unique=False, **APPROVED)
    _replace_counts(with_approval=True)


def downgrade() -> None:
    """Remove them; who is not approved becomes an ordinary user again."""
    _replace_counts(with_approval=False)
    op.drop_index("users_approved", "users")
    _index_by_name("username_key")
    op.drop_index("audit_by_day", "audit")
    for name in ("last_at", "count", "day"):
        op.drop_column("audit", name)
    op.drop_table("server_state")
    op.drop_column("signing_keys", "signs_from")
    op.drop_index("one_time_by_purpose", "one_time")
    op.drop_column("one_time", "data")
    op.drop_column("invitations", "session_id")
    for name in (
        "email_assigned", "signed_up", "approved", "strong_password", "last_name_sort",
        "first_name_sort", "username_sort",
    ):  # fmt: skip
        op.drop_column("users", name)


def _add(table: str, column: sa.Column[Any]) -> None:
    op.add_column(table, column)


def _flag(name: str, *, default: bool) -> sa.Column[bool]:
    return sa.Column(
        name, sa.Boolean(), nullable=False, server_default=sa.true() if default else sa.false()
    )


def _index_by_name(column: str) -> None:
    """Index lists of users by this column instead of the one of the other direction."""
    for name, prefix in INDEXES_BY_NAME.items():
        op.drop_index(name, "users")
        op.create_index(name, "users", [*prefix, column, "id"], unique=False, **LIVING)


def _replace_counts(*, with_approval: bool) -> None:
    """Recreate the counters with another key; those that are 0 stay (``counters.had_users``)."""
    op.rename_table("counts", "counts_before")
    if op.get_bind().dialect.name == "postgresql":  # the new table's primary key takes the name
        op.execute("ALTER TABLE counts_before RENAME CONSTRAINT counts_pkey TO counts_before_pkey")
    approval = [sa.Column("approved", sa.Boolean(), nullable=False)] if with_approval else []
    key = ["tenant_id", "role", "active", *(column.name for column in approval), "shard"]
    op.create_table(
        "counts",
        sa.Column("tenant_id", BIG, autoincrement=False, nullable=False),
        sa.Column("role", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        *approval,
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("n", BIG, nullable=False),
        sa.Column("moves", BIG, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint(*key),
        sqlite_with_rowid=False,
    )
    if with_approval:
        op.execute(
            "INSERT INTO counts (tenant_id, role, active, approved, shard, n, moves) "
            "SELECT tenant_id, role, active, TRUE, shard, n, moves FROM counts_before"
        )
    else:
        op.execute(
            "INSERT INTO counts (tenant_id, role, active, shard, n, moves) "
            "SELECT tenant_id, role, active, shard, sum(n), sum(moves) FROM counts_before "
            "GROUP BY tenant_id, role, active, shard"
        )
    op.drop_table("counts_before")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE counts SET (fillfactor = 90)")
