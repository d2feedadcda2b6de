"""Permissions that users are granted, directly or through groups."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from dragoman.rules.model import Permission, UserGrants
from dragoman.store import permissions as permission_store
from dragoman.store.query import Query, bind, in_list
from dragoman.store.schema import (
    access,
    grants,
    group_members,
    group_permissions,
    groups,
    permissions,
)
from dragoman.store.transaction import Read, Tx

_GRANTS_OF_USER = grants.c.user_id == bind("user_id")
_GROUP_SOURCE, _PERMISSION_SOURCE = 0, 1
_BY_USERS: Query[tuple[int, int, int]] = Query(
    sa.select(grants.c.user_id, sa.literal_column(str(_PERMISSION_SOURCE)), grants.c.permission_id)
    .where(in_list(grants.c.user_id, "ids"))
    .union_all(
        sa.select(group_members.c.user_id, sa.literal_column(str(_GROUP_SOURCE)), group_members.c.group_id)
        .where(in_list(group_members.c.user_id, "ids"))
    ),
    lambda row: (row[0], row[1], row[2]),
    indexed=True,
)  # fmt: skip
_FOR_USER: Query[Permission] = Query(
    sa.select(*permission_store.COLUMNS)
    .join(grants, grants.c.permission_id == permissions.c.id)
    .where(_GRANTS_OF_USER)
    .order_by(permissions.c.id),
    permission_store.from_row,
    indexed=True,
)
_THROUGH_GROUPS = (
    sa.select(group_permissions.c.permission_id)
    .join(group_members, group_members.c.group_id == group_permissions.c.group_id)
    .where(group_members.c.user_id == bind("user_id"))
)
_CODENAMES: Query[str] = Query(
    sa.select(permissions.c.codename).where(
        permissions.c.id.in_(
            sa.select(grants.c.permission_id).where(_GRANTS_OF_USER).union_all(_THROUGH_GROUPS)
        )
    ),
    indexed=True,
)
_ADD: Query[None] = Query(
    sa.insert(grants).from_select(
        ["user_id", "permission_id", "granted_by", "granted_at"],
        sa.select(bind("user_id"), permissions.c.id, bind("granted_by"), bind("now")).where(
            in_list(permissions.c.id, "ids"),
            permissions.c.id.not_in(sa.select(grants.c.permission_id).where(_GRANTS_OF_USER)),
        ),
    )
)
_REMOVE: Query[None] = Query(
    sa.delete(grants).where(_GRANTS_OF_USER, in_list(grants.c.permission_id, "ids"))
)
_REMOVE_GRANTS: Query[None] = Query(sa.delete(grants).where(_GRANTS_OF_USER))
_REMOVE_MEMBERSHIPS: Query[None] = Query(
    sa.delete(group_members).where(group_members.c.user_id == bind("user_id"))
)
_REMOVE_ACCESS: Query[None] = Query(sa.delete(access).where(access.c.user_id == bind("user_id")))


async def list_for_users(reader: Read | Tx, user_ids: list[int]) -> dict[int, UserGrants]:
    """Return the groups and permissions of each user; meant for at most one page of users."""
    if not user_ids:
        return {}
    found: dict[int, tuple[list[int], list[int]]] = {
        granted_id: ([], []) for granted_id in user_ids
    }
    for user_id, source, granted_id in await reader.fetch(_BY_USERS, ids=user_ids):
        found[user_id][source].append(granted_id)
    return {
        user_id: UserGrants(tuple(sorted(group_ids)), tuple(sorted(permission_ids)))
        for user_id, (group_ids, permission_ids) in found.items()
    }


async def list_for_user(reader: Read | Tx, user_id: int) -> list[Permission]:
    """Return the permissions granted to a user directly, ordered by id."""
    return await reader.fetch(_FOR_USER, user_id=user_id)


async def codenames_for_user(reader: Read | Tx, user_id: int) -> frozenset[str]:
    """Return the codenames of the permissions that a user has directly or through groups."""
    return frozenset(await reader.fetch(_CODENAMES, user_id=user_id))


class PermissionSource(msgspec.Struct, frozen=True):
    """Why a user has a permission: a group of this name, or a grant.

    Attributes:
        codename: the permission.
        group_id: the group; 0 for a direct grant.
        group_name: its name; empty for a direct grant.
        granted_by: the id of the user who granted it; 0 for the command line, and for groups.
        granted_at: when it was granted (microseconds); 0 for groups, which do not tell.
    """

    codename: str
    group_id: int
    group_name: str
    granted_by: int
    granted_at: int


_NO_ID: sa.ColumnElement[int] = sa.literal_column("0")
_SOURCES: Query[PermissionSource] = Query(
    sa.select(
        permissions.c.id.label("permission_id"),
        permissions.c.codename.label("codename"),
        _NO_ID.label("group_id"),
        sa.literal_column("''").label("group_name"),
        grants.c.granted_by.label("granted_by"),
        grants.c.granted_at.label("granted_at"),
    )
    .join(grants, grants.c.permission_id == permissions.c.id)
    .where(_GRANTS_OF_USER)
    .union_all(
        sa.select(
            permissions.c.id,
            permissions.c.codename,
            groups.c.id,
            groups.c.name,
            _NO_ID,
            _NO_ID,
        )
        .join(group_permissions, group_permissions.c.permission_id == permissions.c.id)
        .join(group_members, group_members.c.group_id == group_permissions.c.group_id)
        .join(groups, groups.c.id == group_members.c.group_id)
        .where(group_members.c.user_id == bind("user_id"))
    )
    .order_by("permission_id", "group_id"),
    lambda row: PermissionSource(*tuple(row)[1:]),
)


async def list_sources(reader: Read | Tx, user_id: int) -> list[PermissionSource]:
    """Return every permission of a user that is not its role's, and why it has it."""
    return await reader.fetch(_SOURCES, user_id=user_id)


async def add(tx: Tx, user_id: int, permission_ids: list[int]) -> int:
    """Grant permissions to a user whose row is locked; returns how many were new."""
    granted_by = tx.actor.user_id
    return await tx.run(
        _ADD, user_id=user_id, ids=permission_ids, granted_by=granted_by, now=tx.now
    )


async def remove(tx: Tx, user_id: int, permission_ids: list[int]) -> int:
    """Revoke permissions of a user whose row is locked; returns how many it had."""
    return await tx.run(_REMOVE, user_id=user_id, ids=permission_ids)


async def remove_all(tx: Tx, user_id: int) -> None:
    """Remove a user's permissions, group memberships and access to resources."""
    for query in (_REMOVE_GRANTS, _REMOVE_MEMBERSHIPS, _REMOVE_ACCESS):
        await tx.run(query, user_id=user_id)
