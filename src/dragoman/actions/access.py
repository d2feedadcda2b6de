"""Access to external resources: view and replace; actors only grant levels that they have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dragoman.actions.steps import approval
from dragoman.actions.steps.delegation import can_grant, current_permissions
from dragoman.rules import policy
from dragoman.rules.errors import Forbidden, Invalid, Problem, Reason
from dragoman.rules.model import Access, User
from dragoman.rules.vocabulary import Action, AuditAction
from dragoman.store import access, audit, users
from dragoman.store.transaction import Read, Tx


async def list_for_user(read: Read, user: User) -> list[Access]:
    """Return a user's access, ordered by resource; raises Forbidden or NotFound."""
    policy.require(read.actor, Action.VIEW_ACCESS, user)
    return await access.list_for_user(read, user.id)


async def replace(
    tx: Tx,
    user_id: int,
    requested: Sequence[Access],
    *,
    full_level: str,
    problems: Iterable[Problem] = (),
) -> None:
    """Replace all access of a user.

    Args:
        tx: the transaction of the change.
        user_id: the user to change.
        requested: the resources and their levels; access to every other resource is removed.
        full_level: the contract's level that includes every other.
        problems: what the dialect found wrong with the request; reported together with the rest.

    Raises:
        Forbidden, NotFound: the policy refuses; DELEGATION for a level that neither the actor nor
            the user already has.
        Invalid: the dialect's problems, and ``access``, ``invalid`` for each resource that has
            two levels (the resource is the detail).
    """
    policy.require_reach(tx.actor, Action.SET_ACCESS, user_id)
    user = await users.get(tx, user_id)
    actor = await current_permissions(tx)
    policy.require(actor, Action.SET_ACCESS, user)
    levels = {each.resource: each.level for each in requested}
    conflicting = {each.resource for each in requested if levels[each.resource] != each.level}
    all_problems = [
        *problems,
        *(Problem("access", "invalid", resource) for resource in sorted(conflicting)),
    ]
    if all_problems:
        raise Invalid(*all_problems)
    current = await access.list_for_user(tx, user.id)
    updated = [Access(resource, level) for resource, level in levels.items()]
    added = [each for each in updated if each not in current]
    removed = [each.resource for each in current if each.resource not in levels]
    if not await can_grant(tx, actor, added, full_level):
        raise Forbidden(Reason.DELEGATION)
    if not added and not removed:
        return
    await access.remove(tx, user.id, removed)
    await access.upsert(tx, user.id, added, granted_by=tx.actor.user_id)
    if added:
        await approval.approve(tx, user)
    audit.write(
        tx, AuditAction.SET_ACCESS, target_id=user.id, tenant_id=user.tenant_id, fields=("access",)
    )
