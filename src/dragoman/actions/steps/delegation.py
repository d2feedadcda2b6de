"""Delegation: an actor may only grant, remove or take over permissions and access that it has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from dragoman.rules import policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, Invalid, Problem, Reason
from dragoman.rules.model import Access, Permission, User
from dragoman.rules.policy import LOWEST_ROLE_WITH_ALL_PERMISSIONS
from dragoman.store import access, grants, permissions
from dragoman.store.transaction import Read, Tx


async def current_permissions(tx: Tx) -> Actor:
    """Return the actor with the permissions that it has now.

    They may have been revoked while the transaction waited for the target's row.
    """
    actor = tx.actor
    if actor.kind != "user" or actor.role <= policy.LOWEST_ROLE_WITH_ALL_PERMISSIONS:
        return actor
    codenames = await grants.codenames_for_user(tx, actor.user_id)
    return msgspec.structs.replace(actor, permissions=codenames)


async def resolve_permissions(
    tx: Tx, permission_ids: Sequence[int], problems: Iterable[Problem] = ()
) -> list[Permission]:
    """Return the permissions with these ids, without duplicates.

    Raises Invalid with ``problems`` and one problem for each unknown id.
    """
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
    """Raise Forbidden(DELEGATION) unless the actor has each of these permissions itself."""
    if not all(policy.has_permission(actor, permission.codename) for permission in required):
        raise Forbidden(Reason.DELEGATION)


FULL_LEVEL = "full"
"""The access level that an accepted invitation grants; it includes every other level."""


async def require_power_over(reader: Read | Tx, target: User) -> None:
    """Raise Forbidden(POWER) unless the actor has every permission and access level of the target.

    Whoever changes the username, e-mail address or password of another user, or creates a
    credential for it, can sign in as that user: without this, one permission would give all of
    them. The policy compares the ranks (``policy.require``). Inside a transaction the target's row
    is locked, so that it gets no further permission meanwhile.
    """
    actor = reader.actor
    if actor.kind == "system" or actor.is_user(target.id):
        return
    if actor.kind == "user" and actor.role <= LOWEST_ROLE_WITH_ALL_PERMISSIONS:
        return
    held = await grants.codenames_for_user(reader, actor.user_id)
    of_target = await grants.codenames_for_user(reader, target.id)
    access_of_target = await access.list_for_user(reader, target.id)
    if not of_target <= held or not await can_grant(reader, actor, access_of_target, FULL_LEVEL):
        raise Forbidden(Reason.POWER)


async def require_full_access(tx: Tx, resources: Iterable[str], full_level: str) -> None:
    """Raise Forbidden(DELEGATION) unless the actor can grant full access to each resource."""
    if not await has_full_access(tx, tx.actor, resources, full_level):
        raise Forbidden(Reason.DELEGATION)


async def has_full_access(
    reader: Read | Tx, actor: Actor, resources: Iterable[str], full_level: str
) -> bool:
    """Return whether an actor can grant full access to each resource.

    Args:
        reader: a reader or transaction; its own actor may be another one.
        actor: the actor that would grant.
        resources: the resources.
        full_level: the level that includes every other.
    """
    return await can_grant(
        reader, actor, [Access(name, full_level) for name in resources], full_level
    )


async def can_grant(
    reader: Read | Tx, actor: Actor, granted: Sequence[Access], full_level: str
) -> bool:
    """Return whether an actor has each access that it would grant, at that or the full level.

    Args:
        reader: a reader or transaction; its own actor may be another one.
        actor: the actor that would grant.
        granted: the resources and levels to grant.
        full_level: the level that includes every other.
    """
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
