"""Credentials: who stands behind one; never the secrets themselves."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import msgspec
import sqlalchemy as sa

from dragoman.rules.model import Token, User
from dragoman.rules.policy import LOWEST_ROLE_WITH_ALL_PERMISSIONS
from dragoman.store import users as user_store
from dragoman.store.query import LookupQuery, Query, Row, bind, joined_words
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


class CredentialRecord(msgspec.Struct, frozen=True):
    """What a credential says of whoever presents it, at this moment.

    ``permissions`` are those granted; of whoever holds all by its role, they are not looked up.
    """

    token: Token
    idle_until: int
    used_at: int
    user: User
    epochs_match: bool
    tenant_active: bool
    tenant_epoch: int
    permissions: frozenset[str]
    prefetched_user: User | None


_permission_ids = (
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
    sa.select(joined_words(permissions.c.codename))
    .select_from(_permission_ids)
    .join(permissions, permissions.c.id == _permission_ids.c.permission_id)
    .scalar_subquery()
)
_granted_codenames = sa.case((users.c.role > LOWEST_ROLE_WITH_ALL_PERMISSIONS, _codenames))
_prefetched = users.alias("target")
_prefetched_tenant = tenants.alias("target_tenant")
_PREFETCHED_COLUMNS = tuple(
    _prefetched_tenant.c.name if column.table is tenants else _prefetched.c[column.name]
    for column in user_store.COLUMNS
)
_TOKEN_COLUMNS = (
    tokens.c.id,
    tokens.c.user_id,
    tokens.c.contract,
    tokens.c.kind,
    tokens.c.created_at,
    tokens.c.last_used_at,
    tokens.c.expires_at,
    tokens.c.family,
)


def _record_select(q: Any) -> Any:
    return (
        sa.select(
            q.c.n,
            *_TOKEN_COLUMNS,
            tokens.c.idle_until,
            tokens.c.used_at,
            sa.and_(
                tokens.c.user_epoch == users.c.auth_epoch,
                tokens.c.tenant_epoch == sa.func.coalesce(tenants.c.auth_epoch, 0),
            ),
            sa.func.coalesce(tenants.c.active, sa.true()),
            tokens.c.tenant_epoch,
            _granted_codenames,
            *user_store.COLUMNS,
            *_PREFETCHED_COLUMNS,
        )
        .select_from(q)
        .join(tokens, tokens.c.digest == q.c.k0)
        .join(users, sa.and_(users.c.id == tokens.c.user_id, LIVING))
        .outerjoin(tenants, tenants.c.id == users.c.tenant_id)
        .outerjoin(
            _prefetched, sa.and_(_prefetched.c.id == q.c.k1, _prefetched.c.deleted_at.is_(None))
        )
        .outerjoin(_prefetched_tenant, _prefetched_tenant.c.id == _prefetched.c.tenant_id)
    )


_STATE_COLUMNS = 6
_USER_OFFSET = 1 + len(_TOKEN_COLUMNS) + _STATE_COLUMNS
_PREFETCHED_OFFSET = _USER_OFFSET + len(user_store.COLUMNS)


def _from_row(row: Row) -> CredentialRecord:
    values = tuple(row)
    idle_until, used_at, epochs_match, tenant_active, tenant_epoch, codenames = values[
        _USER_OFFSET - _STATE_COLUMNS : _USER_OFFSET
    ]
    return CredentialRecord(
        Token(*values[1 : _USER_OFFSET - _STATE_COLUMNS]),
        idle_until,
        used_at,
        user_store.from_row(values[_USER_OFFSET:]),
        bool(epochs_match),
        bool(tenant_active),
        tenant_epoch,
        frozenset(codenames.split(" ")) if codenames else frozenset(),
        user_store.from_row(values[_PREFETCHED_OFFSET:])
        if values[_PREFETCHED_OFFSET] is not None
        else None,
    )


_BY_DIGEST = LookupQuery((sa.LargeBinary(), sa.BigInteger()), _record_select, _from_row)


def look_up(
    driver: Driver, digest: bytes, prefetch_id: int = 0
) -> Awaitable[CredentialRecord | None]:
    """Look up who stands behind a credential, and the living user ``ahead``, in one statement.

    Args:
        driver: the database driver.
        digest: SHA-256 of the secret.
        ahead: the id of a user that the request is about; 0 for none.
    """
    return driver.look_up(_BY_DIGEST, (digest, prefetch_id))


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
    tx.defer(
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
_DELETE_FOR_USER = sa.delete(tokens).where(tokens.c.user_id == bind("user_id"))
_DELETE_FOR_CONTRACT = _DELETE_FOR_USER.where(tokens.c.contract == bind("contract", sa.Text))
_REMOVE_FOR_USER: Query[None] = Query(_DELETE_FOR_USER)
_REMOVE_FOR_CONTRACT: Query[None] = Query(_DELETE_FOR_CONTRACT)
_REMOVE_BY_DIGEST: Query[None] = Query(
    _DELETE_FOR_CONTRACT.where(tokens.c.digest == bind("digest", sa.LargeBinary))
)
_REMOVE_FAMILY: Query[None] = Query(sa.delete(tokens).where(tokens.c.family == bind("family")))
_FAMILY: Query[int] = Query(sa.select(tokens.c.family).where(tokens.c.id == bind("id")))
_REMOVE_EXPIRED: Query[None] = Query(sa.delete(tokens).where(tokens.c.expires_at < bind("now")))
_REMOVE_IDLE: Query[None] = Query(sa.delete(tokens).where(tokens.c.idle_until < bind("now")))
_SET_LAST_USED: Query[None] = Query(
    sa.update(tokens)
    .where(tokens.c.id == bind("id"))
    .values(last_used_at=bind("at"), idle_until=bind("idle_until"))
)
_CARRY_OVER: Query[None] = Query(
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
    await remove_family(tx, await tx.fetch_one(_FAMILY, id=token_id) or 0)
    await tx.run(_REMOVE, id=token_id)


async def remove_family(tx: Tx, family: int) -> None:
    """Forget a family of credentials: refresh tokens, and what came with them; 0 is none."""
    if family:
        await tx.run(_REMOVE_FAMILY, family=family)


async def remove_for_user(tx: Tx, user_id: int, *, contract: str = "", digest: bytes = b"") -> int:
    """Forget every credential of a user; returns how many there were.

    With a contract only those that it issued, with a digest besides only that very one.
    """
    if not contract:
        return await tx.run(_REMOVE_FOR_USER, user_id=user_id)
    if not digest:
        return await tx.run(_REMOVE_FOR_CONTRACT, user_id=user_id, contract=contract)
    return await tx.run(_REMOVE_BY_DIGEST, user_id=user_id, contract=contract, digest=digest)


async def set_last_used(tx: Tx, token_id: int, last_used_at: int, idle_until: int) -> None:
    """Note that a credential was used."""
    await tx.run(_SET_LAST_USED, id=token_id, at=last_used_at, idle_until=idle_until)


async def carry_over(tx: Tx, token_id: int, user_id: int) -> None:
    """Let one session survive the cut that its own user has just made."""
    await tx.run(_CARRY_OVER, id=token_id, user_id=user_id)


async def purge(tx: Tx) -> int:
    """Forget credentials that have expired; returns how many."""
    return await tx.run(_REMOVE_EXPIRED, now=tx.now) + await tx.run(_REMOVE_IDLE, now=tx.now)


_CONSUME: Query[None] = Query(
    sa.update(tokens)
    .where(tokens.c.id == bind("id"), tokens.c.used_at == 0)
    .values(used_at=bind("now"))
)
_SESSION_START_TIMES: Query[int] = Query(
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


async def consume(tx: Tx, token_id: int) -> bool:
    """Mark a credential as used; False if it was used already, or is gone."""
    return await tx.run(_CONSUME, id=token_id, now=tx.now) == 1


async def session_start_times(reader: Read, user_id: int, contract: str) -> list[int]:
    """Return when the live credentials of a user at a contract were made, a hundred at most."""
    return await reader.fetch(
        _SESSION_START_TIMES, user_id=user_id, contract=contract, now=reader.now
    )
