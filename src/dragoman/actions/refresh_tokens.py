"""Refresh tokens: each is spent once, and a family dies whole (RFC 9700, 4.14.2)."""

from __future__ import annotations

import contextlib

from dragoman.actions.directory import Directory
from dragoman.actions.steps.credentials import lock_active_tenant, mint
from dragoman.actions.tokens import PresentedCredential, actor_for, rejection_reason
from dragoman.rules import crypto
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import REFRESH, Credential, CredentialFormat
from dragoman.rules.errors import NotFound, Unauthenticated
from dragoman.rules.model import User
from dragoman.store import audit, tokens, users
from dragoman.store.transaction import now


async def refresh(
    directory: Directory, visitor: Actor, secret: str, credential_format: CredentialFormat
) -> tuple[User, Credential]:
    """Spend a refresh token for a new pair; returns whose it is, and the pair.

    It works once: presented again, its whole family is dead, access tokens too (RFC 9700,
    4.14.2). Raises Unauthenticated.
    """
    record = await tokens.look_up(directory.driver, crypto.digest(secret))
    if record is None or (record.token.contract, record.token.kind) != (
        credential_format.contract,
        REFRESH,
    ):
        raise Unauthenticated("unknown")
    if record.used_at:
        await _revoke_family(directory, visitor, record)
        raise Unauthenticated("unknown")
    if reason := rejection_reason(record, now()):
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
        if await tokens.consume(tx, record.token.id):
            credential = await mint(
                tx, directory, user, credential_format, family=record.token.family
            )
            audit.write(tx, "refresh", target_id=user.id, tenant_id=user.tenant_id)
            return user, credential
    await _revoke_family(directory, visitor, record)  # somebody was faster with the same token
    raise Unauthenticated("unknown")


async def _revoke_family(
    directory: Directory, visitor: Actor, record: tokens.CredentialRecord
) -> None:
    async with directory.begin(visitor) as tx:
        with contextlib.suppress(NotFound):  # held: nothing is given to the family meanwhile
            await users.get(tx, record.user.id)
        await tokens.remove_family(tx, record.token.family)
        user = record.user
        audit.write(tx, "refresh_reused", target_id=user.id, tenant_id=user.tenant_id)
