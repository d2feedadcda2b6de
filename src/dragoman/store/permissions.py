"""The table of permissions, kept equal to ``rules.policy.PERMISSION_CATALOGUE``."""

from __future__ import annotations

import sqlalchemy as sa

from dragoman.rules.model import Permission
from dragoman.rules.policy import PERMISSION_CATALOGUE
from dragoman.store.query import Query, Row, bind
from dragoman.store.schema import permissions
from dragoman.store.transaction import Read, Tx

COLUMNS = (permissions.c.id, permissions.c.codename, permissions.c.name)


def from_row(row: Row) -> Permission:
    """Return the Permission of a row of COLUMNS."""
    return Permission(*row)


_ALL: Query[Permission] = Query(sa.select(*COLUMNS).order_by(permissions.c.id), from_row)
_INSERT: Query[None] = Query(
    sa.insert(permissions).values(
        id=bind("id"), codename=bind("codename", sa.Text), name=bind("name", sa.Text)
    )
)


async def list_all(reader: Read | Tx) -> list[Permission]:
    """Return all permissions, ordered by id."""
    return await reader.fetch(_ALL)


async def insert_missing(tx: Tx) -> None:
    """Insert the permissions of the catalogue that the table does not have yet."""
    existing_ids = {permission.id for permission in await list_all(tx)}
    for permission_id, codename, name, _ in PERMISSION_CATALOGUE:
        if permission_id not in existing_ids:
            await tx.run(_INSERT, id=permission_id, codename=codename, name=name)
