"""Credentials (sessions, access and refresh tokens), stored as digests of their secrets."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import msgspec
import sqlalchemy as sa

from dragoman.rules.model import Token, User
from dragoman.rules.policy import LOWEST_ROLE_WITH_ALL_PERMISSIONS
from dragoman.store import user_columns
from dragoman.store.query import LookupQuery, Query, Row, bind, in_list, joined_words
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
    """A credential with the current state of its user.

    Attributes:
        token: the credential.
        idle_until: when it expires unless it is used (microseconds).
        used_at: when a refresh token was used up (microseconds); 0 if it was not.
        user: the credential's user.
        epochs_match: whether neither the user's nor the tenant's sessions were revoked since.
        tenant_active: whether the user's tenant is active; True without a tenant.
        tenant_epoch: the tenant's epoch when the credential was issued.
        permissions: codenames granted directly or through groups; empty for roles that have all
            permissions.
        prefetched_user: the user that was requested with the credential, or None.
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
_codenames = (  # starts from the user's own permissions, of which there are few or none
    sa.select(joined_words(permissions.c.codename))
    .select_from(_permission_ids)
    .join(permissions, permissions.c.id == _permission_ids.c.permission_id)
    .scalar_subquery()
)
# Literals: a parameter would be sent with every request.
_ZERO: Any = sa.literal_column("0")
_LOWEST_ROLE: Any = sa.literal_column(str(int(LOWEST_ROLE_WITH_ALL_PERMISSIONS)))
_granted_codenames = sa.case((users.c.role > _LOWEST_ROLE, _codenames))
_prefetched = users.alias("target")
_prefetched_tenant = tenants.alias("target_tenant")
_PREFETCHED_COLUMNS = user_columns.columns(_prefetched, _prefetched_tenant)
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
                tokens.c.tenant_epoch == sa.func.coalesce(tenants.c.auth_epoch, _ZERO),
            ),
            sa.func.coalesce(tenants.c.active, sa.true()),
            tokens.c.tenant_epoch,
            _granted_codenames,
            *user_columns.COLUMNS,
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
_PREFETCHED_OFFSET = _USER_OFFSET + len(user_columns.COLUMNS)


def _from_row(row: Row) -> CredentialRecord:
    values = tuple(row)
    idle_until, used_at, epochs_match, tenant_active, tenant_epoch, codenames = values[
        _USER_OFFSET - _STATE_COLUMNS : _USER_OFFSET
    ]
    return CredentialRecord(
        Token(*values[1 : _USER_OFFSET - _STATE_COLUMNS]),
        idle_until,
        used_at,
        user_columns.from_row(values, _USER_OFFSET),
        bool(epochs_match),
        bool(tenant_active),
        tenant_epoch,
        frozenset(codenames.split(" ")) if codenames else frozenset(),
        user_columns.from_row(values, _PREFETCHED_OFFSET)
        if values[_PREFETCHED_OFFSET] is not None
        else None,
    )


_BY_DIGEST = LookupQuery((sa.LargeBinary(), sa.BigInteger()), _record_select, _from_row)


def look_up(
    driver: Driver, digest: bytes, prefetch_id: int = 0
) -> Awaitable[CredentialRecord | None]:
    """Return the record of a credential, and the user that the request is about, in one statement.

    Args:
        driver: the database driver.
        digest: SHA-256 of the secret.
        prefetch_id: the id of the user that the request is about; 0 for none.
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
    """Insert a credential, bound to the current epochs of the user and its tenant.

    Args:
        tx: the transaction.
        user_id: the credential's user.
        digest: SHA-256 of the secret.
        contract: the contract that issues it; it is valid there alone.
        kind: ``session``, ``access`` or ``refresh``.
        idle_until: when it expires unless it is used (microseconds).
        expires_at: when it expires in any case (microseconds).
        family: the id of its token family; 0 for none.
    """
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
_HAS_EXPIRED = sa.or_(tokens.c.expires_at < bind("now"), tokens.c.idle_until < bind("now"))
_EXPIRED: Query[int] = Query(
    sa.select(tokens.c.id)
    .where(tokens.c.id > bind("after"), _HAS_EXPIRED)
    .order_by(tokens.c.id)
    .limit(bind("limit"))
)
_REMOVE_EXPIRED: Query[None] = Query(
    sa.delete(tokens).where(in_list(tokens.c.id, "ids"), _HAS_EXPIRED)
)
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
    """Delete a credential and its token family."""
    await remove_family(tx, await tx.fetch_one(_FAMILY, id=token_id) or 0)
    await tx.run(_REMOVE, id=token_id)


async def remove_family(tx: Tx, family: int) -> None:
    """Delete a token family: refresh tokens and their access tokens; 0 is no family."""
    if family:
        await tx.run(_REMOVE_FAMILY, family=family)


async def remove_for_user(tx: Tx, user_id: int, *, contract: str = "", digest: bytes = b"") -> int:
    """Delete credentials of a user and return their number.

    Args:
        tx: the transaction.
        user_id: the user's id.
        contract: only those that this contract issued.
        digest: only the one with this digest; requires a contract.
    """
    if not contract:
        return await tx.run(_REMOVE_FOR_USER, user_id=user_id)
    if not digest:
        return await tx.run(_REMOVE_FOR_CONTRACT, user_id=user_id, contract=contract)
    return await tx.run(_REMOVE_BY_DIGEST, user_id=user_id, contract=contract, digest=digest)


async def set_last_used(tx: Tx, token_id: int, last_used_at: int, idle_until: int) -> None:
    """Record when a credential was last used.

    Args:
        tx: the transaction.
        token_id: the credential's id.
        last_used_at: when it was used (microseconds).
        idle_until: when it expires unless it is used again (microseconds).
    """
    await tx.run(_SET_LAST_USED, id=token_id, at=last_used_at, idle_until=idle_until)


async def carry_over(tx: Tx, token_id: int, user_id: int) -> None:
    """Keep one session valid although its user's sessions were just revoked."""
    await tx.run(_CARRY_OVER, id=token_id, user_id=user_id)


async def purge(tx: Tx, *, after: int, limit: int) -> list[int]:
    """Delete expired credentials, and return the ids of those that were looked at, ascending.

    Args:
        tx: the transaction.
        after: only credentials with a greater id: the last one of the previous step.
        limit: the maximum number of credentials.
    """
    ids = await tx.fetch(_EXPIRED, after=after, limit=limit, now=tx.now)
    if ids:  # the condition again: one of them may have been used meanwhile
        await tx.run(_REMOVE_EXPIRED, ids=ids, now=tx.now)
    return ids


_CONSUME: Query[None] = Query(
    sa.update(tokens)
    .where(tokens.c.id == bind("id"), tokens.c.used_at == 0)
    .values(used_at=bind("now"))
)
_USED_AT: Query[int] = Query(sa.select(tokens.c.used_at).where(tokens.c.id == bind("id")))
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
    """Mark a refresh token as used; returns False if it was used before or does not exist."""
    return await tx.run(_CONSUME, id=token_id, now=tx.now) == 1


async def used_at(tx: Tx, token_id: int) -> int:
    """Return when a refresh token was first used (microseconds); 0: never, or it does not exist."""
    return await tx.fetch_one(_USED_AT, id=token_id) or 0


async def session_start_times(reader: Read, user_id: int, contract: str) -> list[int]:
    """Return when the user's valid sessions at a contract began, at most 100 (microseconds)."""
    return await reader.fetch(
        _SESSION_START_TIMES, user_id=user_id, contract=contract, now=reader.now
    )
