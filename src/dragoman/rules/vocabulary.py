"""Terms of the policy and the audit log: actions, reach, and the restrictions of a contract."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum

import msgspec

from dragoman.rules.model import Role


class Reach(IntEnum):
    """The set of users that an action may target; a greater reach includes every smaller one."""

    NONE = 0
    SELF = 1
    TENANT = 2
    ANY = 3


class Action(StrEnum):
    """Everything that the policy decides about; each has a row in ``policy.TABLE``."""

    LIST_USERS = "users.list"
    VIEW_USER = "users.view"
    CREATE_USER = "users.create"
    UPDATE_USER = "users.update"
    SET_ACTIVE = "users.set_active"
    APPROVE_USER = "users.approve"
    SET_PASSWORD = "users.set_password"
    UNLOCK_USER = "users.unlock"
    CHANGE_PASSWORD = "users.change_password"
    DELETE_USER = "users.delete"
    ASSIGN_ROLE = "users.assign_role"
    MOVE_USER = "users.move"
    IMPORT_USERS = "users.import"
    EXPORT_USERS = "users.export"
    ERASE_USER = "users.erase"
    EXPORT_DATA = "users.export_data"
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
    MANAGE_OUTBOX = "outbox.manage"


class AuditAction(StrEnum):
    """Everything that the audit log records, as ``noun.verb``.

    The values are stored in ``audit.action``: a renamed one needs a migration (see 0005).
    """

    CREATE_USER = "users.create"
    SIGN_UP = "users.sign_up"
    UPDATE_USER = "users.update"
    SET_ACTIVE = "users.set_active"
    APPROVE_USER = "users.approve"
    SET_PASSWORD = "users.set_password"
    UNLOCK_USER = "users.unlock"
    DROP_HASH = "users.drop_hash"  # an imported hash that opened nothing in time
    CHANGE_PASSWORD = "users.change_password"
    DELETE_USER = "users.delete"
    ERASE_USER = "users.erase"
    ASSIGN_ROLE = "users.assign_role"
    MOVE_USER = "users.move"
    IMPORT_USER = "users.import"
    UNDO_IMPORT = "imports.undo"
    EXPORT_USERS = "users.export"
    EXPORT_DATA = "users.export_data"
    KEEP_KEY = "users.keep_key"  # an upgrade gave the key of its address to another user
    RELEASE_EMAIL = "users.release_email"
    SEND_LINK = "users.send_link"
    VERIFY_EMAIL = "users.verify_email"
    UNDO_EMAIL_CHANGE = "users.undo_email_change"
    REQUEST_PASSWORD_RESET = "password_resets.request"
    COMPLETE_PASSWORD_RESET = "password_resets.complete"
    SIGN_IN = "sessions.sign_in"
    SIGN_IN_FAILED = "sessions.sign_in_failed"
    SIGN_OUT = "sessions.sign_out"
    REFRESH_SESSION = "sessions.refresh"
    REFRESH_TOKEN_REUSED = "sessions.refresh_reused"
    ISSUE_TOKEN = "tokens.issue"
    REVOKE_TOKEN = "tokens.revoke"
    ASSIGN_PERMISSION = "permissions.assign"
    SET_ACCESS = "access.set"
    CREATE_GROUP = "groups.create"
    DELETE_GROUP = "groups.delete"
    SEND_INVITATION = "invitations.send"
    RESEND_INVITATION = "invitations.resend"
    REVOKE_INVITATION = "invitations.revoke"
    ACCEPT_INVITATION = "invitations.accept"
    CREATE_TENANT = "tenants.create"
    UPDATE_TENANT = "tenants.update"
    DELETE_TENANT = "tenants.delete"
    RETRY_MAIL = "outbox.retry"
    DROP_MAIL = "outbox.drop"
    ROTATE_KEYS = "keys.rotate"
    ADOPT_KEY = "keys.adopt"
    BACK_UP = "backups.create"
    RESTORE_BACKUP = "backups.restore"


ACTIONS_OF_THE_TARGET = frozenset(
    {
        AuditAction.SIGN_UP,
        AuditAction.SIGN_IN,
        AuditAction.REFRESH_SESSION,
        AuditAction.COMPLETE_PASSWORD_RESET,
        AuditAction.VERIFY_EMAIL,
        AuditAction.UNDO_EMAIL_CHANGE,
        AuditAction.ACCEPT_INVITATION,
    }
)
"""Actions without a credential that prove who acts: a password, or a link that was mailed."""

NONE, SELF, TENANT, ANY = Reach.NONE, Reach.SELF, Reach.TENANT, Reach.ANY

PolicyRow = tuple[Reach, Reach, Reach, Reach, Reach]
"""The reach of one action, per role in the order of ``Role``."""

PolicyTable = Mapping[Action, PolicyRow]


class Restrictions(msgspec.Struct, frozen=True):
    """How a contract limits the policy; it can only take reach away.

    Attributes:
        rows: rows in the format of the policy table; the smaller of both reaches applies.
        assignable_roles: the roles that each role may assign at this contract.
        platform_roles_apply: platform administrators act with their own role. They may then
            remove a tenant's last owner. If False, they act as owners of their tenant.
        no_self_service: actions that users may not perform on their own account by SELF reach.
        refuse_other_ids: actions that with SELF reach answer Forbidden for every other user's id,
            instead of NotFound.
        may_set_own_password: administrators may set their own password without the current one,
            for a contract that documents this.
        approved_only: users who are not approved do not exist at this contract, because it
            documents no sign-up.
    """

    rows: PolicyTable = msgspec.field(default_factory=dict)
    assignable_roles: Mapping[Role, frozenset[Role]] = msgspec.field(default_factory=dict)
    platform_roles_apply: bool = False
    no_self_service: frozenset[Action] = frozenset()
    refuse_other_ids: frozenset[Action] = frozenset()
    may_set_own_password: bool = False
    approved_only: bool = False


UNRESTRICTED = Restrictions(platform_roles_apply=True)
"""The restrictions of a contract that applies the policy table as it is."""
