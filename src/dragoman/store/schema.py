"""The tables, for both databases, as the newest migration leaves them.

Times are microseconds since 1970 UTC in 64-bit integers, 0 for "never". Texts are collated by
code point ("C"; SQLite's default), so that both databases sort, compare and index them alike.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData()

BIG_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""64 bits; on SQLite, only a primary key of type INTEGER becomes the row id."""

TEXT = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def _text(name: str, default: str | None = "") -> sa.Column[str]:
    return sa.Column(name, TEXT, nullable=False, server_default=default)


def _integer(name: str, default: str | None = "0") -> sa.Column[int]:
    return sa.Column(name, BIG_INTEGER, nullable=False, server_default=default)


def _flag(name: str, default: bool) -> sa.Column[bool]:
    value = sa.true() if default else sa.false()
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=value)


def _key_part(name: str, target: str) -> sa.Column[int]:
    return sa.Column(name, BIG_INTEGER, sa.ForeignKey(target), primary_key=True)


def _partial_index(condition: sa.ColumnElement[bool]) -> dict[str, Any]:
    """Return the options of an index over the rows that meet a condition."""
    return {"postgresql_where": condition, "sqlite_where": condition}


def _user_id(name: str = "user_id", *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, BIG_INTEGER, sa.ForeignKey("users.id"), nullable=nullable)


def _table_with_id(name: str, *elements: Any) -> sa.Table:
    """Return a table with an id column; ids are never reused."""
    id_column = sa.Column("id", BIG_INTEGER, primary_key=True, autoincrement=True)
    return sa.Table(name, metadata, id_column, *elements, sqlite_autoincrement=True)


def _table_without_id(name: str, *elements: Any) -> sa.Table:
    """Return a table without an id column."""
    return sa.Table(name, metadata, *elements, sqlite_with_rowid=False)


tenants = _table_with_id(
    "tenants",
    sa.Column("public_id", TEXT, nullable=False, unique=True),  # a random UUID
    _text("name", None),
    _text("name_key", None),  # canonical, unique among tenants that are not deleted
    _text("slug", None),
    _text("slug_key", None),
    _text("email"),
    _text("url"),
    _text("description"),
    _text("search"),  # search keys of name, slug and e-mail address, each on a line
    _flag("active", True),
    _integer("auth_epoch"),  # incremented on deactivation: revokes its users' credentials
    _flag("ever_owned", False),  # once it has had an owner, a sign-up no longer becomes one
    _integer("created_at", None),
    _integer("updated_at", None),
    sa.Column("deleted_at", BIG_INTEGER),
)
_not_deleted = _partial_index(tenants.c.deleted_at.is_(None))
sa.Index("tenants_name", tenants.c.name_key, unique=True, **_not_deleted)
sa.Index("tenants_slug", tenants.c.slug_key, unique=True, **_not_deleted)

users = _table_with_id(
    "users",
    sa.Column("public_id", TEXT, nullable=False, unique=True),  # 17 random characters
    sa.Column("tenant_id", BIG_INTEGER, sa.ForeignKey("tenants.id")),
    sa.Column("role", sa.SmallInteger(), nullable=False),  # rules.model.Role
    _text("username", None),
    _text("username_key", None),  # canonical; unique through `names`
    _text("username_sort"),  # rules.fields.search_key: lists are sorted by it
    _text("email"),
    _text("email_key"),
    _text("first_name"),
    _text("first_name_sort"),
    _text("last_name"),
    _text("last_name_sort"),
    _text("display_name"),  # as given; otherwise first and last name joined
    _text("phone"),
    _text("bio"),
    _text("url"),
    _text("company"),
    _text("location"),
    _text("search"),  # search keys of username, e-mail address, first and last name, by line
    _text("password_hash"),  # empty: the user cannot sign in with a password
    sa.Column("strong_password", sa.Boolean()),  # strong enough for owners; NULL: unknown
    sa.Column("password_reaches", sa.SmallInteger()),  # one of rules.passwords.LENGTH_STEPS
    _integer("hash_imported_at"),  # when an import brought the hash; 0 once it has been replaced
    _flag("active", True),
    _flag("approved", True),  # False: signed up, and exists at contracts with a sign-up only
    _flag("signed_up", False),  # whether the user registered itself
    _flag("verified", False),  # whether the e-mail address is proven to be the user's
    _flag("email_assigned", False),  # whether an administrator, import or machine vouches for it
    _integer("auth_epoch"),  # stored in every credential; incremented to revoke all of them
    _integer("created_at", None),
    _integer("updated_at", None),
    _integer("last_login_at"),
    sa.Column("deleted_at", BIG_INTEGER),
)


