"""What an actor may hand on or take away: permissions that exist, and that it holds itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from dragoman.rules import policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, Invalid, Problem, Reason
from dragoman.rules.model import Access, Permission
from dragoman.rules.policy import LOWEST_ROLE_WITH_ALL_PERMISSIONS
from dragoman.store import access, grants, permissions
from dragoman.store.transaction import Read, Tx


async def current_permissions(tx: Tx) -> Actor:
    """Return the actor with the permissions that it holds at this moment.

    They may have been taken from it while the transaction waited for the target's row.
    """
    actor = tx.actor
    if actor.kind != "user" or actor.role <= policy.LOWEST_ROLE_WITH_ALL_PERMISSIONS:
        return actor
    codenames = await grants.codenames_for_user(tx, actor.user_id)
    return msgspec.structs.replace(actor, permissions=codenames)


async def resolve_permissions(
    tx: Tx, permission_ids: Sequence[int], problems: Iterable[Problem] = ()
) -> list[Permission]:
    """Return the permissions of these ids; raises Invalid with what is wrong, all of it."""
    permissions_by_id = {permission.id: permission for permission in await permissions.list_all(tx)}
    unique_ids = dict.fromkeys(permission_ids)
    all_problems = list(problems)
    all_problems += [
        Problem("permissions", "unknown", permission_id)
        for permission_id in unique_ids
        if permission_id not in permissions_by_id
    ]
    if all_problems:
        raise Invalid(*all_problems)
    return [permissions_by_id[permission_id] for permission_id in unique_ids]


def require_held(actor: Actor, required: Iterable[Permission]) -> None:
    """Raise Forbidden(CONFER) where the actor does not hold one of these itself."""
    if not all(policy.has_permission(actor, permission.codename) for permission in required):
        raise Forbidden(Reason.DELEGATION)


FULL_LEVEL = "full"
"""The level that an accepted invitation gives: the greatest, which includes all others."""


async def require_full_access(tx: Tx, resources: Iterable[str], full_level: str) -> None:
    """Pass if the actor can give the greatest level of each resource, else Forbidden(CONFER)."""
    if not await has_full_access(tx, tx.actor, resources, full_level):
        raise Forbidden(Reason.DELEGATION)


async def has_full_access(
    reader: Read | Tx, actor: Actor, resources: Iterable[str], full_level: str
) -> bool:
    """Say whether an actor, who need not be the one who asks, can give all these in full."""
    return await can_grant(
        reader, actor, [Access(name, full_level) for name in resources], full_level
    )


async def can_grant(
    reader: Read | Tx, actor: Actor, granted: Sequence[Access], full_level: str
) -> bool:
    """Say whether an actor holds what it is about to give."""
    if not granted or actor.kind == "system":
        return True
    if actor.kind != "user":
        return False
    if actor.role <= LOWEST_ROLE_WITH_ALL_PERMISSIONS:
        return True
    held_levels = {
        each.resource: each.level for each in await access.list_for_user(reader, actor.user_id)
    }
    return all(held_levels.get(each.resource) in {each.level, full_level} for each in granted)
