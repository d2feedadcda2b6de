"""Credentials: look up, issue and revoke. Each is valid only at the contract that issued it."""

from __future__ import annotations

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.steps import delegation
from dragoman.actions.steps.credentials import lock_active_tenant, mint
from dragoman.actions.system import system_actor
from dragoman.rules import crypto, policy
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import REFRESH, Credential, CredentialFormat
from dragoman.rules.errors import Forbidden, Inactive, NotFound, Reason, Unauthenticated
from dragoman.rules.model import DAY, HOUR, Role, User
from dragoman.rules.vocabulary import Action, AuditAction, Reach, Restrictions
from dragoman.store import audit, credential_lists, tokens, users
from dragoman.store.credential_lists import ListedCredential
from dragoman.store.transaction import Read, Tx, now

LAST_USED_INTERVAL = HOUR
"""How old a credential's recorded last use may get before it is updated (microseconds)."""
IDLE_PARTS = 30
"""The same as a part of the time for which the credential may be unused, if that is less."""


class PresentedCredential(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as the client sent it, with what the actor needs to know of the request."""

    credential_format: CredentialFormat
    secret: str
    restrictions: Restrictions
    request_id: str
    address: str


class Authenticated(msgspec.Struct, frozen=True):
    """A successful authentication.

    Attributes:
        actor: the actor.
        user: its user.
        prefetched_user: the user that was requested with the credential, or None.
        session_age: how long ago the credential was issued (microseconds).
    """

    actor: Actor
    user: User
    prefetched_user: User | None
    session_age: int


async def issuing_contract(directory: Directory, secret: str) -> str:
    """Return the contract at which a credential is valid now; empty if there is none."""
    record = await tokens.look_up(directory.driver, crypto.digest(secret))
    if record is None or record.token.kind == REFRESH or rejection_reason(record, now()):
        return ""
    return record.token.contract


async def authenticate(
    directory: Directory, presented: PresentedCredential, prefetch_id: int = 0
) -> Authenticated:
    """Authenticate a credential, and fetch the user ``prefetch_id`` in the same round trip.

    Raises Unauthenticated: ``inactive`` if the user or its tenant is deactivated, otherwise
    ``unknown``.
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
    if idle_lifetime := credential_format.idle_lifetime or (
        0 if credential_format.lifetime else directory.settings.token_idle_days * DAY
    ):
        interval = min(LAST_USED_INTERVAL, idle_lifetime // IDLE_PARTS)
        if timestamp - record.token.last_used_at > interval:
            directory.last_used[record.token.id] = timestamp, timestamp + idle_lifetime
    actor = await actor_for(directory, presented, record)
    session_age = timestamp - record.token.created_at
    return Authenticated(actor, record.user, record.prefetched_user, session_age)


def rejection_reason(record: tokens.CredentialRecord, timestamp: int) -> str:
    """Return why a credential is not valid at ``timestamp`` (microseconds); empty if it is."""
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
    """Return the actor of a valid credential, with its role and tenant at this contract."""
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
        approved=user.approved,
        auth_epoch=user.auth_epoch,
        tenant_epoch=record.tenant_epoch,
        token_id=record.token.id,
        session_id=record.token.family or record.token.id,
        request_id=presented.request_id,
        address=presented.address,
    )


async def as_actor(directory: Directory, visitor: Actor, user: User) -> Actor:
    """Return the visitor as the user that it has just signed in as.

    The actor has the permissions of its role, but none that were granted to it.
    """
    role, tenant_id = await _effective_role_and_tenant(directory, user, visitor.restrictions)
    return msgspec.structs.replace(
        visitor,
        kind="user",
        user_id=user.id,
        tenant_id=tenant_id,
        role=role,
        approved=user.approved,
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
    """Issue a credential for another user (command line, administrators).

    Args:
        tx: the transaction of the change.
        directory: the application's shared state.
        user_id: the user that the credential is for.
        credential_format: the format of the contract's credentials.

    Raises:
        NotFound, Forbidden: the policy refuses.
        Inactive: the user or its tenant is deactivated.
    """
    policy.require_reach(tx.actor, Action.ISSUE_TOKEN)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.ISSUE_TOKEN, user)
    await delegation.require_power_over(tx, user)
    if not user.active or not await lock_active_tenant(tx, user):
        raise Inactive
    credential = await mint(tx, directory, user, credential_format)
    audit.write(tx, AuditAction.ISSUE_TOKEN, target_id=user.id, tenant_id=user.tenant_id)
    return credential


async def sign_out(tx: Tx, *, everywhere: bool = False) -> None:
    """End the actor's session, or with ``everywhere`` all its sessions at this contract."""
    actor = tx.actor
    policy.require_reach(actor, Action.REVOKE_TOKEN)
    await users.get(tx, actor.user_id)  # locked: a refresh token cannot issue one meanwhile
    if everywhere:
        await tokens.remove_for_user(tx, actor.user_id, contract=actor.contract)
    else:
        await tokens.remove(tx, actor.token_id)
    audit.write(tx, AuditAction.SIGN_OUT, target_id=actor.user_id, tenant_id=actor.tenant_id)


async def revoke(tx: Tx, user_id: int, *, secret: str = "") -> int:
    """Revoke a user's session with this secret, or all of them; return how many were revoked.

    Only sessions at the actor's contract are revoked. Raises NotFound or Forbidden.
    """
    policy.require_reach(tx.actor, Action.REVOKE_TOKEN, user_id)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.REVOKE_TOKEN, user)
    digest = crypto.digest(secret) if secret else b""
    revoked_count = await tokens.remove_for_user(
        tx, user.id, contract=tx.actor.contract, digest=digest
    )
    audit.write(tx, AuditAction.REVOKE_TOKEN, target_id=user.id, tenant_id=user.tenant_id)
    return revoked_count