def _living_users_index(name: str, *columns: sa.Column[object]) -> None:
    """Add an index over users that are not deleted, which halves its size.

    It ends with the id, so that the ids of a page come from the index alone.
    """
    sa.Index(name, *columns, users.c.id, **_partial_index(users.c.deleted_at.is_(None)))


_living_users_index("users_by_name", users.c.username_sort)
_living_users_index("users_by_tenant_name", users.c.tenant_id, users.c.username_sort)
_living_users_index(
    "users_by_state", users.c.tenant_id, users.c.role, users.c.active, users.c.username_sort
)
_living_users_index("users_by_role", users.c.role, users.c.active, users.c.username_sort)
_living_users_index("users_by_tenant", users.c.tenant_id)
_living_users_index("users_by_creation", users.c.created_at)
_living_users_index("users_by_email", users.c.email_key)
sa.Index(
    "users_approved",
    users.c.tenant_id,
    users.c.id,
    **_partial_index(sa.and_(users.c.deleted_at.is_(None), users.c.approved)),
)

sa.Index(
    "users_by_imported_hash",
    users.c.hash_imported_at,
    **_partial_index(users.c.hash_imported_at > 0),
)

names = _table_without_id(  # canonical usernames and e-mail addresses, each of one user
    "names",
    sa.Column("key", TEXT, primary_key=True),
    _user_id(),
)
sa.Index("names_by_user", names.c.user_id)

permissions = sa.Table(
    "permissions",
    metadata,
    sa.Column("id", BIG_INTEGER, primary_key=True, autoincrement=False),
    sa.Column("codename", TEXT, nullable=False, unique=True),
    _text("name", None),
)

groups = _table_with_id(
    "groups",
    sa.Column("tenant_id", BIG_INTEGER, sa.ForeignKey("tenants.id"), nullable=False),
    _text("name", None),
    _text("name_key", None),
    _integer("created_at", None),
    sa.UniqueConstraint("tenant_id", "name_key"),
)

group_permissions = _table_without_id(
    "group_permissions",
    _key_part("group_id", "groups.id"),
    _key_part("permission_id", "permissions.id"),
)

group_members = _table_without_id(
    "group_members",
    _key_part("user_id", "users.id"),
    _key_part("group_id", "groups.id"),
)
sa.Index("group_members_by_group", group_members.c.group_id)

grants = _table_without_id(
    "grants",
    _key_part("user_id", "users.id"),
    _key_part("permission_id", "permissions.id"),
    _integer("granted_by"),  # a user's id; 0 for the command line
    _integer("granted_at", None),
)

access = _table_without_id(  # users' access to the resources of other applications
    "access",
    _key_part("user_id", "users.id"),
    sa.Column("resource", TEXT, primary_key=True),
    _text("level", None),
    _integer("granted_by"),
    _integer("granted_at", None),
)

