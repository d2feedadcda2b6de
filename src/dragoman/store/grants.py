"""What a user was given beyond its role: permissions, groups, access to resources."""

from __future__ import annotations

from typing import Any, TypeVar

import sqlalchemy as sa

from dragoman.rules.model import Held, Permission
from dragoman.store import permissions as catalogue
from dragoman.store.query import Query, bind, within
from dragoman.store.schema import access, grants, group_members, group_permissions, permissions
from dragoman.store.transaction import Read, Tx

T = TypeVar("T")

_OWN = grants.c.user_id == bind("user_id")
_GROUP, _PERMISSION = 0, 1
_HELD: Query[tuple[int, int, int]] = Query(
    sa.select(grants.c.user_id, sa.literal_column(str(_PERMISSION)), grants.c.permission_id)
    .where(within(grants.c.user_id, "ids"))
    .union_all(
        sa.select(group_members.c.user_id, sa.literal_column(str(_GROUP)), group_members.c.group_id)
        .where(within(group_members.c.user_id, "ids"))
    ),
    lambda row: (row[0], row[1], row[2]),
)  # fmt: skip
_DIRECT: Query[Permission] = Query(
    sa.select(*catalogue.COLUMNS)
    .join(grants, grants.c.permission_id == permissions.c.id)
    .where(_OWN)
    .order_by(permissions.c.id),
    catalogue.load,
)
_BY_GROUP = (
    sa.select(group_permissions.c.permission_id)
    .join(group_members, group_members.c.group_id == group_permissions.c.group_id)
    .where(group_members.c.user_id == bind("user_id"))
)
_CODENAMES: Query[str] = Query(
    sa.select(permissions.c.codename).where(
        permissions.c.id.in_(sa.select(grants.c.permission_id).where(_OWN).union_all(_BY_GROUP))
    )
)
_ADD: Query[None] = Query(
    sa.insert(grants).from_select(
        ["user_id", "permission_id", "granted_by", "granted_at"],
        sa.select(bind("user_id"), permissions.c.id, bind("granted_by"), bind("now")).where(
            within(permissions.c.id, "ids"),
            permissions.c.id.not_in(sa.select(grants.c.permission_id).where(_OWN)),
        ),
    )
)
_REMOVE: Query[None] = Query(sa.delete(grants).where(_OWN, within(grants.c.permission_id, "ids")))
_GRANTS: Query[None] = Query(sa.delete(grants).where(_OWN))
_GROUPS: Query[None] = Query(
    sa.delete(group_members).where(group_members.c.user_id == bind("user_id"))
)
_ACCESS: Query[None] = Query(sa.delete(access).where(access.c.user_id == bind("user_id")))


async def _few(at: Read | Tx, query: Query[T], **params: Any) -> list[T]:
    return await (at.quick(query, **params) if isinstance(at, Read) else at.all(query, **params))


async def held_of(at: Read | Tx, user_ids: list[int]) -> dict[int, Held]:
    """Return what each of some users was given, a page of them at most, in one statement."""
    if not user_ids:
        return {}
    found: dict[int, tuple[list[int], list[int]]] = {number: ([], []) for number in user_ids}
    for user_id, kind, number in await _few(at, _HELD, ids=user_ids):
        found[user_id][kind].append(number)
    return {
        user_id: Held(tuple(sorted(groups)), tuple(sorted(direct)))
        for user_id, (groups, direct) in found.items()
    }


async def direct(at: Read | Tx, user_id: int) -> list[Permission]:
    """Return the permissions granted to a user itself, by id."""
    return await _few(at, _DIRECT, user_id=user_id)


async def codenames_of(at: Read | Tx, user_id: int) -> frozenset[str]:
    """Return the permissions that a user holds directly or through groups."""
    return frozenset(await _few(at, _CODENAMES, user_id=user_id))


async def add(tx: Tx, user_id: int, ids: list[int]) -> int:
    """Grant permissions to a user whose row is held; returns how many it had not been granted."""
    who = tx.actor.user_id
    return await tx.run(_ADD, user_id=user_id, ids=ids, granted_by=who, now=tx.now)


async def remove(tx: Tx, user_id: int, ids: list[int]) -> int:
    """Take grants back from a user whose row is held; returns how many there were."""
    return await tx.run(_REMOVE, user_id=user_id, ids=ids)


async def remove_of(tx: Tx, user_id: int) -> None:
    """Take everything back that a user was given."""
    for query in (_GRANTS, _GROUPS, _ACCESS):
        await tx.run(query, user_id=user_id)
