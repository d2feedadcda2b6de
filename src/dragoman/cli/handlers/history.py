"""``dragoman history``: show the audit log."""

from __future__ import annotations

import msgspec

from dragoman.actions import history
from dragoman.actions.directory import Directory
from dragoman.actions.history import HistoryEntry
from dragoman.cli import render
from dragoman.cli.lookup import get_tenant, get_user_id
from dragoman.cli.session import command_line_actor, run
from dragoman.rules.model import HistoryFilter
from dragoman.store.transaction import Read

PAGE_SIZE = 1000
"""Maximum number of entries per query."""
COLUMNS = ("at", "actor", "action", "target", "fields", "contract", "count", "address")


class EntryOut(msgspec.Struct, frozen=True):
    """An entry as shown in output; times in ISO 8601, UTC."""

    id: int
    at: str | None
    last_at: str | None
    actor: str
    actor_kind: str
    actor_id: int
    action: str
    target: str
    target_kind: str
    target_id: int
    tenant: str | None
    fields: str
    contract: str
    count: int
    address: str
    request_id: str


def show(
    output_format: str,
    *,
    user_ref: str | None,
    actor_ref: str | None,
    tenant_slug: str | None,
    action: str | None,
    since: int | None,
    until: int | None,
    request_id: str | None,
    limit: int,
) -> None:
    """Show entries of the history, newest first.

    Args:
        output_format: one of ``options.OUTPUT_FORMATS``.
        user_ref: only what was done to this user.
        actor_ref: only what this user did.
        tenant_slug: only within this tenant.
        action: only this action.
        since: not before this time (microseconds since 1970).
        until: before this time.
        request_id: only this request.
        limit: the maximum number of entries.
    """

    async def work(directory: Directory) -> None:
        read = directory.read(command_line_actor())
        conditions = HistoryFilter(
            user_id=await get_user_id(read, user_ref) if user_ref is not None else None,
            actor_id=await get_user_id(read, actor_ref) if actor_ref is not None else None,
            tenant_id=(await get_tenant(read, tenant_slug)).id if tenant_slug else None,
            action=action,
            since=since,
            until=until,
            request_id=request_id,
        )
        await _write(read, conditions, output_format, limit)

    run(work)


async def _write(read: Read, conditions: HistoryFilter, output_format: str, limit: int) -> None:
    writer = render.ListWriter(output_format, COLUMNS, EntryOut)
    last: HistoryEntry | None = None
    while limit > 0:
        size = min(limit, PAGE_SIZE)
        entries = await history.find(read, conditions, limit=size, after=last)
        if entries:
            writer.add([_entry_out(entry) for entry in entries])
            last = entries[-1]
        limit -= size
        if len(entries) < size:
            break
    writer.close()


def _entry_out(found: HistoryEntry) -> EntryOut:
    entry = found.entry
    return EntryOut(
        id=entry.id,
        at=render.timestamp(entry.at),
        last_at=render.timestamp(entry.last_at),
        actor=found.actor,
        actor_kind=entry.actor_kind,
        actor_id=entry.actor_id,
        action=entry.action,
        target=found.target,
        target_kind=entry.target_kind,
        target_id=entry.target_id,
        tenant=found.tenant,
        fields=entry.fields,
        contract=entry.contract,
        count=entry.count,
        address=entry.address,
        request_id=entry.request_id,
    )