invitations = _table_with_id(
    "invitations",
    sa.Column("public_id", TEXT, nullable=False, unique=True),
    sa.Column("tenant_id", BIG_INTEGER, sa.ForeignKey("tenants.id"), nullable=False),
    _text("email", None),
    _text("email_key", None),
    _text("name"),
    sa.Column("role", sa.SmallInteger(), nullable=False),
    _text("resources", "[]"),  # JSON array of the resources that acceptance gives access to
    _user_id("inviter_id"),
    _integer("session_id"),  # the session that sent it: a token's family, else its id; 0: unknown
    _integer("generation"),  # incremented when it is sent again: voids the earlier link
    _integer("created_at", None),
    _integer("expires_at", None),
    _integer("accepted_at"),
    _integer("revoked_at"),
    _integer("accepted_by"),  # the user that accepting it created
)
sa.Index("invitations_by_tenant", invitations.c.tenant_id, invitations.c.id)
sa.Index("invitations_by_user", invitations.c.accepted_by)
sa.Index("invitations_by_email", invitations.c.email_key)
sa.Index("invitations_by_expiry", invitations.c.expires_at)

tokens = _table_with_id(
    "tokens",
    sa.Column("digest", sa.LargeBinary(), nullable=False, unique=True),  # SHA-256 of the secret
    _user_id(),
    _text("contract", None),  # the contract that issued it; it is valid there alone
    _text("kind", None),  # session, access, refresh
    _integer("family"),  # shared by refresh tokens and the access tokens issued with them
    _integer("user_epoch", None),
    _integer("tenant_epoch", None),
    _integer("created_at", None),
    _integer("last_used_at", None),
    _integer("idle_until", None),
    _integer("expires_at", None),
    _integer("used_at"),  # a refresh token can be used once
)
sa.Index("tokens_by_user", tokens.c.user_id)
sa.Index("tokens_by_family", tokens.c.family)
sa.Index("tokens_by_expiry", tokens.c.expires_at)

one_time = _table_with_id(  # the secrets of mailed links are derived from these rows, never stored
    "one_time",
    _user_id(),
    _text("purpose", None),
    _integer("generation"),
    _integer("user_epoch", None),
    _text("data"),  # what the link acts on, such as the former e-mail address
    _integer("expires_at", None),
    _integer("used_at"),
    sa.UniqueConstraint("user_id", "purpose"),
)

sa.Index("one_time_by_purpose", one_time.c.purpose, **_partial_index(one_time.c.data != ""))

signing_keys = sa.Table(
    "signing_keys",
    metadata,
    sa.Column("kid", TEXT, primary_key=True),
    _text("public", None),
    _text("sealed", None),  # the private part, encrypted with the server's key
    _integer("created_at", None),
    _integer("signs_from"),  # when it begins to sign: a while after it is published
    _integer("retired_at"),
)

server_state = _table_without_id(  # facts about the directory itself, such as a check of its key
    "server_state",
    sa.Column("key", TEXT, primary_key=True),
    _text("value", None),
)

failures = _table_without_id(  # failed sign-ins by account and address; address "" counts all
    "failures",
    sa.Column("account", TEXT, primary_key=True),
    sa.Column("address", TEXT, primary_key=True),
    _integer("since", None),
    _integer("count", None),
)
sa.Index("failures_by_age", failures.c.since)

addresses = _table_without_id(  # digests of the addresses that users have signed in from
    "addresses",
    _key_part("user_id", "users.id"),
    sa.Column("address", TEXT, primary_key=True),
    _integer("last_at", None),
)

audit = _table_with_id(
    "audit",
    _integer("at", None),
    _text("actor_kind", None),
    _integer("actor_id"),
    _text("actor_name"),  # of machines only; users are identified by actor_id
    _text("contract", None),
    _text("action", None),
    _text("target_kind", None),
    _integer("target_id"),
    sa.Column("tenant_id", BIG_INTEGER),
    _text("fields"),  # names of the changed fields, never their values
    _text("request_id"),
    _text("address"),
    _integer("day"),  # days since 1970, of a row that stands for all of a day; 0: a single event
    _integer("count", "1"),
    _integer("last_at"),  # the newest event of such a row; `at` is the first
)
sa.Index(
    "audit_by_day",
    audit.c.day,
    audit.c.action,
    audit.c.contract,
    audit.c.target_id,
    **_partial_index(audit.c.day > 0),
)
sa.Index("audit_by_target", audit.c.target_kind, audit.c.target_id, audit.c.id)
sa.Index("audit_by_tenant", audit.c.tenant_id, audit.c.id)
sa.Index("audit_by_actor", audit.c.actor_id, audit.c.id, **_partial_index(audit.c.actor_id > 0))
sa.Index("audit_by_action", audit.c.action, audit.c.id)
sa.Index(
    "audit_by_request", audit.c.request_id, audit.c.id, **_partial_index(audit.c.request_id != "")
)
sa.Index("audit_by_time", audit.c.at)

