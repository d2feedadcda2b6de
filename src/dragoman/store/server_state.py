"""Facts about the directory itself, one row each, that servers and the command line share."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from dragoman.store.query import Query, bind
from dragoman.store.schema import server_state
from dragoman.store.transaction import Read, Snapshot, Tx

PUBLIC_URL = "public_url"
"""Key of the public URL of the server that started last."""
KEY_CHECK = "key_check"
"""Key of the check value of the server's secret key."""

INSTANCE = "instance"
"""Key of the random id of this directory, by which /readyz tells it from others."""
LISTENING = "listening"
"""Key of the address on which the server that started last listens."""
LAST_BACKUP = "last_backup"
"""Key of the time of the last backup (microseconds)."""
UNFINISHED_RESTORE = "unfinished_restore"
"""Key of the digest of a backup that is being restored; until then, the database is not usable."""


def _upsert(insert: object) -> object:
    statement = insert(server_state).values(  # type: ignore[operator]
        key=bind("key", sa.Text), value=bind("value", sa.Text)
    )
    return statement.on_conflict_do_update(
        index_elements=["key"], set_={"value": statement.excluded.value}
    )


_VALUE: Query[str] = Query(
    sa.select(server_state.c.value).where(server_state.c.key == bind("key", sa.Text)),
    indexed=True,
)
_VALUES: Query[str] = Query(
    sa.select(server_state.c.value)
    .where(server_state.c.key.startswith(bind("prefix", sa.Text)))
    .order_by(server_state.c.key)
)
_SAVE: Query[None] = Query(
    _upsert(postgres_insert),  # type: ignore[arg-type]
    sqlite=_upsert(sqlite_insert),  # type: ignore[arg-type]
)

_REMOVE: Query[None] = Query(
    sa.delete(server_state).where(server_state.c.key == bind("key", sa.Text))
)


async def find(reader: Read | Snapshot | Tx, key: str) -> str | None:
    """Return the value of a fact, or None."""
    return await reader.fetch_one(_VALUE, key=key)


async def list_values(reader: Read | Tx, prefix: str) -> list[str]:
    """Return the values of all facts whose keys begin with a prefix, by key."""
    return await reader.fetch(_VALUES, prefix=prefix)


async def save(tx: Tx, key: str, value: str) -> None:
    """Save the value of a fact."""
    await tx.run(_SAVE, key=key, value=value)


async def remove(tx: Tx, key: str) -> None:
    """Delete a fact."""
    await tx.run(_REMOVE, key=key)
