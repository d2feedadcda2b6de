"""Failed sign-in attempts by account and address, and the addresses that users sign in from."""

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
    indexed=True,
)
_LIST_COUNTS: Query[tuple[str, int, int]] = Query(
    sa.select(failures.c.address, failures.c.since, failures.c.count)
    .where(failures.c.account == bind("account", sa.Text), failures.c.since <= bind("latest"))
    .order_by(failures.c.address),
    lambda row: (row[0], row[1], row[2]),
    indexed=True,
)
NO_FAILURES = (0, 0)
MAX_CLOCK_SKEW = MINUTE
"""How far the clock of another node may be ahead, in microseconds.

A window that begins later was written by a clock that has been set back since. It is ignored,
because it would last too long.
"""


def _upsert(insert: object) -> object:
    statement = insert(failures).values(  # type: ignore[operator]
        account=bind("account", sa.Text),
        address=bind("address", sa.Text),
        since=bind("now"),
        count=1,
    )
    expired = sa.or_(failures.c.since <= bind("window_start"), failures.c.since > bind("latest"))
    return statement.on_conflict_do_update(
        index_elements=["account", "address"],
        set_={
            "since": sa.case((expired, bind("now")), else_=failures.c.since),
            "count": sa.case((expired, 1), else_=failures.c.count + 1),
        },
    )


_UPSERT: Query[None] = Query(_upsert(postgres_insert), sqlite=_upsert(sqlite_insert))  # type: ignore[arg-type]
_PURGE: Query[None] = Query(sa.delete(failures).where(failures.c.since < bind("before")))


_REMOVE: Query[None] = Query(
    sa.delete(failures).where(failures.c.account == bind("account", sa.Text))
)


async def remove(tx: Tx, account: str) -> int:
    """Delete the counters of an account and return their number."""
    return await tx.run(_REMOVE, account=account)


async def failure_counts(
    reader: Read | Tx, account: str, address: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the failures from one address, and those from all addresses.

    Each is a pair: when the window began (microseconds), and the number of failures in it;
    ``NO_FAILURES`` if there are none.
    """
    latest = reader.now + MAX_CLOCK_SKEW
    found = dict(await reader.fetch(_FIND, account=account, address=address, latest=latest))
    return found.get(address, NO_FAILURES), found.get("", NO_FAILURES)


async def list_counts(reader: Read | Tx, account: str) -> list[tuple[str, int, int]]:
    """Return the counters of an account: address, when the window began, number of failures.

    The address is a digest, and empty for the counter of all addresses.
    """
    latest = reader.now + MAX_CLOCK_SKEW
    return await reader.fetch(_LIST_COUNTS, account=account, latest=latest)


async def record_failure(tx: Tx, account: str, address: str, window_us: int) -> None:
    """Count one more failure; starts a new window if the current one is over.

    Args:
        tx: the transaction.
        account: the account.
        address: the client's address; empty for the count over all addresses.
        window_us: length of the window (microseconds).
    """
    bounds = {"window_start": tx.now - window_us, "latest": tx.now + MAX_CLOCK_SKEW}
    await tx.run(_UPSERT, account=account, address=address, now=tx.now, **bounds)


async def purge(tx: Tx, cutoff: int) -> int:
    """Delete windows that began before ``cutoff`` (microseconds) and return their number."""
    return await tx.run(_PURGE, before=cutoff)


_FIND_ADDRESS: Query[int] = Query(
    sa.select(addresses.c.last_at).where(
        addresses.c.user_id == bind("user_id"), addresses.c.address == bind("address", sa.Text)
    ),
    indexed=True,
)


_ANY_ADDRESS: Query[int] = Query(
    sa.select(addresses.c.last_at).where(addresses.c.user_id == bind("user_id")).limit(1),
    indexed=True,
)


def _upsert_address(insert: object) -> object:
    statement = insert(addresses).values(  # type: ignore[operator]
        user_id=bind("user_id"), address=bind("address", sa.Text), last_at=bind("now")
    )
    return statement.on_conflict_do_update(
        index_elements=["user_id", "address"], set_={"last_at": statement.excluded.last_at}
    )


_UPSERT_ADDRESS: Query[None] = Query(
    _upsert_address(postgres_insert),  # type: ignore[arg-type]
    sqlite=_upsert_address(sqlite_insert),  # type: ignore[arg-type]
)
_REMOVE_ADDRESSES: Query[None] = Query(
    sa.delete(addresses).where(addresses.c.user_id == bind("user_id"))
)
_PURGE_ADDRESSES: Query[None] = Query(
    sa.delete(addresses).where(addresses.c.last_at < bind("before"))
)


async def is_known_address(reader: Read | Tx, user_id: int, address: str) -> bool:
    """Return whether a user has signed in from an address (its digest) before."""
    return await reader.fetch_one(_FIND_ADDRESS, user_id=user_id, address=address) is not None


async def has_known_addresses(reader: Read | Tx, user_id: int) -> bool:
    """Return whether a user has signed in from any address that is still kept."""
    return await reader.fetch_one(_ANY_ADDRESS, user_id=user_id) is not None


def remember_address(tx: Tx, user_id: int, address: str) -> None:
    """Record that a user has signed in from an address (its digest)."""
    tx.defer(_UPSERT_ADDRESS, user_id=user_id, address=address, now=tx.now)


async def remove_addresses(tx: Tx, user_id: int) -> None:
    """Delete the addresses that a user has signed in from."""
    await tx.run(_REMOVE_ADDRESSES, user_id=user_id)


async def purge_addresses(tx: Tx, cutoff: int) -> int:
    """Delete addresses last used before ``cutoff`` (microseconds) and return their number."""
    return await tx.run(_PURGE_ADDRESSES, before=cutoff)
