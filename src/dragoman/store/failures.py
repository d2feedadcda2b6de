"""Attempts that failed, per account and address, and from where users have signed in before."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from dragoman.store.engine import Read, Tx
from dragoman.store.query import Query, bind
from dragoman.store.schema import addresses, failures

_OF = sa.select(failures.c.since, failures.c.count).where(
    failures.c.account == bind("account", sa.Text), failures.c.address == bind("address", sa.Text)
)
_FIND: Query[tuple[int, int]] = Query(_OF, lambda row: (row[0], row[1]))


def _add(insert: object) -> object:
    statement = insert(failures).values(  # type: ignore[operator]
        account=bind("account", sa.Text),
        address=bind("address", sa.Text),
        since=bind("now"),
        count=1,
    )
    over = failures.c.since <= bind("window_start")
    return statement.on_conflict_do_update(
        index_elements=["account", "address"],
        set_={
            "since": sa.case((over, bind("now")), else_=failures.c.since),
            "count": sa.case((over, 1), else_=failures.c.count + 1),
        },
    )


_ADD: Query[None] = Query(_add(postgres_insert), sqlite=_add(sqlite_insert))  # type: ignore[arg-type]
_PURGE: Query[None] = Query(sa.delete(failures).where(failures.c.since < bind("before")))


async def find(read: Read | Tx, account: str, address: str) -> tuple[int, int]:
    """Return since when, and how many, attempts failed; (0, 0) where none did."""
    return await read.one(_FIND, account=account, address=address) or (0, 0)


async def add(tx: Tx, account: str, address: str, window: int) -> None:
    """Count one more failure; a window (microseconds) that is over begins anew."""
    await tx.run(_ADD, account=account, address=address, now=tx.now, window_start=tx.now - window)


async def purge(tx: Tx, before: int) -> int:
    """Forget failures from before a moment; returns how many rows went."""
    return await tx.run(_PURGE, before=before)


_KNOWN: Query[int] = Query(
    sa.select(addresses.c.last_at).where(
        addresses.c.user_id == bind("user_id"), addresses.c.address == bind("address", sa.Text)
    )
)


def _remember(insert: object) -> object:
    statement = insert(addresses).values(  # type: ignore[operator]
        user_id=bind("user_id"), address=bind("address", sa.Text), last_at=bind("now")
    )
    return statement.on_conflict_do_update(
        index_elements=["user_id", "address"], set_={"last_at": statement.excluded.last_at}
    )


_REMEMBER: Query[None] = Query(
    _remember(postgres_insert),  # type: ignore[arg-type]
    sqlite=_remember(sqlite_insert),  # type: ignore[arg-type]
)
_FORGET: Query[None] = Query(sa.delete(addresses).where(addresses.c.user_id == bind("user_id")))
_FORGET_OLD: Query[None] = Query(sa.delete(addresses).where(addresses.c.last_at < bind("before")))


async def is_known(read: Read | Tx, user_id: int, address: str) -> bool:
    """Say whether a user has signed in from an address (its digest) before."""
    return await read.one(_KNOWN, user_id=user_id, address=address) is not None


async def remember(tx: Tx, user_id: int, address: str) -> None:
    """Note that a user has signed in from an address (its digest)."""
    await tx.run(_REMEMBER, user_id=user_id, address=address, now=tx.now)


async def forget(tx: Tx, user_id: int) -> None:
    """Forget from where a user has signed in."""
    await tx.run(_FORGET, user_id=user_id)


async def forget_old(tx: Tx, before: int) -> int:
    """Forget addresses that have not been used since a moment; returns how many."""
    return await tx.run(_FORGET_OLD, before=before)
