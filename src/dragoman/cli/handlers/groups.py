"""What ``dragoman groups …`` does; imported when a command runs, not to show its help."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from dragoman.actions import groups, tenants
from dragoman.actions.directory import Directory
from dragoman.actions.groups import Summary
from dragoman.cli import render
from dragoman.cli.errors import ERROR, NOT_FOUND, PARTLY, Told, speak, tell
from dragoman.cli.handlers.permissions import ids_of
from dragoman.cli.handlers.users import LARGEST_ID, named, tenant_named
from dragoman.cli.session import command_line, run
from dragoman.rules.errors import Failure, Invalid
from dragoman.rules.model import Group, Tenant
from dragoman.store import groups as rows
from dragoman.store.transaction import Read, Tx

COLUMNS = ("id", "name", "tenant", "members", "permissions")


class GroupOut(msgspec.Struct, frozen=True):
    """A group as the terminal shows it; a table has the permissions in one text."""

    id: int
    name: str
    tenant: str
    members: int
    permissions: tuple[str, ...] | str


def _shown(summary: Summary, slug: str, form: str) -> GroupOut:
    group, held = summary.group, summary.permissions
    told = " ".join(held) if form == "table" else held
    return GroupOut(group.id, group.name, slug, summary.members, told)


async def _show(read: Read, summary: Summary, form: str) -> None:
    slug = (await tenants.view(read, summary.group.tenant_id)).tenant.slug
    render.one(_shown(summary, slug, form), form)


async def _home(directory: Directory, slug: str | None) -> Tenant:
    return await tenant_named(directory.read(command_line()), slug or directory.settings.tenant)


async def _group(directory: Directory, name: str, slug: str | None) -> Group:
    """Return the group of an id, or of a name in a tenant; names are never digits alone."""
    read = directory.read(command_line())
    if name.isascii() and name.isdigit():
        group = await rows.find(read, int(name)) if int(name) <= LARGEST_ID else None
        if group is None:
            raise Told(NOT_FOUND, f"there is no group with the id {name}")
        return group
    home = await _home(directory, slug)
    group = await rows.find_by_name(read, home.id, name)
    if group is None:
        raise Told(NOT_FOUND, f"there is no group {name!r} in the tenant {home.slug}")
    return group


def listing(form: str, *, tenant: str | None) -> None:
    """Show the groups of a tenant, or of all."""

    async def work(directory: Directory) -> None:
        read = directory.read(command_line())
        home = await tenant_named(read, tenant) if tenant is not None else None
        found = await groups.every(read, home.id if home else None)
        slugs: dict[int, str] = {}
        for number in {summary.group.tenant_id for summary in found}:
            slugs[number] = (await tenants.view(read, number)).tenant.slug
        lines = render.Listing(form, COLUMNS)
        lines.add([_shown(each, slugs[each.group.tenant_id], form) for each in found])
        lines.end()

    run(work)


def create(name: str, codenames: tuple[str, ...], form: str, *, tenant: str | None) -> None:
    """Add a group and show it."""

    async def work(directory: Directory) -> None:
        actor = command_line()
        home = await _home(directory, tenant)
        ids = await ids_of(directory.read(actor), codenames)
        async with directory.begin(actor) as tx:
            made = await groups.create(tx, home.id, name, ids)
        render.one(_shown(made, home.slug, form), form)

    run(work)


def delete(name: str, *, tenant: str | None) -> None:
    """Delete a group."""

    async def work(directory: Directory) -> None:
        group = await _group(directory, name, tenant)
        async with directory.begin(command_line()) as tx:
            await groups.delete(tx, group.id)
        tell([f"the group {group.name} is deleted"])

    run(work)


def add(name: str, users: tuple[str, ...], *, tenant: str | None, is_id: bool) -> None:
    """Put users into a group."""
    _each(groups.add, name, users, ("is in {} now", "is in {} already"), tenant=tenant, is_id=is_id)


def remove(name: str, users: tuple[str, ...], *, tenant: str | None, is_id: bool) -> None:
    """Take users out of a group."""
    _each(
        groups.remove, name, users, ("is out of {} now", "is not in {}"), tenant=tenant, is_id=is_id
    )


def _each(
    verb: Callable[[Tx, int, int], Awaitable[bool]],
    name: str,
    users: tuple[str, ...],
    done: tuple[str, str],
    *,
    tenant: str | None,
    is_id: bool,
) -> None:
    """Do it to each; raises what failed if nothing was done, Told(PARTLY) if something was."""

    async def work(directory: Directory) -> None:
        group = await _group(directory, name, tenant)
        faults: list[Exception] = []
        for user in users:
            try:
                tell([await _admit(directory, verb, group, user, done, is_id=is_id)])
            except (Failure, Told) as fault:
                faults.append(fault)
                if len(users) > 1:
                    _, lines = speak(fault) or (ERROR, [])
                    tell(f"{user}: {line}" for line in lines)
        if faults and len(users) == 1:
            raise faults[0]
        if faults:
            code, _ = speak(faults[0]) or (ERROR, [])
            whole = len(faults) == len(users)
            said = f"{len(users) - len(faults)} of {len(users)} done"
            raise Told(code if whole else PARTLY, said)

    run(work)


async def _admit(
    directory: Directory,
    verb: Callable[[Tx, int, int], Awaitable[bool]],
    group: Group,
    name: str,
    done: tuple[str, str],
    *,
    is_id: bool,
) -> str:
    """Do it to one user; returns what to say of it."""
    user = await named(directory.read(command_line()), name, is_id=is_id)
    try:
        async with directory.begin(command_line()) as tx:
            changed = await verb(tx, group.id, user.id)
    except Invalid:
        raise Told(ERROR, f"{user.username} does not stand in the group's tenant") from None
    said = done[0] if changed else done[1]
    return f"{user.username} {said.format(group.name)}"


def permit(name: str, codenames: tuple[str, ...], form: str, *, tenant: str | None) -> None:
    """Let a group hold permissions and show it."""
    _change(groups.permit, name, codenames, form, tenant=tenant)


def forbid(name: str, codenames: tuple[str, ...], form: str, *, tenant: str | None) -> None:
    """Take permissions from a group and show it."""
    _change(groups.forbid, name, codenames, form, tenant=tenant)


def _change(
    verb: Callable[[Tx, int, Sequence[int]], Awaitable[Summary]],
    name: str,
    codenames: tuple[str, ...],
    form: str,
    *,
    tenant: str | None,
) -> None:
    async def work(directory: Directory) -> None:
        actor = command_line()
        read = directory.read(actor)
        group = await _group(directory, name, tenant)
        ids = await ids_of(read, codenames)
        async with directory.begin(actor) as tx:
            changed = await verb(tx, group.id, ids)
        await _show(read, changed, form)

    run(work)
