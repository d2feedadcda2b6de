"""The first schema: everything of store/schema.py, and the indexes that search texts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
_living = sa.text("deleted_at IS NULL")
_waiting = sa.text("sent_at = 0 AND failed_at = 0")
LIVING: dict[str, Any] = {"postgresql_where": _living, "sqlite_where": _living}
WAITING: dict[str, Any] = {"postgresql_where": _waiting, "sqlite_where": _waiting}

TABLES = (
    "tokens",
    "outbox",
    "one_time",
    "names",
    "invitations",
    "group_permissions",
    "group_members",
    "grants",
    "addresses",
    "access",
    "users",
    "groups",
    "tenants",
    "signing_keys",
    "permissions",
    "failures",
    "counts",
    "audit",
)

# A contentless index of trigrams; triggers keep it equal to users.search, whoever writes there.
# The texts are canonical already (rules/fields.py), so the index compares them as they are.
SQLITE_SEARCH = (
    """CREATE VIRTUAL TABLE users_search USING fts5(
        search, content='', contentless_delete=1, tokenize='trigram case_sensitive 1')""",
    """CREATE TRIGGER users_search_added AFTER INSERT ON users WHEN new.search <> '' BEGIN
        INSERT INTO users_search (rowid, search) VALUES (new.id, new.search);
    END""",
    """CREATE TRIGGER users_search_changed AFTER UPDATE OF search ON users
    WHEN new.search <> old.search BEGIN
        DELETE FROM users_search WHERE rowid = old.id;
        INSERT INTO users_search (rowid, search) SELECT new.id, new.search WHERE new.search <> '';
    END""",
)
POSTGRES_SEARCH = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX users_search ON users USING gin (search gin_trgm_ops) WHERE deleted_at IS NULL",
)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.Column("actor_kind", TEXT, nullable=False),
        sa.Column("actor_id", BIG, server_default="0", nullable=False),
        sa.Column("actor_name", TEXT, server_default="", nullable=False),
        sa.Column("contract", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("target_kind", TEXT, nullable=False),
        sa.Column("target_id", BIG, server_default="0", nullable=False),
        sa.Column("tenant_id", BIG, nullable=True),
        sa.Column("fields", TEXT, server_default="", nullable=False),
        sa.Column("request_id", TEXT, server_default="", nullable=False),
        sa.Column("address", TEXT, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_by_target", "audit", ["target_kind", "target_id", "id"], unique=False)
    op.create_index("audit_by_tenant", "audit", ["tenant_id", "id"], unique=False)
    op.create_table(
        "counts",
        sa.Column("tenant_id", BIG, autoincrement=False, nullable=False),
        sa.Column("role", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("n", BIG, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "role", "active", "shard"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "failures",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("address", TEXT, nullable=False),
        sa.Column("since", BIG, nullable=False),
        sa.Column("count", BIG, nullable=False),
        sa.PrimaryKeyConstraint("account", "address"),
        sqlite_with_rowid=False,
    )
    op.create_index("failures_by_age", "failures", ["since"], unique=False)
    op.create_table(
        "permissions",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("codename", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("codename"),
    )
    op.create_table(
        "signing_keys",
        sa.Column("kid", TEXT, nullable=False),
        sa.Column("public", TEXT, nullable=False),
        sa.Column("sealed", TEXT, nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("retired_at", BIG, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("kid"),
    )
    op.create_table(
        "tenants",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("public_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("name_key", TEXT, nullable=False),
        sa.Column("slug", TEXT, nullable=False),
        sa.Column("slug_key", TEXT, nullable=False),
        sa.Column("email", TEXT, server_default="", nullable=False),
        sa.Column("url", TEXT, server_default="", nullable=False),
        sa.Column("description", TEXT, server_default="", nullable=False),
        sa.Column("search", TEXT, server_default="", nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("auth_epoch", BIG, server_default="0", nullable=False),
        sa.Column("ever_owned", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("updated_at", BIG, nullable=False),
        sa.Column("deleted_at", BIG, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("public_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("tenants_name", "tenants", ["name_key"], unique=True, **LIVING)
    op.create_index("tenants_slug", "tenants", ["slug_key"], unique=True, **LIVING)
    op.create_table(
        "groups",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("tenant_id", BIG, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("name_key", TEXT, nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant_id", "name_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "users",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("public_id", TEXT, nullable=False),
        sa.Column("tenant_id", BIG, nullable=True),
        sa.Column("role", sa.SmallInteger(), nullable=False),
        sa.Column("username", TEXT, nullable=False),
        sa.Column("username_key", TEXT, nullable=False),
        sa.Column("email", TEXT, server_default="", nullable=False),
        sa.Column("email_key", TEXT, server_default="", nullable=False),
        sa.Column("first_name", TEXT, server_default="", nullable=False),
        sa.Column("last_name", TEXT, server_default="", nullable=False),
        sa.Column("display_name", TEXT, server_default="", nullable=False),
        sa.Column("phone", TEXT, server_default="", nullable=False),
        sa.Column("bio", TEXT, server_default="", nullable=False),
        sa.Column("url", TEXT, server_default="", nullable=False),
        sa.Column("company", TEXT, server_default="", nullable=False),
        sa.Column("location", TEXT, server_default="", nullable=False),
        sa.Column("search", TEXT, server_default="", nullable=False),
        sa.Column("password_hash", TEXT, server_default="", nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("verified", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("auth_epoch", BIG, server_default="0", nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("updated_at", BIG, nullable=False),
        sa.Column("last_login_at", BIG, server_default="0", nullable=False),
        sa.Column("deleted_at", BIG, nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("public_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("users_by_creation", "users", ["created_at", "id"], unique=False, **LIVING)
    op.create_index("users_by_email", "users", ["email_key", "id"], unique=False, **LIVING)
    op.create_index("users_by_name", "users", ["username_key", "id"], unique=False, **LIVING)
    op.create_index(
        "users_by_role", "users", ["role", "active", "username_key", "id"], unique=False, **LIVING
    )
    op.create_index(
        "users_by_state",
        "users",
        ["tenant_id", "role", "active", "username_key", "id"],
        unique=False,
        **LIVING,
    )
    op.create_index("users_by_tenant", "users", ["tenant_id", "id"], unique=False, **LIVING)
    op.create_index(
        "users_by_tenant_name", "users", ["tenant_id", "username_key", "id"], unique=False, **LIVING
    )
    op.create_table(
        "access",
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("resource", TEXT, nullable=False),
        sa.Column("level", TEXT, nullable=False),
        sa.Column("granted_by", BIG, server_default="0", nullable=False),
        sa.Column("granted_at", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("user_id", "resource"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "addresses",
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("address", TEXT, nullable=False),
        sa.Column("last_at", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("user_id", "address"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "grants",
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("permission_id", BIG, nullable=False),
        sa.Column("granted_by", BIG, server_default="0", nullable=False),
        sa.Column("granted_at", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["permission_id"],
            ["permissions.id"],
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("user_id", "permission_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "group_members",
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["groups.id"],
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("user_id", "group_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("group_members_by_group", "group_members", ["group_id"], unique=False)
    op.create_table(
        "group_permissions",
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("permission_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["groups.id"],
        ),
        sa.ForeignKeyConstraint(
            ["permission_id"],
            ["permissions.id"],
        ),
        sa.PrimaryKeyConstraint("group_id", "permission_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "invitations",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("public_id", TEXT, nullable=False),
        sa.Column("tenant_id", BIG, nullable=False),
        sa.Column("email", TEXT, nullable=False),
        sa.Column("email_key", TEXT, nullable=False),
        sa.Column("name", TEXT, server_default="", nullable=False),
        sa.Column("role", sa.SmallInteger(), nullable=False),
        sa.Column("resources", TEXT, server_default="[]", nullable=False),
        sa.Column("inviter_id", BIG, nullable=False),
        sa.Column("generation", BIG, server_default="0", nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("expires_at", BIG, nullable=False),
        sa.Column("accepted_at", BIG, server_default="0", nullable=False),
        sa.Column("revoked_at", BIG, server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["inviter_id"],
            ["users.id"],
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("public_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("invitations_by_email", "invitations", ["email_key"], unique=False)
    op.create_index("invitations_by_tenant", "invitations", ["tenant_id", "id"], unique=False)
    op.create_table(
        "names",
        sa.Column("key", TEXT, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
    )
    op.create_index("names_by_user", "names", ["user_id"], unique=False)
    op.create_table(
        "one_time",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("generation", BIG, server_default="0", nullable=False),
        sa.Column("user_epoch", BIG, nullable=False),
        sa.Column("expires_at", BIG, nullable=False),
        sa.Column("used_at", BIG, server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("user_id", "purpose"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "outbox",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("user_id", BIG, nullable=True),
        sa.Column("recipient", TEXT, nullable=False),
        sa.Column("payload", TEXT, server_default="{}", nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("due_at", BIG, nullable=False),
        sa.Column("attempts", BIG, server_default="0", nullable=False),
        sa.Column("sent_at", BIG, server_default="0", nullable=False),
        sa.Column("failed_at", BIG, server_default="0", nullable=False),
        sa.Column("last_error", TEXT, server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_by_user", "outbox", ["user_id"], unique=False)
    op.create_index("outbox_due", "outbox", ["due_at"], unique=False, **WAITING)
    op.create_table(
        "tokens",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("contract", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("family", BIG, server_default="0", nullable=False),
        sa.Column("user_epoch", BIG, nullable=False),
        sa.Column("tenant_epoch", BIG, nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("last_used_at", BIG, nullable=False),
        sa.Column("idle_until", BIG, nullable=False),
        sa.Column("expires_at", BIG, nullable=False),
        sa.Column("used_at", BIG, server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
        sqlite_autoincrement=True,
    )
    op.create_index("tokens_by_expiry", "tokens", ["expires_at"], unique=False)
    op.create_index("tokens_by_family", "tokens", ["family"], unique=False)
    op.create_index("tokens_by_user", "tokens", ["user_id"], unique=False)

    if op.get_bind().dialect.name == "sqlite":
        for statement in SQLITE_SEARCH:
            op.execute(statement)
    else:
        for statement in POSTGRES_SEARCH:
            op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER users_search_changed")
        op.execute("DROP TRIGGER users_search_added")
        op.execute("DROP TABLE users_search")
    for table in TABLES:
        op.drop_table(table)
