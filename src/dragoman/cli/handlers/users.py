"""``dragoman users …``: create, list, show, change and delete users."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from dragoman.actions import password_resets, user_lists, users
from dragoman.actions.directory import Directory
from dragoman.cli import render
from dragoman.cli.batch import change_each
from dragoman.cli.errors import NOT_FOUND, CliError, echo
from dragoman.cli.lookup import get_tenant, get_user
from dragoman.cli.session import command_line_actor, run
from dragoman.cli.user_output import COLUMNS, UserFormatter, UserOut
from dragoman.rules.errors import Problem
from dragoman.rules.fields import UsernameCharset, search_words
from dragoman.rules.model import Filter, NewUser, Order, Role, Tenant, User
from dragoman.rules.passwords import PasswordRules
from dragoman.store import tenants as tenant_store

PASSWORD_RULES = PasswordRules(min_length=1)
"""The command line's minimum; DRAGOMAN_PASSWORD_POLICY may require more."""
PAGE_SIZE = 1000
"""Maximum number of users per query of a list."""
ORDER_BY_ID = (Order("id"),)


async def _show(directory: Directory, user: User, output_format: str) -> None:
    render.show_record(
        await UserFormatter(directory.read(command_line_actor())).user_out(user), output_format
    )


async def _tenant_for_new_user(directory: Directory, slug: str | None, role: Role) -> Tenant | None:
    """Return a new user's tenant: the given one, else the default one if the role requires one.

    Raises CliError if it does not exist.
    """
    read = directory.read(command_line_actor())
    if slug is not None:
        return await get_tenant(read, slug)
    if role.is_platform_role:
        return None
    slug = directory.settings.tenant
    tenant = await tenant_store.find_by_slug(read, slug)
    if tenant is None:
        raise CliError(
            NOT_FOUND,
            f"default tenant {slug!r} (DRAGOMAN_TENANT) not found "
            f"(run 'dragoman serve' or 'dragoman tenants create --slug {slug}' to create it)",
        )
    return tenant


def create(
    password: str | None,
    output_format: str,
    *,
    username: str,
    email: str,
    role: str,
    tenant_slug: str | None,
    first_name: str,
    last_name: str,
    active: bool,
) -> None:
    """Create a user and show it.

    Args:
        password: the password in plain text; None for a user without a password.
        output_format: one of ``options.OUTPUT_FORMATS``.
        username: the username.
        email: the e-mail address.
        role: the name of the role, in lower case.
        tenant_slug: the tenant; None for the default tenant, or for no tenant if the role is a
            platform role.
        first_name: the first name; may be empty.
        last_name: the last name; may be empty.
        active: whether the user can sign in.
    """

    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        tenant = await _tenant_for_new_user(directory, tenant_slug, Role[role.upper()])
        new_user = NewUser(
            username=username,
            email=email,
            role=Role[role.upper()],
            tenant_id=tenant.id if tenant else None,
            first_name=first_name,
            last_name=last_name,
            active=active,
        )
        # Checked here because the action takes an empty password for an absent one if it already
        # has other problems to report.
        problems = [Problem("password", "blank")] if password == "" else []
        user = await users.create(
            directory,
            actor,
            new_user,
            password,
            PASSWORD_RULES,
            charset=UsernameCharset.PERMISSIVE,
            problems=problems,
        )
        await _show(directory, user, output_format)

    run(work)


def list_users(
    output_format: str,
    *,
    tenant_slug: str | None,
    roles: tuple[str, ...],
    conditions: Filter,
    search: str,
    limit: int | None,
) -> None:
    """Show users, ordered by id.

    Args:
        output_format: one of ``options.OUTPUT_FORMATS``.
        tenant_slug: only users of this tenant.
        roles: only users with one of these roles; empty for all roles.
        conditions: further conditions, such as the active state.
        search: words that must all occur in a user's names or e-mail address.
        limit: maximum number of users; None for all.
    """

    async def work(directory: Directory) -> None:
        read = directory.read(command_line_actor())
        tenant = await get_tenant(read, tenant_slug) if tenant_slug is not None else None
        user_filter = msgspec.structs.replace(
            conditions,
            roles=frozenset(Role[role.upper()] for role in roles) or None,
            tenant_id=tenant.id if tenant else None,
            words=search_words(search),
        )
        formatter, writer = UserFormatter(read), render.ListWriter(output_format, COLUMNS, UserOut)
        after, remaining = None, sys.maxsize if limit is None else limit
        while remaining:
            size = min(PAGE_SIZE, remaining)
            page = await user_lists.list_page(
                directory, read, user_filter, ORDER_BY_ID, limit=size, after=after
            )
            writer.add([await formatter.user_out(user) for user in page.rows])
            remaining -= len(page.rows)
            after = page.after
            if len(page.rows) < size:
                break
        writer.close()

    run(work)


def show(user_ref: str, output_format: str, *, is_id: bool) -> None:
    """Show a user."""

    async def work(directory: Directory) -> None:
        user = await get_user(directory.read(command_line_actor()), user_ref, is_id=is_id)
        await _show(directory, user, output_format)

    run(work)


