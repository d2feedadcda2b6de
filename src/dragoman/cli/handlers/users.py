"""What ``dragoman users …`` does; imported when a command runs, not to show its help."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable

import msgspec

from dragoman.actions import tenants, user_lists, users
from dragoman.actions.directory import Directory
from dragoman.cli import render
from dragoman.cli.errors import NOT_FOUND, PARTIAL, USAGE, CliError, describe, echo
from dragoman.cli.session import command_line_actor, run
from dragoman.rules.errors import DirectoryError, NotFound, Problem
from dragoman.rules.fields import UsernameCharset, search_words
from dragoman.rules.model import Filter, NewUser, Order, Role, Tenant, User
from dragoman.rules.passwords import PasswordRules
from dragoman.store import tenants as tenant_store
from dragoman.store import users as user_store
from dragoman.store.transaction import Read

PASSWORD_RULES = PasswordRules(min_length=1)
PAGE_SIZE = 1000
ORDER_BY_ID = (Order("id"),)
COLUMNS = ("id", "username", "email", "role", "tenant", "active", "last_login_at")
MAX_ID = 2**63 - 1


class UserOut(msgspec.Struct, frozen=True):
    """A user as the terminal shows it; times in ISO 8601, UTC."""

    id: int
    public_id: str
    username: str
    email: str
    first_name: str
    last_name: str
    role: str
    tenant: str | None
    active: bool
    created_at: str | None
    last_login_at: str | None


class _UserFormatter:
    """Puts users into the terminal's form; every tenant's slug is looked up once."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._slugs: dict[int, str] = {}

    async def user_out(self, user: User) -> UserOut:
        return UserOut(
            id=user.id,
            public_id=user.public_id,
            username=user.username,
            email=user.email,
            first_name=user.first_name,
            last_name=user.last_name,
            role=user.role.name.lower(),
            tenant=await self._tenant_slug(user.tenant_id),
            active=user.active,
            created_at=render.timestamp(user.created_at),
            last_login_at=render.timestamp(user.last_login_at),
        )

    async def _tenant_slug(self, tenant_id: int | None) -> str | None:
        if tenant_id is None:
            return None
        if tenant_id not in self._slugs:
            self._slugs[tenant_id] = (await tenants.get(self._read, tenant_id)).tenant.slug
        return self._slugs[tenant_id]


async def _show(directory: Directory, user: User, output_format: str) -> None:
    render.show_record(
        await _UserFormatter(directory.read(command_line_actor())).user_out(user), output_format
    )


async def get_user(read: Read, user_ref: str, *, is_id: bool = False) -> User:
    """Return the user of a username, an e-mail address or an id.

    Where digits are one user's id and another one's username, neither is taken: anybody may
    have registered that username. ``is_id`` says that the id is meant. Raises Told.
    """
    user_by_name = None if is_id else await user_store.find_by_login_name(read, user_ref)
    user_by_id: User | None = None
    if user_ref.isascii() and user_ref.isdigit() and int(user_ref) <= MAX_ID:
        with contextlib.suppress(NotFound):
            user_by_id = await user_lists.get(read, int(user_ref))
    if user_by_name and user_by_id and user_by_name.id != user_by_id.id:
        raise CliError(
            USAGE,
            f"{user_ref} is the id of one user and a name of another one: "
            f"say --id, or give the e-mail address",
        )
    user = user_by_name or user_by_id
    if user is None:
        raise CliError(NOT_FOUND, f"there is no user {user_ref!r}")
    return user


async def get_tenant(read: Read, slug: str) -> Tenant:
    """Return the tenant of a slug; raises Told."""
    tenant = await tenant_store.find_by_slug(read, slug)
    if tenant is None:
        raise CliError(NOT_FOUND, f"there is no tenant {slug!r}")
    return tenant


async def _tenant_for_new_user(directory: Directory, slug: str | None, role: Role) -> Tenant | None:
    """Return where a new user stands: as told, else, if the role needs it, as the settings say."""
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
            f"there is no tenant {slug!r} (DRAGOMAN_TENANT) yet: the first 'dragoman serve' "
            f"makes it, or 'dragoman tenants create --slug {slug}'",
        )
    return tenant


