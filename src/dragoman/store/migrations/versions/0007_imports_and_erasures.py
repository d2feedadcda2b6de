"""Add imports, the ledger of erasures, an index for each filter of the history, secure deletion.

SQLite's search index is built anew: what is deleted from it leaves the file at once.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")

# FTS5 overwrites what is deleted only with `secure-delete`, and only by its command 'delete',
# which needs the former text. A table with contentless_delete=1 merely notes the row's id.
SQLITE_SEARCH = (
    """CREATE VIRTUAL TABLE users_search USING fts5(
        search, content='', tokenize='trigram case_sensitive 1')""",
    "INSERT INTO users_search (users_search, rank) VALUES ('secure-delete', 1)",
    """CREATE TRIGGER users_search_added AFTER INSERT ON users WHEN new.search <> '' BEGIN
        INSERT INTO users_search (rowid, search) VALUES (new.id, new.search);
    END""",
    """CREATE TRIGGER users_search_changed AFTER UPDATE OF search ON users
    WHEN new.search <> old.search BEGIN
        INSERT INTO users_search (users_search, rowid, search)
            SELECT 'delete', old.id, old.search WHERE old.search <> '';
        INSERT INTO users_search (rowid, search) SELECT new.id, new.search WHERE new.search <> '';
    END""",
    """CREATE TRIGGER users_search_removed AFTER DELETE ON users WHEN old.search <> '' BEGIN
        INSERT INTO users_search (users_search, rowid, search)
            VALUES ('delete', old.id, old.search);
    END""",
)
FORMER_SQLITE_SEARCH = (
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
SQLITE_TRIGGERS = ("users_search_added", "users_search_changed", "users_search_removed")


def _where(condition: str) -> dict[str, Any]:
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def _integer(name: str, default: str | None = "0") -> sa.Column[int]:
    return sa.Column(name, BIG, nullable=False, server_default=default)


def _text(name: str, default: str | None = "") -> sa.Column[str]:
    return sa.Column(name, TEXT, nullable=False, server_default=default)


def upgrade() -> None:
    """Add the tables, the column and the indexes."""
    op.add_column("users", _integer("hash_imported_at"))
    op.add_column("users", sa.Column("password_reaches", sa.SmallInteger()))
    op.create_index(
        "users_by_imported_hash",
        "users",
        ["hash_imported_at"],
        unique=False,
        **_where("hash_imported_at > 0"),
    )
    op.create_index("invitations_by_expiry", "invitations", ["expires_at"], unique=False)
    op.create_index(
        "audit_by_actor", "audit", ["actor_id", "id"], unique=False, **_where("actor_id > 0")
    )
    op.create_index("audit_by_action", "audit", ["action", "id"], unique=False)
    op.create_index(
        "audit_by_request",
        "audit",
        ["request_id", "id"],
        unique=False,
        **_where("request_id <> ''"),
    )
    op.create_index("audit_by_time", "audit", ["at"], unique=False)
    _create_imports()
    op.create_table(
        "erasures",
        sa.Column("public_id", TEXT, nullable=False),
        _integer("erased_at", None),
        sa.PrimaryKeyConstraint("public_id"),
        sqlite_with_rowid=False,
    )
    _replace_sqlite_search(SQLITE_SEARCH)


def _replace_sqlite_search(statements: tuple[str, ...]) -> None:
    """Build the search index anew on SQLite."""
    if op.get_bind().dialect.name != "sqlite":
        return
    for trigger in SQLITE_TRIGGERS:
        op.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    op.execute("DROP TABLE users_search")
    for statement in statements:
        op.execute(statement)
    op.execute(
        "INSERT INTO users_search (rowid, search) SELECT id, search FROM users WHERE search <> ''"
    )


def _create_imports() -> None:
    op.create_table(
        "imports",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("public_id", TEXT, nullable=False),
        _text("state", None),
        _text("source"),
        _text("digest", None),
        _text("options", "{}"),
        _integer("actor_id"),
        sa.Column("tenant_id", BIG, nullable=True),
        _text("tenants", "{}"),
        _integer("record"),
        _integer("line"),
        _text("counts", "{}"),
        _integer("created_at", None),
        _integer("updated_at", None),
        _integer("finished_at"),
        _integer("undone_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("public_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("imports_by_digest", "imports", ["digest"], unique=False)
    op.create_table(
        "import_rows",
        sa.Column("import_id", BIG, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        _integer("line", None),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.Boolean(), nullable=False),
        _integer("written_at"),
        sa.Column("former", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("import_id", "user_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("import_rows_by_user", "import_rows", ["user_id"], unique=False)
    op.create_index(
        "import_rows_with_former",
        "import_rows",
        ["written_at"],
        unique=False,
        **_where("former IS NOT NULL"),
    )


def downgrade() -> None:
    """Remove them."""
    _replace_sqlite_search(FORMER_SQLITE_SEARCH)
    op.drop_table("erasures")
    op.drop_table("import_rows")
    op.drop_table("imports")
    for name in ("audit_by_time", "audit_by_request", "audit_by_action", "audit_by_actor"):
        op.drop_index(name, "audit")
    op.drop_index("invitations_by_expiry", "invitations")
    op.drop_index("users_by_imported_hash", "users")
    op.drop_column("users", "password_reaches")
    op.drop_column("users", "hash_imported_at")
