"""The tenant that a user belongs to: move a user to another one."""

from __future__ import annotations

from dragoman.actions.steps import change_user
from dragoman.rules import policy
from dragoman.rules.errors import NoTenant
from dragoman.rules.model import Role, User
from dragoman.rules.vocabulary import Action, AuditAction
from dragoman.store import audit, grants, invitations, tenants, users
from dragoman.store.transaction import Tx


async def move(tx: Tx, user_id: int, tenant_id: int | None) -> User:
    """Move a user to another tenant, and return the user as changed.

    The role stays. What people of the former tenant gave the user does not: its groups, permissions
    and access to resources are removed, the invitations that it sent are revoked, and its sessions
    end. The history of both tenants has an entry.

    Args:
        tx: the transaction of the change.
        user_id: the user to move.
        tenant_id: the new tenant; None for no tenant, which needs a platform role.

    Raises:
        NotFound, Forbidden: the policy refuses, or there is no such tenant.
        NoTenant: the user's role requires a tenant.
        LastOwner, LastSuperadmin: the user must stay where it is.
    """
    policy.require_reach(tx.actor, Action.MOVE_USER)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.MOVE_USER, user)
    if user.tenant_id == tenant_id:
        return user
    if tenant_id is None and not user.role.is_platform_role:
        raise NoTenant
    tenant = None if tenant_id is None else await tenants.get(tx, tenant_id, lock="share")
    may_sign_in = tenant is None or tenant.active
    if user.role is not Role.SUPERADMIN or not may_sign_in:
        await change_user.ensure_not_last(tx, user)
    if tenant is not None and user.role is Role.OWNER:
        await tenants.mark_owned(tx, tenant.id)
    await grants.remove_all(tx, user.id)
    await invitations.revoke_by_inviter(tx, user.id)
    await users.save(tx, user, {"tenant_id": tenant_id})
    await users.revoke_sessions(tx, user.id)
    for each in (user.tenant_id, tenant_id):
        if each is not None:
            audit.write(
                tx, AuditAction.MOVE_USER, target_id=user.id, tenant_id=each, fields=("tenant",)
            )
    return await users.get(tx, user.id)
