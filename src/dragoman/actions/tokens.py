"""Credentials: issue, look up, revoke. Each works at the contract that issued it, alone."""

from __future__ import annotations

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.steps.credentials import lock_active_tenant, mint
from dragoman.actions.system import system_actor
from dragoman.rules import crypto, policy
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import REFRESH, Credential, CredentialFormat
from dragoman.rules.errors import Inactive, Unauthenticated
from dragoman.rules.model import DAY, HOUR, Role, User
from dragoman.rules.vocabulary import Action, Restrictions
from dragoman.store import audit, tokens, users
from dragoman.store.transaction import Read, Tx, now

LAST_USED_INTERVAL = HOUR
"""How stale the note of a credential's last use may be (microseconds)."""


class PresentedCredential(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as it came in, with what is known of the request."""

    credential_format: CredentialFormat
    secret: str
    restrictions: Restrictions
    request_id: str
    address: str


async def issuing_contract(directory: Directory, secret: str) -> str:
    """Return the contract at which a credential works at this moment; empty if at none."""
    record = await tokens.look_up(directory.driver, crypto.digest(secret))
    if record is None or record.token.kind == REFRESH or rejection_reason(record, now()):
        return ""
    return record.token.contract


async def authenticate(
    directory: Directory, presented: PresentedCredential, prefetch_id: int = 0
) -> tuple[Actor, User, User | None]:
    """Return who stands behind a credential, as actor and as user, and the user ``ahead``.

    Raises Unauthenticated: ``inactive`` for the user or tenant that was switched off,
    ``unknown`` for everything else.
    """
    credential_format = presented.credential_format
    record = await tokens.look_up(directory.driver, crypto.digest(presented.secret), prefetch_id)
    if record is None or (record.token.contract, record.token.kind) != (
        credential_format.contract,
        credential_format.token_type,
    ):
        raise Unauthenticated("unknown")
    timestamp = now()
    if reason := rejection_reason(record, timestamp):
        raise Unauthenticated(reason)
    if (
        not credential_format.lifetime
        and timestamp - record.token.last_used_at > LAST_USED_INTERVAL
    ):
        directory.last_used[record.token.id] = (
            timestamp,
            timestamp + directory.settings.token_idle_days * DAY,
        )
    return await actor_for(directory, presented, record), record.user, record.prefetched_user


def rejection_reason(record: tokens.CredentialRecord, timestamp: int) -> str:
    """Return why a credential is no good any more at a moment (microseconds), or nothing."""
    if record.used_at:
        return "unknown"
    if not record.user.active or not record.tenant_active:
        return "inactive"
    if not record.epochs_match or timestamp >= min(record.idle_until, record.token.expires_at):
        return "unknown"
    return ""


async def actor_for(
    directory: Directory, presented: PresentedCredential, record: tokens.CredentialRecord
) -> Actor:
    """Return who stands behind a credential that has no flaw, as it stands at this contract."""
    user = record.user
    role, tenant_id = await _effective_role_and_tenant(directory, user, presented.restrictions)
    return Actor(
        kind="user",
        contract=presented.credential_format.contract,
        restrictions=presented.restrictions,
        user_id=user.id,
        tenant_id=tenant_id,
        role=role,
        permissions=record.permissions,
        auth_epoch=user.auth_epoch,
        tenant_epoch=record.tenant_epoch,
        token_id=record.token.id,
        request_id=presented.request_id,
        address=presented.address,
    )


async def as_actor(directory: Directory, visitor: Actor, user: User) -> Actor:
    """Return a visitor as the user that it has just signed in as, with what its role gives it."""
    role, tenant_id = await _effective_role_and_tenant(directory, user, visitor.restrictions)
    return msgspec.structs.replace(
        visitor,
        kind="user",
        user_id=user.id,
        tenant_id=tenant_id,
        role=role,
        auth_epoch=user.auth_epoch,
    )


async def _effective_role_and_tenant(
    directory: Directory, user: User, restrictions: Restrictions
) -> tuple[Role, int | None]:
    needs_home = user.tenant_id is None and not restrictions.platform_roles_apply
    home_tenant_id = await directory.home_tenant_id() if needs_home else 0
    return policy.effective_role_and_tenant(user.role, user.tenant_id, restrictions, home_tenant_id)


async def issue(
    tx: Tx, directory: Directory, user_id: int, credential_format: CredentialFormat
) -> Credential:
    """Make a credential for somebody (the command line, administrators).

    Raises NotFound, Forbidden, or Inactive for a user who is switched off.
    """
    policy.require_reach(tx.actor, Action.ISSUE_TOKEN)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.ISSUE_TOKEN, user)
    if not user.active or not await lock_active_tenant(tx, user):
        raise Inactive
    credential = await mint(tx, directory, user, credential_format)
    audit.write(tx, Action.ISSUE_TOKEN, target_id=user.id, tenant_id=user.tenant_id)
    return credential


async def sign_out(tx: Tx, *, everywhere: bool = False) -> None:
    """End the session that asks for it, or all of that user's at this contract."""
    actor = tx.actor
    policy.require_reach(actor, Action.REVOKE_TOKEN)
    await users.get(tx, actor.user_id)  # held: no refresh token gives another one meanwhile
    if everywhere:
        await tokens.remove_for_user(tx, actor.user_id, contract=actor.contract)
    else:
        await tokens.remove(tx, actor.token_id)
    audit.write(tx, "sign_out", target_id=actor.user_id, tenant_id=actor.tenant_id)


async def revoke(tx: Tx, user_id: int, *, secret: str = "") -> int:
    """End one session of a user at this contract, or all of them; returns how many there were.

    Raises NotFound or Forbidden.
    """
    policy.require_reach(tx.actor, Action.REVOKE_TOKEN, user_id)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.REVOKE_TOKEN, user)
    digest = crypto.digest(secret) if secret else b""
    revoked_count = await tokens.remove_for_user(
        tx, user.id, contract=tx.actor.contract, digest=digest
    )
    audit.write(tx, Action.REVOKE_TOKEN, target_id=user.id, tenant_id=user.tenant_id)
    return revoked_count


async def session_start_times(read: Read, user: User) -> list[int]:
    """Return when each session that a user has at this contract began (microseconds), in order.

    Raises Forbidden or NotFound.
    """
    policy.require(read.actor, Action.VIEW_USER, user)
    return await tokens.session_start_times(read, user.id, read.actor.contract)


async def flush_last_used(directory: Directory) -> int:
    """Write down which credentials were used since the last time; returns how many."""
    last_used, directory.last_used = directory.last_used, {}
    if not last_used:
        return 0
    try:
        async with directory.begin(system_actor("upkeep")) as tx:
            for token_id, (last_used_at, idle_until) in sorted(last_used.items()):
                await tokens.set_last_used(tx, token_id, last_used_at, idle_until)
    except BaseException:
        directory.last_used = last_used | directory.last_used
        raise
    return len(last_used)
