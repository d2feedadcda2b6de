"""The policy: who may do what to whom, and which roles and permissions they may assign.

``policy_page`` renders it as ``docs/policy.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, NotFound, Reason
from dragoman.rules.model import Role
from dragoman.rules.vocabulary import (
    ANY,
    NONE,
    SELF,
    TENANT,
    Action,
    AuditAction,
    PolicyTable,
    Reach,
    Restrictions,
)

RoleAndTenant = tuple[Role, int | None]

TABLE: PolicyTable = {
    #                          superadmin admin  owner   member  viewer
    Action.LIST_USERS:        (ANY,       ANY,   TENANT, TENANT, TENANT),
    Action.VIEW_USER:         (ANY,       ANY,   TENANT, TENANT, TENANT),
    Action.CREATE_USER:       (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.UPDATE_USER:       (ANY,       ANY,   TENANT, SELF,   SELF),
    Action.SET_ACTIVE:        (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.APPROVE_USER:      (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.SET_PASSWORD:      (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.UNLOCK_USER:       (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.CHANGE_PASSWORD:   (SELF,      SELF,  SELF,   SELF,   SELF),
    Action.DELETE_USER:       (ANY,       ANY,   TENANT, SELF,   SELF),
    Action.ASSIGN_ROLE:       (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.MOVE_USER:         (ANY,       ANY,   NONE,   NONE,   NONE),
    Action.IMPORT_USERS:      (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.EXPORT_USERS:      (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.ERASE_USER:        (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.EXPORT_DATA:       (ANY,       ANY,   TENANT, SELF,   SELF),
    Action.VIEW_PERMISSIONS:  (ANY,       ANY,   TENANT, SELF,   SELF),
    Action.ASSIGN_PERMISSION: (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.VIEW_ACCESS:       (ANY,       ANY,   TENANT, SELF,   SELF),
    Action.SET_ACCESS:        (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.INVITE:            (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.ISSUE_TOKEN:       (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.REVOKE_TOKEN:      (ANY,       ANY,   TENANT, SELF,   SELF),
    Action.LIST_TENANTS:      (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.VIEW_TENANT:       (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.VIEW_OWN_TENANT:   (ANY,       ANY,   TENANT, TENANT, TENANT),
    Action.CREATE_TENANT:     (ANY,       ANY,   NONE,   NONE,   NONE),
    Action.UPDATE_TENANT:     (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.SWITCH_TENANT:     (ANY,       ANY,   NONE,   NONE,   NONE),
    Action.DELETE_TENANT:     (ANY,       ANY,   NONE,   NONE,   NONE),
    Action.VIEW_HISTORY:      (ANY,       ANY,   TENANT, SELF,   SELF),
    Action.MANAGE_OUTBOX:     (ANY,       ANY,   NONE,   NONE,   NONE),
}  # fmt: skip

ALL_ROLES = frozenset(Role)
NO_ROLES: frozenset[Role] = frozenset()
ASSIGNABLE_ROLES: Mapping[Role, frozenset[Role]] = {
    Role.SUPERADMIN: ALL_ROLES,
    Role.ADMIN: ALL_ROLES - {Role.SUPERADMIN},
    Role.OWNER: frozenset({Role.OWNER, Role.MEMBER, Role.VIEWER}),
    Role.MEMBER: frozenset(
        {Role.MEMBER, Role.VIEWER}
    ),  # only with a permission to create or invite users
    Role.VIEWER: frozenset({Role.VIEWER}),
}

PERMISSION_CATALOGUE: tuple[tuple[int, str, str, tuple[Action, ...]], ...] = (
    (1, "users.view", "Can list and view users", (Action.LIST_USERS, Action.VIEW_USER)),
    (2, "users.create", "Can create users", (Action.CREATE_USER,)),
    (3, "users.change", "Can change users", (Action.UPDATE_USER,)),
    (4, "users.delete", "Can delete users", (Action.DELETE_USER,)),
    (5, "users.set_active", "Can activate and deactivate users", (Action.SET_ACTIVE,)),
    (6, "users.set_password", "Can set users' passwords", (Action.SET_PASSWORD,)),
    (7, "permissions.view", "Can view users' permissions", (Action.VIEW_PERMISSIONS,)),
    (8, "permissions.assign", "Can grant and remove permissions", (Action.ASSIGN_PERMISSION,)),
    (9, "invitations.manage", "Can invite users", (Action.INVITE,)),
    (
        10,
        "access.set",
        "Can set users' access to resources",
        (Action.SET_ACCESS, Action.VIEW_ACCESS),
    ),
)
"""The permission catalogue: stable id, codename, name, and the actions it raises to TENANT."""

ACTIONS_BY_PERMISSION: Mapping[str, frozenset[Action]] = {
    code: frozenset(acts) for _, code, _, acts in PERMISSION_CATALOGUE
}
LOWEST_ROLE_WITH_ALL_PERMISSIONS = Role.OWNER
"""This role and all higher ones have every permission without a grant."""

PUBLIC_ACTIONS = frozenset(
    {
        AuditAction.SIGN_UP,
        AuditAction.SIGN_IN,
        AuditAction.REFRESH_SESSION,
        AuditAction.REQUEST_PASSWORD_RESET,
        AuditAction.COMPLETE_PASSWORD_RESET,
        AuditAction.SEND_LINK,
        AuditAction.VERIFY_EMAIL,
        AuditAction.UNDO_EMAIL_CHANGE,
        AuditAction.ACCEPT_INVITATION,
    }
)
"""Actions open to anonymous callers; rate limits or one-time secrets protect each of them."""

NOT_ON_OWN_ACCOUNT = frozenset(
    {Action.SET_ACTIVE, Action.ASSIGN_ROLE, Action.MOVE_USER, Action.SET_PASSWORD}
)
"""Actions denied on one's own account; CHANGE_PASSWORD changes one's own password."""

STRICTLY_LOWER_RANK = frozenset({Action.ISSUE_TOKEN})
"""Actions denied on users of equal rank: a credential for a peer gives all of the peer's rights."""

