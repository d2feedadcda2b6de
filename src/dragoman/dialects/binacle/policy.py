"""Restrictions of Binacle: only administrators manage users."""

from __future__ import annotations

from dragoman.rules.vocabulary import ANY, NONE, TENANT, Action, Restrictions

RESTRICTIONS = Restrictions(
    rows={
        #                     superadmin admin  owner   member  viewer
        Action.VIEW_USER:    (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.CREATE_USER:  (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.UPDATE_USER:  (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.SET_ACTIVE:   (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.SET_PASSWORD: (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.DELETE_USER:  (ANY,       ANY,   TENANT, NONE,   NONE),
        Action.ASSIGN_ROLE:  (ANY,       ANY,   TENANT, NONE,   NONE),
    },
    may_set_own_password=True,
    approved_only=True,
)  # fmt: skip
