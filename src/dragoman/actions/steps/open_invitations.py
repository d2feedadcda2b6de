"""Which invitations are open: unused, in time, and still backed by whoever sent them."""

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
    """An invitation as it stands: ``pending``, ``accepted``, ``revoked`` or ``expired``."""

    invitation: Invitation
    status: str


class OpenInvitation(msgspec.Struct, frozen=True):
    """What its recipient sees of an open invitation: whom it is for, and where to."""

    invitation: Invitation
    tenant: Tenant


def is_open(invitation: Invitation, now: int) -> bool:
    """Say whether no date (``now`` in microseconds) and no act has ended an invitation."""
    ended = invitation.accepted_at or invitation.revoked_at
    return not ended and now < invitation.expires_at


def status(invitation: Invitation, now: int, *, authorised: bool) -> str:
    """Return the word for how an invitation stands; one that nobody backs reads ``revoked``."""
    if invitation.accepted_at:
        return "accepted"
    if invitation.revoked_at:
        return "revoked"
    if now >= invitation.expires_at:
        return "expired"
    return "pending" if authorised else "revoked"


async def find(reader: Read | Tx, public_id: str) -> Invitation | None:
    """Return an invitation, whatever became of it; held if read in a transaction."""
    is_well_formed = (
        public_id.isascii() and public_id.isalnum()
    )  # no database takes whatever a path holds
    return await invitations.find(reader, public_id) if is_well_formed else None


async def still_authorised(reader: Read | Tx, candidates: Iterable[Invitation]) -> set[int]:
    """Return the ids of those whose inviter still has the right to make them."""
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
    """Say whether the inviter could make this very invitation now, at the contract that asks.

    One without a tenant stood in the invitation's when it made it.
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


async def find_open(reader: Read | Tx, public_id: str) -> OpenInvitation | None:
    """Return an invitation that can be accepted now, or None; held if read in a transaction."""
    invitation = await find(reader, public_id)
    if invitation is None or not is_open(invitation, reader.now):
        return None
    tenant = await _find_tenant(reader, invitation)
    if tenant is None or not tenant.active or not await still_authorised(reader, [invitation]):
        return None
    return OpenInvitation(invitation, tenant)


async def _find_tenant(reader: Read | Tx, invitation: Invitation) -> Tenant | None:
    if isinstance(reader, Read):
        return await tenants.find(reader, invitation.tenant_id)
    try:  # held as the insert of a user holds it: to raise a lock later is to risk a deadlock
        for_update = invitation.role is Role.OWNER
        return await tenants.get(reader, invitation.tenant_id, for_update=for_update)
    except NotFound:
        return None


def link_secret(directory: Directory, invitation: Invitation) -> str:
    """Return the secret of an invitation's link: derived from the server's key, never stored."""
    derived = crypto.derive(directory.server_key, OUTBOX_KIND, invitation.id, invitation.generation)
    return invitation.public_id + derived


async def by_secret(directory: Directory, reader: Read | Tx, secret: str) -> OpenInvitation:
    """Return what a link's secret opens; held if read in a transaction.

    Raises NotFound, for whatever reason it opens nothing.
    """
    open_invitation = await find_open(reader, secret[: crypto.PUBLIC_ID_LENGTH])
    if open_invitation is None or not crypto.equal_in_constant_time(
        link_secret(directory, open_invitation.invitation), secret
    ):
        raise NotFound
    return open_invitation
