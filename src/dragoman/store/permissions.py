"""The catalogue of permissions, kept equal to ``rules.policy.CATALOGUE``."""

from __future__ import annotations

import sqlalchemy as sa

from dragoman.rules.model import Permission
from dragoman.rules.policy import CATALOGUE
from dragoman.store.query import Query, Row, bind
from dragoman.store.schema import permissions
from dragoman.store.transaction import Read, Tx

COLUMNS = (permissions.c.id, permissions.c.codename, permissions.c.name)


def load(row: Row) -> Permission:
    """Make a Permission of a row of COLUMNS."""
    return Permission(*row)


_EVERY: Query[Permission] = Query(sa.select(*COLUMNS).order_by(permissions.c.id), load)
_INSERT: Query[None] = Query(
    sa.insert(permissions).values(
        id=bind("id"), codename=bind("codename", sa.Text), name=bind("name", sa.Text)
    )
)


async def every(read: Read | Tx) -> list[Permission]:
    """Return the whole catalogue, by id."""
    return await read.all(_EVERY)


async def fill(tx: Tx) -> None:
    """Add what the catalogue has and the table lacks."""
    there = {permission.id for permission in await every(tx)}
    for number, codename, name, _ in CATALOGUE:
        if number not in there:
            await tx.run(_INSERT, id=number, codename=codename, name=name)