async def list_page(
    read: Read, user: User | None = None, *, live_only: bool, before: int | None = None, limit: int
) -> list[ListedCredential]:
    """Return credentials of one user, or of all users, newest first; never their secrets.

    Args:
        read: a reader that acts for the caller.
        user: only those of this user.
        live_only: only those that are valid now.
        before: the id of the last one of the previous page.
        limit: the maximum number of credentials.

    Raises:
        Forbidden, NotFound: the policy refuses.
    """
    if user is not None:
        policy.require(read.actor, Action.REVOKE_TOKEN, user)
    elif policy.require_reach(read.actor, Action.REVOKE_TOKEN) is not Reach.ANY:
        raise Forbidden(Reason.REACH)
    return await credential_lists.page(
        read,
        user_id=user.id if user else None,
        live_only=live_only,
        before=credential_lists.NO_ID_YET if before is None else before,
        limit=limit,
    )


async def revoke_by_id(tx: Tx, token_id: int) -> User:
    """Revoke a credential, with those that were refreshed from the same sign-in; return its user.

    Raises Forbidden or NotFound.
    """
    policy.require_reach(tx.actor, Action.REVOKE_TOKEN)
    token = await credential_lists.find(tx, token_id)
    if token is None:
        raise NotFound
    user = await users.get(tx, token.user_id)  # locked: a refresh cannot issue another meanwhile
    policy.require(tx.actor, Action.REVOKE_TOKEN, user)
    await tokens.remove(tx, token_id)
    audit.write(tx, AuditAction.REVOKE_TOKEN, target_id=user.id, tenant_id=user.tenant_id)
    return user


async def session_start_times(read: Read, user: User) -> list[int]:
    """Return the start times of a user's sessions at this contract, in order (microseconds).

    Raises Forbidden or NotFound.
    """
    policy.require(read.actor, Action.VIEW_USER, user)
    return await tokens.session_start_times(read, user.id, read.actor.contract)


async def flush_last_used(directory: Directory) -> int:
    """Save when credentials were last used, since the previous flush; return how many."""
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