def create(
    password: str,
    output_format: str,
    *,
    username: str,
    email: str,
    role: str,
    tenant: str | None,
    first_name: str,
    last_name: str,
    inactive: bool,
) -> None:
    """Add a user and show it."""

    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        found_tenant = await _tenant_for_new_user(directory, tenant, Role[role.upper()])
        new_user = NewUser(
            username=username,
            email=email,
            role=Role[role.upper()],
            tenant_id=found_tenant.id if found_tenant else None,
            first_name=first_name,
            last_name=last_name,
            active=not inactive,
        )
        # An empty password is told here: beside other faults the action takes it for absent.
        problems = [] if password else [Problem("password", "blank")]
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
    tenant: str | None,
    roles: tuple[str, ...],
    active: bool | None,
    search: str,
    limit: int | None,
) -> None:
    """Show users, page after page."""

    async def work(directory: Directory) -> None:
        read = directory.read(command_line_actor())
        found_tenant = await get_tenant(read, tenant) if tenant is not None else None
        user_filter = Filter(
            roles=frozenset(Role[role.upper()] for role in roles) or None,
            tenant_id=found_tenant.id if found_tenant else None,
            active=active,
            words=search_words(search),
        )
        formatter, writer = _UserFormatter(read), render.ListWriter(output_format, COLUMNS)
        after, remaining = None, sys.maxsize if limit is None else limit
        while remaining:
            size = min(PAGE_SIZE, remaining)
            page = await user_lists.list_page(
                read, user_filter, ORDER_BY_ID, limit=size, after=after
            )
            writer.add([await formatter.user_out(user) for user in page.rows])
            remaining -= len(page.rows)
            after = page.after
            if len(page.rows) < size:
                break
        writer.close()

    run(work)


def show(user_ref: str, output_format: str, *, is_id: bool) -> None:
    """Show one user."""

    async def work(directory: Directory) -> None:
        user = await get_user(directory.read(command_line_actor()), user_ref, is_id=is_id)
        await _show(directory, user, output_format)

    run(work)


def set_active(
    user_refs: tuple[str, ...], output_format: str, *, active: bool, is_id: bool
) -> None:
    """Switch users on or off and show them."""

    async def change(directory: Directory, user: User) -> User:
        async with directory.begin(command_line_actor()) as tx:
            return await users.set_active(tx, user.id, active=active)

    success_message = f"is switched {'on' if active else 'off'}"
    run(
        lambda directory: _change_each(
            directory, user_refs, is_id, change, success_message, output_format
        )
    )


def delete(user_refs: tuple[str, ...], *, is_id: bool) -> None:
    """Delete users."""

    async def change(directory: Directory, user: User) -> User:
        async with directory.begin(command_line_actor()) as tx:
            return await users.delete(tx, user.id, erase=True)

    run(lambda directory: _change_each(directory, user_refs, is_id, change, "is deleted"))


async def _change_each(
    directory: Directory,
    user_refs: tuple[str, ...],
    is_id: bool,
    change: Callable[[Directory, User], Awaitable[User]],
    success_message: str,
    output_format: str | None = None,
) -> None:
    """Do it to each; what fails for one of several does not keep the others from it.

    Raises what failed if nothing was done, Told(PARTLY) if something was.
    """
    changed_users: list[User] = []
    errors: list[Exception] = []
    for user_ref in user_refs:
        try:
            user = await get_user(directory.read(command_line_actor()), user_ref, is_id=is_id)
            changed_users.append(await change(directory, user))
            echo([f"{user.username} {success_message}"])
        except (DirectoryError, CliError) as error:
            errors.append(error)
            if len(user_refs) > 1:
                _, lines = describe(error) or (0, [])
                echo(f"{user_ref}: {line}" for line in lines)
    if output_format is not None and changed_users:
        formatter = _UserFormatter(directory.read(command_line_actor()))
        rows = [await formatter.user_out(user) for user in changed_users]
        if len(user_refs) == 1:
            render.show_record(rows[0], output_format)
        else:
            lines = render.ListWriter(output_format, COLUMNS)
            lines.add(rows)
            lines.close()
    if errors and len(user_refs) == 1:
        raise errors[0]
    if errors:
        exit_code, _ = describe(errors[0]) or (1, [])
        raise CliError(
            PARTIAL if changed_users else exit_code,
            f"{len(changed_users)} of {len(user_refs)} done",
        )


def set_password(user_ref: str, password: str, *, is_id: bool) -> None:
    """Set a user's password."""

    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        user = await get_user(directory.read(actor), user_ref, is_id=is_id)
        await users.set_password(directory, actor, user.id, password, PASSWORD_RULES)
        echo([f"the password of {user.username} is set"])

    run(work)


def set_role(user_ref: str, role: str, output_format: str, *, is_id: bool) -> None:
    """Give a user another role and show it."""

    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        user = await get_user(directory.read(actor), user_ref, is_id=is_id)
        async with directory.begin(actor) as tx:
            user = await users.assign_role(tx, user.id, Role[role.upper()])
        await _show(directory, user, output_format)

    run(work)
