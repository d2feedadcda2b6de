"""Who may do what: the table, ranks, what may be conferred, and how contracts narrow it.

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
    Action.SET_PASSWORD:      (ANY,       ANY,   TENANT, NONE,   NONE),
    Action.CHANGE_PASSWORD:   (SELF,      SELF,  SELF,   SELF,   SELF),
    Action.DELETE_USER:       (ANY,       ANY,   TENANT, SELF,   SELF),
    Action.ASSIGN_ROLE:       (ANY,       ANY,   TENANT, NONE,   NONE),
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
}  # fmt: skip

ALL_ROLES = frozenset(Role)
NO_ROLES: frozenset[Role] = frozenset()
ASSIGNABLE_ROLES: Mapping[Role, frozenset[Role]] = {
    Role.SUPERADMIN: ALL_ROLES,
    Role.ADMIN: ALL_ROLES - {Role.SUPERADMIN},
    Role.OWNER: frozenset({Role.OWNER, Role.MEMBER, Role.VIEWER}),
    Role.MEMBER: frozenset({Role.MEMBER, Role.VIEWER}),  # where a permission lets it confer any
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
"""The catalogue of permissions: stable id, codename, name, and the cells it raises to TENANT."""

ACTIONS_BY_PERMISSION: Mapping[str, frozenset[Action]] = {
    code: frozenset(acts) for _, code, _, acts in PERMISSION_CATALOGUE
}
LOWEST_ROLE_WITH_ALL_PERMISSIONS = Role.OWNER
"""Every permission is held, without a grant, by this role and all above it."""

PUBLIC_ACTIONS = frozenset(
    {"sign_up", "sign_in", "refresh", "request_reset", "reset_password", "get_open", "accept"}
)
"""Actions that anybody may ask for; each guards itself (limits, one-time secrets)."""

NOT_ON_OWN_ACCOUNT = frozenset({Action.SET_ACTIVE, Action.ASSIGN_ROLE, Action.SET_PASSWORD})
"""Not on the own account; the own password is changed by CHANGE_PASSWORD."""

STRICTLY_LOWER_RANK = frozenset({Action.ISSUE_TOKEN})
"""On others, only on those who stand lower: a credential of an equal is that equal's power."""

READ_ACTIONS = frozenset(
    {
        Action.LIST_USERS,
        Action.VIEW_USER,
        Action.VIEW_PERMISSIONS,
        Action.VIEW_ACCESS,
        Action.VIEW_HISTORY,
    }
)
"""Seeing is not acting: rank does not bar it."""

_SELF_SERVICE_ACTIONS = frozenset({Action.UPDATE_USER, Action.DELETE_USER, Action.REVOKE_TOKEN})


class Target(Protocol):
    """As much of a target as the policy looks at."""

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
    """Return how far this actor's action goes, after permissions and narrowing.

    A permission raises a cell of a tenant's user to TENANT; the contract's narrowing is
    applied last, so that nothing widens it.
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
    """Return the rank and the tenant in which somebody acts at a contract.

    Where platform administrators do not act as such, they act as owners; whoever has no tenant
    stands in the settings' one, ``home`` (decision 12).
    """
    if restrictions.platform_roles_apply:
        return role, tenant_id
    return max(role, Role.OWNER), home_tenant_id if tenant_id is None else tenant_id


def require_reach(actor: Actor, action: Action, user_id: int = 0) -> Reach:
    """Return the cell, or raise Forbidden(FUNCTION): a refused function is refused for every id.

    ``user_id`` is the target's, where the contract refuses all but the own one (``own_alone``).
    """
    reach = granted_reach(actor, action)
    self_only = reach is Reach.SELF and action in actor.restrictions.refuse_other_ids
    if reach is Reach.NONE or (self_only and user_id and not actor.is_user(user_id)):
        raise Forbidden(Reason.FUNCTION)
    return reach


def includes(actor: Actor, reach: Reach, target: Target) -> bool:
    """Say whether a cell of this actor includes the target."""
    if reach is Reach.ANY or (reach >= Reach.SELF and actor.is_user(target.id)):
        return True
    return reach is Reach.TENANT and target.tenant_id == actor.tenant_id is not None


def require(actor: Actor, action: Action, target: Target) -> None:
    """Pass, or say why not.

    Raises Forbidden(FUNCTION) for every id, NotFound for a target that this actor cannot even
    see, Forbidden(REACH) for one it sees but may not act upon, Forbidden(RANK) for one that
    stands higher, Forbidden(ONESELF) for what nobody does to the own account.
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
    """The same for a tenant as target: Forbidden(FUNCTION), or NotFound beyond the own one."""
    if require_reach(actor, action) is not Reach.ANY and actor.tenant_id != tenant_id:
        raise NotFound


def assignable_roles(actor: Actor) -> frozenset[Role]:
    """Return the roles that this actor may confer, here."""
    if actor.kind == "system":
        return ALL_ROLES
    if actor.kind != "user":
        return NO_ROLES
    roles = ASSIGNABLE_ROLES[actor.role]
    return roles & actor.restrictions.assignable_roles.get(actor.role, roles)


def require_assignable(actor: Actor, role: Role) -> None:
    """Raise Forbidden(CONFER) for a role that this actor may not confer."""
    if role not in assignable_roles(actor):
        raise Forbidden(Reason.DELEGATION)


def has_permission(actor: Actor, codename: str) -> bool:
    """Say whether this actor holds a permission: by role, by group or directly."""
    if actor.kind == "system" or actor.role <= LOWEST_ROLE_WITH_ALL_PERMISSIONS:
        return True
    return codename in actor.permissions


def is_bound_by_last_owner_rule(actor: Actor) -> bool:
    """Say whether this actor is bound by the last-owner rule.

    Everybody is, but the command line and platform administrators where they act as such
    (see docs/policy.md).
    """
    if actor.kind == "system":
        return False
    return not (actor.role.is_platform_role and actor.restrictions.platform_roles_apply)
