"""The nouns of the directory: users, tenants, tokens and those who act on them.

Times are integers: microseconds since 1970-01-01 UTC; 0 stands for "never".
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
    """A user's standing; the smaller number is the higher rank."""

    SUPERADMIN = 0
    ADMIN = 1
    OWNER = 2
    MEMBER = 3
    VIEWER = 4

    @property
    def is_platform_role(self) -> bool:
        """True for the two roles that stand above tenants and need none."""
        return self <= Role.ADMIN

    def outranks(self, other: Role) -> bool:
        """Say whether this role stands strictly above the other one."""
        return self < other


class User(msgspec.Struct, frozen=True):
    """A person of the directory; the password hash is deliberately no part of it."""

    id: int
    public_id: str
    tenant_id: int | None
    tenant_name: str | None
    role: Role
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
    active: bool
    verified: bool
    auth_epoch: int
    created_at: int
    updated_at: int
    last_login_at: int


class Tenant(msgspec.Struct, frozen=True):
    """An organisation; its users see each other and nobody else."""

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
    """One entry of the catalogue of permissions; ids are small and never change."""

    id: int
    codename: str
    name: str


class Group(msgspec.Struct, frozen=True):
    """Permissions of a tenant under one name; its members hold them all."""

    id: int
    tenant_id: int
    name: str


class UserGrants(msgspec.Struct, frozen=True):
    """What one user was given: ids of groups and of permissions granted directly, ascending."""

    group_ids: tuple[int, ...] = ()
    permission_ids: tuple[int, ...] = ()


class Access(msgspec.Struct, frozen=True):
    """How far a user may use a foreign resource; the contract that names it knows the levels."""

    resource: str
    level: str


class Invitation(msgspec.Struct, frozen=True):
    """An offer to somebody outside to become a user; the secret is derived, never stored."""

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
    """A credential as the directory knows it: never the secret itself.

    ``family`` is shared by a refresh token and all that came of it; 0 for others.
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
    """What a user is made from; UNSET means that the maker said nothing."""

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
    """Changes to a user's own fields; what is UNSET stays as it is."""

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
    """Changes to a tenant, or what a new one is made from; UNSET stays as it is."""

    name: str | UnsetType = UNSET
    slug: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    active: bool | UnsetType = UNSET


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is narrowed to; None means everything."""

    roles: frozenset[Role] | None = None
    tenant_id: int | None = None
    active: bool | None = None
    words: tuple[str, ...] = ()


class Order(msgspec.Struct, frozen=True):
    """One key of an ordering; ``ranks`` orders roles otherwise than by rank."""

    key: str
    descending: bool = False
    role_sort_keys: tuple[int, ...] = ()


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the history: who did what to whom, by which contract; no values, only names."""

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


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of rows, the exact count of all, and the position after its last row.

    ``after`` is ``None`` where the order cannot be continued by position.
    """

    rows: list[T]
    count: int
    after: tuple[Any, int] | None = None