READ_ACTIONS = frozenset(
    {
        Action.LIST_USERS,
        Action.VIEW_USER,
        Action.VIEW_PERMISSIONS,
        Action.VIEW_ACCESS,
        Action.VIEW_HISTORY,
    }
)
"""Actions that only read: they are allowed on users of higher rank."""

_SELF_SERVICE_ACTIONS = frozenset({Action.UPDATE_USER, Action.DELETE_USER, Action.REVOKE_TOKEN})


class Target(Protocol):
    """The properties of a target user that the policy needs."""

    @property
    def id(self) -> int:
        """The user's id."""
        ...

    @property
    def tenant_id(self) -> int | None:
        """The user's tenant, if any."""
        ...

    @property
    def role(self) -> Role:
        """The user's role."""
        ...


def granted_reach(actor: Actor, action: Action) -> Reach:
    """Return the reach of an action for this actor, after permissions and restrictions.

    A permission raises the reach to TENANT. The contract's restrictions are applied last, so that
    nothing exceeds them. An actor without a tenant has SELF instead of TENANT for reading and
    self-service actions, and NONE for all others.
    """
    if actor.kind == "system":
        return Reach.ANY
    if actor.kind != "user":
        return Reach.NONE
    reach = TABLE[action][actor.role]
    if reach < Reach.TENANT and any(
        action in ACTIONS_BY_PERMISSION.get(code, ()) for code in actor.permissions
    ):
        reach = Reach.TENANT
    restricted_row = actor.restrictions.rows.get(action)
    if restricted_row is not None:
        reach = min(reach, restricted_row[actor.role])
    if reach == Reach.TENANT and actor.tenant_id is None:
        reach = (
            Reach.SELF if action in _SELF_SERVICE_ACTIONS or action in READ_ACTIONS else Reach.NONE
        )
    if reach == Reach.SELF and action in actor.restrictions.no_self_service:
        reach = Reach.NONE
    return reach


def effective_role_and_tenant(
    role: Role, tenant_id: int | None, restrictions: Restrictions, home_tenant_id: int
) -> RoleAndTenant:
    """Return the role and tenant with which a user acts at a contract (docs/decisions/0012).

    Unless ``platform_roles_apply``, platform administrators act as owners, and a user without a
    tenant acts in the default tenant.

    Args:
        role: the user's role.
        tenant_id: the user's tenant, if any.
        restrictions: the contract's restrictions.
        home_tenant_id: the id of the default tenant.
    """
    if restrictions.platform_roles_apply:
        return role, tenant_id
    return max(role, Role.OWNER), home_tenant_id if tenant_id is None else tenant_id


