"""What every change of a user shares: names and sessions follow, and the last of a rank stays."""

from __future__ import annotations

from typing import Any

from dragoman.actions.steps import create_user
from dragoman.rules import policy
from dragoman.rules.errors import Invalid, LastOwner, LastSuperadmin, Problem, Taken
from dragoman.rules.model import Role, User
from dragoman.store import audit, invitations, last_admins, one_time_secrets, outbox, users
from dragoman.store.transaction import LOCK_OWNERS, LOCK_SUPERADMINS, Tx


async def write(tx: Tx, user: User, changed: dict[str, Any], action: str) -> User:
    """Write changed columns of a user whose row is held, and return it as it stands then.

    A change of role, or being switched off, ends every session, and a step down also what the user
    has offered to others; a change of the e-mail address voids what was sent to it. Raises
    Invalid for a name that somebody took meanwhile.
    """
    told = tuple(changed)
    if "display_name" not in changed and {"first_name", "last_name"} & changed.keys():
        first = changed.get("first_name", user.first_name)
        changed["display_name"] = create_user.joined(
            first, changed.get("last_name", user.last_name)
        )
    if "email" in changed:
        changed["verified"] = False
        await one_time_secrets.void(tx, user.id)
        await outbox.drop_of(tx, user.id)
    try:
        await users.save(tx, user, changed)
    except Taken as taken:
        raise Invalid(Problem(taken.field, "taken")) from None
    if changed.get("active") is False or "role" in changed:
        await users.cut_off(tx, user.id)
    if changed.get("active") is False or changed.get("role", user.role) > user.role:
        await invitations.revoke_of(tx, user.id)
    audit.write(tx, action, target_id=user.id, tenant_id=user.tenant_id, fields=told)
    return await users.get(tx, user.id)


async def guard_last(tx: Tx, user: User) -> None:
    """Let nobody take away the last active superadmin, nor a tenant's user the last owner."""
    if not user.active:
        return
    if user.role is Role.SUPERADMIN:
        await tx.lock(LOCK_SUPERADMINS)
        if not await last_admins.has_other_superadmin(tx, user):
            raise LastSuperadmin
    if user.role is Role.OWNER and user.tenant_id and policy.guards_last_owner(tx.actor):
        await tx.lock(LOCK_OWNERS, user.tenant_id)
        if not await last_admins.has_other_owner(tx, user):
            raise LastOwner
