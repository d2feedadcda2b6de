"""Permissions of users: list, grant, revoke. Changes take effect with the user's next request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from dragoman.actions.steps import approval
from dragoman.actions.steps.delegation import current_permissions, require_held, resolve_permissions
from dragoman.rules import policy
from dragoman.rules.errors import NotFound, Problem
from dragoman.rules.model import Permission, User, UserGrants
from dragoman.rules.vocabulary import Action, AuditAction
from dragoman.store import audit, grants, users
from dragoman.store.transaction import Read, Tx

NO_GRANTS = UserGrants()


async def list_for_user(read: Read, user_id: int) -> list[Permission]:
    """Return the permissions granted to a user directly, not by role or group, ordered by id.

    Raises Forbidden or NotFound.
    """
    policy.require_reach(read.actor, Action.VIEW_PERMISSIONS, user_id)
    user = await users.find(read, user_id)
    if user is None:
        raise NotFound
    policy.require(read.actor, Action.VIEW_PERMISSIONS, user)
    return await grants.list_for_user(read, user.id)


async def grants_by_user(read: Read, listed_users: Sequence[User]) -> dict[int, UserGrants]:
    """Return the groups and grants of listed users by user id (one page at most).

    They are empty for users whose permissions the actor may not view.
    """
    reach = policy.granted_reach(read.actor, Action.VIEW_PERMISSIONS)
    visible_ids = [user.id for user in listed_users if policy.includes(read.actor, reach, user)]
    return dict.fromkeys(
        (user.id for user in listed_users), NO_GRANTS
    ) | await grants.list_for_users(read, visible_ids)


async def grant(
    tx: Tx, user_id: int, permission_ids: Sequence[int], *, problems: Iterable[Problem] = ()
) -> list[Permission]:
    """Grant permissions to a user; return all that are granted to it directly.

    Args:
        tx: the transaction of the change.
        user_id: the user that gets them.
        permission_ids: the permissions to grant.
        problems: what the dialect found wrong with the request; reported together with the rest.

    Raises:
        Forbidden, NotFound: the policy refuses.
        Invalid: the dialect's problems, and ``unknown`` for each unknown permission.
        Forbidden: DELEGATION for a permission that the actor lacks; checked last.
    """
    policy.require_reach(tx.actor, Action.ASSIGN_PERMISSION)
    return await _change_grants(tx, user_id, permission_ids, problems, grants.add)


async def revoke(
    tx: Tx, user_id: int, permission_ids: Sequence[int], *, problems: Iterable[Problem] = ()
) -> list[Permission]:
    """Revoke permissions granted to a user directly; return those that remain.

    Args:
        tx: the transaction of the change.
        user_id: the user that loses them.
        permission_ids: the permissions to revoke.
        problems: what the dialect found wrong with the request; reported together with the rest.

    Raises:
        Whatever ``grant`` raises: actors may only revoke permissions that they have themselves.
    """
    policy.require_reach(tx.actor, Action.ASSIGN_PERMISSION)
    return await _change_grants(tx, user_id, permission_ids, problems, grants.remove)


async def _change_grants(
    tx: Tx,
    user_id: int,
    permission_ids: Sequence[int],
    problems: Iterable[Problem],
    change: Callable[[Tx, int, list[int]], Awaitable[int]],
) -> list[Permission]:
    user = await users.get(tx, user_id)
    actor = await current_permissions(tx)
    policy.require(actor, Action.ASSIGN_PERMISSION, user)
    requested = await resolve_permissions(tx, permission_ids, problems)
    require_held(actor, requested)
    if await change(tx, user.id, [permission.id for permission in requested]):
        if change is grants.add:
            await approval.approve(tx, user)
        audit.write(
            tx,
            AuditAction.ASSIGN_PERMISSION,
            target_id=user.id,
            tenant_id=user.tenant_id,
            fields=("permissions",),
        )
    return await grants.list_for_user(tx, user.id)
