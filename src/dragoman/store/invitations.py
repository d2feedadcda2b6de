"""Invitations: insert, find, accept, revoke and erase; and the current state of their inviters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from dragoman.rules.fields import canonical
from dragoman.rules.model import Invitation, Page, Role, User
from dragoman.rules.vocabulary import Reach
from dragoman.store import user_columns
from dragoman.store.query import Query, Row, bind, in_list
from dragoman.store.schema import LIVING, invitations, outbox, tenants, users
from dragoman.store.transaction import Read, Tx
from dragoman.store.user_lists.filters import Scope

OUTBOX_KIND = "invitation"
"""The ``kind`` of outbox messages that carry an invitation."""

_COLUMNS = tuple(invitations.c[name] for name in Invitation.__struct_fields__)
_RESOURCES = msgspec.json.Decoder(tuple[str, ...])


def _from_row(row: Row) -> Invitation:
    invitation_id, public_id, tenant_id, email, name, role, resources, *others = tuple(row)
    resource_names = _RESOURCES.decode(resources)
    return Invitation(
        invitation_id, public_id, tenant_id, email, name, Role(role), resource_names, *others
    )


_INSERT_VALUES = {
    name: bind(name, type(invitations.c[name].type))
    for name in (
        "public_id", "tenant_id", "email", "email_key", "name", "role", "resources", "inviter_id",
        "session_id", "created_at", "expires_at",
    )
}  # fmt: skip
_INSERT: Query[Invitation] = Query(
    sa.insert(invitations).values(generation=1, **_INSERT_VALUES).returning(*_COLUMNS), _from_row
)
_SELECT = sa.select(*_COLUMNS)
_BY_PUBLIC_ID = _SELECT.where(invitations.c.public_id == bind("public_id", sa.Text))
_FIND: Query[Invitation] = Query(_BY_PUBLIC_ID, _from_row, indexed=True)
_FIND_FOR_UPDATE: Query[Invitation] = Query(
    _BY_PUBLIC_ID.with_for_update(), _from_row, sqlite=_BY_PUBLIC_ID
)
_IS_OPEN = (invitations.c.accepted_at == 0, invitations.c.revoked_at == 0)
_PENDING: Query[Invitation] = Query(
    _SELECT.where(
        invitations.c.email_key == bind("email_key", sa.Text),
        *_IS_OPEN,
        invitations.c.expires_at > bind("now"),
    ).order_by(invitations.c.id),
    _from_row,
)
_UPDATE_BY_ID = sa.update(invitations).where(invitations.c.id == bind("row_id"))
_RENEW: Query[Invitation] = Query(
    _UPDATE_BY_ID.values(
        generation=invitations.c.generation + 1,
        inviter_id=bind("inviter_id"),
        session_id=bind("session_id"),
        expires_at=bind("expires_at"),
    ).returning(*_COLUMNS),
    _from_row,
)
_ACCEPT: Query[None] = Query(
    _UPDATE_BY_ID.values(accepted_at=bind("now"), accepted_by=bind("user_id"))
)
_REVOKE: Query[None] = Query(_UPDATE_BY_ID.values(revoked_at=bind("now")))


async def insert(
    tx: Tx,
    *,
    public_id: str,
    tenant_id: int,
    email: str,
    name: str,
    role: Role,
    resources: Sequence[str],
    inviter_id: int,
    expires_at: int,
) -> Invitation:
    """Insert an invitation.

    The caller holds LOCK_INVITATIONS for the e-mail address and has checked ``list_pending``.

    Args:
        tx: the transaction.
        public_id: a random public id.
        tenant_id: the tenant that the invitation is for.
        email: the recipient's e-mail address.
        name: the recipient's name; may be empty.
        role: the role that acceptance gives.
        resources: the resources that acceptance gives access to.
        inviter_id: the user who invites.
        expires_at: when the invitation expires (microseconds).
    """
    created = await tx.fetch_one(
        _INSERT,
        public_id=public_id,
        tenant_id=tenant_id,
        email=email,
        email_key=canonical(email),
        name=name,
        role=int(role),
        resources=msgspec.json.encode(tuple(resources)).decode(),
        inviter_id=inviter_id,
        session_id=tx.actor.session_id,
        created_at=tx.now,
        expires_at=expires_at,
    )
    assert created is not None, "INSERT … RETURNING returns a row"
    return created


async def find(reader: Read | Tx, public_id: str, *, for_update: bool = False) -> Invitation | None:
    """Return the invitation with this public id, or None.

    ``for_update`` locks its row until the end of the transaction.
    """
    return await reader.fetch_one(_FIND_FOR_UPDATE if for_update else _FIND, public_id=public_id)


async def list_pending(tx: Tx, email_key: str, now: int) -> list[Invitation]:
    """Return the pending invitations of an e-mail address, in any tenant.

    ``email_key`` is the canonical address, ``now`` is in microseconds.
    """
    return await tx.fetch(_PENDING, email_key=email_key, now=now)


async def renew(tx: Tx, invitation: Invitation, inviter_id: int, expires_at: int) -> Invitation:
    """Renew an invitation whose row is locked: its earlier link becomes invalid.

    Args:
        tx: the transaction.
        invitation: the invitation.
        inviter_id: the user who sends it now.
        expires_at: when it expires now (microseconds).
    """
    renewed = await tx.fetch_one(
        _RENEW,
        row_id=invitation.id,
        inviter_id=inviter_id,
        session_id=tx.actor.session_id,
        expires_at=expires_at,
    )
    assert renewed is not None, "its row is locked"
    return renewed


async def accept(tx: Tx, invitation_id: int, user_id: int) -> None:
    """Record that an invitation whose row is locked was accepted by a new user."""
    await tx.run(_ACCEPT, row_id=invitation_id, user_id=user_id, now=tx.now)


async def revoke(tx: Tx, invitation_id: int) -> None:
    """Revoke an invitation whose row is locked."""
    await tx.run(_REVOKE, row_id=invitation_id, now=tx.now)


_REVOKE_BY_INVITER: Query[None] = Query(
    sa.update(invitations)
    .where(
        invitations.c.inviter_id == bind("inviter"),
        sa.or_(bind("kept") == 0, invitations.c.session_id != bind("kept")),
        *_IS_OPEN,
    )
    .values(revoked_at=bind("now"))
)


async def revoke_by_inviter(tx: Tx, inviter_id: int, *, kept_session_id: int = 0) -> None:
    """Revoke the pending invitations that a user has sent, for good.

    Args:
        tx: the transaction.
        inviter_id: the user, who may no longer invite or whose sessions end.
        kept_session_id: the session whose invitations stay; 0 for none.
    """
    await tx.run(_REVOKE_BY_INVITER, inviter=inviter_id, kept=kept_session_id, now=tx.now)


_REVOKE_BY_EMAIL: Query[None] = Query(
    sa.update(invitations)
    .where(invitations.c.email_key == bind("address_key", sa.Text), *_IS_OPEN)
    .values(revoked_at=bind("now"))
)


async def revoke_by_email(tx: Tx, email_key: str) -> None:
    """Revoke the pending invitations of an e-mail address (canonical), in any tenant.

    A deleted user must not return through an earlier invitation, and an invitation whose inviter
    lost the right to invite must not become valid again beside a newer one.
    """
    await tx.run(_REVOKE_BY_EMAIL, address_key=email_key, now=tx.now)


_IN_TENANT = invitations.c.tenant_id == bind("own_tenant")


def _page_queries(*conditions: Any) -> tuple[Query[Invitation], Query[int]]:
    ordered = _SELECT.where(*conditions).order_by(invitations.c.id.desc())
    return (
        Query(ordered.limit(bind("limit")).offset(bind("offset")), _from_row),
        Query(sa.select(sa.func.count()).select_from(invitations).where(*conditions)),
    )


_PAGES = {Reach.ANY: _page_queries(), Reach.TENANT: _page_queries(_IN_TENANT)}


async def page(reader: Read, scope: Scope, *, limit: int, offset: int) -> Page[Invitation]:
    """Return one page of invitations in a scope, newest first, and their exact count.

    Args:
        reader: the reader that runs the statements.
        scope: which tenants' invitations the actor may see.
        limit: maximum number of rows.
        offset: number of rows to skip.
    """
    if scope.reach not in _PAGES:
        return Page([], 0)
    rows_query, count_query = _PAGES[scope.reach]
    count = await reader.fetch_one(count_query, own_tenant=scope.tenant_id) or 0
    params = {"own_tenant": scope.tenant_id}
    return Page(await reader.fetch(rows_query, **params, limit=limit, offset=offset), count)


_FOR_EMAIL = invitations.c.email_key == bind("address_key", sa.Text)
_FOR_USER = sa.or_(
    sa.and_(_FOR_EMAIL, invitations.c.email_key != "", invitations.c.created_at <= bind("until")),
    sa.and_(invitations.c.accepted_by == bind("user_id"), invitations.c.accepted_by != 0),
)
_DELETE_MAILS: Query[None] = Query(
    sa.delete(outbox).where(
        outbox.c.kind == OUTBOX_KIND,
        outbox.c.recipient.in_(sa.select(invitations.c.email).where(_FOR_USER)),
    )
)
_ERASE: Query[None] = Query(
    sa.update(invitations)
    .where(_FOR_USER)
    .values(
        email="",
        email_key="",
        name="",
        revoked_at=sa.case((sa.and_(*_IS_OPEN), bind("now")), else_=invitations.c.revoked_at),
    )
)


async def erase_for_user(
    tx: Tx, email_key: str, user_id: int = 0, *, until: int | None = None
) -> None:
    """Erase the personal data in the invitations of a user, revoke them, and delete their mails.

    These are the invitations to its e-mail address, and the one that it accepted, whatever the
    address was then.
    Must run before the user's login names are released: an acceptance that has locked such an
    invitation may be waiting for them.

    Args:
        tx: the transaction.
        email_key: the canonical e-mail address; may be empty.
        user_id: the user's id.
        until: only invitations sent until then (microseconds): later ones are for somebody else.
    """
    params = {"address_key": email_key, "user_id": user_id}
    params |= {"until": tx.now if until is None else until}
    await tx.run(_DELETE_MAILS, **params)
    await tx.run(_ERASE, **params, now=tx.now)


_ended_at = sa.case(
    (invitations.c.accepted_at > 0, invitations.c.accepted_at),
    (invitations.c.revoked_at > 0, invitations.c.revoked_at),
    else_=invitations.c.expires_at,
)
_ENDED = (
    sa.select(invitations.c.id)
    .where(invitations.c.expires_at < bind("expired_until"), _ended_at < bind("before"))
    .order_by(invitations.c.expires_at)
    .limit(bind("limit"))
)
_PURGE: Query[None] = Query(sa.delete(invitations).where(invitations.c.id.in_(_ENDED)))


async def purge(tx: Tx, cutoff: int, lifetime: int, limit: int) -> int:
    """Delete invitations that were accepted, revoked or expired before ``cutoff``.

    Args:
        tx: the transaction.
        cutoff: the time (microseconds).
        lifetime: how long an invitation is valid at most (microseconds): one that ended before
            ``cutoff`` has an expiry before ``cutoff`` and that, which the index finds.
        limit: the maximum number of invitations.
    """
    return await tx.run(_PURGE, before=cutoff, expired_until=cutoff + lifetime, limit=limit)


class Inviter(msgspec.Struct, frozen=True):
    """The current state of a user who sent an invitation."""

    user: User
    tenant_active: bool


_INVITERS: Query[Inviter] = Query(
    sa.select(*user_columns.COLUMNS, sa.func.coalesce(tenants.c.active, sa.true()))
    .select_from(users.outerjoin(tenants))
    .where(LIVING, in_list(users.c.id, "ids")),
    lambda row: Inviter(user_columns.from_row(row), bool(row[len(user_columns.COLUMNS)])),
)


async def find_inviters(reader: Read | Tx, user_ids: Iterable[int]) -> dict[int, Inviter]:
    """Return the users with these ids, by id; deleted users are missing."""
    unique_ids = sorted(set(user_ids))
    living = await reader.fetch(_INVITERS, ids=unique_ids) if unique_ids else []
    return {each.user.id: each for each in living}
