"""Credentials: who stands behind one; never the secrets themselves."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import msgspec
import sqlalchemy as sa

from dragoman.rules.model import Token, User
from dragoman.rules.policy import PERMISSION_ROLE_HOLDS
from dragoman.store import users as people
from dragoman.store.query import PointRead, Query, Row, bind, words
from dragoman.store.schema import (
    LIVING,
    grants,
    group_members,
    group_permissions,
    permissions,
    tenants,
    tokens,
    users,
)
from dragoman.store.transaction import Driver, Read, Tx


class Standing(msgspec.Struct, frozen=True):
    """What a credential says of whoever presents it, at this moment.

    ``permissions`` are those granted; of whoever holds all by its role, they are not looked up.
    """

    token: Token
    idle_until: int
    used_at: int
    user: User
    epochs_hold: bool
    tenant_active: bool
    tenant_epoch: int
    permissions: frozenset[str]
    ahead: User | None


_held = (
    sa.select(grants.c.permission_id)
    .where(grants.c.user_id == users.c.id)
    .correlate(users)
    .union_all(
        sa.select(group_permissions.c.permission_id)
        .select_from(group_members)
        .join(group_permissions, group_members.c.group_id == group_permissions.c.group_id)
        .where(group_members.c.user_id == users.c.id)
        .correlate(users)
    )
    .subquery("held")
)
_codenames = (  # beginning with what the user holds: mostly nothing
    sa.select(words(permissions.c.codename))
    .select_from(_held)
    .join(permissions, permissions.c.id == _held.c.permission_id)
    .scalar_subquery()
)
_granted = sa.case((users.c.role > PERMISSION_ROLE_HOLDS, _codenames))
_target = users.alias("target")
_target_tenant = tenants.alias("target_tenant")
_TARGET = tuple(
    _target_tenant.c.name if column.table is tenants else _target.c[column.name]
    for column in people.COLUMNS
)
_TOKEN = (
    tokens.c.id,
    tokens.c.user_id,
    tokens.c.contract,
    tokens.c.kind,
    tokens.c.created_at,
    tokens.c.last_used_at,
    tokens.c.expires_at,
    tokens.c.family,
)


def _standing_select(q: Any) -> Any:
    return (
        sa.select(
            q.c.n,
            *_TOKEN,
            tokens.c.idle_until,
            tokens.c.used_at,
            sa.and_(
                tokens.c.user_epoch == users.c.auth_epoch,
                tokens.c.tenant_epoch == sa.func.coalesce(tenants.c.auth_epoch, 0),
            ),
            sa.func.coalesce(tenants.c.active, sa.true()),
            tokens.c.tenant_epoch,
            _granted,
            *people.COLUMNS,
            *_TARGET,
        )
        .select_from(q)
        .join(tokens, tokens.c.digest == q.c.k0)
        .join(users, sa.and_(users.c.id == tokens.c.user_id, LIVING))
        .outerjoin(tenants, tenants.c.id == users.c.tenant_id)
        .outerjoin(_target, sa.and_(_target.c.id == q.c.k1, _target.c.deleted_at.is_(None)))
        .outerjoin(_target_tenant, _target_tenant.c.id == _target.c.tenant_id)
    )


_OWN = 6
_USER_AT = 1 + len(_TOKEN) + _OWN
_TARGET_AT = _USER_AT + len(people.COLUMNS)


def _load(row: Row) -> Standing:
    values = tuple(row)
    idle, used, hold, tenant_active, tenant_epoch, codenames = values[_USER_AT - _OWN : _USER_AT]
    return Standing(
        Token(*values[1 : _USER_AT - _OWN]),
        idle,
        used,
        people.load(values[_USER_AT:]),
        bool(hold),
        bool(tenant_active),
        tenant_epoch,
        frozenset(codenames.split(" ")) if codenames else frozenset(),
        people.load(values[_TARGET_AT:]) if values[_TARGET_AT] is not None else None,
    )


_STANDING = PointRead((sa.LargeBinary(), sa.BigInteger()), _standing_select, _load)


def standing(driver: Driver, digest: bytes, ahead: int = 0) -> Awaitable[Standing | None]:
    """Look up who stands behind a credential, and the living user ``ahead``, in one statement.

    Args:
        driver: the database driver.
        digest: SHA-256 of the secret.
        ahead: the id of a user that the request is about; 0 for none.
    """
    return driver.point(_STANDING, (digest, ahead))


_INSERT: Query[None] = Query(
    sa.insert(tokens).from_select(
        [
            "digest", "user_id", "contract", "kind", "family", "user_epoch", "tenant_epoch",
            "created_at", "last_used_at", "idle_until", "expires_at",
        ],
        sa.select(
            bind("digest", sa.LargeBinary),
            users.c.id,
            bind("contract", sa.Text),
            bind("kind", sa.Text),
            bind("family"),
            users.c.auth_epoch,
            sa.func.coalesce(tenants.c.auth_epoch, 0),
            bind("now"),
            bind("now"),
            bind("idle_until"),
            bind("expires_at"),
        )
        .select_from(users.outerjoin(tenants))
        .where(users.c.id == bind("user_id")),
    )
)  # fmt: skip


def insert(
    tx: Tx,
    *,
    user_id: int,
    digest: bytes,
    contract: str,
    kind: str,
    idle_until: int,
    expires_at: int,
    family: int = 0,
) -> None:
    """Add a credential, bound to the user's and the tenant's epochs as they are."""
    tx.later(
        _INSERT,
        user_id=user_id,
        digest=digest,
        contract=contract,
        kind=kind,
        family=family,
        now=tx.now,
        idle_until=idle_until,
        expires_at=expires_at,
    )


_REMOVE: Query[None] = Query(sa.delete(tokens).where(tokens.c.id == bind("id")))
_OF = sa.delete(tokens).where(tokens.c.user_id == bind("user_id"))
_AT = _OF.where(tokens.c.contract == bind("contract", sa.Text))
_REMOVE_OF: Query[None] = Query(_OF)
_REMOVE_AT: Query[None] = Query(_AT)
_REMOVE_THAT: Query[None] = Query(_AT.where(tokens.c.digest == bind("digest", sa.LargeBinary)))
_REMOVE_FAMILY: Query[None] = Query(sa.delete(tokens).where(tokens.c.family == bind("family")))
_FAMILY: Query[int] = Query(sa.select(tokens.c.family).where(tokens.c.id == bind("id")))
_REMOVE_OLD: Query[None] = Query(sa.delete(tokens).where(tokens.c.expires_at < bind("now")))
_REMOVE_IDLE: Query[None] = Query(sa.delete(tokens).where(tokens.c.idle_until < bind("now")))
_TOUCH: Query[None] = Query(
    sa.update(tokens)
    .where(tokens.c.id == bind("id"))
    .values(last_used_at=bind("at"), idle_until=bind("idle_until"))
)
_KEEP: Query[None] = Query(
    sa.update(tokens)
    .where(tokens.c.id == bind("id"), tokens.c.user_id == bind("user_id"))
    .values(
        user_epoch=sa.select(users.c.auth_epoch)
        .where(users.c.id == bind("user_id"))
        .scalar_subquery()
    )
)


async def remove(tx: Tx, token_id: int) -> None:
    """Forget one credential, and its whole family where it has one."""
    await remove_family(tx, await tx.one(_FAMILY, id=token_id) or 0)
    await tx.run(_REMOVE, id=token_id)


async def remove_family(tx: Tx, family: int) -> None:
    """Forget a family of credentials: refresh tokens, and what came with them; 0 is none."""
    if family:
        await tx.run(_REMOVE_FAMILY, family=family)


async def remove_of(tx: Tx, user_id: int, *, contract: str = "", digest: bytes = b"") -> int:
    """Forget every credential of a user; returns how many there were.

    With a contract only those that it issued, with a digest besides only that very one.
    """
    if not contract:
        return await tx.run(_REMOVE_OF, user_id=user_id)
    if not digest:
        return await tx.run(_REMOVE_AT, user_id=user_id, contract=contract)
    return await tx.run(_REMOVE_THAT, user_id=user_id, contract=contract, digest=digest)


async def touch(tx: Tx, token_id: int, at: int, idle_until: int) -> None:
    """Note that a credential was used."""
    await tx.run(_TOUCH, id=token_id, at=at, idle_until=idle_until)


async def keep(tx: Tx, token_id: int, user_id: int) -> None:
    """Let one session survive the cut that its own user has just made."""
    await tx.run(_KEEP, id=token_id, user_id=user_id)


async def purge(tx: Tx) -> int:
    """Forget credentials that have expired; returns how many."""
    return await tx.run(_REMOVE_OLD, now=tx.now) + await tx.run(_REMOVE_IDLE, now=tx.now)


_SPEND: Query[None] = Query(
    sa.update(tokens)
    .where(tokens.c.id == bind("id"), tokens.c.used_at == 0)
    .values(used_at=bind("now"))
)
_BEGINNINGS: Query[int] = Query(
    sa.select(tokens.c.created_at)
    .join(users, users.c.id == tokens.c.user_id)
    .where(
        tokens.c.user_id == bind("user_id"),
        tokens.c.contract == bind("contract", sa.Text),
        tokens.c.kind != "refresh",
        tokens.c.user_epoch == users.c.auth_epoch,
        tokens.c.expires_at > bind("now"),
    )
    .order_by(tokens.c.id)
    .limit(100)
)


async def spend(tx: Tx, token_id: int) -> bool:
    """Mark a credential as used; False if it was used already, or is gone."""
    return await tx.run(_SPEND, id=token_id, now=tx.now) == 1


async def beginnings(read: Read, user_id: int, contract: str) -> list[int]:
    """Return when the live credentials of a user at a contract were made, a hundred at most."""
    return await read.all(_BEGINNINGS, user_id=user_id, contract=contract, now=read.now)