outbox = _table_with_id(  # messages, written in the transaction of their cause and sent after it
    "outbox",
    _text("kind", None),  # the template of the mail
    _user_id(nullable=True),  # the user that it concerns; deleted when that user is erased
    _text("recipient", None),
    _text("payload", "{}"),  # JSON without secrets
    _integer("created_at", None),
    _integer("due_at", None),
    _integer("attempts"),
    _integer("sent_at"),
    _integer("failed_at"),  # when the last attempt failed
    _text("last_error"),
)
_pending = _partial_index(sa.and_(outbox.c.sent_at == 0, outbox.c.failed_at == 0))
sa.Index("outbox_due", outbox.c.due_at, **_pending)
sa.Index("outbox_by_user", outbox.c.user_id)

counts = _table_without_id(  # exact counters of users; several rows (shards) each on PostgreSQL
    "counts",
    sa.Column(
        "tenant_id", BIG_INTEGER, primary_key=True, autoincrement=False
    ),  # 0: without a tenant
    sa.Column("role", sa.SmallInteger(), primary_key=True, autoincrement=False),
    sa.Column("active", sa.Boolean(), primary_key=True),
    sa.Column("approved", sa.Boolean(), primary_key=True),
    sa.Column("shard", sa.SmallInteger(), primary_key=True, autoincrement=False),
    _integer("n", None),
    _integer("moves"),  # how often the counter was written
)

imports = _table_with_id(  # runs of `dragoman import`: one that was killed goes on from its row
    "imports",
    sa.Column("public_id", TEXT, nullable=False, unique=True),  # imp_…
    _text("state", None),  # running, finished, undone
    _text("source"),  # the name of the file
    _text("digest", None),  # SHA-256 of the file and the options
    _text("options", "{}"),  # JSON
    _integer("actor_id"),  # who ran it: a user's id; 0 for the command line
    sa.Column("tenant_id", BIG_INTEGER),  # the only tenant of which the caller might import users
    _text("tenants", "{}"),  # JSON: what the tenants were like before their first user came
    _integer("record"),  # how many records of the file are done
    _integer("line"),  # the last line of the file that is done
    _text("counts", "{}"),  # JSON: what became of the records so far
    _integer("created_at", None),
    _integer("updated_at", None),
    _integer("finished_at"),
    _integer("undone_at"),
)
sa.Index("imports_by_digest", imports.c.digest)

import_rows = _table_without_id(  # what an import did with a user; foreign keys would slow it down
    "import_rows",
    sa.Column("import_id", BIG_INTEGER, primary_key=True, autoincrement=False),
    sa.Column("user_id", BIG_INTEGER, primary_key=True, autoincrement=False),
    _integer("line", None),  # where its record begins in the file
    sa.Column("digest", sa.LargeBinary(), nullable=False),  # of all values of the record
    sa.Column("created", sa.Boolean(), nullable=False),  # False: the user was there before
    _integer("written_at"),  # `updated_at` of the user after it; 0: nothing was changed
    sa.Column("former", sa.LargeBinary()),  # values before an update, sealed, for 30 days
)
sa.Index("import_rows_by_user", import_rows.c.user_id)
_has_former = _partial_index(import_rows.c.former.is_not(None))
sa.Index("import_rows_with_former", import_rows.c.written_at, **_has_former)

erasures = _table_without_id(  # who was erased: replayed when a backup is restored
    "erasures",
    sa.Column("public_id", TEXT, primary_key=True),
    _integer("erased_at", None),
)


LIVING = users.c.deleted_at.is_(None)
"""Condition: the user is not deleted."""
