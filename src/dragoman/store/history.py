"""Reads of the audit log for people: filtered, newest first, with the names of who and what."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
import sqlalchemy as sa

from dragoman.rules.model import AuditEntry, HistoryFilter
from dragoman.rules.vocabulary import ACTIONS_OF_THE_TARGET
from dragoman.store.query import Query, Row, bind
from dragoman.store.schema import audit, groups, invitations, tenants, users
from dragoman.store.transaction import Read

_TARGET_ACTIONS = sorted(action.value for action in ACTIONS_OF_THE_TARGET)
_CONDITIONS: dict[str, Any] = {
    "tenant_id": audit.c.tenant_id == bind("tenant_id"),
    "action": audit.c.action == bind("action", sa.Text),
    "request_id": sa.and_(
        audit.c.request_id == bind("request_id", sa.Text),
        audit.c.request_id != sa.literal_column("''"),  # so that both use the partial index
    ),
    "since": audit.c.at >= bind("since"),
    "until": audit.c.at < bind("until"),
}


class NamedEntry(msgspec.Struct, frozen=True):
    """An entry of the history with the names of its actor, its target and its tenant.

    A name is None where the row is gone, and empty where an erasure has blanked it.
    """

    entry: AuditEntry
    actor_name: str | None
    target_name: str | None
    tenant_slug: str | None


async def page(
    reader: Read, conditions: HistoryFilter, *, limit: int, before: NamedEntry | None = None
) -> list[NamedEntry]:
    """Return the newest entries that meet the conditions, newest first.

    Args:
        reader: the reader.
        conditions: which entries; what is None does not matter.
        limit: the maximum number of entries.
        before: the last entry of the previous page.
    """
    given = {name: value for name, value in msgspec.structs.asdict(conditions).items() if value}
    names = frozenset(given)
    params = {"limit": limit, **given}
    if before is not None:
        params |= {"before_id": before.entry.id, "before_at": before.entry.at}
    return await reader.fetch(_query(names, before is not None), **params)


async def last_change(
    reader: Read, target_kind: str, target_id: int, field: str
) -> NamedEntry | None:
    """Return the newest entry that tells of a change of a field, or None.

    Args:
        reader: the reader.
        target_kind: ``user`` or ``tenant``.
        target_id: the user or tenant.
        field: the name of the field, as in ``AuditEntry.fields``.
    """
    params = {"kind": target_kind, "target_id": target_id, "word": f"% {field} %", "limit": 1}
    return await reader.fetch_one(_last_change(), **params)


@cache
def _last_change() -> Query[NamedEntry]:
    found = (
        sa.select(audit)
        .where(
            audit.c.target_kind == bind("kind", sa.Text),
            audit.c.target_id == bind("target_id"),
            (sa.literal(" ", sa.Text) + audit.c.fields + sa.literal(" ", sa.Text)).like(
                bind("word", sa.Text)
            ),
        )
        .order_by(audit.c.id.desc())
        .limit(bind("limit"))
        .subquery("found")
    )
    return Query(_with_names(found, by_time=False), _from_row)


@cache
def _query(names: frozenset[str], continues: bool) -> Query[NamedEntry]:
    """Return the query for a set of conditions.

    Ids ascend nearly like times, and the indexes of the filters end with them; only a range of
    times is read in the order of time, because it would have no end otherwise.
    """
    by_time = not names.isdisjoint({"since", "until"})
    order = (audit.c.at.desc(), audit.c.id.desc()) if by_time else (audit.c.id.desc(),)
    conditions = [_CONDITIONS[name] for name in _CONDITIONS if name in names]
    if continues:
        conditions.append(_continuation(by_time=by_time))
    parts = [
        sa.select(audit).where(*conditions, *alternative).order_by(*order).limit(bind("limit"))
        for alternative in _alternatives(names)
    ]
    found = parts[0].subquery("found")
    if len(parts) > 1:
        found = sa.union_all(*(sa.select(part.subquery()) for part in parts)).subquery("found")
    return Query(_with_names(found, by_time=by_time), _from_row)


def _continuation(*, by_time: bool) -> sa.ColumnElement[bool]:
    if not by_time:
        return audit.c.id < bind("before_id")
    return sa.tuple_(audit.c.at, audit.c.id) < sa.tuple_(bind("before_at"), bind("before_id"))


def _alternatives(names: frozenset[str]) -> list[list[sa.ColumnElement[bool]]]:
    """Return the conditions on people, each of which an index serves: a row meets one of them."""
    target = (
        [audit.c.target_kind == "user", audit.c.target_id == bind("user_id")]
        if "user_id" in names
        else []
    )
    if "actor_id" not in names:
        return [target]
    acted = [audit.c.actor_id == bind("actor_id"), audit.c.actor_id > sa.literal_column("0")]
    became = [
        audit.c.target_kind == "user",
        audit.c.target_id == bind("actor_id"),
        audit.c.actor_kind == "visitor",
        audit.c.action.in_([sa.literal_column(f"'{name}'") for name in _TARGET_ACTIONS]),
    ]
    return [[*target, *acted], [*target, *became]]


def _with_names(found: Any, *, by_time: bool) -> Any:
    """Return the statement that adds names to the entries of a page."""
    entry = found.c
    actor, target = users.alias("actor"), users.alias("target")
    tenant, target_tenant = tenants.alias("tenant"), tenants.alias("target_tenant")

    def is_target(table: Any, kind: str) -> Any:
        return sa.and_(entry.target_kind == kind, table.c.id == entry.target_id)

    joined = (
        found.outerjoin(actor, sa.and_(entry.actor_kind == "user", actor.c.id == entry.actor_id))
        .outerjoin(target, is_target(target, "user"))
        .outerjoin(tenant, tenant.c.id == entry.tenant_id)
        .outerjoin(target_tenant, is_target(target_tenant, "tenant"))
        .outerjoin(groups, is_target(groups, "group"))
        .outerjoin(invitations, is_target(invitations, "invitation"))
    )
    target_name = sa.func.coalesce(
        target.c.username, target_tenant.c.slug, groups.c.name, invitations.c.email
    )
    order = (entry.at.desc(), entry.id.desc()) if by_time else (entry.id.desc(),)
    columns = [entry[name] for name in AuditEntry.__struct_fields__]
    return (
        sa.select(*columns, actor.c.username, target_name, tenant.c.slug)
        .select_from(joined)
        .order_by(*order)
        .limit(bind("limit"))
    )


def _from_row(row: Row) -> NamedEntry:
    size = len(AuditEntry.__struct_fields__)
    entry = AuditEntry(**dict(zip(AuditEntry.__struct_fields__, row[:size], strict=True)))
    return NamedEntry(entry, row[size], row[size + 1], row[size + 2])
