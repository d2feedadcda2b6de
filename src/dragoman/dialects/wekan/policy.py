"""Restrictions of Wekan: only administrators manage users, others see themselves."""

from __future__ import annotations

from dragoman.rules.vocabulary import ANY, NONE, SELF, TENANT, Action, Restrictions

RESTRICTIONS = Restrictions(
    rows={
        #                     superadmin admin  owner   member  viewer
        Action.LIST_USERS:   (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.VIEW_USER:    (ANY,       ANY,   TENANT, SELF,   SELF),
        Action.CREATE_USER:  (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.UPDATE_USER:  (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.SET_ACTIVE:   (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.SET_PASSWORD: (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.DELETE_USER:  (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.ASSIGN_ROLE:  (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.ISSUE_TOKEN:  (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.REVOKE_TOKEN: (ANY,       ANY,   TENANT, SELF,   SELF),
    },
)  # fmt: skip
