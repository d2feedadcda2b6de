"""What every change of a user shares: names and sessions follow, and the last of a rank stays."""

from __future__ import annotations

from typing import Any

from dragoman.actions.steps import create_user
from dragoman.rules import policy
from dragoman.rules.errors import Invalid, LastOwner, LastSuperadmin, Problem, Taken
from dragoman.rules.model import Role, User
from dragoman.store import audit, invitations, last_admins, one_time_secrets, outbox, users
from dragoman.store.transaction import LOCK_OWNERS, LOCK_SUPERADMINS, Tx


async def apply(tx: Tx, user: User, changed: dict[str, Any], action: str) -> User:
    """Write changed columns of a user whose row is held, and return it as it stands then.

    A change of role, or being switched off, ends every session, and a step down also what the user
    has offered to others; a change of the e-mail address voids what was sent to it. Raises
    Invalid for a name that somebody took meanwhile.
    """
    changed_fields = tuple(changed)
    if "display_name" not in changed and {"first_name", "last_name"} & changed.keys():
        first_name = changed.get("first_name", user.first_name)
        changed["display_name"] = create_user.full_name(
            first_name, changed.get("last_name", user.last_name)
        )
    if "email" in changed:
        changed["verified"] = False
        await one_time_secrets.remove_for_user(tx, user.id)
        await outbox.remove_for_user(tx, user.id)
    try:
        await users.save(tx, user, changed)
    except Taken as error:
        raise Invalid(Problem(error.field, "taken")) from None
    if changed.get("active") is False or "role" in changed:
        await users.revoke_sessions(tx, user.id)
    if changed.get("active") is False or changed.get("role", user.role) > user.role:
        await invitations.revoke_by_inviter(tx, user.id)
    audit.write(tx, action, target_id=user.id, tenant_id=user.tenant_id, fields=changed_fields)
    return await users.get(tx, user.id)


async def ensure_not_last(tx: Tx, user: User) -> None:
    """Let nobody take away the last active superadmin, nor a tenant's user the last owner."""
    if not user.active:
        return
    if user.role is Role.SUPERADMIN:
        await tx.lock(LOCK_SUPERADMINS)
        if not await last_admins.has_other_superadmin(tx, user):
            raise LastSuperadmin
    if user.role is Role.OWNER and user.tenant_id and policy.is_bound_by_last_owner_rule(tx.actor):
        await tx.lock(LOCK_OWNERS, user.tenant_id)
        if not await last_admins.has_other_owner(tx, user):
            raise LastOwner
