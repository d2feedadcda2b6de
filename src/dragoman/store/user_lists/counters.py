"""Exact counters of users per tenant, role, state and approval, updated with every change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from dragoman.rules.model import Filter, Role
from dragoman.rules.vocabulary import Reach
from dragoman.store.query import Query, Row, bind, in_list
from dragoman.store.schema import counts, users
from dragoman.store.transaction import ALL_TENANTS, Read, Tx
from dragoman.store.user_lists.filters import Scope

_KEY_COLUMNS = ("tenant_id", "role", "active", "approved", "shard")


_LIST_COLUMNS = ("tenant_id", "role", "active", "approved", "n")
# The column ``moves`` counts how often a counter was written, even by a delta of 0.


def _array_columns() -> list[Any]:
    """Return the columns of several counters on PostgreSQL, each from an array parameter."""
    return [
        sa.func.unnest(sa.bindparam(name, type_=sa.ARRAY(counts.c[name].type)))
        for name in _LIST_COLUMNS
    ]


def _json_rows() -> Any:
    """Return the rows of several counters on SQLite, joined from JSON arrays by position."""
    first, *others = (
        sa.func.json_each(bind(name, sa.Text)).table_valued("key", "value", name=name)
        for name in _LIST_COLUMNS
    )
    rows: Any = first
    for other in others:
        rows = rows.join(other, other.c.key == first.c.key)
    values = [each.c.value for each in (first, *others)]
    return (
        sa.select(*values, bind("shard")).select_from(rows).where(sa.true()).order_by(first.c.key)
    )


def _upsert(insert: Callable[[sa.Table], Any], rows: Any) -> Any:
    statement = insert(counts).from_select([*_LIST_COLUMNS, "shard"], rows)
    return statement.on_conflict_do_update(
        index_elements=list(_KEY_COLUMNS),
        set_={"n": counts.c.n + statement.excluded.n, "moves": counts.c.moves + 1},
    )


_UPSERT: Query[None] = Query(
    _upsert(postgres_insert, sa.select(*_array_columns(), bind("shard", sa.SmallInteger))),
    sqlite=_upsert(sqlite_insert, _json_rows()),
)


def write_deltas(tx: Tx) -> None:
    """Write the counters that a transaction has moved.

    They are written in the order of their keys, so that transactions cannot deadlock.
    """
    if tx.counter_deltas:
        rows = [(*key, delta) for key, delta in sorted(tx.counter_deltas.items())]
        lists = dict(zip(_LIST_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
        tx.defer(_UPSERT, **lists, shard=tx.shard)


def _tenant_param(name: str) -> object:
    return sa.bindparam(name, type_=counts.c.tenant_id.type)


_BY_STATE = sa.select(
    counts.c.role,
    counts.c.active,
    counts.c.approved,
    sa.cast(sa.func.sum(counts.c.n), sa.BigInteger()),
    sa.cast(sa.func.sum(counts.c.moves), sa.BigInteger()),
).group_by(counts.c.role, counts.c.active, counts.c.approved)


def _from_row(row: Row) -> tuple[int, bool, bool, int, int]:
    return row[0], bool(row[1]), bool(row[2]), row[3], row[4]


_IN_TENANT = Query(
    _BY_STATE.where(counts.c.tenant_id == _tenant_param("tenant_id")),
    _from_row,
    indexed=True,
)


class ListCount(msgspec.Struct, frozen=True):
    """The number of users in a list, and a version that changes whenever the list may change.

    ``hidden`` is the number of users in its scope whom a closed contract leaves out.
    """

    count: int
    version: tuple[int, int] = (0, 0)
    hidden: int = 0


async def count_list(reader: Read, scope: Scope, user_filter: Filter) -> ListCount:
    """Return the number of users in a list, leaving aside what has no counter, and its version.

    Users who are not approved move the version only of lists that may contain them, so that
    sign-ups do not empty the cache of the others.
    """
    approved = True if scope.approved_only else user_filter.approved
    tenant_id = scope.tenant_id if scope.reach is Reach.TENANT else user_filter.tenant_id
    if scope.reach is Reach.TENANT and user_filter.tenant_id not in {None, scope.tenant_id}:
        return ListCount(0)
    if scope.reach is Reach.NONE:
        return ListCount(0)
    counter_tenant_id = ALL_TENANTS if tenant_id is None else tenant_id
    roles, state = user_filter.roles, user_filter.active
    count = users_moved = moves = hidden = 0
    for role, active, is_approved, n, n_moves in await reader.fetch(
        _IN_TENANT, tenant_id=counter_tenant_id
    ):
        if approved is not None and is_approved is not approved:
            hidden += 0 if is_approved else n
            continue
        users_moved += n
        moves += n_moves
        if (roles is None or role in roles) and (state is None or active is state):
            count += n
    return ListCount(count, (users_moved, moves), hidden if scope.approved_only else 0)


_IN_TENANTS = Query(
    sa.select(counts.c.tenant_id, sa.cast(sa.func.sum(counts.c.n), sa.BigInteger()))
    .where(in_list(counts.c.tenant_id, "tenant_ids"))
    .group_by(counts.c.tenant_id),
    lambda row: (row[0], row[1]),
)


async def count_by_tenant(reader: Read | Tx, tenant_ids: list[int]) -> dict[int, int]:
    """Return the number of users of each tenant; tenants without users are missing."""
    return dict(await reader.fetch(_IN_TENANTS, tenant_ids=tenant_ids))


_OWNERS_IN_TENANTS = Query(
    sa.select(counts.c.tenant_id, sa.cast(sa.func.sum(counts.c.n), sa.BigInteger()))
    .where(
        in_list(counts.c.tenant_id, "tenant_ids"),
        counts.c.role == int(Role.OWNER),
        counts.c.active,
    )
    .group_by(counts.c.tenant_id),
    lambda row: (row[0], row[1]),
)


async def count_owners_by_tenant(reader: Read, tenant_ids: list[int]) -> dict[int, int]:
    """Return the number of active owners of each tenant; tenants that never had one are missing."""
    return dict(await reader.fetch(_OWNERS_IN_TENANTS, tenant_ids=tenant_ids))


CounterKey = tuple[int, int, bool, bool]
"""Tenant id (0 without a tenant, ``ALL_TENANTS``), role, active, approved."""


def _from_counter_row(row: Row) -> tuple[CounterKey, int]:
    return (row[0], row[1], bool(row[2]), bool(row[3])), row[4]


_USER_KEY = (users.c.tenant_id, users.c.role, users.c.active, users.c.approved)
_ACTUAL = Query(
    sa.select(sa.func.coalesce(users.c.tenant_id, 0), *_USER_KEY[1:], sa.func.count())
    .where(users.c.deleted_at.is_(None))
    .group_by(*_USER_KEY),
    _from_counter_row,
)
_COUNTER_KEY = (counts.c.tenant_id, counts.c.role, counts.c.active, counts.c.approved)
_STORED = Query(
    sa.select(*_COUNTER_KEY, sa.cast(sa.func.sum(counts.c.n), sa.BigInteger())).group_by(
        *_COUNTER_KEY
    ),
    _from_counter_row,
)
_RESET: Query[None] = Query(sa.update(counts).values(n=0, moves=counts.c.moves + 1))


_HAD_USERS: Query[int] = Query(
    sa.select(counts.c.tenant_id).where(counts.c.tenant_id == bind("tenant_id")).limit(1),
    indexed=True,
)


async def had_users(reader: Read | Tx, tenant_id: int) -> bool:
    """Return whether the tenant has, or ever had, users; a counter that returns to 0 is kept."""
    return await reader.fetch_one(_HAD_USERS, tenant_id=tenant_id) is not None


async def differences(reader: Read | Tx) -> dict[CounterKey, int]:
    """Return the counters that differ from the rows, and by how much; empty if all are exact."""
    actual = _with_totals(await reader.fetch(_ACTUAL))
    stored = dict(await reader.fetch(_STORED))
    deltas = {key: actual.get(key, 0) - stored.get(key, 0) for key in actual.keys() | stored.keys()}
    return {key: gap for key, gap in deltas.items() if gap}


def _with_totals(entries: list[tuple[CounterKey, int]]) -> dict[CounterKey, int]:
    totals = dict(entries)
    for (_, role, active, approved), n in entries:
        key = (ALL_TENANTS, role, active, approved)
        totals[key] = totals.get(key, 0) + n
    return totals


async def recount(tx: Tx) -> None:
    """Recalculate every counter from the rows, after a bulk load."""
    await tx.run(_RESET)
    for (tenant_id, role, active, approved), n in await tx.fetch(_ACTUAL):
        tx.count_users(tenant_id, role, active, n, approved=approved)
