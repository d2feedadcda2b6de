"""Shared steps of every change to a user: names, sessions, audit, and the last-admin rules."""

from __future__ import annotations

from typing import Any

from dragoman.actions.steps import create_user
from dragoman.rules import policy
from dragoman.rules.errors import Invalid, LastOwner, LastSuperadmin, Problem, Taken
from dragoman.rules.model import Role, User
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import audit, invitations, last_admins, one_time_secrets, outbox, users
from dragoman.store.transaction import LOCK_OWNERS, LOCK_SUPERADMINS, Tx


async def apply(tx: Tx, user: User, changed: dict[str, Any], action: AuditAction) -> User:
    """Save changed columns of a user, and return the user as changed.

    Deactivation or a new role revokes all sessions. Deactivation or a lower role also revokes the
    invitations that the user has sent. A new e-mail address voids the links sent to the old one.

    Args:
        tx: the transaction of the change.
        user: the user before the change; its row is locked.
        changed: the new values by column name; the display name follows the first and last name.
        action: what the audit log calls the change.

    Raises:
        Invalid: another user took the username or e-mail address meanwhile.
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
    """Check that a user may lose its role, its active state or its account.

    Locks the set of owners or superadmins until the transaction ends, so that two of them cannot
    be removed at the same time.

    Raises:
        LastSuperadmin: the user is the last active superadmin.
        LastOwner: the user is its tenant's last active owner, and the rule binds the actor.
    """
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
