"""Tenants: rows and pages."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from dragoman.rules.errors import NotFound
from dragoman.rules.fields import canonical
from dragoman.rules.model import Page, Tenant
from dragoman.rules.vocabulary import Reach
from dragoman.store.query import Query, Row, bind, holds_all
from dragoman.store.schema import tenants, users
from dragoman.store.transaction import Read, Tx

LIVING = tenants.c.deleted_at.is_(None)
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


def load(row: Row) -> Tenant:
    """Make a Tenant of a row of COLUMNS."""
    number, public_id, name, slug, email, url, text, active, epoch, created, updated = row
    return Tenant(
        number, public_id, name, slug, email, url, text, bool(active), epoch, created, updated
    )


_SELECT = sa.select(*COLUMNS).where(LIVING)
_BY_ID = _SELECT.where(tenants.c.id == bind("id"))
_FIND: Query[Tenant] = Query(_BY_ID, load)
_SHARE: Query[Tenant] = Query(_BY_ID.with_for_update(read=True), load, sqlite=_BY_ID)
_LOCK: Query[Tenant] = Query(_BY_ID.with_for_update(), load, sqlite=_BY_ID)
_BY_SLUG: Query[Tenant] = Query(_SELECT.where(tenants.c.slug_key == bind("key", sa.Text)), load)
_BY_NAME: Query[Tenant] = Query(_SELECT.where(tenants.c.name_key == bind("key", sa.Text)), load)


async def find(read: Read | Tx, tenant_id: int) -> Tenant | None:
    """Return a living tenant, or None."""
    return await read.one(_FIND, id=tenant_id)


async def get(tx: Tx, tenant_id: int, *, to_change: bool) -> Tenant:
    """Return a living tenant and hold it against deletion (or any change); raises NotFound."""
    tenant = await tx.one(_LOCK if to_change else _SHARE, id=tenant_id)
    if tenant is None:
        raise NotFound
    return tenant


async def find_by_slug(read: Read | Tx, slug: str) -> Tenant | None:
    """Return the living tenant of a slug, or None."""
    return await read.one(_BY_SLUG, key=canonical(slug))


async def find_by_name(read: Read | Tx, name: str) -> Tenant | None:
    """Return the living tenant of a name, or None."""
    return await read.one(_BY_NAME, key=canonical(name))


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
    """Add a tenant; returns its id (hold LOCK_TENANTS and look for its names before)."""
    times = {"created_at": tx.now, "updated_at": tx.now}
    return await tx.one(_INSERT, **row, **_derived(row), **times) or 0


def _derived(row: dict[str, str]) -> dict[str, str]:
    name, slug, email = (canonical(row[n]) for n in ("name", "slug", "email"))
    return {"name_key": name, "slug_key": slug, "search": f"{name}\n{slug}\n{email}"}


_SAVE: dict[tuple[str, ...], Query[None]] = {}


async def save(tx: Tx, before: Tenant, changed: dict[str, Any]) -> None:
    """Write changed columns of a tenant whose row is held."""
    row: dict[str, Any] = {**changed, "updated_at": tx.now}
    row |= _derived({n: changed.get(n, getattr(before, n)) for n in ("name", "slug", "email")})
    shape = tuple(sorted(row))
    if shape not in _SAVE:
        values = {name: bind(name, type(tenants.c[name].type)) for name in shape}
        _SAVE[shape] = Query(sa.update(tenants).where(tenants.c.id == bind("which")).values(values))
    await tx.run(_SAVE[shape], **row, which=before.id)


_CUT: Query[None] = Query(
    sa.update(tenants).where(tenants.c.id == bind("id")).values(auth_epoch=tenants.c.auth_epoch + 1)
)
_OWNED: Query[None] = Query(
    sa.update(tenants)
    .where(tenants.c.id == bind("id"), tenants.c.ever_owned.is_(False))
    .values(ever_owned=True)
)
_INHABITED: Query[int] = Query(
    sa.select(users.c.id)
    .where(users.c.tenant_id == bind("id"), users.c.deleted_at.is_(None))
    .limit(1)
)


async def cut_off(tx: Tx, tenant_id: int) -> None:
    """Move the tenant's epoch: every credential of its users is dead with this commit."""
    await tx.run(_CUT, id=tenant_id)


async def note_owner(tx: Tx, tenant_id: int) -> bool:
    """Note that the tenant has had an owner; True if it never had one before."""
    return await tx.run(_OWNED, id=tenant_id) == 1


async def is_inhabited(tx: Tx, tenant_id: int) -> bool:
    """Say whether the tenant has living users."""
    return await tx.one(_INHABITED, id=tenant_id) is not None


KEYS: dict[str, Any] = {
    "id": tenants.c.id,
    "name": tenants.c.name_key,
    "slug": tenants.c.slug_key,
    "active": tenants.c.active,
    "created_at": tenants.c.created_at,
}


async def page(
    read: Read,
    reach: Reach,
    *,
    words: tuple[str, ...],
    active: bool | None,
    order: tuple[str, bool],
    limit: int,
    offset: int,
) -> Page[Tenant]:
    """Return tenants within a reach and their exact count; there are few, they are counted.

    Args:
        reach: ANY, or TENANT for the actor's own.
        words: canonical words, each to be found in name, slug or e-mail.
        active: None for both.
        order: a key of KEYS and whether descending.
        limit: rows at most.
        offset: rows to skip.
    """
    found: list[Any] = [LIVING]
    values: dict[str, Any] = {}
    if reach is not Reach.ANY:
        found.append(tenants.c.id == bind("own"))
        values["own"] = read.actor.tenant_id
    if active is not None:
        found.append(tenants.c.active == bind("active", sa.Boolean))
        values["active"] = active
    if words:
        found.append(holds_all(tenants.c.search, "words"))
        values["words"] = list(words)
    column = KEYS[order[0]].desc() if order[1] else KEYS[order[0]].asc()
    rows: Query[Tenant] = Query(
        sa.select(*COLUMNS)
        .where(*found)
        .order_by(column, tenants.c.id)
        .limit(bind("limit"))
        .offset(bind("offset")),
        load,
    )
    total: Query[int] = Query(sa.select(sa.func.count()).select_from(tenants).where(*found))
    count = await read.total(total, **values) or 0
    return Page(await read.all(rows, **values, limit=limit, offset=offset), count)
