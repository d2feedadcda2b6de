"""Attempts that failed, per account and address, and from where users have signed in before."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from dragoman.rules.model import MINUTE
from dragoman.store.query import Query, bind
from dragoman.store.schema import addresses, failures
from dragoman.store.transaction import Read, Tx

_FIND: Query[tuple[str, tuple[int, int]]] = Query(
    sa.select(failures.c.address, failures.c.since, failures.c.count).where(
        failures.c.account == bind("account", sa.Text),
        failures.c.address.in_([bind("address", sa.Text), ""]),
        failures.c.since <= bind("latest"),
    ),
    lambda row: (row[0], (row[1], row[2])),
)
NONE = (0, 0)
AHEAD = MINUTE
"""So far another node's clock may go ahead. What began later than that was written by a clock that
has been set back since, and would last as much longer."""


def _add(insert: object) -> object:
    statement = insert(failures).values(  # type: ignore[operator]
        account=bind("account", sa.Text),
        address=bind("address", sa.Text),
        since=bind("now"),
        count=1,
    )
    over = sa.or_(failures.c.since <= bind("window_start"), failures.c.since > bind("latest"))
    return statement.on_conflict_do_update(
        index_elements=["account", "address"],
        set_={
            "since": sa.case((over, bind("now")), else_=failures.c.since),
            "count": sa.case((over, 1), else_=failures.c.count + 1),
        },
    )


_ADD: Query[None] = Query(_add(postgres_insert), sqlite=_add(sqlite_insert))  # type: ignore[arg-type]
_PURGE: Query[None] = Query(sa.delete(failures).where(failures.c.since < bind("before")))


async def find(
    read: Read | Tx, account: str, address: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return since when, and how many, attempts failed: from an address, and from all together.

    (0, 0) where none did.
    """
    rows = read.all if isinstance(read, Tx) else read.quick
    found = dict(await rows(_FIND, account=account, address=address, latest=read.now + AHEAD))
    return found.get(address, NONE), found.get("", NONE)


async def add(tx: Tx, account: str, address: str, window: int) -> None:
    """Count one more failure; a window (microseconds) that is over begins anew."""
    limits = {"window_start": tx.now - window, "latest": tx.now + AHEAD}
    await tx.run(_ADD, account=account, address=address, now=tx.now, **limits)


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


def remember(tx: Tx, user_id: int, address: str) -> None:
    """Note that a user has signed in from an address (its digest)."""
    tx.later(_REMEMBER, user_id=user_id, address=address, now=tx.now)


async def forget(tx: Tx, user_id: int) -> None:
    """Forget from where a user has signed in."""
    await tx.run(_FORGET, user_id=user_id)


async def forget_old(tx: Tx, before: int) -> int:
    """Forget addresses that have not been used since a moment; returns how many."""
    return await tx.run(_FORGET_OLD, before=before)
