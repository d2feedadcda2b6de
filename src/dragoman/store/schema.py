"""The tables, for both databases; migrations bring a database here.

Times are microseconds since 1970 UTC in 64-bit integers, 0 for "never"; texts carry the collation
of their code points ("C"; SQLite's own): both databases sort, compare and index them alike.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData()

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""64 bits; on SQLite the spelling that makes a primary key the row id."""

TEXT = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def _text(name: str, default: str | None = "") -> sa.Column[str]:
    return sa.Column(name, TEXT, nullable=False, server_default=default)


def _big(name: str, default: str | None = "0") -> sa.Column[int]:
    return sa.Column(name, BIG, nullable=False, server_default=default)


def _flag(name: str, default: bool) -> sa.Column[bool]:
    return sa.Column(
        name, sa.Boolean(), nullable=False, server_default=sa.true() if default else sa.false()
    )


def _part(name: str, of: str) -> sa.Column[int]:
    return sa.Column(name, BIG, sa.ForeignKey(of), primary_key=True)


def _where(condition: sa.ColumnElement[bool]) -> dict[str, Any]:
    """An index over some rows only, on either database."""
    return {"postgresql_where": condition, "sqlite_where": condition}


def _user(name: str = "user_id", *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, BIG, sa.ForeignKey("users.id"), nullable=nullable)


def _things(name: str, *parts: Any) -> sa.Table:
    """A table whose rows have ids, which are never given out twice."""
    number = sa.Column("id", BIG, primary_key=True, autoincrement=True)
    return sa.Table(name, metadata, number, *parts, sqlite_autoincrement=True)


def _links(name: str, *parts: Any) -> sa.Table:
    """A table whose rows are known by what they connect."""
    return sa.Table(name, metadata, *parts, sqlite_with_rowid=False)


tenants = _things(
    "tenants",
    sa.Column("public_id", TEXT, nullable=False, unique=True),  # a random UUID
    _text("name", None),
    _text("name_key", None),  # canonical, unique among the living
    _text("slug", None),
    _text("slug_key", None),
    _text("email"),
    _text("url"),
    _text("description"),
    _text("search"),  # canonical name, slug and e-mail, one a line
    _flag("active", True),
    _big("auth_epoch"),  # moves when the tenant is switched off: its users' credentials die
    _flag("ever_owned", False),  # has it ever had an owner? then no sign-up becomes one
    _big("created_at", None),
    _big("updated_at", None),
    sa.Column("deleted_at", BIG),
)
_standing = _where(tenants.c.deleted_at.is_(None))
sa.Index("tenants_name", tenants.c.name_key, unique=True, **_standing)
sa.Index("tenants_slug", tenants.c.slug_key, unique=True, **_standing)

users = _things(
    "users",
    sa.Column("public_id", TEXT, nullable=False, unique=True),  # 17 characters, random
    sa.Column("tenant_id", BIG, sa.ForeignKey("tenants.id")),
    sa.Column("role", sa.SmallInteger(), nullable=False),  # rules.model.Role
    _text("username", None),
    _text("username_key", None),  # canonical; what lists are ordered by; unique through `names`
    _text("email"),
    _text("email_key"),
    _text("first_name"),
    _text("last_name"),
    _text("display_name"),  # as it was given; else first and last name joined
    _text("phone"),
    _text("bio"),
    _text("url"),
    _text("company"),
    _text("location"),
    _text("search"),  # canonical username, e-mail, first and last name, one a line
    _text("password_hash"),  # empty: no password opens this account
    _flag("active", True),
    _flag("verified", False),  # has the e-mail address been proved?
    _big("auth_epoch"),  # stored in every credential; moves when all of them must die
    _big("created_at", None),
    _big("updated_at", None),
    _big("last_login_at"),
    sa.Column("deleted_at", BIG),
)


def _living(name: str, *columns: sa.Column[object]) -> None:
    """An index over living users only: half the size, twice the rate of a list.

    It ends with the id, so that a page's ids come from the index alone.
    """
    sa.Index(name, *columns, users.c.id, **_where(users.c.deleted_at.is_(None)))


_living("users_by_name", users.c.username_key)
_living("users_by_tenant_name", users.c.tenant_id, users.c.username_key)
_living("users_by_state", users.c.tenant_id, users.c.role, users.c.active, users.c.username_key)
_living("users_by_role", users.c.role, users.c.active, users.c.username_key)
_living("users_by_tenant", users.c.tenant_id)
_living("users_by_creation", users.c.created_at)
_living("users_by_email", users.c.email_key)

names = _links(  # who holds a string, as username or as e-mail address: one holder in all
    "names",
    sa.Column("key", TEXT, primary_key=True),
    _user(),
)
sa.Index("names_by_user", names.c.user_id)

permissions = sa.Table(
    "permissions",
    metadata,
    sa.Column("id", BIG, primary_key=True, autoincrement=False),
    sa.Column("codename", TEXT, nullable=False, unique=True),
    _text("name", None),
)

groups = _things(
    "groups",
    sa.Column("tenant_id", BIG, sa.ForeignKey("tenants.id"), nullable=False),
    _text("name", None),
    _text("name_key", None),
    _big("created_at", None),
    sa.UniqueConstraint("tenant_id", "name_key"),
)

group_permissions = _links(
    "group_permissions",
    _part("group_id", "groups.id"),
    _part("permission_id", "permissions.id"),
)

