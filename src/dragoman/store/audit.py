"""The history: one row for every change, written with it."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from dragoman.rules.model import AuditEntry
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
    action: str,
    *,
    target_kind: str = "user",
    target_id: int = 0,
    tenant_id: int | None = None,
    fields: Iterable[str] = (),
) -> None:
    """Add the history's row of a change.

    Args:
        tx: the transaction of the change; it knows who acts, through which contract.
        action: the policy's word for what was done.
        target_kind: ``user``, ``tenant``, ``token``.
        target_id: which one; 0 where there is none.
        tenant_id: the target's tenant.
        fields: names of what was changed, never values.
    """
    actor = tx.actor
    tx.defer(
        _INSERT,
        at=tx.now,
        actor_kind=actor.kind,
        actor_id=actor.user_id,
        actor_name=actor.name,
        contract=actor.contract,
        action=action,
        target_kind=target_kind,
        target_id=target_id,
        tenant_id=tenant_id,
        fields=" ".join(sorted(fields)),
        request_id=actor.request_id,
        address=actor.address,
    )


async def list_latest(reader: Read, *, after: int = 0, limit: int = 100) -> list[AuditEntry]:
    """Return the newest entries with an id above ``after``, newest first."""
    return await reader.fetch(_LATEST, after=after, limit=limit)
