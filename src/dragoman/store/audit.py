"""The audit log: one row for every change, written in the transaction of the change."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from dragoman.rules.model import AuditEntry
from dragoman.rules.vocabulary import AuditAction
from dragoman.store.query import Query, bind
from dragoman.store.schema import audit
from dragoman.store.transaction import Read, Tx

_INSERT: Query[None] = Query(
    sa.insert(audit).values({c.name: bind(c.name, type(c.type)) for c in audit.c if c.name != "id"})
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
        target_kind: ``user``, ``tenant``, ``group``, ``invitation`` or ``signing_key``.
        target_id: the target's id; 0 if there is none.
        tenant_id: the target's tenant, if any.
        fields: the names of the changed fields; values are never recorded.
    """
    actor = tx.actor
    tx.defer(
        _INSERT,
        at=tx.now,
        actor_kind=actor.kind,
        actor_id=actor.user_id,
        actor_name=actor.name,
        contract=actor.contract,
        action=action.value,
        target_kind=target_kind,
        target_id=target_id,
        tenant_id=tenant_id,
        fields=" ".join(sorted(fields)),
        request_id=actor.request_id,
        address=actor.address,
    )


async def list_latest(reader: Read, *, after: int = 0, limit: int = 100) -> list[AuditEntry]:
    """Return the newest entries with an id greater than ``after``, newest first."""
    return await reader.fetch(_LATEST, after=after, limit=limit)
