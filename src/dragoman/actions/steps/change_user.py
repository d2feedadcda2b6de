"""Shared steps of every change to a user: names, sessions, audit, and the last-admin rules."""

from __future__ import annotations

from typing import Any

from dragoman.actions.steps import create_user, give_way, mailed_links
from dragoman.rules import fields, policy
from dragoman.rules.errors import Invalid, LastOwner, LastSuperadmin, Problem, Taken
from dragoman.rules.fields import canonical
from dragoman.rules.model import Role, User
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import audit, invitations, last_admins, one_time_secrets, outbox, users
from dragoman.store.transaction import LOCK_OWNERS, LOCK_SUPERADMINS, Tx


async def apply(tx: Tx, user: User, changed: dict[str, Any], action: AuditAction) -> User:
    """Save changed columns of a user, and return the user as changed.

    Deactivation or a new role revokes all sessions. Deactivation or a lower role also revokes the
    invitations that the user has sent. A new e-mail address voids the links sent to the old one;
    it is proven if somebody else sets it, and its former one can be brought back if not.

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
        await _prepare_new_address(tx, user, changed)
    await _save(tx, user, changed)
    if changed.get("active") is False or "role" in changed:
        await users.revoke_sessions(tx, user.id)
    if changed.get("active") is False or changed.get("role", user.role) > user.role:
        await invitations.revoke_by_inviter(tx, user.id)
    audit.write(tx, action, target_id=user.id, tenant_id=user.tenant_id, fields=changed_fields)
    changed_user = await users.get(tx, user.id)
    if "email" in changed and tx.actor.is_user(user.id) and not changed_user.holds_email:
        if user.verified:
            await mailed_links.send_undo(tx, user.id, user.email)
        await mailed_links.send_verification(tx, changed_user)
    return changed_user


async def _prepare_new_address(tx: Tx, user: User, changed: dict[str, Any]) -> None:
    """Void what was mailed to the current address, and add whether the new one is proven."""
    if canonical(changed["email"]) != canonical(user.email):
        is_proven = bool(changed["email"]) and not tx.actor.is_user(user.id)
        changed |= {"verified": is_proven, "email_assigned": is_proven}
    await mailed_links.void_for_address(tx, user.id)
    if not tx.actor.is_user(user.id):  # the former address has nothing to say about it any more
        await one_time_secrets.remove_for_user(tx, user.id)
        await outbox.remove_unsent(tx, user.id, [mailed_links.UNDO])


async def _save(tx: Tx, user: User, changed: dict[str, Any]) -> None:
    """Save a user's changes; somebody else's change takes over names that are only claimed."""
    names = [changed[name] for name in ("username", "email") if name in changed]
    takes_over = bool(names) and not tx.actor.is_user(user.id)
    if takes_over:
        await give_way.take_over(tx, *names, exclude_id=user.id)
    try:
        await users.save(tx, user, changed)
    except Taken as error:
        if not takes_over:
            raise Invalid(Problem(error.field, "taken")) from None
        await give_way.take_over(tx, *names, exclude_id=user.id)  # claimed a moment ago
        try:
            await users.save(tx, user, changed)
        except Taken as second_error:
            raise Invalid(Problem(second_error.field, "taken")) from None


def uses_email_as_username(user: User) -> bool:
    """Return whether the user's username is its e-mail address."""
    return canonical(user.username) == canonical(user.email)


def adopt_username(user: User, changed: dict[str, Any]) -> bool:
    """Let a user's own new username that is an address become its address, if it has none.

    Returns whether it does.
    """
    username, email = changed.get("username", ""), changed.get("email", user.email)
    if email or not fields.reads_as_email(username):
        return False
    changed["email"] = username
    return True


def own_username_problems(user: User, changed: dict[str, Any]) -> list[Problem]:
    """Return what is wrong with the username that a user has after a change of its own names.

    An address stays a username only together with the address itself, but one that somebody else
    has chosen for the user stays.
    """
    is_chosen = "username" in changed or ("email" in changed and uses_email_as_username(user))
    username, email = (changed.get(name, getattr(user, name)) for name in ("username", "email"))
    return fields.own_username_problems(username, email) if is_chosen else []


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
