"""Open invitations: pending, not expired, and still authorised by their inviter."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.steps import delegation
from dragoman.rules import crypto, policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import NotFound
from dragoman.rules.model import Invitation, Role, Tenant
from dragoman.rules.vocabulary import Action, Reach
from dragoman.store import grants, invitations, tenants
from dragoman.store.invitations import OUTBOX_KIND, Inviter
from dragoman.store.transaction import Read, Tx


class InvitationWithStatus(msgspec.Struct, frozen=True):
    """An invitation and its status: ``pending``, ``accepted``, ``revoked`` or ``expired``."""

    invitation: Invitation
    status: str


class OpenInvitation(msgspec.Struct, frozen=True):
    """An open invitation and the tenant that it is for, as shown to its recipient."""

    invitation: Invitation
    tenant: Tenant


def is_open(invitation: Invitation, now: int) -> bool:
    """Return whether an invitation is not accepted, revoked or expired (``now``: microseconds)."""
    ended = invitation.accepted_at or invitation.revoked_at
    return not ended and now < invitation.expires_at


def status(invitation: Invitation, now: int, *, authorised: bool) -> str:
    """Return an invitation's status; ``revoked`` if its inviter lost the right to send it."""
    if invitation.accepted_at:
        return "accepted"
    if invitation.revoked_at:
        return "revoked"
    if now >= invitation.expires_at:
        return "expired"
    return "pending" if authorised else "revoked"


async def find(reader: Read | Tx, public_id: str, *, for_update: bool = False) -> Invitation | None:
    """Return an invitation in any state, or None.

    ``for_update`` locks its row until the end of the transaction.
    """
    if not (public_id.isascii() and public_id.isalnum()):
        return None  # a path may hold characters that a database rejects
    return await invitations.find(reader, public_id, for_update=for_update)


async def still_authorised(reader: Read | Tx, candidates: Iterable[Invitation]) -> set[int]:
    """Return the ids of the invitations whose inviter still has the right to send them."""
    pending = list(candidates)
    inviters = await invitations.find_inviters(
        reader, (invitation.inviter_id for invitation in pending)
    )
    authorised_ids: set[int] = set()
    for invitation in pending:
        inviter = inviters.get(invitation.inviter_id)
        if inviter is not None and await _is_inviter_authorised(reader, inviter, invitation):
            authorised_ids.add(invitation.id)
    return authorised_ids


async def _is_inviter_authorised(
    reader: Read | Tx, inviter: Inviter, invitation: Invitation
) -> bool:
    """Return whether the inviter could send this invitation now, at the reader's contract.

    An inviter without a tenant acts in the invitation's tenant, as it did when it sent it.
    """
    user, restrictions = inviter.user, reader.actor.restrictions
    if not (user.active and inviter.tenant_active):
        return False
    role, tenant_id = policy.effective_role_and_tenant(
        user.role, user.tenant_id, restrictions, home_tenant_id=invitation.tenant_id
    )
    actor = Actor(
        kind="user",
        contract=reader.actor.contract,
        restrictions=restrictions,
        user_id=user.id,
        tenant_id=tenant_id,
        role=role,
        approved=user.approved,
    )
    if role > policy.LOWEST_ROLE_WITH_ALL_PERMISSIONS:
        codenames = await grants.codenames_for_user(reader, user.id)
        actor = msgspec.structs.replace(actor, permissions=codenames)
    reach = policy.granted_reach(actor, Action.INVITE)
    is_in_reach = reach is Reach.ANY or (
        reach is Reach.TENANT and tenant_id == invitation.tenant_id
    )
    if not is_in_reach or invitation.role not in policy.assignable_roles(actor):
        return False
    return await delegation.has_full_access(
        reader, actor, invitation.resources, delegation.FULL_LEVEL
    )


async def find_open(
    reader: Read | Tx, public_id: str, *, for_update: bool = False
) -> OpenInvitation | None:
    """Return an invitation that can be accepted now, or None.

    ``for_update`` locks it and its tenant until the end of the transaction.
    """
    invitation = await find(reader, public_id, for_update=for_update)
    if invitation is None or not is_open(invitation, reader.now):
        return None
    lock: tenants.RowLock | None = None
    if for_update:  # the lock that inserting the user takes: upgrading it later could deadlock
        lock = "update" if invitation.role is Role.OWNER else "share"
    tenant = await tenants.find(reader, invitation.tenant_id, lock=lock)
    if tenant is None or not tenant.active or not await still_authorised(reader, [invitation]):
        return None
    return OpenInvitation(invitation, tenant)


def link_secret(directory: Directory, invitation: Invitation) -> str:
    """Return the secret of an invitation's link; derived from the server's key, never stored."""
    derived = crypto.derive(directory.server_key, OUTBOX_KIND, invitation.id, invitation.generation)
    return invitation.public_id + derived


async def by_secret(
    directory: Directory, reader: Read | Tx, secret: str, *, for_update: bool = False
) -> OpenInvitation:
    """Return the open invitation that a link's secret belongs to.

    Args:
        directory: the application's shared state.
        reader: a reader or a transaction.
        secret: the secret in the link.
        for_update: lock the invitation and its tenant until the end of the transaction.

    Raises:
        NotFound: the secret is wrong, or the invitation cannot be accepted.
    """
    public_id = secret[: crypto.PUBLIC_ID_LENGTH]
    open_invitation = await find_open(reader, public_id, for_update=for_update)
    if open_invitation is None or not crypto.equal_in_constant_time(
        link_secret(directory, open_invitation.invitation), secret
    ):
        raise NotFound
    return open_invitation