group_members = _links(
    "group_members",
    _part("user_id", "users.id"),
    _part("group_id", "groups.id"),
)
sa.Index("group_members_by_group", group_members.c.group_id)

grants = _links(
    "grants",
    _part("user_id", "users.id"),
    _part("permission_id", "permissions.id"),
    _big("granted_by"),  # a user's id; 0 for the command line
    _big("granted_at", None),
)

access = _links(  # who may use which foreign resource, and how far
    "access",
    _part("user_id", "users.id"),
    sa.Column("resource", TEXT, primary_key=True),
    _text("level", None),
    _big("granted_by"),
    _big("granted_at", None),
)

invitations = _things(
    "invitations",
    sa.Column("public_id", TEXT, nullable=False, unique=True),
    sa.Column("tenant_id", BIG, sa.ForeignKey("tenants.id"), nullable=False),
    _text("email", None),
    _text("email_key", None),
    _text("name"),
    sa.Column("role", sa.SmallInteger(), nullable=False),
    _text("resources", "[]"),  # JSON list of the resources that acceptance opens
    _user("inviter_id"),
    _big("generation"),  # moves with every resend: the earlier link's secret is void
    _big("created_at", None),
    _big("expires_at", None),
    _big("accepted_at"),
    _big("revoked_at"),
    _big("accepted_by"),  # the user that came of it
)
sa.Index("invitations_by_tenant", invitations.c.tenant_id, invitations.c.id)
sa.Index("invitations_by_user", invitations.c.accepted_by)
sa.Index("invitations_by_email", invitations.c.email_key)

tokens = _things(
    "tokens",
    sa.Column("digest", sa.LargeBinary(), nullable=False, unique=True),  # SHA-256 of the secret
    _user(),
    _text("contract", None),  # who issued it: it works there alone
    _text("kind", None),  # session, access, refresh
    _big("family"),  # refresh tokens and the access tokens that came with them
    _big("user_epoch", None),
    _big("tenant_epoch", None),
    _big("created_at", None),
    _big("last_used_at", None),
    _big("idle_until", None),
    _big("expires_at", None),
    _big("used_at"),  # a refresh token works once
)
sa.Index("tokens_by_user", tokens.c.user_id)
sa.Index("tokens_by_family", tokens.c.family)
sa.Index("tokens_by_expiry", tokens.c.expires_at)

one_time = _things(  # secrets that go out by mail: derived from this row, never stored
    "one_time",
    _user(),
    _text("purpose", None),
    _big("generation"),
    _big("user_epoch", None),
    _big("expires_at", None),
    _big("used_at"),
    sa.UniqueConstraint("user_id", "purpose"),
)

signing_keys = sa.Table(
    "signing_keys",
    metadata,
    sa.Column("kid", TEXT, primary_key=True),
    _text("public", None),
    _text("sealed", None),  # the private half, sealed with the server's key
    _big("created_at", None),
    _big("retired_at"),
)

failures = _links(  # attempts that failed, per account and address; address "" counts them all
    "failures",
    sa.Column("account", TEXT, primary_key=True),
    sa.Column("address", TEXT, primary_key=True),
    _big("since", None),
    _big("count", None),
)
sa.Index("failures_by_age", failures.c.since)

addresses = _links(  # from where a user has signed in before (digests, not addresses)
    "addresses",
    _part("user_id", "users.id"),
    sa.Column("address", TEXT, primary_key=True),
    _big("last_at", None),
)

audit = _things(
    "audit",
    _big("at", None),
    _text("actor_kind", None),
    _big("actor_id"),
    _text("actor_name"),  # of machines only; people are named by their id
    _text("contract", None),
    _text("action", None),
    _text("target_kind", None),
    _big("target_id"),
    sa.Column("tenant_id", BIG),
    _text("fields"),  # names of what was changed, never values
    _text("request_id"),
    _text("address"),
)
sa.Index("audit_by_target", audit.c.target_kind, audit.c.target_id, audit.c.id)
sa.Index("audit_by_tenant", audit.c.tenant_id, audit.c.id)

outbox = _things(  # what is to be sent, written with its cause and sent after it
    "outbox",
    _text("kind", None),  # the mail's template
    _user(nullable=True),  # whom it concerns: it goes when that user is erased
    _text("recipient", None),
    _text("payload", "{}"),  # JSON; no secret is ever in it
    _big("created_at", None),
    _big("due_at", None),
    _big("attempts"),
    _big("sent_at"),
    _big("failed_at"),  # given up
    _text("last_error"),
)
_waiting = _where(sa.and_(outbox.c.sent_at == 0, outbox.c.failed_at == 0))
sa.Index("outbox_due", outbox.c.due_at, **_waiting)
sa.Index("outbox_by_user", outbox.c.user_id)

counts = _links(  # exact numbers of living users; several rows (shards) a counter on PostgreSQL
    "counts",
    sa.Column("tenant_id", BIG, primary_key=True, autoincrement=False),  # 0: without a tenant
    sa.Column("role", sa.SmallInteger(), primary_key=True, autoincrement=False),
    sa.Column("active", sa.Boolean(), primary_key=True),
    sa.Column("shard", sa.SmallInteger(), primary_key=True, autoincrement=False),
    _big("n", None),
    _big("moves"),  # how often it was written
)


LIVING = users.c.deleted_at.is_(None)
