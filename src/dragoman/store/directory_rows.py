"""All tenants, groups and users of a snapshot, in steps ordered by id: what an export reads."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from dragoman.store.query import Query, Row, bind, in_list
from dragoman.store.schema import (
    LIVING,
    access,
    counts,
    grants,
    group_members,
    group_permissions,
    groups,
    permissions,
    tenants,
    users,
)
from dragoman.store.transaction import Snapshot

STEP = 1000
"""Number of rows per statement."""


class TenantRow(msgspec.Struct, frozen=True):
    """A tenant that is not deleted; times in microseconds since 1970, as in all of these rows."""

    id: int
    public_id: str
    name: str
    slug: str
    email: str
    url: str
    description: str
    active: bool
    ever_owned: bool
    had_users: bool
    created_at: int
    updated_at: int


class GroupRow(msgspec.Struct, frozen=True):
    """A group, and the codenames of its permissions in the order of the catalogue."""

    id: int
    tenant_id: int
    name: str
    created_at: int
    permissions: list[str]


class GrantRow(msgspec.Struct, frozen=True):
    """A permission (its codename) or a resource that a user got directly; by 0: command line."""

    name: str
    level: str
    granted_by: int
    granted_at: int


class UserRow(msgspec.Struct, frozen=True):
    """A user that is not deleted; ``email_key`` is the stored key of the address."""

    id: int
    public_id: str
    tenant_id: int | None
    role: int
    username: str
    email: str
    email_key: str
    first_name: str
    last_name: str
    display_name: str
    phone: str
    bio: str
    url: str
    company: str
    location: str
    password_hash: str
    strong_password: bool | None
    password_reaches: int | None
    hash_imported_at: int
    active: bool
    approved: bool
    signed_up: bool
    verified: bool
    email_assigned: bool
    created_at: int
    updated_at: int
    last_login_at: int


class UserWithGrants(msgspec.Struct, frozen=True):
    """A user with the ids of its groups, its own permissions and its access to resources."""

    user: UserRow
    group_ids: list[int]
    permissions: list[GrantRow]
    access: list[GrantRow]


class Totals(msgspec.Struct, frozen=True):
    """How many tenants, groups and users there are."""

    tenants: int
    groups: int
    users: int


_FLAGS = frozenset(
    {
        "active", "approved", "ever_owned", "email_assigned", "had_users", "signed_up",
        "strong_password", "verified",
    }
)  # fmt: skip
T = TypeVar("T")


def _from_row(row_type: type[T], names: tuple[str, ...]) -> Any:
    """Return a function that makes a struct of a row; SQLite has 0 and 1 for booleans."""
    flags = [name in _FLAGS for name in names]

    def convert(row: Row) -> T:
        values = [
            bool(value) if is_flag and value is not None else value
            for value, is_flag in zip(row, flags, strict=True)
        ]
        return row_type(*values)

    return convert


_LIVING_TENANT = tenants.c.deleted_at.is_(None)
_GROUPS_OF_LIVING = sa.select(
    groups.c.id, groups.c.tenant_id, groups.c.name, groups.c.created_at
).join(tenants, sa.and_(tenants.c.id == groups.c.tenant_id, _LIVING_TENANT))
_HAD_USERS = sa.exists(sa.select(counts.c.tenant_id).where(counts.c.tenant_id == tenants.c.id))
_TENANT_COLUMNS: tuple[Any, ...] = tuple(
    _HAD_USERS.label(name) if name == "had_users" else tenants.c[name]
    for name in TenantRow.__struct_fields__
)
_USER_COLUMNS: tuple[Any, ...] = tuple(users.c[name] for name in UserRow.__struct_fields__)


def _steps(
    columns: Any, id_column: Any, tenant_column: Any, living: Any, convert: Any
) -> dict[bool, Query[Any]]:
    """Return the statements of one step: of all tenants (False), and of one of them (True)."""
    of_all = (
        (columns if isinstance(columns, sa.Select) else sa.select(*columns))
        .where(living, id_column > bind("after"))
        .order_by(id_column)
        .limit(bind("limit"))
    )
    of_one = of_all.where(tenant_column == bind("tenant_id"))
    return {False: Query(of_all, convert), True: Query(of_one, convert)}


_TENANTS = _steps(
    _TENANT_COLUMNS,
    tenants.c.id,
    tenants.c.id,
    _LIVING_TENANT,
    _from_row(TenantRow, TenantRow.__struct_fields__),
)
_GROUPS = _steps(_GROUPS_OF_LIVING, groups.c.id, groups.c.tenant_id, sa.true(), tuple)
_USERS = _steps(
    _USER_COLUMNS,
    users.c.id,
    users.c.tenant_id,
    LIVING,
    _from_row(UserRow, UserRow.__struct_fields__),
)
_PERMISSIONS_OF_GROUPS: Query[tuple[int, str]] = Query(
    sa.select(group_permissions.c.group_id, permissions.c.codename)
    .join(permissions, permissions.c.id == group_permissions.c.permission_id)
    .where(in_list(group_permissions.c.group_id, "ids"))
    .order_by(permissions.c.id),
    lambda row: (row[0], row[1]),
)
_GROUPS_OF_USERS: Query[tuple[int, int]] = Query(
    sa.select(group_members.c.user_id, group_members.c.group_id)
    .where(in_list(group_members.c.user_id, "ids"))
    .order_by(group_members.c.user_id, group_members.c.group_id),
    lambda row: (row[0], row[1]),
)


def _grant_from_row(row: Row) -> tuple[int, GrantRow]:
    return row[0], GrantRow(*row[1:])


_GRANTS_OF_USERS: Query[tuple[int, GrantRow]] = Query(
    sa.select(
        grants.c.user_id,
        permissions.c.codename,
        sa.literal_column("''"),
        grants.c.granted_by,
        grants.c.granted_at,
    )
    .join(permissions, permissions.c.id == grants.c.permission_id)
    .where(in_list(grants.c.user_id, "ids"))
    .order_by(permissions.c.id),
    _grant_from_row,
)
_ACCESS_OF_USERS: Query[tuple[int, GrantRow]] = Query(
    sa.select(
        access.c.user_id,
        access.c.resource,
        access.c.level,
        access.c.granted_by,
        access.c.granted_at,
    )
    .where(in_list(access.c.user_id, "ids"))
    .order_by(access.c.resource),
    _grant_from_row,
)


def _count(table: Any, tenant_column: Any, condition: Any) -> dict[bool, Query[int]]:
    of_all = sa.select(sa.func.count()).select_from(table).where(condition)
    return {False: Query(of_all), True: Query(of_all.where(tenant_column == bind("tenant_id")))}


_COUNTS = (
    _count(tenants, tenants.c.id, _LIVING_TENANT),
    _count(
        groups.join(tenants, tenants.c.id == groups.c.tenant_id),
        groups.c.tenant_id,
        _LIVING_TENANT,
    ),
    _count(users, users.c.tenant_id, LIVING),
)


async def count(snapshot: Snapshot, tenant_id: int | None) -> Totals:
    """Return how many rows the steps will have; of one tenant, if an id is given."""
    tenant_param = {} if tenant_id is None else {"tenant_id": tenant_id}
    found = [
        await snapshot.fetch_one(queries[tenant_id is not None], **tenant_param) or 0
        for queries in _COUNTS
    ]
    return Totals(*found)


async def _iterate(
    snapshot: Snapshot, queries: dict[bool, Query[T]], tenant_id: int | None, get_id: Any
) -> AsyncGenerator[list[T]]:
    tenant_param = {} if tenant_id is None else {"tenant_id": tenant_id}
    after = 0
    while True:
        rows = await snapshot.fetch(
            queries[tenant_id is not None], after=after, limit=STEP, **tenant_param
        )
        if not rows:
            return
        yield rows
        after = get_id(rows[-1])


async def iterate_tenants(
    snapshot: Snapshot, tenant_id: int | None
) -> AsyncGenerator[list[TenantRow]]:
    """Yield all tenants in steps, or the one with this id."""
    async for rows in _iterate(snapshot, _TENANTS, tenant_id, lambda row: row.id):
        yield rows


async def iterate_groups(
    snapshot: Snapshot, tenant_id: int | None
) -> AsyncGenerator[list[GroupRow]]:
    """Yield all groups in steps, or those of one tenant."""
    async for rows in _iterate(snapshot, _GROUPS, tenant_id, lambda row: row[0]):
        codenames: dict[int, list[str]] = {row[0]: [] for row in rows}
        for group_id, name in await snapshot.fetch(_PERMISSIONS_OF_GROUPS, ids=list(codenames)):
            codenames[group_id].append(name)
        yield [GroupRow(*row, permissions=codenames[row[0]]) for row in rows]


async def iterate_users(
    snapshot: Snapshot, tenant_id: int | None
) -> AsyncGenerator[list[UserWithGrants]]:
    """Yield all users in steps, or those of one tenant."""
    async for rows in _iterate(snapshot, _USERS, tenant_id, lambda row: row.id):
        found = [UserWithGrants(row, [], [], []) for row in rows]
        by_id = {each.user.id: each for each in found}
        ids = list(by_id)
        for user_id, group_id in await snapshot.fetch(_GROUPS_OF_USERS, ids=ids):
            by_id[user_id].group_ids.append(group_id)
        for user_id, grant in await snapshot.fetch(_GRANTS_OF_USERS, ids=ids):
            by_id[user_id].permissions.append(grant)
        for user_id, grant in await snapshot.fetch(_ACCESS_OF_USERS, ids=ids):
            by_id[user_id].access.append(grant)
        yield found
