"""What can go wrong, in our words: facts without status codes and without sentences."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with one field; dialects put it into words.

    ``code`` is a word of ``CODES``; ``detail`` carries what the sentence needs
    (a limit, the rejected choice, the name of a similar field).
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
        "username",  # outside the alphabet
        "unsafe",  # control, invisible or bidirectional characters, mixed scripts
        "choice",  # detail: what was given
        "unknown",  # detail: the id that nobody has
        "taken",
        "common",
        "numeric",
        "similar",  # detail: the field the password resembles
        "too_many_bytes",
        "mismatch",
        "wrong",
        "tenant_required",
        "foreign_tenant",
        "fixed",  # this one cannot be changed
        "invalid",
    }
)


class Reason(StrEnum):
    """Why the policy says no."""

    FUNCTION = "function"  # this role has no such function at all
    REACH = "reach"  # the target can be seen, but not be acted upon
    RANK = "rank"  # the target stands higher
    OWN_ACCOUNT = "oneself"  # not on the own account
    DELEGATION = "confer"  # a role, permission or access level beyond the own
    SIGN_UP_DISABLED = "closed"  # self-registration is switched off


class DirectoryError(Exception):
    """Whatever the directory refuses to do; the root of every fact below."""


class NotFound(DirectoryError):
    """No such thing, or none within reach: the two are never told apart."""


class Taken(DirectoryError):
    """Somebody holds that value; ``field`` says which one it is."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class Invalid(DirectoryError):
    """What was given cannot be taken; ``problems`` lists everything that is wrong with it."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(", ".join(f"{p.field}: {p.code}" for p in problems))
        self.problems = problems


class Forbidden(DirectoryError):
    """The policy says no; ``reason`` says which of its rules."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Unauthenticated(DirectoryError):
    """Nobody valid stands behind the request.

    ``why`` is ``missing``, ``malformed`` (``detail`` says how), ``unknown`` or ``inactive``.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class BadCredentials(DirectoryError):
    """Sign-in refused: unknown, wrong, inactive and deleted are one and the same."""


class InvalidLink(DirectoryError):
    """A one-time secret that is used, void, expired or unknown; ``field`` is ``uid`` or ``token``."""

    def __init__(self, field: str = "token") -> None:
        super().__init__(field)
        self.field = field


class RateLimited(DirectoryError):
    """Too many of these; try again after ``retry_after`` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"retry after {retry_after} s")
        self.retry_after = retry_after


class LastOwner(DirectoryError):
    """The tenant would lose its last active owner."""


class LastSuperadmin(LastOwner):
    """The platform would lose its last active superadmin."""


class InUse(DirectoryError):
    """It cannot go while others depend on it."""


class Unchanged(DirectoryError):
    """What was to be set is what it already is; ``field`` says which."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class Inactive(DirectoryError):
    """That user is switched off, and this needs one who is not."""


class NoTenant(DirectoryError):
    """The user belongs to no tenant, and this needs one."""


class Unavailable(DirectoryError):
    """The database, the disk or the queue cannot serve now; try again after ``retry_after`` s."""

    def __init__(self, component: str, retry_after: int = 2) -> None:
        super().__init__(component)
        self.retry_after = retry_after
