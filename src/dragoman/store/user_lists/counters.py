"""Exact numbers of users per tenant, role and state, kept as they change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from dragoman.rules.model import Filter
from dragoman.rules.vocabulary import Reach
from dragoman.store.query import Query, bind, within
from dragoman.store.schema import counts, users
from dragoman.store.transaction import EVERYWHERE, Read, Tx
from dragoman.store.user_lists.filters import Scope

_KEY = ("tenant_id", "role", "active", "shard")


_LISTS = ("tenant_id", "role", "active", "n")
# ``moves``, which is in no list, counts how often a counter was written, also where its number
# stayed the same.


def _lists() -> list[Any]:
    """Several counters as lists, a column each, for PostgreSQL."""
    return [
        sa.func.unnest(sa.bindparam(name, type_=sa.ARRAY(counts.c[name].type))) for name in _LISTS
    ]


def _each() -> Any:
    """The same for SQLite, whose lists are JSON; their items have numbers to be joined by."""
    first, *others = (
        sa.func.json_each(bind(name, sa.Text)).table_valued("key", "value", name=name)
        for name in _LISTS
    )
    rows: Any = first
    for other in others:
        rows = rows.join(other, other.c.key == first.c.key)
    values = [each.c.value for each in (first, *others)]
    return (
        sa.select(*values, bind("shard")).select_from(rows).where(sa.true()).order_by(first.c.key)
    )


def _add(insert: Callable[[sa.Table], Any], rows: Any) -> Any:
    statement = insert(counts).from_select([*_LISTS, "shard"], rows)
    return statement.on_conflict_do_update(
        index_elements=list(_KEY),
        set_={"n": counts.c.n + statement.excluded.n, "moves": counts.c.moves + 1},
    )


_ADD: Query[None] = Query(
    _add(postgres_insert, sa.select(*_lists(), bind("shard", sa.SmallInteger))),
    sqlite=_add(sqlite_insert, _each()),
)


def add(tx: Tx, moved: dict[tuple[int, int, bool], int]) -> None:
    """Write counters that moved; in the order given, so that writers never wait in a circle."""
    rows = [(*key, by) for key, by in moved.items()]
    lists = dict(zip(_LISTS, map(list, zip(*rows, strict=True)), strict=True))
    tx.later(_ADD, **lists, shard=tx.shard)


def _of(name: str) -> object:
    return sa.bindparam(name, type_=counts.c.tenant_id.type)


_BY = sa.select(
    counts.c.role,
    counts.c.active,
    sa.cast(sa.func.sum(counts.c.n), sa.BigInteger()),
    sa.cast(sa.func.sum(counts.c.moves), sa.BigInteger()),
).group_by(counts.c.role, counts.c.active)


def _entry(row: tuple[int, int, int, int]) -> tuple[int, bool, int, int]:
    return row[0], bool(row[1]), row[2], row[3]


_IN_TENANT = Query(_BY.where(counts.c.tenant_id == _of("tenant_id")), _entry)


class Counted(msgspec.Struct, frozen=True):
    """How many living users a list has, and a version that every change of who they are moves."""

    n: int
    version: tuple[int, int] = (0, 0)


async def of(read: Read, scope: Scope, wanted: Filter) -> Counted:
    """Return how many living users a list without search has."""
    tenant_id = scope.tenant_id if scope.reach is Reach.TENANT else wanted.tenant_id
    if scope.reach is Reach.TENANT and wanted.tenant_id not in {None, scope.tenant_id}:
        return Counted(0)
    if scope.reach is Reach.NONE:
        return Counted(0)
    everywhere = EVERYWHERE if tenant_id is None else tenant_id
    entries = await read.quick(_IN_TENANT, tenant_id=everywhere)
    number = sum(
        n
        for role, active, n, _ in entries
        if (wanted.roles is None or role in wanted.roles)
        and (wanted.active is None or active is wanted.active)
    )
    return Counted(number, (sum(n for _, _, n, _ in entries), sum(m for *_, m in entries)))


_IN_TENANTS = Query(
    sa.select(counts.c.tenant_id, sa.cast(sa.func.sum(counts.c.n), sa.BigInteger()))
    .where(within(counts.c.tenant_id, "tenant_ids"))
    .group_by(counts.c.tenant_id),
    lambda row: (row[0], row[1]),
)


async def per_tenant(read: Read | Tx, tenant_ids: list[int]) -> dict[int, int]:
    """Return how many living users each of these tenants has; one without users is left out."""
    return dict(await read.all(_IN_TENANTS, tenant_ids=tenant_ids))


_TRUTH = Query(
    sa.select(sa.func.coalesce(users.c.tenant_id, 0), users.c.role, users.c.active, sa.func.count())
    .where(users.c.deleted_at.is_(None))
    .group_by(users.c.tenant_id, users.c.role, users.c.active),
    lambda row: ((row[0], row[1], bool(row[2])), row[3]),
)
_KEPT = Query(
    sa.select(
        counts.c.tenant_id,
        counts.c.role,
        counts.c.active,
        sa.cast(sa.func.sum(counts.c.n), sa.BigInteger()),
    ).group_by(counts.c.tenant_id, counts.c.role, counts.c.active),
    lambda row: ((row[0], row[1], bool(row[2])), row[3]),
)
_CLEAR: Query[None] = Query(sa.update(counts).values(n=0, moves=counts.c.moves + 1))


async def differences(read: Read | Tx) -> dict[tuple[int, int, bool], int]:
    """Return where the counters differ from the rows, and by how much; empty when exact."""
    truth = _with_totals(await read.all(_TRUTH))
    kept = dict(await read.all(_KEPT))
    gaps = {key: truth.get(key, 0) - kept.get(key, 0) for key in truth.keys() | kept.keys()}
    return {key: gap for key, gap in gaps.items() if gap}


def _with_totals(
    entries: list[tuple[tuple[int, int, bool], int]],
) -> dict[tuple[int, int, bool], int]:
    truth = dict(entries)
    for (_, role, active), n in entries:
        key = (EVERYWHERE, role, active)
        truth[key] = truth.get(key, 0) + n
    return truth


async def recount(tx: Tx) -> None:
    """Make every counter anew from the rows (after rows were loaded past the directory)."""
    await tx.run(_CLEAR)
    for (tenant_id, role, active), n in await tx.all(_TRUTH):
        tx.count(tenant_id, role, active, n)
