"""Restrictions of WiWebb: tenant owners cannot change others' profiles or assign their own role."""

from __future__ import annotations

from dragoman.rules.model import Role
from dragoman.rules.vocabulary import ANY, NONE, SELF, TENANT, Action, Restrictions

RESTRICTIONS = Restrictions(
    rows={
        #                     superadmin admin  owner   member  viewer
        Action.LIST_USERS:   (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.VIEW_USER:    (ANY,       ANY,   TENANT, SELF,   SELF),
        Action.CREATE_USER:  (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.UPDATE_USER:  (ANY,       ANY,   SELF,   SELF,   SELF),
        Action.SET_ACTIVE:   (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.SET_PASSWORD: (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.DELETE_USER:  (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.ASSIGN_ROLE:  (ANY,       ANY,   TENANT, NONE,   NONE),
    },
    assignable_roles={Role.OWNER: frozenset({Role.MEMBER, Role.VIEWER})},
    platform_roles_apply=True,
)  # fmt: skip
