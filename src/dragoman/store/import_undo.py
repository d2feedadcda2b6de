"""Takes back what an import has written: removes users for good, and restores former values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from dragoman.rules.vocabulary import AuditAction
from dragoman.store.query import Query, Row, bind, in_list
from dragoman.store.schema import (
    access,
    addresses,
    audit,
    counts,
    failures,
    grants,
    group_members,
    groups,
    import_rows,
    invitations,
    names,
    one_time,
    outbox,
    tenants,
    tokens,
    users,
)
from dragoman.store.transaction import Read, Tx


class ImportedPerson(msgspec.Struct, frozen=True):
    """A user that an import has written, deleted ones included.

    Attributes:
        user_id: the user's id.
        created: whether the import created it.
        written_at: ``updated_at`` as the import left it; 0 if the import changed nothing.
        former: the sealed values before an update; None if there are none any more.
        username: the username now; empty if the row is gone.
        updated_at: when it was last changed.
        last_login_at: when it last signed in.
        deleted: whether it is only a tombstone.
        exists: whether there is a row at all.
    """

    user_id: int
    created: bool
    written_at: int
    former: bytes | None
    username: str
    updated_at: int
    last_login_at: int
    deleted: bool
    exists: bool


def _from_row(row: Row) -> ImportedPerson:
    return ImportedPerson(
        row[0], bool(row[1]), row[2], row[3] and bytes(row[3]), row[4] or "", row[5] or 0,
        row[6] or 0, row[7] is not None, row[8] is not None,
    )  # fmt: skip


_PAGE: Query[ImportedPerson] = Query(
    sa.select(
        import_rows.c.user_id,
        import_rows.c.created,
        import_rows.c.written_at,
        import_rows.c.former,
        users.c.username,
        users.c.updated_at,
        users.c.last_login_at,
        users.c.deleted_at,
        users.c.id,
    )
    .select_from(import_rows.outerjoin(users, users.c.id == import_rows.c.user_id))
    .where(import_rows.c.import_id == bind("import_id"), import_rows.c.user_id > bind("after"))
    .order_by(import_rows.c.user_id)
    .limit(bind("limit")),
    _from_row,
    bulk=True,
)
_NO_CHANGES = (
    AuditAction.SIGN_IN_FAILED,
    AuditAction.SEND_LINK,
    AuditAction.REQUEST_PASSWORD_RESET,
    AuditAction.EXPORT_USERS,
)
"""What the history says of people without anything having changed in them."""
_CHANGED: Query[int] = Query(
    sa.select(audit.c.target_id)
    .distinct()
    .where(
        audit.c.target_kind == "user",
        in_list(audit.c.target_id, "user_ids"),
        audit.c.at >= bind("since"),
        audit.c.request_id != bind("public_id", sa.Text),
        *(audit.c.action != action.value for action in _NO_CHANGES),
    ),
    bulk=True,
)
_LIVING: Query[tuple[int | None, int, bool, bool, int]] = Query(
    sa.select(users.c.tenant_id, users.c.role, users.c.active, users.c.approved, sa.func.count())
    .where(in_list(users.c.id, "ids"), users.c.deleted_at.is_(None))
    .group_by(users.c.tenant_id, users.c.role, users.c.active, users.c.approved),
    lambda row: (row[0], row[1], bool(row[2]), bool(row[3]), row[4]),
    bulk=True,
)
_BLANK_SEARCH: Query[None] = Query(  # SQLite's search index follows the column
    sa.update(users).where(in_list(users.c.id, "ids")).values(search="")
)
_BLANK_ACCEPTED: Query[None] = Query(
    sa.update(invitations).where(in_list(invitations.c.accepted_by, "ids")).values(accepted_by=0)
)
_REMOVALS: tuple[Query[None], ...] = tuple(
    Query(sa.delete(column.table).where(in_list(column, "ids")))
    for column in (
        tokens.c.user_id, one_time.c.user_id, outbox.c.user_id, grants.c.user_id,
        access.c.user_id, group_members.c.user_id, addresses.c.user_id, names.c.user_id,
        invitations.c.inviter_id, import_rows.c.user_id, users.c.id,
    )
)  # fmt: skip
"""What belongs to users, and at last the users themselves."""
_REMOVE_FAILURES: Query[None] = Query(
    sa.delete(failures).where(in_list(failures.c.account, "account_keys"))
)
_REMOVE_ROWS: Query[None] = Query(
    sa.delete(import_rows).where(
        import_rows.c.import_id == bind("import_id"), in_list(import_rows.c.user_id, "ids")
    )
)
_PURGE_FORMER: Query[None] = Query(
    sa.update(import_rows)
    .where(
        sa.tuple_(import_rows.c.import_id, import_rows.c.user_id).in_(
            sa.select(import_rows.c.import_id, import_rows.c.user_id)
            .where(import_rows.c.former.is_not(None), import_rows.c.written_at < bind("before"))
            .limit(bind("limit"))
        )
    )
    .values(former=sa.null())
)
_CREATED_TENANTS: Query[int] = Query(
    sa.select(audit.c.target_id).where(
        audit.c.request_id == bind("public_id", sa.Text),
        audit.c.request_id != sa.literal_column("''"),  # so that the partial index is used
        audit.c.action == AuditAction.CREATE_TENANT.value,
    )
)


def _is_used(*columns: Any) -> sa.ColumnElement[bool]:
    return sa.or_(*(sa.exists().where(column == bind("tenant_id")) for column in columns))


_HAS_ANY_USER: Query[bool] = Query(sa.select(_is_used(users.c.tenant_id)), lambda row: bool(row[0]))
_IS_USED: Query[bool] = Query(
    sa.select(_is_used(users.c.tenant_id, groups.c.tenant_id, invitations.c.tenant_id)),
    lambda row: bool(row[0]),
)
_REMOVE_COUNTS: Query[None] = Query(
    sa.delete(counts).where(counts.c.tenant_id == bind("tenant_id"))
)
_FORGET_OWNER: Query[None] = Query(
    sa.update(tenants).where(tenants.c.id == bind("tenant_id")).values(ever_owned=False)
)
_REMOVE_TENANT: Query[None] = Query(sa.delete(tenants).where(tenants.c.id == bind("tenant_id")))


async def list_page(
    reader: Read | Tx, import_id: int, *, after: int, limit: int
) -> list[ImportedPerson]:
    """Return the users that an import has to do with, in the order of their ids.

    Args:
        reader: a reader or a transaction.
        import_id: the import.
        after: only users with a greater id.
        limit: maximum number of users.
    """
    return await reader.fetch(_PAGE, import_id=import_id, after=after, limit=limit)


async def find_changed(
    reader: Read | Tx, user_ids: Sequence[int], *, since: int, public_id: str
) -> set[int]:
    """Return which users were changed by anything but one import, as the history says.

    Args:
        reader: a reader or a transaction.
        user_ids: the users.
        since: when the import began, in microseconds since 1970.
        public_id: the public id of the import.
    """
    return set(
        await reader.fetch(_CHANGED, user_ids=list(user_ids), since=since, public_id=public_id)
    )


async def remove_users(tx: Tx, user_ids: Sequence[int]) -> None:
    """Remove users for good, and all that belongs to them but their history; their ids are free."""
    ids = sorted(user_ids)
    for tenant_id, role, active, approved, number in await tx.fetch(_LIVING, ids=ids):
        tx.count_users(tenant_id, role, active, -number, approved=approved)
    await tx.run(_BLANK_SEARCH, ids=ids)
    await tx.run(_BLANK_ACCEPTED, ids=ids)
    await tx.run(_REMOVE_FAILURES, account_keys=[f"user:{user_id}" for user_id in ids])
    for removal in _REMOVALS:
        await tx.run(removal, ids=ids)


async def remove_rows(tx: Tx, import_id: int, user_ids: Sequence[int]) -> None:
    """Forget what an import did with users: it is undone."""
    await tx.run(_REMOVE_ROWS, import_id=import_id, ids=sorted(user_ids))


async def purge_former(tx: Tx, cutoff: int, limit: int) -> int:
    """Delete up to ``limit`` former values from before ``cutoff``; return their number."""
    return await tx.run(_PURGE_FORMER, before=cutoff, limit=limit)


async def created_tenants(reader: Read | Tx, public_id: str) -> list[int]:
    """Return the ids of the tenants that an import has created."""
    return await reader.fetch(_CREATED_TENANTS, public_id=public_id)


async def remove_tenant(tx: Tx, tenant_id: int) -> bool:
    """Remove a tenant for good if nothing is in it; return whether nothing was."""
    if await tx.fetch_one(_IS_USED, tenant_id=tenant_id):
        return False
    await tx.run(_REMOVE_COUNTS, tenant_id=tenant_id)
    await tx.run(_REMOVE_TENANT, tenant_id=tenant_id)
    return True


async def forget_first_users(
    tx: Tx, tenant_id: int, *, had_users: bool, brought_owner: bool
) -> None:
    """Let a tenant that has no users again be as it was before its first ones.

    Args:
        tx: the transaction.
        tenant_id: the tenant, whose row is locked.
        had_users: whether it ever had users before.
        brought_owner: whether its first owner ever was among those that are gone.
    """
    if await tx.fetch_one(_HAS_ANY_USER, tenant_id=tenant_id):
        return
    if not had_users:
        await tx.run(_REMOVE_COUNTS, tenant_id=tenant_id)
    if brought_owner:
        await tx.run(_FORGET_OWNER, tenant_id=tenant_id)


_RESTORE: dict[tuple[str, ...], Query[None]] = {}
PLAIN_COLUMNS = frozenset(
    {"password_hash", "strong_password", "password_reaches", "hash_imported_at", "updated_at"}
)
"""Columns of former values that no name, list or counter depends on."""


async def restore(tx: Tx, user_id: int, former: dict[str, Any]) -> None:
    """Restore former values of PLAIN_COLUMNS."""
    column_names = tuple(sorted(former))
    if column_names not in _RESTORE:
        values = {name: bind(name, type(users.c[name].type)) for name in column_names}
        _RESTORE[column_names] = Query(
            sa.update(users).where(users.c.id == bind("row_id")).values(values)
        )
    await tx.run(_RESTORE[column_names], **former, row_id=user_id)
