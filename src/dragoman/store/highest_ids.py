"""The highest ids ever given out: a directory that is loaded must not give one of them again."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from dragoman.store import server_state
from dragoman.store.query import Query, bind
from dragoman.store.schema import tenants, users
from dragoman.store.transaction import Snapshot, Tx

KEY = "highest_ids"
"""Key of the ids that were given out elsewhere, before the directory was loaded here."""


class HighestIds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The highest ids of tenants, groups and users, deleted ones too; 0: none was given out."""

    tenants: int = 0
    groups: int = 0
    users: int = 0


_HIGHEST: dict[str, Query[int]] = {
    table.name: Query(sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0)))
    for table in (tenants, users)
}
"""Their deleted rows are kept; what an undone import takes away leaves its ids free."""
_HIGHEST_GROUP: Query[int] = Query(
    sa.text("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM groups_id_seq"),
    sqlite=sa.text("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'groups'"),
)
_TABLE = sa.bindparam("table", type_=sa.Text())
_ADD_SEQUENCE: Query[None] = Query(
    sa.text("SELECT 1"),
    sqlite=sa.text(
        "INSERT INTO sqlite_sequence (name, seq) SELECT :table, 0"
        " WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = :table)"
    ).bindparams(_TABLE),
)
_RAISE_SEQUENCE: Query[None] = Query(
    sa.select(
        sa.func.setval(
            sa.func.pg_get_serial_sequence(_TABLE, sa.literal_column("'id'")),
            sa.func.greatest(
                bind("id"),
                sa.func.nextval(sa.func.pg_get_serial_sequence(_TABLE, sa.literal_column("'id'")))
                - 1,
            ),
        )
    ),
    sqlite=sa.text("UPDATE sqlite_sequence SET seq = max(seq, :id) WHERE name = :table").bindparams(
        bind("id"), _TABLE
    ),
)


async def find(reader: Snapshot | Tx) -> HighestIds:
    """Return the highest ids, here and where the directory was before."""
    stored = await server_state.find(reader, KEY)
    elsewhere = msgspec.json.decode(stored, type=HighestIds) if stored else HighestIds()
    here = {name: await reader.fetch_one(query) or 0 for name, query in _HIGHEST.items()}
    return HighestIds(
        tenants=max(here["tenants"], elsewhere.tenants),
        groups=max(await reader.fetch_one(_HIGHEST_GROUP) or 0, elsewhere.groups),
        users=max(here["users"], elsewhere.users),
    )


async def reserve(tx: Tx, highest: HighestIds) -> None:
    """Never give out ids up to these; the sequences are not moved back by a rollback."""
    await server_state.save(tx, KEY, msgspec.json.encode(highest).decode())
    for name, last_id in msgspec.structs.asdict(highest).items():
        if last_id:
            await move_sequence(tx, name, last_id)


async def move_sequence(tx: Tx, table: str, last_id: int) -> None:
    """Give out ids above ``last_id`` only, from now on: after rows were inserted with their ids."""
    await tx.run(_ADD_SEQUENCE, table=table)
    await tx.run(_RAISE_SEQUENCE, table=table, id=last_id)
