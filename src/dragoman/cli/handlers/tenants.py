"""``dragoman tenants …``: create, list and show tenants."""

from __future__ import annotations

import msgspec

from dragoman.actions import tenants
from dragoman.actions.directory import Directory
from dragoman.actions.tenants import TenantWithCount
from dragoman.cli import render
from dragoman.cli.lookup import get_tenant
from dragoman.cli.session import command_line_actor, run
from dragoman.rules.model import TenantChanges

PAGE_SIZE = 1000
"""Maximum number of tenants per query of a list."""
COLUMNS = ("id", "slug", "name", "active", "users")


class TenantOut(msgspec.Struct, frozen=True):
    """A tenant as shown in output; ``users`` is the number of its users, without deleted ones."""

    id: int
    uuid: str
    slug: str
    name: str
    email: str
    url: str
    description: str
    active: bool
    users: int
    created_at: str | None


def _tenant_out(tenant_with_count: TenantWithCount) -> TenantOut:
    tenant = tenant_with_count.tenant
    return TenantOut(
        id=tenant.id,
        uuid=tenant.public_id,
        slug=tenant.slug,
        name=tenant.name,
        email=tenant.email,
        url=tenant.url,
        description=tenant.description,
        active=tenant.active,
        users=tenant_with_count.user_count,
        created_at=render.timestamp(tenant.created_at),
    )


def create(
    output_format: str, *, slug: str, name: str, email: str, url: str, description: str
) -> None:
    """Create a tenant and show it.

    Args:
        output_format: ``table``, ``json`` or ``ndjson``.
        slug: the short name; unique.
        name: the full name.
        email: the contact address; may be empty.
        url: the web site; may be empty.
        description: a text; may be empty.
    """

    async def work(directory: Directory) -> None:
        new_tenant = TenantChanges(
            name=name, slug=slug, email=email, url=url, description=description
        )
        async with directory.begin(command_line_actor()) as tx:
            created = await tenants.create(tx, new_tenant)
        render.show_record(_tenant_out(created), output_format)

    run(work)


def list_tenants(output_format: str) -> None:
    """Show all tenants, ordered by id."""

    async def work(directory: Directory) -> None:
        read = directory.read(command_line_actor())
        writer = render.ListWriter(output_format, COLUMNS)
        offset = 0
        while True:
            page = await tenants.list_page(
                read, order=("id", False), limit=PAGE_SIZE, offset=offset
            )
            writer.add([_tenant_out(row) for row in page.rows])
            offset += len(page.rows)
            if len(page.rows) < PAGE_SIZE:
                break
        writer.close()

    run(work)


def show(slug: str, output_format: str) -> None:
    """Show a tenant."""

    async def work(directory: Directory) -> None:
        read = directory.read(command_line_actor())
        tenant = await get_tenant(read, slug)
        render.show_record(_tenant_out(await tenants.get(read, tenant.id)), output_format)

    run(work)
