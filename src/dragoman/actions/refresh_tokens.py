"""Refresh tokens: each is valid once, and later reuse revokes its family (RFC 9700, 4.14.2)."""

from __future__ import annotations

import contextlib

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.steps.credentials import lock_active_tenant, mint
from dragoman.actions.steps.sign_in_log import name_user
from dragoman.actions.tokens import PresentedCredential, actor_for, rejection_reason
from dragoman.rules import crypto
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import REFRESH, Credential, CredentialFormat
from dragoman.rules.errors import NotFound, Unauthenticated
from dragoman.rules.model import SECOND, User
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import audit, tokens, users
from dragoman.store.transaction import now


async def refresh(
    directory: Directory, visitor: Actor, secret: str, credential_format: CredentialFormat
) -> tuple[User, Credential]:
    """Exchange a refresh token for a new pair of tokens; return the user and the pair.

    A refresh token works once. For ``refresh_grace`` seconds after that it gives further pairs of
    its family, because two tabs may refresh at once, or an answer may get lost. If it is presented
    later, its whole family is revoked, access tokens included (RFC 9700, 4.14.2).

    Args:
        directory: the application's shared state.
        visitor: the caller, not yet authenticated.
        secret: the refresh token.
        credential_format: the format of the contract's credentials.

    Raises:
        Unauthenticated: ``inactive`` if the user or its tenant is deactivated, else ``unknown``.
    """
    record = await tokens.look_up(directory.driver, crypto.digest(secret))
    if record is None or (record.token.contract, record.token.kind) != (
        credential_format.contract,
        REFRESH,
    ):
        raise Unauthenticated("unknown")
    timestamp = now()
    if record.used_at and not _is_in_grace(directory, record.used_at, timestamp):
        await _revoke_family(directory, visitor, record)
        raise Unauthenticated("unknown")
    if reason := rejection_reason(msgspec.structs.replace(record, used_at=0), timestamp):
        raise Unauthenticated(reason)
    presented = PresentedCredential(
        credential_format=credential_format,
        secret="",
        restrictions=visitor.restrictions,
        request_id=visitor.request_id,
        address=visitor.address,
    )
    actor = await actor_for(directory, presented, record)
    async with directory.begin(actor) as tx:
        user = await users.get(tx, record.user.id)
        if not await lock_active_tenant(tx, user):
            raise Unauthenticated("inactive")
        if await tokens.consume(tx, record.token.id) or _is_in_grace(
            directory, await tokens.used_at(tx, record.token.id), tx.now
        ):
            credential = await mint(
                tx, directory, user, credential_format, family=record.token.family
            )
            audit.write(
                tx, AuditAction.REFRESH_SESSION, target_id=user.id, tenant_id=user.tenant_id
            )
            name_user(user)
            return user, credential
    await _revoke_family(directory, visitor, record)  # a concurrent request used the same token
    raise Unauthenticated("unknown")


def _is_in_grace(directory: Directory, used_at: int, timestamp: int) -> bool:
    """Return whether a refresh token was used so recently that it still gives another pair.

    ``used_at`` is 0 if it was not used, or no longer exists.
    """
    grace = directory.settings.refresh_grace * SECOND
    return used_at > 0 and grace > 0 and timestamp - used_at < grace


async def _revoke_family(
    directory: Directory, visitor: Actor, record: tokens.CredentialRecord
) -> None:
    async with directory.begin(visitor) as tx:
        with contextlib.suppress(NotFound):  # locked: the family gets no new token
            await users.get(tx, record.user.id)
        await tokens.remove_family(tx, record.token.family)
        user = record.user
        audit.write(
            tx, AuditAction.REFRESH_TOKEN_REUSED, target_id=user.id, tenant_id=user.tenant_id
        )
