"""The audit log: one row for every change, written in the transaction of the change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from dragoman.rules import crypto
from dragoman.rules.model import DAY, AuditEntry
from dragoman.rules.vocabulary import AuditAction
from dragoman.store.query import BulkInsert, Query, bind
from dragoman.store.schema import audit
from dragoman.store.transaction import LOCK_DAILY_AUDIT, Read, Tx


class DailyTotal(msgspec.Struct, frozen=True):
    """How many events of one kind a contract had in a day (days since 1970)."""

    day: int
    contract: str
    count: int


_INSERT: Query[None] = Query(
    sa.insert(audit).values(
        {
            c.name: bind(c.name, type(c.type))
            for c in audit.c
            if c.name not in {"id", "day", "count", "last_at"}
        }
    )
)
_SAME_DAY = (
    audit.c.day == bind("day"),
    audit.c.day > sa.literal_column("0"),  # so that both databases use the partial index
    audit.c.action == bind("action", sa.Text),
    audit.c.contract == bind("contract", sa.Text),
    audit.c.target_id == bind("target_id"),
)
_EVENT_COLUMNS = tuple(
    column.name for column in audit.c if column.name not in {"id", "at", "day", "count", "last_at"}
)
_INSERT_DAILY: Query[None] = Query(
    sa.insert(audit).from_select(
        [*_EVENT_COLUMNS, "day", "last_at", "at", "count"],
        sa.select(
            *(bind(name, type(audit.c[name].type)) for name in _EVENT_COLUMNS),
            bind("day"),
            bind("now"),
            sa.func.coalesce(sa.func.min(audit.c.at), bind("now")),
            sa.func.coalesce(sa.func.sum(audit.c.count), 0) + 1,
        ).where(*_SAME_DAY),
    )
)
_newest = audit.alias("newest")
_REMOVE_OLDER_DAILY: Query[None] = Query(
    sa.delete(audit).where(
        *_SAME_DAY,
        audit.c.id
        < sa.select(sa.func.max(_newest.c.id))
        .where(
            _newest.c.day == bind("day"),
            _newest.c.day > sa.literal_column("0"),
            _newest.c.action == bind("action", sa.Text),
            _newest.c.contract == bind("contract", sa.Text),
            _newest.c.target_id == bind("target_id"),
        )
        .scalar_subquery(),
    )
)
_DAILY_TOTALS: Query[DailyTotal] = Query(
    sa.select(audit.c.day, audit.c.contract, sa.func.sum(audit.c.count))
    .where(
        audit.c.day >= bind("first_day"),
        audit.c.day > sa.literal_column("0"),
        audit.c.action == bind("action", sa.Text),
    )
    .group_by(audit.c.day, audit.c.contract)
    .order_by(audit.c.day, audit.c.contract),
    lambda row: DailyTotal(row[0], row[1], int(row[2])),
)
_OLDEST = sa.select(audit.c.id, audit.c.at).order_by(audit.c.id).limit(bind("limit")).subquery()
_PURGE: Query[None] = Query(
    sa.delete(audit).where(
        audit.c.id.in_(sa.select(_OLDEST.c.id).where(_OLDEST.c.at < bind("before")))
    )
)
_LATEST: Query[AuditEntry] = Query(
    sa.select(*audit.c)
    .where(audit.c.id > bind("after"))
    .order_by(audit.c.id.desc())
    .limit(bind("limit")),
    lambda row: AuditEntry(**dict(zip(audit.c.keys(), row, strict=True))),
)


def write(
    tx: Tx,
    action: AuditAction,
    *,
    target_kind: str = "user",
    target_id: int = 0,
    tenant_id: int | None = None,
    fields: Iterable[str] = (),
) -> None:
    """Record a change, together with the actor and the contract of the transaction.

    Args:
        tx: the transaction of the change.
        action: what was done.
        target_kind: ``user``, ``tenant``, ``group``, ``mail``, ``invitation`` and others.
        target_id: the target's id; 0 if there is none.
        tenant_id: the target's tenant, if any.
        fields: the names of the changed fields; values are never recorded.
    """
    event = _event(tx, action, target_kind, target_id, tenant_id)
    tx.defer(_INSERT, **event | {"fields": " ".join(sorted(fields))}, at=tx.now)


_BULK_COLUMNS = (
    "at", "actor_kind", "actor_id", "actor_name", "contract", "action", "target_kind", "target_id",
    "tenant_id", "fields", "request_id", "address",
)  # fmt: skip
_INSERT_MANY = BulkInsert(audit, _BULK_COLUMNS)


async def write_many(
    tx: Tx, action: AuditAction, targets: Iterable[tuple[int, int | None, str]]
) -> None:
    """Record the same change of many users, like ``write``.

    Args:
        tx: the transaction of the change.
        action: what was done.
        targets: the id and the tenant of each user, and the sorted names of its changed fields,
            with spaces between them.
    """
    event = _event(tx, action, "user", 0, None)
    first = (tx.now, *(event[name] for name in _BULK_COLUMNS[1:7]))
    last = (event["request_id"], event["address"])
    rows = [(*first, user_id, tenant_id, fields, *last) for user_id, tenant_id, fields in targets]
    await tx.insert_many(_INSERT_MANY, rows)


def _event(
    tx: Tx, action: AuditAction, target_kind: str, target_id: int, tenant_id: int | None
) -> dict[str, Any]:
    actor = tx.actor
    return {
        "actor_kind": actor.kind,
        "actor_id": actor.user_id,
        "actor_name": actor.name,
        "contract": actor.contract,
        "action": action.value,
        "target_kind": target_kind,
        "target_id": target_id,
        "tenant_id": tenant_id,
        "fields": "",
        "request_id": actor.request_id,
        "address": actor.address,
    }


async def count_daily(
    tx: Tx, action: AuditAction, *, target_id: int = 0, tenant_id: int | None = None
) -> None:
    """Count an event in the one row that stands for a day, a contract and a user.

    Anonymous callers can cause such events, so that a row for each would fill the disk. The row
    is replaced by a newer one, with the address and request id of the latest event.

    Args:
        tx: the transaction.
        action: what was done or tried.
        target_id: the user; 0 for all names that nobody has.
        tenant_id: the user's tenant, if any.
    """
    event = _event(tx, action, "user", target_id, tenant_id)
    key = crypto.digest(f"{event['contract']} {action.value} {target_id}")
    await tx.lock(LOCK_DAILY_AUDIT, int.from_bytes(key[:4], "big"))
    day = tx.now // DAY
    await tx.run(_INSERT_DAILY, **event, day=day, now=tx.now)
    same_day = {name: event[name] for name in ("action", "contract", "target_id")}
    await tx.run(_REMOVE_OLDER_DAILY, **same_day, day=day)


async def daily_totals(reader: Read, action: AuditAction, *, first_day: int) -> list[DailyTotal]:
    """Return how often an action was counted (``count_daily``) per day and contract.

    ``first_day`` is in days since 1970; days without such an event are missing.
    """
    return await reader.fetch(_DAILY_TOTALS, action=action.value, first_day=first_day)


async def purge(tx: Tx, cutoff: int, limit: int) -> int:
    """Delete entries from before ``cutoff`` among the oldest ``limit`` ones; return their number."""
    return await tx.run(_PURGE, before=cutoff, limit=limit)


async def list_latest(reader: Read, *, after: int = 0, limit: int = 100) -> list[AuditEntry]:
    """Return the newest entries with an id greater than ``after``, newest first."""
    return await reader.fetch(_LATEST, after=after, limit=limit)
