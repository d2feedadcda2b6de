"""The words of the policy: actions, reach, and a contract's restrictions."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum

import msgspec

from dragoman.rules.model import Role


class Reach(IntEnum):
    """How far a cell of the table goes; a larger one includes the smaller."""

    NONE = 0
    SELF = 1
    TENANT = 2
    ANY = 3


class Action(StrEnum):
    """Everything that somebody can do, as it stands in the audit."""

    LIST_USERS = "users.list"
    VIEW_USER = "users.view"
    CREATE_USER = "users.create"
    UPDATE_USER = "users.update"
    SET_ACTIVE = "users.set_active"
    SET_PASSWORD = "users.set_password"
    CHANGE_PASSWORD = "users.change_password"
    DELETE_USER = "users.delete"
    ASSIGN_ROLE = "users.assign_role"
    VIEW_PERMISSIONS = "permissions.view"
    ASSIGN_PERMISSION = "permissions.assign"
    VIEW_ACCESS = "access.view"
    SET_ACCESS = "access.set"
    INVITE = "invitations.manage"
    ISSUE_TOKEN = "tokens.issue"
    REVOKE_TOKEN = "tokens.revoke"
    LIST_TENANTS = "tenants.list"
    VIEW_TENANT = "tenants.view"
    VIEW_OWN_TENANT = "tenants.view_own"
    CREATE_TENANT = "tenants.create"
    UPDATE_TENANT = "tenants.update"
    SWITCH_TENANT = "tenants.set_active"
    DELETE_TENANT = "tenants.delete"
    VIEW_HISTORY = "history.view"


NONE, SELF, TENANT, ANY = Reach.NONE, Reach.SELF, Reach.TENANT, Reach.ANY


PolicyRow = tuple[Reach, Reach, Reach, Reach, Reach]


PolicyTable = Mapping[Action, PolicyRow]


class Restrictions(msgspec.Struct, frozen=True):
    """A contract's stricter view: rows of the same form, of which the lesser cell holds.

    ``may_assign`` limits what may be conferred; ``whole_platform`` says that platform
    administrators act here as such (they may even remove a tenant's last owner).
    ``no_self_service`` are actions that nobody has for the own account alone: a SELF cell reads
    NONE. ``own_alone`` are those for which a SELF cell refuses every other id, instead of not
    finding it. ``sets_own_password`` lets an administrator set the own password without the
    current one, where a contract documents that.
    """

    rows: PolicyTable = msgspec.field(default_factory=dict)
    assignable_roles: Mapping[Role, frozenset[Role]] = msgspec.field(default_factory=dict)
    platform_roles_apply: bool = False
    no_self_service: frozenset[Action] = frozenset()
    refuse_other_ids: frozenset[Action] = frozenset()
    may_set_own_password: bool = False


UNRESTRICTED = Restrictions(platform_roles_apply=True)
