"""Tenants: find, lock, insert, save and list."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa

from dragoman.rules.errors import NotFound
from dragoman.rules.fields import canonical, search_key
from dragoman.rules.model import Page, Tenant
from dragoman.rules.vocabulary import Reach
from dragoman.store.login_names import END
from dragoman.store.query import Query, Row, bind, contains_all, in_list
from dragoman.store.schema import tenants, users
from dragoman.store.transaction import Read, Tx

LIVING_TENANTS = tenants.c.deleted_at.is_(None)
COLUMNS: tuple[Any, ...] = (
    tenants.c.id,
    tenants.c.public_id,
    tenants.c.name,
    tenants.c.slug,
    tenants.c.email,
    tenants.c.url,
    tenants.c.description,
    tenants.c.active,
    tenants.c.auth_epoch,
    tenants.c.created_at,
    tenants.c.updated_at,
)


def from_row(row: Row) -> Tenant:
    """Return the Tenant of a row of COLUMNS."""
    tenant_id, public_id, name, slug, email, url, description, active, epoch, created, updated = row
    return Tenant(
        tenant_id,
        public_id,
        name,
        slug,
        email,
        url,
        description,
        bool(active),
        epoch,
        created,
        updated,
    )


_SELECT = sa.select(*COLUMNS).where(LIVING_TENANTS)
_BY_ID = _SELECT.where(tenants.c.id == bind("id"))
RowLock = Literal["share", "update"]
"""How a tenant's row is locked until the end of a transaction.

