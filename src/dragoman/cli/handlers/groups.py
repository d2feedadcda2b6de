"""What ``dragoman groups …`` does; imported when a command runs, not to show its help."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from dragoman.actions import groups, tenants
from dragoman.actions.directory import Directory
from dragoman.actions.groups import GroupSummary
from dragoman.cli import render
from dragoman.cli.errors import ERROR, NOT_FOUND, PARTIAL, CliError, describe, echo
from dragoman.cli.handlers.permissions import permission_ids
from dragoman.cli.handlers.users import MAX_ID, get_tenant, get_user
from dragoman.cli.session import command_line_actor, run
from dragoman.rules.errors import DirectoryError, Invalid
from dragoman.rules.model import Group, Tenant
from dragoman.store import groups as group_store
from dragoman.store.transaction import Read, Tx

COLUMNS = ("id", "name", "tenant", "members", "permissions")


class GroupOut(msgspec.Struct, frozen=True):
    """A group as the terminal shows it; a table has the permissions in one text."""

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
    """Return the group of an id, or of a name in a tenant; names are never digits alone."""
    read = directory.read(command_line_actor())
    if group_ref.isascii() and group_ref.isdigit():
        group = await group_store.find(read, int(group_ref)) if int(group_ref) <= MAX_ID else None
        if group is None:
            raise CliError(NOT_FOUND, f"there is no group with the id {group_ref}")
        return group
    tenant = await _get_tenant(directory, slug)
    group = await group_store.find_by_name(read, tenant.id, group_ref)
    if group is None:
        raise CliError(NOT_FOUND, f"there is no group {group_ref!r} in the tenant {tenant.slug}")
    return group


def list_groups(output_format: str, *, tenant_slug: str | None) -> None:
    """Show the groups of a tenant, or of all."""

    async def work(directory: Directory) -> None:
        read = directory.read(command_line_actor())
        tenant = await get_tenant(read, tenant_slug) if tenant_slug is not None else None
        summaries = await groups.list_all(read, tenant.id if tenant else None)
        slugs: dict[int, str] = {}
        for tenant_id in {summary.group.tenant_id for summary in summaries}:
            slugs[tenant_id] = (await tenants.get(read, tenant_id)).tenant.slug
        writer = render.ListWriter(output_format, COLUMNS)
        writer.add(
            [_group_out(each, slugs[each.group.tenant_id], output_format) for each in summaries]
        )
        writer.close()

    run(work)


def create(
    name: str, codenames: tuple[str, ...], output_format: str, *, tenant_slug: str | None
) -> None:
    """Add a group and show it."""

    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        tenant = await _get_tenant(directory, tenant_slug)
        ids = await permission_ids(directory.read(actor), codenames)
        async with directory.begin(actor) as tx:
            created = await groups.create(tx, tenant.id, name, ids)
        render.show_record(_group_out(created, tenant.slug, output_format), output_format)

    run(work)


def delete(group_ref: str, *, tenant_slug: str | None) -> None:
    """Delete a group."""

    async def work(directory: Directory) -> None:
        group = await _get_group(directory, group_ref, tenant_slug)
        async with directory.begin(command_line_actor()) as tx:
            await groups.delete(tx, group.id)
        echo([f"the group {group.name} is deleted"])

    run(work)


def add(
    group_ref: str, user_refs: tuple[str, ...], *, tenant_slug: str | None, is_id: bool
) -> None:
    """Put users into a group."""
    _change_each_member(
        groups.add_member,
        group_ref,
        user_refs,
        ("is in {} now", "is in {} already"),
        tenant_slug=tenant_slug,
        is_id=is_id,
    )


def remove(
    group_ref: str, user_refs: tuple[str, ...], *, tenant_slug: str | None, is_id: bool
) -> None:
    """Take users out of a group."""
    _change_each_member(
        groups.remove_member,
        group_ref,
        user_refs,
        ("is out of {} now", "is not in {}"),
        tenant_slug=tenant_slug,
        is_id=is_id,
    )


def _change_each_member(
    change: Callable[[Tx, int, int], Awaitable[bool]],
    group_ref: str,
    user_refs: tuple[str, ...],
    messages: tuple[str, str],
    *,
    tenant_slug: str | None,
    is_id: bool,
) -> None:
    """Do it to each; raises what failed if nothing was done, Told(PARTLY) if something was."""

    async def work(directory: Directory) -> None:
        group = await _get_group(directory, group_ref, tenant_slug)
        errors: list[Exception] = []
        for user_ref in user_refs:
            try:
                echo(
                    [
                        await _change_member(
                            directory, change, group, user_ref, messages, is_id=is_id
                        )
                    ]
                )
            except (DirectoryError, CliError) as error:
                errors.append(error)
                if len(user_refs) > 1:
                    _, lines = describe(error) or (ERROR, [])
                    echo(f"{user_ref}: {line}" for line in lines)
        if errors and len(user_refs) == 1:
            raise errors[0]
        if errors:
            exit_code, _ = describe(errors[0]) or (ERROR, [])
            all_failed = len(errors) == len(user_refs)
            summary = f"{len(user_refs) - len(errors)} of {len(user_refs)} done"
            raise CliError(exit_code if all_failed else PARTIAL, summary)

    run(work)


async def _change_member(
    directory: Directory,
    change: Callable[[Tx, int, int], Awaitable[bool]],
    group: Group,
    user_ref: str,
    messages: tuple[str, str],
    *,
    is_id: bool,
) -> str:
    """Do it to one user; returns what to say of it."""
    user = await get_user(directory.read(command_line_actor()), user_ref, is_id=is_id)
    try:
        async with directory.begin(command_line_actor()) as tx:
            changed = await change(tx, group.id, user.id)
    except Invalid:
        raise CliError(ERROR, f"{user.username} does not stand in the group's tenant") from None
    message = messages[0] if changed else messages[1]
    return f"{user.username} {message.format(group.name)}"


def permit(
    group_ref: str, codenames: tuple[str, ...], output_format: str, *, tenant_slug: str | None
) -> None:
    """Let a group hold permissions and show it."""
    _change(groups.add_permissions, group_ref, codenames, output_format, tenant_slug=tenant_slug)


def forbid(
    group_ref: str, codenames: tuple[str, ...], output_format: str, *, tenant_slug: str | None
) -> None:
    """Take permissions from a group and show it."""
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
        ids = await permission_ids(read, codenames)
        async with directory.begin(actor) as tx:
            summary = await change(tx, group.id, ids)
        await _show(read, summary, output_format)

    run(work)
