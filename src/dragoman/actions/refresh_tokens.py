"""Refresh tokens: each is spent once, and a family dies whole (RFC 9700, 4.14.2)."""

from __future__ import annotations

import contextlib

from dragoman.actions.directory import Directory
from dragoman.actions.steps.credentials import hold_tenant, mint
from dragoman.actions.tokens import Presented, actor_of, flaw_of
from dragoman.rules import crypto
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import REFRESH, Credential, Kind
from dragoman.rules.errors import NotFound, Unauthenticated
from dragoman.rules.model import User
from dragoman.store import audit, tokens, users
from dragoman.store.transaction import now


async def refresh(
    directory: Directory, visitor: Actor, secret: str, kind: Kind
) -> tuple[User, Credential]:
    """Spend a refresh token for a new pair; returns whose it is, and the pair.

    It works once: presented again, its whole family is dead, access tokens too (RFC 9700,
    4.14.2). Raises Unauthenticated.
    """
    found = await tokens.standing(directory.driver, crypto.digest(secret))
    if found is None or (found.token.contract, found.token.kind) != (kind.contract, REFRESH):
        raise Unauthenticated("unknown")
    if found.used_at:
        await _end_family(directory, visitor, found)
        raise Unauthenticated("unknown")
    if flaw := flaw_of(found, now()):
        raise Unauthenticated(flaw)
    presented = Presented(
        kind=kind,
        secret="",
        narrowing=visitor.narrowing,
        request_id=visitor.request_id,
        address=visitor.address,
    )
    actor = await actor_of(directory, presented, found)
    async with directory.begin(actor) as tx:
        user = await users.get(tx, found.user.id)
        if not await hold_tenant(tx, user):
            raise Unauthenticated("inactive")
        if await tokens.spend(tx, found.token.id):
            credential = await mint(tx, directory, user, kind, family=found.token.family)
            audit.write(tx, "refresh", target_id=user.id, tenant_id=user.tenant_id)
            return user, credential
    await _end_family(directory, visitor, found)  # somebody was faster with the same token
    raise Unauthenticated("unknown")


async def _end_family(directory: Directory, visitor: Actor, found: tokens.Standing) -> None:
    async with directory.begin(visitor) as tx:
        with contextlib.suppress(NotFound):  # held: nothing is given to the family meanwhile
            await users.get(tx, found.user.id)
        await tokens.remove_family(tx, found.token.family)
        user = found.user
        audit.write(tx, "refresh_reused", target_id=user.id, tenant_id=user.tenant_id)
