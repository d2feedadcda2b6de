"""``dragoman groups …``: list, show, create and delete groups; their members and permissions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from dragoman.actions import groups, tenants
from dragoman.actions.directory import Directory
from dragoman.actions.groups import GroupSummary
from dragoman.cli import render
from dragoman.cli.batch import change_each
from dragoman.cli.errors import ERROR, NOT_FOUND, CliError, echo
from dragoman.cli.lookup import MAX_ID, get_permission_ids, get_tenant, get_user
from dragoman.cli.session import command_line_actor, run
from dragoman.cli.user_output import COLUMNS as USER_COLUMNS
from dragoman.cli.user_output import UserFormatter, UserOut
from dragoman.rules.errors import Invalid
from dragoman.rules.model import Group, Tenant, User
from dragoman.store import groups as group_store
from dragoman.store.transaction import Read, Tx

PAGE_SIZE = 1000
"""Maximum number of members per query of a list."""
COLUMNS = ("id", "name", "tenant", "members", "permissions")


class GroupOut(msgspec.Struct, frozen=True):
    """A group as shown in output; in a table, the permissions are one string."""

    id: int
    name: str
    tenant: str
    members: int
    permissions: tuple[str, ...] | str


def _group_out(summary: GroupSummary, slug: str, output_format: str) -> GroupOut:
    group, codenames = summary.group, summary.permissions
    permissions = " ".join(codenames) if output_format == "table" else codenames
    return GroupOut(group.id, group.name, slug, summary.member_count, permissions)


async def _show(read: Read, summary: GroupSummary, output_format: str) -> None:
    slug = (await tenants.get(read, summary.group.tenant_id)).tenant.slug
    render.show_record(_group_out(summary, slug, output_format), output_format)


async def _get_tenant(directory: Directory, slug: str | None) -> Tenant:
    return await get_tenant(directory.read(command_line_actor()), slug or directory.settings.tenant)


async def _get_group(directory: Directory, group_ref: str, slug: str | None) -> Group:
    """Return the group with this id, or with this name in a tenant.

    The two are never ambiguous: a group's name must not consist of digits only.
    Raises CliError.
    """
    read = directory.read(command_line_actor())
    if group_ref.isascii() and group_ref.isdigit():
        group = await group_store.find(read, int(group_ref)) if int(group_ref) <= MAX_ID else None
        if group is None:
            raise CliError(NOT_FOUND, f"group {group_ref} not found")
        return group
    tenant = await _get_tenant(directory, slug)
    group = await group_store.find_by_name(read, tenant.id, group_ref)
    if group is None:
        raise CliError(NOT_FOUND, f"group {group_ref!r} not found in tenant {tenant.slug!r}")
    return group


def list_groups(output_format: str, *, tenant_slug: str | None) -> None:
    """Show the groups of one tenant, or of all tenants."""

    async def work(directory: Directory) -> None:
        read = directory.read(command_line_actor())
        tenant = await get_tenant(read, tenant_slug) if tenant_slug is not None else None
        summaries = await groups.list_all(read, tenant.id if tenant else None)
        slugs: dict[int, str] = {}
        for tenant_id in {summary.group.tenant_id for summary in summaries}:
            slugs[tenant_id] = (await tenants.get(read, tenant_id)).tenant.slug
        writer = render.ListWriter(output_format, COLUMNS, GroupOut)
        writer.add(
            [_group_out(each, slugs[each.group.tenant_id], output_format) for each in summaries]
        )
        writer.close()

    run(work)


def show(group_ref: str, output_format: str, *, tenant_slug: str | None) -> None:
    """Show a group; ``tenant_slug`` is its tenant if it is named, None for the default tenant."""

    async def work(directory: Directory) -> None:
        group = await _get_group(directory, group_ref, tenant_slug)
        read = directory.read(command_line_actor())
        await _show(read, await groups.get(read, group.id), output_format)

    run(work)


def members(group_ref: str, output_format: str, *, tenant_slug: str | None) -> None:
    """Show the members of a group, ordered by username; ``tenant_slug`` is as in ``show``."""

    async def work(directory: Directory) -> None:
        group = await _get_group(directory, group_ref, tenant_slug)
        read = directory.read(command_line_actor())
        formatter = UserFormatter(read)
        writer = render.ListWriter(output_format, USER_COLUMNS, UserOut)
        offset = 0
        while True:
            page = await groups.list_members(read, group.id, limit=PAGE_SIZE, offset=offset)
            writer.add([await formatter.user_out(user) for user in page])
            offset += len(page)
            if len(page) < PAGE_SIZE:
                break
        writer.close()

    run(work)


def create(
    name: str, codenames: tuple[str, ...], output_format: str, *, tenant_slug: str | None
) -> None:
    """Create a group and show it.

    Args:
        name: the name; unique within the tenant.
        codenames: the permissions of the group.
        output_format: one of ``options.OUTPUT_FORMATS``.
        tenant_slug: the group's tenant; None for the default tenant.
    """

    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        tenant = await _get_tenant(directory, tenant_slug)
        permission_ids = await get_permission_ids(directory.read(actor), codenames)
        async with directory.begin(actor) as tx:
            created = await groups.create(tx, tenant.id, name, permission_ids)
        render.show_record(_group_out(created, tenant.slug, output_format), output_format)

    run(work)


def delete(group_ref: str, *, tenant_slug: str | None) -> None:
    """Delete a group."""

    async def work(directory: Directory) -> None:
        group = await _get_group(directory, group_ref, tenant_slug)
        async with directory.begin(command_line_actor()) as tx:
            await groups.delete(tx, group.id)
        echo([f"Deleted group {group.name}"])

    run(work)


def add(
    group_ref: str, user_refs: tuple[str, ...], *, tenant_slug: str | None, is_id: bool
) -> None:
    """Add users to a group.

    Args:
        group_ref: an id, or a name within the tenant.
        user_refs: usernames, e-mail addresses or ids; each is a separate change.
        tenant_slug: the group's tenant; None for the default tenant.
        is_id: whether ``user_refs`` are ids, even if they are also usernames.
    """

    async def add_member(directory: Directory, group: Group, user: User) -> str:
        async with directory.begin(command_line_actor()) as tx:
            added = await groups.add_member(tx, group.id, user.id)
        if not added:
            return f"{user.username} is already in group {group.name}"
        return f"Added {user.username} to group {group.name}"

    _change_members(add_member, group_ref, user_refs, tenant_slug=tenant_slug, is_id=is_id)


def remove(
    group_ref: str, user_refs: tuple[str, ...], *, tenant_slug: str | None, is_id: bool
) -> None:
    """Remove users from a group.

    Args:
        group_ref: an id, or a name within the tenant.
        user_refs: usernames, e-mail addresses or ids; each is a separate change.
        tenant_slug: the group's tenant; None for the default tenant.
        is_id: whether ``user_refs`` are ids, even if they are also usernames.
    """

    async def remove_member(directory: Directory, group: Group, user: User) -> str:
        async with directory.begin(command_line_actor()) as tx:
            removed = await groups.remove_member(tx, group.id, user.id)
        if not removed:
            return f"{user.username} is not in group {group.name}"
        return f"Removed {user.username} from group {group.name}"

    _change_members(remove_member, group_ref, user_refs, tenant_slug=tenant_slug, is_id=is_id)


def _change_members(
    change: Callable[[Directory, Group, User], Awaitable[str]],
    group_ref: str,
    user_refs: tuple[str, ...],
    *,
    tenant_slug: str | None,
    is_id: bool,
) -> None:
    """Run a change for each user; ``change`` returns the message to show."""

    async def work(directory: Directory) -> None:
        group = await _get_group(directory, group_ref, tenant_slug)

        async def change_one(user_ref: str) -> None:
            user = await get_user(directory.read(command_line_actor()), user_ref, is_id=is_id)
            try:
                message = await change(directory, group, user)
            except Invalid:
                raise CliError(
                    ERROR, f"{user.username} does not belong to the group's tenant"
                ) from None
            echo([message])

        _, error = await change_each(user_refs, change_one)
        if error is not None:
            raise error

    run(work)


def permit(
    group_ref: str, codenames: tuple[str, ...], output_format: str, *, tenant_slug: str | None
) -> None:
    """Add permissions to a group and show it.

    Args:
        group_ref: an id, or a name within the tenant.
        codenames: the permissions to add; either all are added or none.
        output_format: one of ``options.OUTPUT_FORMATS``.
        tenant_slug: the group's tenant; None for the default tenant.
    """
    _change(groups.add_permissions, group_ref, codenames, output_format, tenant_slug=tenant_slug)


def forbid(
    group_ref: str, codenames: tuple[str, ...], output_format: str, *, tenant_slug: str | None
) -> None:
    """Remove permissions from a group and show it.

    Args:
        group_ref: an id, or a name within the tenant.
        codenames: the permissions to remove; either all are removed or none.
        output_format: one of ``options.OUTPUT_FORMATS``.
        tenant_slug: the group's tenant; None for the default tenant.
    """
    _change(groups.remove_permissions, group_ref, codenames, output_format, tenant_slug=tenant_slug)


def _change(
    change: Callable[[Tx, int, Sequence[int]], Awaitable[GroupSummary]],
    group_ref: str,
    codenames: tuple[str, ...],
    output_format: str,
    *,
    tenant_slug: str | None,
) -> None:
    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        read = directory.read(actor)
        group = await _get_group(directory, group_ref, tenant_slug)
        permission_ids = await get_permission_ids(read, codenames)
        async with directory.begin(actor) as tx:
            summary = await change(tx, group.id, permission_ids)
        await _show(read, summary, output_format)

    run(work)
