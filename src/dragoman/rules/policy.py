"""Who may do what: the table, ranks, what may be conferred, and how contracts narrow it.

``policy_page`` renders it as ``docs/policy.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, NotFound, Reason
from dragoman.rules.model import Role
from dragoman.rules.vocabulary import ANY, NONE, SELF, TENANT, Action, Narrowing, Reach, Rows

Standing = tuple[Role, int | None]

TABLE: Rows = {
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

EVERY_ROLE = frozenset(Role)
NO_ROLE: frozenset[Role] = frozenset()
MAY_ASSIGN: Mapping[Role, frozenset[Role]] = {
    Role.SUPERADMIN: EVERY_ROLE,
    Role.ADMIN: EVERY_ROLE - {Role.SUPERADMIN},
    Role.OWNER: frozenset({Role.OWNER, Role.MEMBER, Role.VIEWER}),
    Role.MEMBER: frozenset({Role.MEMBER, Role.VIEWER}),  # where a permission lets it confer any
    Role.VIEWER: frozenset({Role.VIEWER}),
}

CATALOGUE: tuple[tuple[int, str, str, tuple[Action, ...]], ...] = (
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

RAISES: Mapping[str, frozenset[Action]] = {code: frozenset(acts) for _, code, _, acts in CATALOGUE}
PERMISSION_ROLE_HOLDS = Role.OWNER
"""Every permission is held, without a grant, by this role and all above it."""

PUBLIC = frozenset(
    {"sign_up", "sign_in", "refresh", "request_reset", "reset_password", "show", "accept"}
)
"""Actions that anybody may ask for; each guards itself (limits, one-time secrets)."""

NOT_ONESELF = frozenset({Action.SET_ACTIVE, Action.ASSIGN_ROLE, Action.SET_PASSWORD})
"""Not on the own account; the own password is changed by CHANGE_PASSWORD."""

STRICTLY_BELOW = frozenset({Action.ISSUE_TOKEN})
"""On others, only on those who stand lower: a credential of an equal is that equal's power."""

READING = frozenset(
    {
        Action.LIST_USERS,
        Action.VIEW_USER,
        Action.VIEW_PERMISSIONS,
        Action.VIEW_ACCESS,
        Action.VIEW_HISTORY,
    }
)
"""Seeing is not acting: rank does not bar it."""

_SELF_SERVICE = frozenset({Action.UPDATE_USER, Action.DELETE_USER, Action.REVOKE_TOKEN})


class Subject(Protocol):
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


def cell(actor: Actor, action: Action) -> Reach:
    """Return how far this actor's action goes, after permissions and narrowing.

    A permission raises a cell of a tenant's user to TENANT; the contract's narrowing is
    applied last, so that nothing widens it.
    """
    if actor.kind == "system":
        return Reach.ANY
    if actor.kind != "user":
        return Reach.NONE
    reach = TABLE[action][actor.role]
    if reach < Reach.TENANT and any(action in RAISES.get(code, ()) for code in actor.permissions):
        reach = Reach.TENANT
    narrowed = actor.narrowing.rows.get(action)
    if narrowed is not None:
        reach = min(reach, narrowed[actor.role])
    if reach == Reach.TENANT and actor.tenant_id is None:
        reach = Reach.SELF if action in _SELF_SERVICE or action in READING else Reach.NONE
    if reach == Reach.SELF and action in actor.narrowing.no_self_service:
        reach = Reach.NONE
    return reach


def standing(role: Role, tenant_id: int | None, narrowing: Narrowing, home: int) -> Standing:
    """Return the rank and the tenant in which somebody acts at a contract.

    Where platform administrators do not act as such, they act as owners; whoever has no tenant
    stands in the settings' one, ``home`` (decision 12).
    """
    if narrowing.whole_platform:
        return role, tenant_id
    return max(role, Role.OWNER), home if tenant_id is None else tenant_id


def allow(actor: Actor, action: Action, user_id: int = 0) -> Reach:
    """Return the cell, or raise Forbidden(FUNCTION): a refused function is refused for every id.

    ``user_id`` is the target's, where the contract refuses all but the own one (``own_alone``).
    """
    reach = cell(actor, action)
    alone = reach is Reach.SELF and action in actor.narrowing.own_alone
    if reach is Reach.NONE or (alone and user_id and not actor.is_user(user_id)):
        raise Forbidden(Reason.FUNCTION)
    return reach


def covers(actor: Actor, reach: Reach, target: Subject) -> bool:
    """Say whether a cell of this actor includes the target."""
    if reach is Reach.ANY or (reach >= Reach.SELF and actor.is_user(target.id)):
        return True
    return reach is Reach.TENANT and target.tenant_id == actor.tenant_id is not None


def require(actor: Actor, action: Action, target: Subject) -> None:
    """Pass, or say why not.

    Raises Forbidden(FUNCTION) for every id, NotFound for a target that this actor cannot even
    see, Forbidden(REACH) for one it sees but may not act upon, Forbidden(RANK) for one that
    stands higher, Forbidden(ONESELF) for what nobody does to the own account.
    """
    reach = allow(actor, action, target.id)
    if not covers(actor, reach, target):
        if action is Action.VIEW_USER or not covers(actor, cell(actor, Action.VIEW_USER), target):
            raise NotFound
        raise Forbidden(Reason.REACH)
    if actor.is_user(target.id):
        documented = action is Action.SET_PASSWORD and actor.narrowing.sets_own_password
        if action in NOT_ONESELF and not documented:
            raise Forbidden(Reason.ONESELF)
    elif action not in READING and actor.kind == "user":
        equal = action in STRICTLY_BELOW and target.role == actor.role
        if equal or target.role.outranks(actor.role):
            raise Forbidden(Reason.RANK)


def require_tenant(actor: Actor, action: Action, tenant_id: int) -> None:
    """The same for a tenant as target: Forbidden(FUNCTION), or NotFound beyond the own one."""
    if allow(actor, action) is not Reach.ANY and actor.tenant_id != tenant_id:
        raise NotFound


def may_assign(actor: Actor) -> frozenset[Role]:
    """Return the roles that this actor may confer, here."""
    if actor.kind == "system":
        return EVERY_ROLE
    if actor.kind != "user":
        return NO_ROLE
    roles = MAY_ASSIGN[actor.role]
    return roles & actor.narrowing.may_assign.get(actor.role, roles)


def require_assignable(actor: Actor, role: Role) -> None:
    """Raise Forbidden(CONFER) for a role that this actor may not confer."""
    if role not in may_assign(actor):
        raise Forbidden(Reason.CONFER)


def holds(actor: Actor, codename: str) -> bool:
    """Say whether this actor holds a permission: by role, by group or directly."""
    if actor.kind == "system" or actor.role <= PERMISSION_ROLE_HOLDS:
        return True
    return codename in actor.permissions


def guards_last_owner(actor: Actor) -> bool:
    """Say whether this actor is bound by the last-owner rule.

    Everybody is, but the command line and platform administrators where they act as such
    (see docs/policy.md).
    """
    if actor.kind == "system":
        return False
    return not (actor.role.of_platform and actor.narrowing.whole_platform)
