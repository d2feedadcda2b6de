"""What ``dragoman users …`` does; imported when a command runs, not to show its help."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable

import msgspec

from dragoman.actions import tenants, user_lists, users
from dragoman.actions.directory import Directory
from dragoman.cli import render
from dragoman.cli.errors import NOT_FOUND, PARTLY, USAGE, Told, speak, tell
from dragoman.cli.session import command_line, run
from dragoman.rules.errors import Failure, NotFound, Problem
from dragoman.rules.fields import Alphabet, words_of
from dragoman.rules.model import Filter, NewUser, Order, Role, Tenant, User
from dragoman.rules.passwords import Floor
from dragoman.store import tenants as places
from dragoman.store import users as people
from dragoman.store.transaction import Read

FLOOR = Floor(minimum=1)
PAGE = 1000
BY_ID = (Order("id"),)
COLUMNS = ("id", "username", "email", "role", "tenant", "active", "last_login_at")
LARGEST_ID = 2**63 - 1


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


class _Shown:
    """Puts users into the terminal's form; every tenant's slug is looked up once."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._slugs: dict[int, str] = {}

    async def of(self, user: User) -> UserOut:
        return UserOut(
            id=user.id,
            public_id=user.public_id,
            username=user.username,
            email=user.email,
            first_name=user.first_name,
            last_name=user.last_name,
            role=user.role.name.lower(),
            tenant=await self._slug(user.tenant_id),
            active=user.active,
            created_at=render.moment(user.created_at),
            last_login_at=render.moment(user.last_login_at),
        )

    async def _slug(self, tenant_id: int | None) -> str | None:
        if tenant_id is None:
            return None
        if tenant_id not in self._slugs:
            self._slugs[tenant_id] = (await tenants.view(self._read, tenant_id)).tenant.slug
        return self._slugs[tenant_id]


async def _show(directory: Directory, user: User, form: str) -> None:
    render.one(await _Shown(directory.read(command_line())).of(user), form)


async def named(read: Read, name: str, *, is_id: bool = False) -> User:
    """Return the user of a username, an e-mail address or an id.

    Where digits are one user's id and another one's username, neither is taken: anybody may
    have registered that username. ``is_id`` says that the id is meant. Raises Told.
    """
    holder = None if is_id else await people.find_by_name(read, name)
    numbered: User | None = None
    if name.isascii() and name.isdigit() and int(name) <= LARGEST_ID:
        with contextlib.suppress(NotFound):
            numbered = await user_lists.view(read, int(name))
    if holder and numbered and holder.id != numbered.id:
        raise Told(
            USAGE,
            f"{name} is the id of one user and a name of another one: "
            f"say --id, or give the e-mail address",
        )
    user = holder or numbered
    if user is None:
        raise Told(NOT_FOUND, f"there is no user {name!r}")
    return user


async def tenant_named(read: Read, slug: str) -> Tenant:
    """Return the tenant of a slug; raises Told."""
    tenant = await places.find_by_slug(read, slug)
    if tenant is None:
        raise Told(NOT_FOUND, f"there is no tenant {slug!r}")
    return tenant


async def _home(directory: Directory, slug: str | None, role: Role) -> Tenant | None:
    """Return where a new user stands: as told, else, if the role needs it, as the settings say."""
    read = directory.read(command_line())
    if slug is not None:
        return await tenant_named(read, slug)
    if role.of_platform:
        return None
    slug = directory.settings.tenant
    home = await places.find_by_slug(read, slug)
    if home is None:
        raise Told(
            NOT_FOUND,
            f"there is no tenant {slug!r} (DRAGOMAN_TENANT) yet: the first 'dragoman serve' "
            f"makes it, or 'dragoman tenants create --slug {slug}'",
        )
    return home


