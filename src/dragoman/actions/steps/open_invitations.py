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
from dragoman.store.invitations import KIND, Inviter
from dragoman.store.transaction import Read, Tx


class Offer(msgspec.Struct, frozen=True):
    """An invitation as it stands: ``pending``, ``accepted``, ``revoked`` or ``expired``."""

    invitation: Invitation
    status: str


class Shown(msgspec.Struct, frozen=True):
    """What its recipient sees of an open invitation: whom it is for, and where to."""

    invitation: Invitation
    tenant: Tenant


def is_open(invitation: Invitation, now: int) -> bool:
    """Say whether no date (``now`` in microseconds) and no act has ended an invitation."""
    ended = invitation.accepted_at or invitation.revoked_at
    return not ended and now < invitation.expires_at


def status(invitation: Invitation, now: int, *, backed: bool) -> str:
    """Return the word for how an invitation stands; one that nobody backs reads ``revoked``."""
    if invitation.accepted_at:
        return "accepted"
    if invitation.revoked_at:
        return "revoked"
    if now >= invitation.expires_at:
        return "expired"
    return "pending" if backed else "revoked"


async def find(at: Read | Tx, public_id: str) -> Invitation | None:
    """Return an invitation, whatever became of it; held if read in a transaction."""
    known = public_id.isascii() and public_id.isalnum()  # no database takes whatever a path holds
    return await invitations.find(at, public_id) if known else None


async def backed(at: Read | Tx, offers: Iterable[Invitation]) -> set[int]:
    """Return the ids of those whose inviter still has the right to make them."""
    given = list(offers)
    inviters = await invitations.inviters(at, (each.inviter_id for each in given))
    found: set[int] = set()
    for each in given:
        inviter = inviters.get(each.inviter_id)
        if inviter is not None and await _stands_behind(at, inviter, each):
            found.add(each.id)
    return found


async def _stands_behind(at: Read | Tx, inviter: Inviter, invitation: Invitation) -> bool:
    """Say whether the inviter could make this very invitation now, at the contract that asks.

    One without a tenant stood in the invitation's when it made it.
    """
    user, narrowing = inviter.user, at.actor.narrowing
    if not (user.active and inviter.tenant_active):
        return False
    role, tenant_id = policy.standing(
        user.role, user.tenant_id, narrowing, home=invitation.tenant_id
    )
    actor = Actor(
        kind="user",
        contract=at.actor.contract,
        narrowing=narrowing,
        user_id=user.id,
        tenant_id=tenant_id,
        role=role,
    )
    if role > policy.PERMISSION_ROLE_HOLDS:
        codenames = await grants.codenames_of(at, user.id)
        actor = msgspec.structs.replace(actor, permissions=codenames)
    reach = policy.cell(actor, Action.INVITE)
    reached = reach is Reach.ANY or (reach is Reach.TENANT and tenant_id == invitation.tenant_id)
    if not reached or invitation.role not in policy.may_assign(actor):
        return False
    return await delegation.holds_all(at, actor, invitation.resources, delegation.FULL)


async def find_open(at: Read | Tx, public_id: str) -> Shown | None:
    """Return an invitation that can be accepted now, or None; held if read in a transaction."""
    found = await find(at, public_id)
    if found is None or not is_open(found, at.now):
        return None
    tenant = await _tenant(at, found)
    if tenant is None or not tenant.active or not await backed(at, [found]):
        return None
    return Shown(found, tenant)


async def _tenant(at: Read | Tx, invitation: Invitation) -> Tenant | None:
    if isinstance(at, Read):
        return await tenants.find(at, invitation.tenant_id)
    try:  # held as the insert of a user holds it: to raise a lock later is to risk a deadlock
        to_change = invitation.role is Role.OWNER
        return await tenants.get(at, invitation.tenant_id, to_change=to_change)
    except NotFound:
        return None


def secret_of(directory: Directory, invitation: Invitation) -> str:
    """Return the secret of an invitation's link: derived from the server's key, never stored."""
    derived = crypto.derive(directory.key, KIND, invitation.id, invitation.generation)
    return invitation.public_id + derived


async def opened_by(directory: Directory, at: Read | Tx, secret: str) -> Shown:
    """Return what a link's secret opens; held if read in a transaction.

    Raises NotFound, for whatever reason it opens nothing.
    """
    shown = await find_open(at, secret[: crypto.PUBLIC_ID_LENGTH])
    if shown is None or not crypto.same(secret_of(directory, shown.invitation), secret):
        raise NotFound
    return shown