def require_reach(actor: Actor, action: Action, user_id: int = 0) -> Reach:
    """Return the reach of an action for this actor; raises Forbidden(FUNCTION) if it is NONE.

    The error does not depend on whether the target exists. ``user_id`` is the target's id, for
    actions in ``refuse_other_ids``, which raise the error for all ids but the actor's own.
    """
    reach = granted_reach(actor, action)
    self_only = reach is Reach.SELF and action in actor.restrictions.refuse_other_ids
    if reach is Reach.NONE or (self_only and user_id and not actor.is_user(user_id)):
        raise Forbidden(Reason.FUNCTION)
    return reach


def includes(actor: Actor, reach: Reach, target: Target) -> bool:
    """Return whether the target is within this reach of the actor."""
    if reach is Reach.ANY or (reach >= Reach.SELF and actor.is_user(target.id)):
        return True
    return reach is Reach.TENANT and target.tenant_id == actor.tenant_id is not None


def exists_for(actor: Actor, *, approved: bool) -> bool:
    """Return whether a user exists at the actor's contract (see ``Restrictions.approved_only``).

    ``approved`` is whether somebody with the right to do so has approved the user.
    """
    return approved or not actor.restrictions.approved_only


def may_view_email(actor: Actor, target: Target) -> bool:
    """Return whether the actor may see the user's e-mail address: its own, or once approved."""
    return may_view_all_emails(actor) or actor.is_user(target.id)


def may_view_all_emails(actor: Actor) -> bool:
    """Return whether the actor may see the e-mail address of every user whom it may see."""
    return actor.approved or actor.kind == "system"


def require(actor: Actor, action: Action, target: Target) -> None:
    """Raise an error unless the actor may perform the action on the target.

    Raises:
        Forbidden: FUNCTION if the actor may not perform the action on anyone, REACH if the actor
            may view the target but not act on it, RANK if the target has a higher role, and
            OWN_ACCOUNT if the action is denied on one's own account.
        NotFound: the actor may not view the target.
    """
    reach = require_reach(actor, action, target.id)
    if not includes(actor, reach, target):
        if action is Action.VIEW_USER or not includes(
            actor, granted_reach(actor, Action.VIEW_USER), target
        ):
            raise NotFound
        raise Forbidden(Reason.REACH)
    if actor.is_user(target.id):
        allowed_by_contract = (
            action is Action.SET_PASSWORD and actor.restrictions.may_set_own_password
        )
        if action in NOT_ON_OWN_ACCOUNT and not allowed_by_contract:
            raise Forbidden(Reason.OWN_ACCOUNT)
    elif action not in READ_ACTIONS and actor.kind == "user":
        same_rank = action in STRICTLY_LOWER_RANK and target.role == actor.role
        if same_rank or target.role.outranks(actor.role):
            raise Forbidden(Reason.RANK)


def require_tenant(actor: Actor, action: Action, tenant_id: int) -> None:
    """Raise an error unless the actor may perform the action on the tenant.

    Raises Forbidden(FUNCTION) if it may perform the action on no tenant, NotFound if only on its
    own.
    """
    if require_reach(actor, action) is not Reach.ANY and actor.tenant_id != tenant_id:
        raise NotFound


def assignable_roles(actor: Actor) -> frozenset[Role]:
    """Return the roles that this actor may assign at its contract."""
    if actor.kind == "system":
        return ALL_ROLES
    if actor.kind != "user":
        return NO_ROLES
    roles = ASSIGNABLE_ROLES[actor.role]
    return roles & actor.restrictions.assignable_roles.get(actor.role, roles)


def require_assignable(actor: Actor, role: Role) -> None:
    """Raise Forbidden(DELEGATION) if the actor may not assign this role."""
    if role not in assignable_roles(actor):
        raise Forbidden(Reason.DELEGATION)


def has_permission(actor: Actor, codename: str) -> bool:
    """Return whether the actor has a permission: by its role, by a group or granted directly."""
    if actor.kind == "system" or actor.role <= LOWEST_ROLE_WITH_ALL_PERMISSIONS:
        return True
    return codename in actor.permissions


def is_bound_by_last_owner_rule(actor: Actor) -> bool:
    """Return whether the actor must not remove a tenant's last active owner (docs/policy.md).

    False for the system, and for platform administrators at contracts where their role applies.
    """
    if actor.kind == "system":
        return False
    return not (actor.role.is_platform_role and actor.restrictions.platform_roles_apply)
