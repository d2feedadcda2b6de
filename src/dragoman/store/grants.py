"""What a user was given beyond its role: permissions, groups, access to resources."""

from __future__ import annotations

from typing import Any, TypeVar

import sqlalchemy as sa

from dragoman.rules.model import Permission, UserGrants
from dragoman.store import permissions as permission_store
from dragoman.store.query import Query, bind, in_list
from dragoman.store.schema import access, grants, group_members, group_permissions, permissions
from dragoman.store.transaction import Read, Tx

T = TypeVar("T")

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
)  # fmt: skip
_FOR_USER: Query[Permission] = Query(
    sa.select(*permission_store.COLUMNS)
    .join(grants, grants.c.permission_id == permissions.c.id)
    .where(_GRANTS_OF_USER)
    .order_by(permissions.c.id),
    permission_store.from_row,
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
    )
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


async def _fetch(reader: Read | Tx, query: Query[T], **params: Any) -> list[T]:
    return await (
        reader.quick(query, **params) if isinstance(reader, Read) else reader.fetch(query, **params)
    )


async def list_for_users(reader: Read | Tx, user_ids: list[int]) -> dict[int, UserGrants]:
    """Return what each of some users was given, a page of them at most, in one statement."""
    if not user_ids:
        return {}
    found: dict[int, tuple[list[int], list[int]]] = {
        granted_id: ([], []) for granted_id in user_ids
    }
    for user_id, source, granted_id in await _fetch(reader, _BY_USERS, ids=user_ids):
        found[user_id][source].append(granted_id)
    return {
        user_id: UserGrants(tuple(sorted(group_ids)), tuple(sorted(permission_ids)))
        for user_id, (group_ids, permission_ids) in found.items()
    }


async def list_for_user(reader: Read | Tx, user_id: int) -> list[Permission]:
    """Return the permissions granted to a user itself, by id."""
    return await _fetch(reader, _FOR_USER, user_id=user_id)


async def codenames_for_user(reader: Read | Tx, user_id: int) -> frozenset[str]:
    """Return the permissions that a user holds directly or through groups."""
    return frozenset(await _fetch(reader, _CODENAMES, user_id=user_id))


async def add(tx: Tx, user_id: int, permission_ids: list[int]) -> int:
    """Grant permissions to a user whose row is held; returns how many it had not been granted."""
    granted_by = tx.actor.user_id
    return await tx.run(
        _ADD, user_id=user_id, ids=permission_ids, granted_by=granted_by, now=tx.now
    )


async def remove(tx: Tx, user_id: int, permission_ids: list[int]) -> int:
    """Take grants back from a user whose row is held; returns how many there were."""
    return await tx.run(_REMOVE, user_id=user_id, ids=permission_ids)


async def remove_all(tx: Tx, user_id: int) -> None:
    """Take everything back that a user was given."""
    for query in (_REMOVE_GRANTS, _REMOVE_MEMBERSHIPS, _REMOVE_ACCESS):
        await tx.run(query, user_id=user_id)