def create(
    password: str,
    form: str,
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
        actor = command_line()
        home = await _home(directory, tenant, Role[role.upper()])
        new = NewUser(
            username=username,
            email=email,
            role=Role[role.upper()],
            tenant_id=home.id if home else None,
            first_name=first_name,
            last_name=last_name,
            active=not inactive,
        )
        # An empty password is told here: beside other faults the action takes it for absent.
        faults = [] if password else [Problem("password", "blank")]
        user = await users.create(
            directory, actor, new, password, FLOOR, alphabet=Alphabet.FREE, problems=faults
        )
        await _show(directory, user, form)

    run(work)


def listing(
    form: str,
    *,
    tenant: str | None,
    roles: tuple[str, ...],
    active: bool | None,
    search: str,
    limit: int | None,
) -> None:
    """Show users, page after page."""

    async def work(directory: Directory) -> None:
        read = directory.read(command_line())
        home = await tenant_named(read, tenant) if tenant is not None else None
        wanted = Filter(
            roles=frozenset(Role[role.upper()] for role in roles) or None,
            tenant_id=home.id if home else None,
            active=active,
            words=words_of(search),
        )
        shown, lines = _Shown(read), render.Listing(form, COLUMNS)
        after, left = None, sys.maxsize if limit is None else limit
        while left:
            size = min(PAGE, left)
            page = await user_lists.page(read, wanted, BY_ID, limit=size, after=after)
            lines.add([await shown.of(user) for user in page.rows])
            left -= len(page.rows)
            after = page.after
            if len(page.rows) < size:
                break
        lines.end()

    run(work)


def show(name: str, form: str, *, is_id: bool) -> None:
    """Show one user."""

    async def work(directory: Directory) -> None:
        user = await named(directory.read(command_line()), name, is_id=is_id)
        await _show(directory, user, form)

    run(work)


def set_active(names: tuple[str, ...], form: str, *, active: bool, is_id: bool) -> None:
    """Switch users on or off and show them."""

    async def act(directory: Directory, user: User) -> User:
        async with directory.begin(command_line()) as tx:
            return await users.set_active(tx, user.id, active=active)

    done = f"is switched {'on' if active else 'off'}"
    run(lambda directory: _each(directory, names, is_id, act, done, form))


def delete(names: tuple[str, ...], *, is_id: bool) -> None:
    """Delete users."""

    async def act(directory: Directory, user: User) -> User:
        async with directory.begin(command_line()) as tx:
            return await users.delete(tx, user.id, erase=True)

    run(lambda directory: _each(directory, names, is_id, act, "is deleted"))


async def _each(
    directory: Directory,
    names: tuple[str, ...],
    is_id: bool,
    act: Callable[[Directory, User], Awaitable[User]],
    done: str,
    form: str | None = None,
) -> None:
    """Do it to each; what fails for one of several does not keep the others from it.

    Raises what failed if nothing was done, Told(PARTLY) if something was.
    """
    changed: list[User] = []
    faults: list[Exception] = []
    for name in names:
        try:
            user = await named(directory.read(command_line()), name, is_id=is_id)
            changed.append(await act(directory, user))
            tell([f"{user.username} {done}"])
        except (Failure, Told) as fault:
            faults.append(fault)
            if len(names) > 1:
                _, lines = speak(fault) or (0, [])
                tell(f"{name}: {line}" for line in lines)
    if form is not None and changed:
        shown = _Shown(directory.read(command_line()))
        rows = [await shown.of(user) for user in changed]
        if len(names) == 1:
            render.one(rows[0], form)
        else:
            lines = render.Listing(form, COLUMNS)
            lines.add(rows)
            lines.end()
    if faults and len(names) == 1:
        raise faults[0]
    if faults:
        code, _ = speak(faults[0]) or (1, [])
        raise Told(PARTLY if changed else code, f"{len(changed)} of {len(names)} done")


def set_password(name: str, password: str, *, is_id: bool) -> None:
    """Set a user's password."""

    async def work(directory: Directory) -> None:
        actor = command_line()
        user = await named(directory.read(actor), name, is_id=is_id)
        await users.set_password(directory, actor, user.id, password, FLOOR)
        tell([f"the password of {user.username} is set"])

    run(work)


def set_role(name: str, role: str, form: str, *, is_id: bool) -> None:
    """Give a user another role and show it."""

    async def work(directory: Directory) -> None:
        actor = command_line()
        user = await named(directory.read(actor), name, is_id=is_id)
        async with directory.begin(actor) as tx:
            user = await users.assign_role(tx, user.id, Role[role.upper()])
        await _show(directory, user, form)

    run(work)
