"""Groups of tenants: their permissions and members."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from dragoman.rules.errors import NotFound, Taken
from dragoman.rules.fields import canonical
from dragoman.rules.model import Group, Page, Permission, User
from dragoman.store import permissions as permission_store
from dragoman.store import user_columns
from dragoman.store.query import Query, Row, bind, contains_all, in_list
from dragoman.store.schema import (
    LIVING,
    group_members,
    group_permissions,
    groups,
    permissions,
    tenants,
    users,
)
from dragoman.store.transaction import Read, Tx


def _from_row(row: Row) -> Group:
    return Group(*row)


_SELECT = sa.select(groups.c.id, groups.c.tenant_id, groups.c.name).join(
    tenants, sa.and_(tenants.c.id == groups.c.tenant_id, tenants.c.deleted_at.is_(None))
)
_BY_ID = _SELECT.where(groups.c.id == bind("id"))
_FIND: Query[Group] = Query(_BY_ID, _from_row, indexed=True)
_FIND_FOR_UPDATE: Query[Group] = Query(_BY_ID.with_for_update(of=groups), _from_row, sqlite=_BY_ID)
_IN_TENANT = _SELECT.where(groups.c.tenant_id == bind("tenant_id"))
_BY_NAME: Query[Group] = Query(
    _IN_TENANT.where(groups.c.name_key == bind("key", sa.Text)), _from_row, indexed=True
)
_ALL: Query[Group] = Query(_SELECT.order_by(groups.c.id), _from_row)
_FOR_TENANT: Query[Group] = Query(_IN_TENANT.order_by(groups.c.id), _from_row)
_INSERT_VALUES = {
    "tenant_id": bind("tenant_id"),
    "name": bind("name", sa.Text),
    "name_key": bind("key", sa.Text),
    "created_at": bind("now"),
}
_INSERT: Query[int] = Query(
    postgres_insert(groups).values(_INSERT_VALUES).on_conflict_do_nothing().returning(groups.c.id),
    sqlite=sqlite_insert(groups)
    .values(_INSERT_VALUES)
    .on_conflict_do_nothing()
    .returning(groups.c.id),
)
_REMOVE: Query[None] = Query(sa.delete(groups).where(groups.c.id == bind("id")))
_PERMISSIONS_OF_GROUP = group_permissions.c.group_id == bind("id")
_PERMISSIONS: Query[Permission] = Query(
    sa.select(*permission_store.COLUMNS)
    .join(group_permissions, group_permissions.c.permission_id == permissions.c.id)
    .where(_PERMISSIONS_OF_GROUP)
    .order_by(permissions.c.id),
    permission_store.from_row,
)
_CODENAMES: Query[tuple[int, str]] = Query(
    sa.select(group_permissions.c.group_id, permissions.c.codename)
    .join(permissions, permissions.c.id == group_permissions.c.permission_id)
    .where(in_list(group_permissions.c.group_id, "ids"))
    .order_by(permissions.c.id),
    lambda row: (row[0], row[1]),
)
_MEMBER_COUNTS: Query[tuple[int, int]] = Query(
    sa.select(group_members.c.group_id, sa.func.count())
    .where(in_list(group_members.c.group_id, "ids"))
    .group_by(group_members.c.group_id),
    lambda row: (row[0], row[1]),
)
_ADD_PERMISSIONS: Query[None] = Query(
    sa.insert(group_permissions).from_select(
        ["group_id", "permission_id"],
        sa.select(bind("id"), permissions.c.id).where(
            in_list(permissions.c.id, "ids"),
            permissions.c.id.not_in(
                sa.select(group_permissions.c.permission_id).where(_PERMISSIONS_OF_GROUP)
            ),
        ),
    )
)
_REMOVE_PERMISSIONS: Query[None] = Query(
    sa.delete(group_permissions).where(
        _PERMISSIONS_OF_GROUP, in_list(group_permissions.c.permission_id, "ids")
    )
)
_REMOVE_ALL_PERMISSIONS: Query[None] = Query(
    sa.delete(group_permissions).where(_PERMISSIONS_OF_GROUP)
)
_MEMBERS_OF_GROUP = group_members.c.group_id == bind("id")
_MEMBERSHIP = sa.and_(_MEMBERS_OF_GROUP, group_members.c.user_id == bind("user_id"))
_ADD_MEMBER: Query[None] = Query(
    sa.insert(group_members).from_select(
        ["group_id", "user_id"],
        sa.select(bind("id"), bind("user_id")).where(
            ~sa.exists(sa.select(group_members.c.user_id).where(_MEMBERSHIP))
        ),
    )
)
_REMOVE_MEMBER: Query[None] = Query(sa.delete(group_members).where(_MEMBERSHIP))
_REMOVE_EVERYWHERE: Query[int] = Query(
    sa.delete(group_members)
    .where(group_members.c.user_id == bind("user_id"))
    .returning(group_members.c.group_id)
)
_REMOVE_ALL_MEMBERS: Query[None] = Query(sa.delete(group_members).where(_MEMBERS_OF_GROUP))
_SELECT_MEMBERS = (
    sa.select(*user_columns.COLUMNS)
    .select_from(users.outerjoin(tenants))
    .join(group_members, group_members.c.user_id == users.c.id)
    .where(LIVING, _MEMBERS_OF_GROUP)
)
_HIGHEST_RANKED_MEMBER: Query[User] = Query(
    _SELECT_MEMBERS.order_by(users.c.role, users.c.id).limit(1), user_columns.from_row
)
_MEMBERS: Query[User] = Query(
    _SELECT_MEMBERS.order_by(users.c.username, users.c.id)
    .limit(bind("limit"))
    .offset(bind("offset")),
    user_columns.from_row,
)


async def find(reader: Read | Tx, group_id: int) -> Group | None:
    """Return the group with this id, or None."""
    return await reader.fetch_one(_FIND, id=group_id)


async def get(tx: Tx, group_id: int) -> Group:
    """Return the group with this id and lock its row; raises NotFound."""
    group = await tx.fetch_one(_FIND_FOR_UPDATE, id=group_id)
    if group is None:
        raise NotFound
    return group


async def find_by_name(reader: Read | Tx, tenant_id: int, name: str) -> Group | None:
    """Return the group with this name in a tenant, or None."""
    return await reader.fetch_one(_BY_NAME, tenant_id=tenant_id, key=canonical(name.strip()))


async def list_all(reader: Read | Tx, tenant_id: int | None = None) -> list[Group]:
    """Return the groups of one tenant, or of all tenants, ordered by id."""
    if tenant_id is None:
        return await reader.fetch(_ALL)
    return await reader.fetch(_FOR_TENANT, tenant_id=tenant_id)


async def page(
    reader: Read, tenant_id: int | None, words: tuple[str, ...], *, limit: int, offset: int
) -> Page[Group]:
    """Return one page of groups by name, and their exact count.

    Args:
        reader: the reader that runs the statements.
        tenant_id: the tenant whose groups are listed; None for all tenants.
        words: canonical words, all of which must occur in the name.
        limit: maximum number of rows.
        offset: number of rows to skip.
    """
    select = _SELECT if tenant_id is None else _IN_TENANT
    params: dict[str, Any] = {} if tenant_id is None else {"tenant_id": tenant_id}
    if words:
        select = select.where(contains_all(groups.c.name_key, "words"))
        params["words"] = list(words)
    count_query: Query[int] = Query(
        select.with_only_columns(sa.func.count(), maintain_column_froms=True)
    )
    rows_query: Query[Group] = Query(
        select.order_by(groups.c.name_key, groups.c.id).limit(bind("limit")).offset(bind("offset")),
        _from_row,
    )
    count = await reader.fetch_one(count_query, **params) or 0
    return Page(await reader.fetch(rows_query, **params, limit=limit, offset=offset), count)


async def list_members(reader: Read, group_id: int, *, limit: int, offset: int) -> list[User]:
    """Return some members of a group, ordered by username.

    Args:
        reader: the reader that runs the statement.
        group_id: the group.
        limit: maximum number of rows.
        offset: number of rows to skip.
    """
    return await reader.fetch(_MEMBERS, id=group_id, limit=limit, offset=offset)


async def insert(tx: Tx, tenant_id: int, name: str) -> int:
    """Insert a group and return its id; raises Taken if the tenant has one with this name."""
    key = canonical(name)
    group_id = await tx.fetch_one(_INSERT, tenant_id=tenant_id, name=name, key=key, now=tx.now)
    if group_id is None:
        raise Taken("name")
    return group_id


async def remove(tx: Tx, group_id: int) -> None:
    """Delete a group whose row is locked; its members lose its permissions."""
    for query in (_REMOVE_ALL_MEMBERS, _REMOVE_ALL_PERMISSIONS, _REMOVE):
        await tx.run(query, id=group_id)


async def list_permissions(tx: Tx, group_id: int) -> list[Permission]:
    """Return the permissions of a group, ordered by id."""
    return await tx.fetch(_PERMISSIONS, id=group_id)


async def codenames_by_group(reader: Read | Tx, group_ids: list[int]) -> dict[int, list[str]]:
    """Return the codenames of the permissions of each group, in the order of the catalogue."""
    found: dict[int, list[str]] = {group_id: [] for group_id in group_ids}
    for group_id, codename in await reader.fetch(_CODENAMES, ids=group_ids):
        found[group_id].append(codename)
    return found


async def member_counts(reader: Read | Tx, group_ids: list[int]) -> dict[int, int]:
    """Return the number of members of each group; groups without members are missing."""
    return dict(await reader.fetch(_MEMBER_COUNTS, ids=group_ids))


async def add_permissions(tx: Tx, group_id: int, permission_ids: list[int]) -> int:
    """Add permissions to a group whose row is locked; returns how many were new."""
    return await tx.run(_ADD_PERMISSIONS, id=group_id, ids=permission_ids)


async def remove_permissions(tx: Tx, group_id: int, permission_ids: list[int]) -> int:
    """Remove permissions from a group whose row is locked; returns how many it had."""
    return await tx.run(_REMOVE_PERMISSIONS, id=group_id, ids=permission_ids)


async def add_member(tx: Tx, group_id: int, user_id: int) -> bool:
    """Add a user whose row is locked to a group; returns False if it was a member already."""
    return await tx.run(_ADD_MEMBER, id=group_id, user_id=user_id) == 1


async def remove_member(tx: Tx, group_id: int, user_id: int) -> bool:
    """Remove a user from a group; returns False if it was not a member."""
    return await tx.run(_REMOVE_MEMBER, id=group_id, user_id=user_id) == 1


async def remove_from_all(tx: Tx, user_id: int) -> list[int]:
    """Remove a user from every group, and return the ids of these groups."""
    return await tx.fetch(_REMOVE_EVERYWHERE, user_id=user_id)


async def highest_ranked_member(reader: Read | Tx, group_id: int) -> User | None:
    """Return the member with the highest role, or None if the group has no members."""
    return await reader.fetch_one(_HIGHEST_RANKED_MEMBER, id=group_id)
