"""The catalogue of permissions, kept equal to ``rules.policy.CATALOGUE``."""

from __future__ import annotations

import sqlalchemy as sa

from dragoman.rules.model import Permission
from dragoman.rules.policy import CATALOGUE
from dragoman.store.engine import Tx
from dragoman.store.query import Query, bind
from dragoman.store.schema import permissions

_ALL: Query[Permission] = Query(
    sa.select(permissions.c.id, permissions.c.codename, permissions.c.name).order_by(
        permissions.c.id
    ),
    lambda row: Permission(*row),
)
_INSERT: Query[None] = Query(
    sa.insert(permissions).values(
        id=bind("id"), codename=bind("codename", sa.Text), name=bind("name", sa.Text)
    )
)


async def fill(tx: Tx) -> None:
    """Add what the catalogue has and the table lacks."""
    there = {permission.id for permission in await tx.all(_ALL)}
    for number, codename, name, _ in CATALOGUE:
        if number not in there:
            await tx.run(_INSERT, id=number, codename=codename, name=name)