def set_active(
    user_refs: tuple[str, ...], output_format: str, *, active: bool, is_id: bool
) -> None:
    """Activate or deactivate users and show those that were changed.

    Args:
        user_refs: usernames, e-mail addresses or ids; each is a separate change.
        output_format: one of ``options.OUTPUT_FORMATS``.
        active: the new state.
        is_id: whether ``user_refs`` are ids, even if they are also usernames.
    """

    async def work(directory: Directory) -> None:
        async def change_one(user_ref: str) -> User:
            user = await get_user(directory.read(command_line_actor()), user_ref, is_id=is_id)
            async with directory.begin(command_line_actor()) as tx:
                user = await users.set_active(tx, user.id, active=active)
            echo([f"{'Activated' if active else 'Deactivated'} user {user.username}"])
            return user

        await _change_and_show(directory, user_refs, change_one, output_format)

    run(work)


async def _change_and_show(
    directory: Directory,
    user_refs: Sequence[str],
    change_one: Callable[[str], Awaitable[User]],
    output_format: str,
) -> None:
    """Change users one by one and show those that were changed; raises the error to exit with."""
    changed_users, error = await change_each(user_refs, change_one)
    if changed_users and len(user_refs) == 1:
        await _show(directory, changed_users[0], output_format)
    elif changed_users:
        await _show_list(directory, changed_users, output_format)
    if error is not None:
        raise error


async def _show_list(directory: Directory, shown: Sequence[User], output_format: str) -> None:
    formatter = UserFormatter(directory.read(command_line_actor()))
    writer = render.ListWriter(output_format, COLUMNS, UserOut)
    writer.add([await formatter.user_out(user) for user in shown])
    writer.close()


def approve(user_refs: tuple[str, ...], output_format: str, *, proven: bool, is_id: bool) -> None:
    """Approve users who signed up, and show them.

    Args:
        user_refs: usernames, e-mail addresses or ids; each is a separate change.
        output_format: one of ``options.OUTPUT_FORMATS``.
        proven: whether their e-mail addresses count as proven from now on.
        is_id: whether ``user_refs`` are ids, even if they are also usernames.
    """

    async def work(directory: Directory) -> None:
        async def change_one(user_ref: str) -> User:
            user = await get_user(directory.read(command_line_actor()), user_ref, is_id=is_id)
            return await _approve_one(directory, user, proven=proven)

        await _change_and_show(directory, user_refs, change_one, output_format)

    run(work)


def approve_all_proven(output_format: str) -> None:
    """Approve all users whose e-mail address is proven, and show them."""

    async def work(directory: Directory) -> None:
        read = directory.read(command_line_actor())
        user_filter, after = Filter(approved=False, proven=True), None
        approved: list[User] = []
        while True:
            page = await user_lists.list_page(
                directory, read, user_filter, ORDER_BY_ID, limit=PAGE_SIZE, after=after
            )
            approved += [await _approve_one(directory, user) for user in page.rows]
            after = page.after
            if len(page.rows) < PAGE_SIZE:
                break
        await _show_list(directory, approved, output_format)

    run(work)


async def _approve_one(directory: Directory, user: User, *, proven: bool = False) -> User:
    async with directory.begin(command_line_actor()) as tx:
        user = await users.approve(tx, user.id, proven=proven)
    echo([f"Approved user {user.username}"])
    return user


def delete(user_refs: tuple[str, ...], *, is_id: bool) -> None:
    """Delete users and erase their personal data; each is a separate change."""

    async def work(directory: Directory) -> None:
        async def change_one(user_ref: str) -> None:
            user = await get_user(directory.read(command_line_actor()), user_ref, is_id=is_id)
            async with directory.begin(command_line_actor()) as tx:
                await users.delete(tx, user.id, erase=True)
            echo([f"Deleted user {user.username}"])

        _, error = await change_each(user_refs, change_one)
        if error is not None:
            raise error

    run(work)


def set_password(user_ref: str, password: str, *, is_id: bool) -> None:
    """Set a user's password."""

    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        user = await get_user(directory.read(actor), user_ref, is_id=is_id)
        await users.set_password(directory, actor, user.id, password, PASSWORD_RULES)
        echo([f"Set the password of user {user.username}"])

    run(work)


def unlock(user_ref: str, *, is_id: bool) -> None:
    """Forget a user's failed sign-ins."""

    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        user = await get_user(directory.read(actor), user_ref, is_id=is_id)
        async with directory.begin(actor) as tx:
            await users.unlock(tx, user.id)
        echo([f"Unlocked user {user.username}"])

    run(work)


def send_link(user_refs: tuple[str, ...], *, is_id: bool) -> None:
    """Mail users a link with which they set their password; each is a separate change."""

    async def work(directory: Directory) -> None:
        async def send_one(user_ref: str) -> None:
            user = await get_user(directory.read(command_line_actor()), user_ref, is_id=is_id)
            async with directory.begin(command_line_actor()) as tx:
                await password_resets.send_link(tx, user.id)
            echo([f"Queued a mail for user {user.username}"])

        _, error = await change_each(user_refs, send_one)
        if error is not None:
            raise error

    run(work)


def set_role(user_ref: str, role: str, output_format: str, *, is_id: bool) -> None:
    """Change a user's role and show the user.

    Args:
        user_ref: a username, an e-mail address or an id.
        role: the name of the new role, in lower case.
        output_format: one of ``options.OUTPUT_FORMATS``.
        is_id: whether ``user_ref`` is an id, even if it is also a username.
    """

    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        user = await get_user(directory.read(actor), user_ref, is_id=is_id)
        async with directory.begin(actor) as tx:
            user = await users.assign_role(tx, user.id, Role[role.upper()])
        await _show(directory, user, output_format)

    run(work)
