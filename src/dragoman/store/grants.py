"""What a user was given beyond its role: permissions, groups, access to resources."""

from __future__ import annotations

import sqlalchemy as sa

from dragoman.store.engine import Tx
from dragoman.store.query import Query, bind
from dragoman.store.schema import access, grants, group_members

_GRANTS: Query[None] = Query(sa.delete(grants).where(grants.c.user_id == bind("user_id")))
_GROUPS: Query[None] = Query(
    sa.delete(group_members).where(group_members.c.user_id == bind("user_id"))
)
_ACCESS: Query[None] = Query(sa.delete(access).where(access.c.user_id == bind("user_id")))


async def remove_of(tx: Tx, user_id: int) -> None:
    """Take everything back that a user was given."""
    for query in (_GRANTS, _GROUPS, _ACCESS):
        await tx.run(query, user_id=user_id)