``share`` keeps it from being changed or deleted, ``update`` from being locked by others as well.
"""
_FIND: dict[RowLock | None, Query[Tenant]] = {
    None: Query(_BY_ID, from_row, indexed=True),
    "share": Query(_BY_ID.with_for_update(read=True), from_row, sqlite=_BY_ID),
    "update": Query(_BY_ID.with_for_update(), from_row, sqlite=_BY_ID),
}
_BY_PREFIX: Query[Tenant] = Query(
    _SELECT.where(
        tenants.c.slug_key >= bind("first", sa.Text), tenants.c.slug_key < bind("end", sa.Text)
    )
    .order_by(tenants.c.slug_key)
    .limit(bind("limit")),
    from_row,
    indexed=True,
)
_BY_SLUG: Query[Tenant] = Query(
    _SELECT.where(tenants.c.slug_key == bind("key", sa.Text)), from_row, indexed=True
)
_BY_NAME: Query[Tenant] = Query(
    _SELECT.where(tenants.c.name_key == bind("key", sa.Text)), from_row, indexed=True
)


async def find(reader: Read | Tx, tenant_id: int, *, lock: RowLock | None = None) -> Tenant | None:
    """Return the tenant with this id, or None; ``lock`` needs a transaction."""
    return await reader.fetch_one(_FIND[lock], id=tenant_id)


_NAMES: Query[tuple[int, str]] = Query(
    sa.select(tenants.c.id, tenants.c.name).where(in_list(tenants.c.id, "ids")),
    lambda row: (row[0], row[1]),
)


async def names_by_id(reader: Read | Tx, tenant_ids: list[int]) -> dict[int, str]:
    """Return the names of these tenants."""
    return dict(await reader.fetch(_NAMES, ids=tenant_ids))


async def get(tx: Tx, tenant_id: int, *, lock: RowLock) -> Tenant:
    """Return the tenant with this id and lock its row; raises NotFound."""
    tenant = await find(tx, tenant_id, lock=lock)
    if tenant is None:
        raise NotFound
    return tenant


async def list_by_prefix(reader: Read, prefix: str, limit: int) -> list[Tenant]:
    """Return tenants whose slugs begin with a text, ordered by slug.

    Args:
        reader: the reader.
        prefix: how the slugs begin; upper and lower case are the same.
        limit: the maximum number of tenants.
    """
    first = canonical(prefix)
    return await reader.fetch(_BY_PREFIX, first=first, end=first + END, limit=limit)


async def find_by_slug(reader: Read | Tx, slug: str) -> Tenant | None:
    """Return the tenant with this slug, or None."""
    return await reader.fetch_one(_BY_SLUG, key=canonical(slug))


async def find_by_name(reader: Read | Tx, name: str) -> Tenant | None:
    """Return the tenant with this name, or None."""
    return await reader.fetch_one(_BY_NAME, key=canonical(name))


_INSERT: Query[int] = Query(
    sa.insert(tenants)
    .values(
        {
            c.name: bind(c.name, type(c.type))
            for c in tenants.c
            if c.name not in {"id", "deleted_at", "auth_epoch", "ever_owned"}
        }
    )
    .returning(tenants.c.id)
)


async def insert(tx: Tx, row: dict[str, Any]) -> int:
    """Insert a tenant and return its id.

    The caller holds LOCK_TENANT_NAMES and has checked that its name and slug are available.
    """
    times = {"created_at": tx.now, "updated_at": tx.now}
    tenant_id = await tx.fetch_one(_INSERT, **row, **_derived_columns(row), **times)
    assert tenant_id is not None, "INSERT … RETURNING returns a row"
    return tenant_id


def _derived_columns(row: dict[str, str]) -> dict[str, str]:
    return {
        "name_key": canonical(row["name"]),
        "slug_key": canonical(row["slug"]),
        "search": "\n".join(search_key(row[n]) for n in ("name", "slug", "email")),
    }


_UPDATES: dict[tuple[str, ...], Query[None]] = {}


async def save(tx: Tx, tenant: Tenant, changes: dict[str, Any]) -> None:
    """Save changed columns of a tenant whose row is locked."""
    row: dict[str, Any] = {**changes, "updated_at": tx.now}
    row |= _derived_columns(
        {n: changes.get(n, getattr(tenant, n)) for n in ("name", "slug", "email")}
    )
    column_names = tuple(sorted(row))
    if column_names not in _UPDATES:
        values = {name: bind(name, type(tenants.c[name].type)) for name in column_names}
        _UPDATES[column_names] = Query(
            sa.update(tenants).where(tenants.c.id == bind("row_id")).values(values)
        )
    await tx.run(_UPDATES[column_names], **row, row_id=tenant.id)


_BUMP_EPOCH: Query[None] = Query(
    sa.update(tenants).where(tenants.c.id == bind("id")).values(auth_epoch=tenants.c.auth_epoch + 1)
)
_MARK_OWNED: Query[None] = Query(
    sa.update(tenants)
    .where(tenants.c.id == bind("id"), tenants.c.ever_owned.is_(False))
    .values(ever_owned=True)
)
_ANY_USER: Query[int] = Query(
    sa.select(users.c.id)
    .where(users.c.tenant_id == bind("id"), users.c.deleted_at.is_(None))
    .limit(1)
)


async def revoke_sessions(tx: Tx, tenant_id: int) -> None:
    """Increment the tenant's epoch, which revokes its users' credentials at the commit."""
    await tx.run(_BUMP_EPOCH, id=tenant_id)


async def mark_owned(tx: Tx, tenant_id: int) -> bool:
    """Record that the tenant has had an owner; returns whether this is the first time."""
    return await tx.run(_MARK_OWNED, id=tenant_id) == 1


async def has_users(tx: Tx, tenant_id: int) -> bool:
    """Return whether the tenant has users."""
    return await tx.fetch_one(_ANY_USER, id=tenant_id) is not None


SORT_COLUMNS: dict[str, Any] = {
    "id": tenants.c.id,
    "name": tenants.c.name_key,
    "slug": tenants.c.slug_key,
    "active": tenants.c.active,
    "created_at": tenants.c.created_at,
}


async def page(
    reader: Read,
    reach: Reach,
    *,
    words: tuple[str, ...],
    active: bool | None,
    order: tuple[str, bool],
    limit: int,
    offset: int,
) -> Page[Tenant]:
    """Return one page of tenants and their exact count.

    Args:
        reader: the reader that runs the statements.
        reach: ANY for all tenants, or TENANT for the actor's own.
        words: canonical words, all of which must occur in the name, slug or e-mail address.
        active: the state to show; None for both.
        order: a key of SORT_COLUMNS, and whether it descends.
        limit: maximum number of rows.
        offset: number of rows to skip.
    """
    conditions: list[Any] = [LIVING_TENANTS]
    params: dict[str, Any] = {}
    if reach is not Reach.ANY:
        conditions.append(tenants.c.id == bind("own"))
        params["own"] = reader.actor.tenant_id
    if active is not None:
        conditions.append(tenants.c.active == bind("active", sa.Boolean))
        params["active"] = active
    if words:
        conditions.append(contains_all(tenants.c.search, "words"))
        params["words"] = list(words)
    column = SORT_COLUMNS[order[0]].desc() if order[1] else SORT_COLUMNS[order[0]].asc()
    rows_query: Query[Tenant] = Query(
        sa.select(*COLUMNS)
        .where(*conditions)
        .order_by(column, tenants.c.id)
        .limit(bind("limit"))
        .offset(bind("offset")),
        from_row,
    )
    count_query: Query[int] = Query(
        sa.select(sa.func.count()).select_from(tenants).where(*conditions)
    )
    count = await reader.fetch_one(count_query, **params) or 0
    return Page(await reader.fetch(rows_query, **params, limit=limit, offset=offset), count)
