"""The domain model: users, tenants, groups, permissions, tokens, invitations and their changes.

Times are integers: microseconds since 1970-01-01 UTC; 0 means "never".
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

T = TypeVar("T")

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Role(IntEnum):
    """A user's role; a smaller number is a higher rank."""

    SUPERADMIN = 0
    ADMIN = 1
    OWNER = 2
    MEMBER = 3
    VIEWER = 4

    @property
    def is_platform_role(self) -> bool:
        """Whether users with this role need no tenant: superadmin and admin."""
        return self <= Role.ADMIN

    @property
    def needs_strong_password(self) -> bool:
        """Whether users with this role need a strong password: owners and platform roles."""
        return self <= Role.OWNER

    def outranks(self, other: Role) -> bool:
        """Return whether this role has a strictly higher rank than the other."""
        return self < other


class User(msgspec.Struct, frozen=True):
    """A user, without the password hash.

    Attributes:
        approved: whether closed contracts know the user: created, invited or approved by somebody
            with the right to do so, not by its own sign-up alone.
        signed_up: whether the user registered itself.
        verified: whether the e-mail address is proven to be the user's.
        email_assigned: whether an administrator, an import or a machine vouches for the address.
        strong_password: whether the password is strong enough for an owner; None if unknown.
    """

    id: int
    public_id: str
    tenant_id: int | None
    tenant_name: str | None
    username: str
    email: str
    first_name: str
    last_name: str
    display_name: str
    phone: str
    bio: str
    url: str
    company: str
    location: str
    auth_epoch: int
    created_at: int
    updated_at: int
    last_login_at: int
    role: Role
    active: bool
    verified: bool
    approved: bool
    signed_up: bool
    email_assigned: bool
    strong_password: bool | None

    @property
    def holds_email(self) -> bool:
        """Whether nobody can take the e-mail address over: it is proven, or was assigned."""
        return bool(self.email) and (self.verified or self.email_assigned)


class Tenant(msgspec.Struct, frozen=True):
    """An organisation; its users can view only each other."""

    id: int
    public_id: str
    name: str
    slug: str
    email: str
    url: str
    description: str
    active: bool
    auth_epoch: int
    created_at: int
    updated_at: int


class Permission(msgspec.Struct, frozen=True):
    """An entry of the permission catalogue; its id is small and never changes."""

    id: int
    codename: str
    name: str


class Group(msgspec.Struct, frozen=True):
    """A named set of permissions within a tenant; its members have all of them."""

    id: int
    tenant_id: int
    name: str


class UserGrants(msgspec.Struct, frozen=True):
    """The ids of a user's groups and of the permissions granted directly, both ascending."""

    group_ids: tuple[int, ...] = ()
    permission_ids: tuple[int, ...] = ()


class Access(msgspec.Struct, frozen=True):
    """A user's access level to a resource of another system; levels are defined by the contract."""

    resource: str
    level: str


class Invitation(msgspec.Struct, frozen=True):
    """An invitation by e-mail to become a user; its secret is derived and not stored."""

    id: int
    public_id: str
    tenant_id: int
    email: str
    name: str
    role: Role
    resources: tuple[str, ...]
    inviter_id: int
    generation: int
    created_at: int
    expires_at: int
    accepted_at: int
    revoked_at: int


class Token(msgspec.Struct, frozen=True):
    """A credential, without its secret.

    ``family`` is shared by all credentials that descend from the same sign-in by refreshing; 0 if
    the contract has no refresh tokens.
    """

    id: int
    user_id: int
    contract: str
    kind: str
    created_at: int
    last_used_at: int
    expires_at: int
    family: int


class NewUser(msgspec.Struct, kw_only=True):
    """The data of a new user; ``tenant_id`` is UNSET if the caller gave none."""

    username: str
    email: str = ""
    role: Role = Role.MEMBER
    tenant_id: int | None | UnsetType = UNSET
    first_name: str = ""
    last_name: str = ""
    display_name: str = ""
    phone: str = ""
    bio: str = ""
    url: str = ""
    company: str = ""
    location: str = ""
    active: bool = True


class UserChanges(msgspec.Struct, kw_only=True):
    """Changes to a user; fields that are UNSET stay unchanged."""

    username: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    first_name: str | UnsetType = UNSET
    last_name: str | UnsetType = UNSET
    display_name: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    bio: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    company: str | UnsetType = UNSET
    location: str | UnsetType = UNSET
    active: bool | UnsetType = UNSET


class TenantChanges(msgspec.Struct, kw_only=True):
    """Changes to a tenant, or the data of a new one; fields that are UNSET stay unchanged."""

    name: str | UnsetType = UNSET
    slug: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    active: bool | UnsetType = UNSET


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions of a user list; None, and empty ``words``, mean no condition.

    Attributes:
        roles: the roles that users may have.
        tenant_id: the tenant that users belong to.
        active: whether users are active.
        approved: whether users are approved.
        proven: whether the e-mail address of users is proven; False leaves users without one out.
        signed_up: whether users registered themselves.
        has_password: whether users have a password.
        words: search words, all of which must match.
    """

    roles: frozenset[Role] | None = None
    tenant_id: int | None = None
    active: bool | None = None
    approved: bool | None = None
    proven: bool | None = None
    signed_up: bool | None = None
    has_password: bool | None = None
    words: tuple[str, ...] = ()

    @property
    def is_counted(self) -> bool:
        """Whether counters hold the number of users in the list."""
        return not self.words and self.is_versioned

    @property
    def is_versioned(self) -> bool:
        """Whether every change that adds a user to the list or removes one moves a counter."""
        return self.proven is None and self.signed_up is None and self.has_password is None


class Order(msgspec.Struct, frozen=True):
    """One sort key of a list; ``role_sort_keys`` sorts roles by these values instead of by rank."""

    key: str
    descending: bool = False
    role_sort_keys: tuple[int, ...] = ()


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the audit log.

    Attributes:
        at: when it happened; of a row for a whole day, the first time.
        fields: the names of the changed fields, not their values.
        day: days since 1970, if the row stands for all such events of a day; else 0.
        count: how many events the row stands for.
        last_at: the newest of them; 0 for a single event.
    """

    id: int
    at: int
    actor_kind: str
    actor_id: int
    actor_name: str
    contract: str
    action: str
    target_kind: str
    target_id: int
    tenant_id: int | None
    fields: str
    request_id: str
    address: str
    day: int = 0
    count: int = 1
    last_at: int = 0


class HistoryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries of the audit log are meant; None does not matter.

    Attributes:
        user_id: the user to whom it was done.
        actor_id: the user who did it, also by signing in.
        tenant_id: the tenant of the target.
        action: one of ``AuditAction``.
        since: not before this time (microseconds since 1970).
        until: before this time.
        request_id: the request, or the public id of the import.
    """

    user_id: int | None = None
    actor_id: int | None = None
    tenant_id: int | None = None
    action: str | None = None
    since: int | None = None
    until: int | None = None
    request_id: str | None = None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list, with the exact number of all rows.

    ``after`` is the keyset position after the last row; None if the order does not support keyset
    pagination.
    """

    rows: list[T]
    count: int
    after: tuple[Any, int] | None = None
