"""``dragoman tenants …``: create, list, show, change and delete tenants."""

from __future__ import annotations

import msgspec

from dragoman.actions import tenants
from dragoman.actions.directory import Directory
from dragoman.actions.tenants import TenantWithCount
from dragoman.cli import render
from dragoman.cli.batch import change_each
from dragoman.cli.errors import CONFLICT, CliError, echo
from dragoman.cli.lookup import get_tenant
from dragoman.cli.session import command_line_actor, run
from dragoman.rules.errors import Forbidden, InUse
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
        output_format: one of ``options.OUTPUT_FORMATS``.
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
        writer = render.ListWriter(output_format, COLUMNS, TenantOut)
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


def update(slug: str, values: dict[str, str], output_format: str) -> None:
    """Change fields of a tenant and show it.

    Args:
        slug: the tenant.
        values: the new values by the name of the field in ``TenantChanges``.
        output_format: one of ``options.OUTPUT_FORMATS``.
    """

    async def work(directory: Directory) -> None:
        changed = await _update(directory, slug, msgspec.convert(values, TenantChanges))
        render.show_record(_tenant_out(changed), output_format)

    run(work)


async def _update(directory: Directory, slug: str, changes: TenantChanges) -> TenantWithCount:
    actor = command_line_actor()
    tenant = await get_tenant(directory.read(actor), slug)
    async with directory.begin(actor) as tx:
        return await tenants.update(tx, tenant.id, changes, home_slug=directory.settings.tenant)


def set_active(slugs: tuple[str, ...], output_format: str, *, active: bool) -> None:
    """Activate or deactivate tenants and show those that were changed.

    Args:
        slugs: the tenants; each is a separate change.
        output_format: one of ``options.OUTPUT_FORMATS``.
        active: the new state.
    """

    async def work(directory: Directory) -> None:
        async def change_one(slug: str) -> TenantWithCount:
            changed = await _update(directory, slug, TenantChanges(active=active))
            echo([f"{'Activated' if active else 'Deactivated'} tenant {changed.tenant.slug}"])
            return changed

        changed, error = await change_each(slugs, change_one)
        if changed and len(slugs) == 1:
            render.show_record(_tenant_out(changed[0]), output_format)
        elif changed:
            writer = render.ListWriter(output_format, COLUMNS, TenantOut)
            writer.add([_tenant_out(each) for each in changed])
            writer.close()
        if error is not None:
            raise error

    run(work)


def delete(slugs: tuple[str, ...]) -> None:
    """Delete tenants without users; each is a separate change."""

    async def work(directory: Directory) -> None:
        async def delete_one(slug: str) -> None:
            tenant = await get_tenant(directory.read(command_line_actor()), slug)
            try:
                async with directory.begin(command_line_actor()) as tx:
                    await tenants.delete(tx, tenant.id, home_slug=directory.settings.tenant)
            except InUse:
                raise CliError(
                    CONFLICT,
                    f"tenant {tenant.slug!r} has users "
                    f"(see 'dragoman users list --tenant {tenant.slug}')",
                ) from None
            except Forbidden:
                raise CliError(
                    CONFLICT, f"tenant {tenant.slug!r} is the default one (DRAGOMAN_TENANT)"
                ) from None
            echo([f"Deleted tenant {tenant.slug}"])

        _, error = await change_each(slugs, delete_one)
        if error is not None:
            raise error

    run(work)
