"""Access of users to the resources of other applications, with a level for each."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from dragoman.rules.model import Access
from dragoman.store.query import Query, bind, in_list
from dragoman.store.schema import access
from dragoman.store.transaction import Read, Tx

_FOR_USER: Query[Access] = Query(
    sa.select(access.c.resource, access.c.level)
    .where(access.c.user_id == bind("user_id"))
    .order_by(access.c.resource),
    lambda row: Access(row[0], row[1]),
)


def _upsert(insert: object, resource: object, level: object) -> object:
    columns = ["user_id", "resource", "level", "granted_by", "granted_at"]
    rows = sa.select(bind("user_id"), resource, level, bind("granted_by"), bind("now"))  # type: ignore[call-overload]
    statement = insert(access).from_select(columns, rows.where(sa.true()))  # type: ignore[operator]
    return statement.on_conflict_do_update(
        index_elements=["user_id", "resource"],
        set_={name: statement.excluded[name] for name in columns[2:]},
    )


_pair = sa.func.json_each(bind("pairs", sa.Text)).table_valued("value")


def _unnest(name: str) -> object:
    return sa.func.unnest(sa.bindparam(name, type_=sa.ARRAY(sa.Text())))


_UPSERT: Query[None] = Query(
    _upsert(postgres_insert, _unnest("resources"), _unnest("levels")),  # type: ignore[arg-type]
    sqlite=_upsert(  # type: ignore[arg-type]
        sqlite_insert,
        sa.func.json_extract(_pair.c.value, "$[0]"),
        sa.func.json_extract(_pair.c.value, "$[1]"),
    ),
)
_REMOVE: Query[None] = Query(
    sa.delete(access).where(
        access.c.user_id == bind("user_id"), in_list(access.c.resource, "resources")
    )
)


async def list_for_user(reader: Read | Tx, user_id: int) -> list[Access]:
    """Return a user's access, ordered by resource."""
    return await reader.fetch(_FOR_USER, user_id=user_id)


async def upsert(tx: Tx, user_id: int, entries: Sequence[Access], *, granted_by: int) -> None:
    """Grant a user access to resources, replacing existing levels.

    Args:
        tx: the transaction.
        user_id: the user's id.
        entries: the access to grant; each resource occurs once.
        granted_by: the id of the user who grants it; 0 for the command line.
    """
    if entries:
        await tx.run(
            _UPSERT,
            user_id=user_id,
            pairs=[[each.resource, each.level] for each in entries],
            resources=[each.resource for each in entries],
            levels=[each.level for each in entries],
            granted_by=granted_by,
            now=tx.now,
        )


async def remove(tx: Tx, user_id: int, resources: Sequence[str]) -> None:
    """Revoke a user's access to resources."""
    if resources:
        await tx.run(_REMOVE, user_id=user_id, resources=list(resources))
