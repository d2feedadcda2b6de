"""Errors of the directory, without status codes and messages: those belong to the contracts."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """One problem with the value of one field; each contract has its own message for it.

    Attributes:
        field: the name of the field.
        code: one of ``PROBLEM_CODES``.
        detail: a value for the message, such as a limit; see ``PROBLEM_CODES``.
    """

    field: str
    code: str
    detail: Any = None


PROBLEM_CODES = frozenset(
    {
        "required",
        "blank",
        "null",
        "not_string",
        "not_boolean",
        "not_integer",
        "not_list",
        "too_long",  # detail: the limit in characters
        "too_short",  # detail: the limit in characters
        "email",
        "url",
        "slug",
        "username",  # contains characters that usernames may not have
        "unsafe",  # control, invisible or bidirectional characters, mixed scripts
        "choice",  # detail: the rejected value
        "unknown",  # detail: the id that does not exist
        "taken",
        "not_own_email",  # a username that is the e-mail address of somebody else
        "common",
        "numeric",
        "similar",  # detail: the field that the password resembles
        "weak",  # for the user's role; detail: the limit in characters, or the field that it equals
        "too_many_bytes",  # detail: the limit in bytes
        "mismatch",  # a password differs from its confirmation
        "wrong",  # the current password is incorrect
        "tenant_required",  # the role requires a tenant
        "foreign_tenant",  # not the tenant that is required here
        "fixed",  # the value cannot be changed
        "invalid",
    }
)


class Reason(StrEnum):
    """Why the policy denies an action. The values are written to the log."""

    FUNCTION = "function"  # the action is denied for every target
    REACH = "reach"  # the actor may view the target but not act on it
    RANK = "rank"  # the target has a higher role
    OWN_ACCOUNT = "oneself"  # not allowed on one's own account
    POWER = "power"  # the target has a permission or access level that the actor lacks
    DELEGATION = "confer"  # assigning a role, permission or access level that the actor lacks
    SIGN_UP_DISABLED = "closed"  # self-registration is disabled


class DirectoryError(Exception):
    """Base class of all errors that the directory raises on purpose."""


class NotFound(DirectoryError):
    """The object does not exist, or the actor may not view it; clients cannot tell which."""


class Taken(DirectoryError):
    """The value of ``field`` is already used by another object."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class Invalid(DirectoryError):
    """The input is not valid; ``problems`` lists all problems."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(", ".join(f"{p.field}: {p.code}" for p in problems))
        self.problems = problems


class Forbidden(DirectoryError):
    """The policy denies the action; ``reason`` names the rule."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Unauthenticated(DirectoryError):
    """The request has no valid credential.

    ``reason`` is ``missing``, ``malformed``, ``unknown`` or ``inactive``; for ``malformed``,
    ``detail`` says in which way.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class BadCredentials(DirectoryError):
    """Sign-in failed: clients must not learn whether the user is unknown, inactive or deleted."""


class InvalidLink(DirectoryError):
    """A one-time secret is used, revoked, expired or unknown; ``field`` is ``uid`` or ``token``."""

    def __init__(self, field: str = "token") -> None:
        super().__init__(field)
        self.field = field


class RateLimited(DirectoryError):
    """Too many attempts; the client may retry after ``retry_after`` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"retry after {retry_after} s")
        self.retry_after = retry_after


class LastOwner(DirectoryError):
    """The change would remove the last active owner of a tenant."""


class LastSuperadmin(LastOwner):
    """The change would remove the last active superadmin of the platform."""


class InUse(DirectoryError):
    """The object cannot be deleted because others depend on it."""


class Unchanged(DirectoryError):
    """The new value of ``field`` equals the current one, which this contract rejects."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class Inactive(DirectoryError):
    """The action requires an active user, but the user is inactive."""


class WeakPassword(DirectoryError):
    """The user's password is too weak for the role that it would get."""


class NoTenant(DirectoryError):
    """The action requires a user with a tenant, but the user belongs to none."""


class Unavailable(DirectoryError):
    """A component is unavailable or overloaded; clients may retry after ``retry_after`` seconds."""

    def __init__(self, component: str, retry_after: int = 2) -> None:
        super().__init__(component)
        self.retry_after = retry_after


class UnsupportedDatabase(Unavailable):
    """The database software is too old or lacks something; retrying does not help."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(f"{found}; {advice}")
        self.found = found
        self.advice = advice
