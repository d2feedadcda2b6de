"""What ``dragoman tenants …`` does; imported when a command runs, not to show its help."""

from __future__ import annotations

import msgspec

from dragoman.actions import tenants
from dragoman.actions.directory import Directory
from dragoman.actions.tenants import Counted
from dragoman.cli import render
from dragoman.cli.handlers.users import tenant_named
from dragoman.cli.session import command_line, run
from dragoman.rules.model import TenantChanges

PAGE = 1000
COLUMNS = ("id", "slug", "name", "active", "users")


class TenantOut(msgspec.Struct, frozen=True):
    """A tenant as the terminal shows it; ``users`` counts those that are not deleted."""

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


def _shown(counted: Counted) -> TenantOut:
    tenant = counted.tenant
    return TenantOut(
        id=tenant.id,
        uuid=tenant.public_id,
        slug=tenant.slug,
        name=tenant.name,
        email=tenant.email,
        url=tenant.url,
        description=tenant.description,
        active=tenant.active,
        users=counted.users,
        created_at=render.moment(tenant.created_at),
    )


def create(form: str, *, slug: str, name: str, email: str, url: str, description: str) -> None:
    """Add a tenant and show it."""

    async def work(directory: Directory) -> None:
        new = TenantChanges(name=name, slug=slug, email=email, url=url, description=description)
        async with directory.begin(command_line()) as tx:
            made = await tenants.create(tx, new)
        render.one(_shown(made), form)

    run(work)


def listing(form: str) -> None:
    """Show all tenants, page after page."""

    async def work(directory: Directory) -> None:
        read, lines, seen = directory.read(command_line()), render.Listing(form, COLUMNS), 0
        while True:
            page = await tenants.page(read, order=("id", False), limit=PAGE, offset=seen)
            lines.add([_shown(counted) for counted in page.rows])
            seen += len(page.rows)
            if len(page.rows) < PAGE:
                break
        lines.end()

    run(work)


def show(slug: str, form: str) -> None:
    """Show one tenant."""

    async def work(directory: Directory) -> None:
        read = directory.read(command_line())
        tenant = await tenant_named(read, slug)
        render.one(_shown(await tenants.view(read, tenant.id)), form)

    run(work)
