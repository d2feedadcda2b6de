"""Exact numbers of users per tenant, role and state, kept as they change."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from dragoman.rules.model import Filter
from dragoman.rules.policy import Reach
from dragoman.store.engine import EVERYWHERE, Read, Session, Tx
from dragoman.store.narrow import Scope
from dragoman.store.query import Query, within
from dragoman.store.schema import counts, users

_KEY = ("tenant_id", "role", "active", "shard")


def _add(insert: object) -> object:
    row = {name: sa.bindparam(name, type_=counts.c[name].type) for name in (*_KEY, "n")}
    statement = insert(counts).values(row)  # type: ignore[operator]
    return statement.on_conflict_do_update(
        index_elements=list(_KEY), set_={"n": counts.c.n + statement.excluded.n}
    )


_ADD: Query[None] = Query(_add(postgres_insert), sqlite=_add(sqlite_insert))  # type: ignore[arg-type]


async def add(session: Session, moved: dict[tuple[int, int, bool], int]) -> None:
    """Write counters that moved; in the order given, so that writers never wait in a circle."""
    for (tenant_id, role, active), by in moved.items():
        row = {"tenant_id": tenant_id, "role": role, "active": active, "n": by}
        await session.run(_ADD, {**row, "shard": session.shard})


def _of(name: str) -> object:
    return sa.bindparam(name, type_=counts.c.tenant_id.type)


_BY = sa.select(
    counts.c.role, counts.c.active, sa.cast(sa.func.sum(counts.c.n), sa.BigInteger())
).group_by(counts.c.role, counts.c.active)


def _entry(row: tuple[int, int, int]) -> tuple[int, bool, int]:
    return row[0], bool(row[1]), row[2]


_IN_TENANT = Query(_BY.where(counts.c.tenant_id == _of("tenant_id")), _entry)


async def of(read: Read, scope: Scope, wanted: Filter) -> int:
    """Return how many living users a list without search has."""
    tenant_id = scope.tenant_id if scope.reach is Reach.TENANT else wanted.tenant_id
    if scope.reach is Reach.TENANT and wanted.tenant_id not in {None, scope.tenant_id}:
        return 0
    if scope.reach is Reach.NONE:
        return 0
    everywhere = EVERYWHERE if tenant_id is None else tenant_id
    entries = await read.quick(_IN_TENANT, tenant_id=everywhere)
    return sum(
        n
        for role, active, n in entries
        if (wanted.roles is None or role in wanted.roles)
        and (wanted.active is None or active is wanted.active)
    )


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
_CLEAR: Query[None] = Query(sa.delete(counts))


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
