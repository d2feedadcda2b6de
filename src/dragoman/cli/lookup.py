"""Look-ups of users, tenants and permissions by what an operator types."""

from __future__ import annotations

import contextlib

from dragoman.actions import user_lists
from dragoman.cli.errors import NOT_FOUND, USAGE, CliError
from dragoman.rules.errors import NotFound
from dragoman.rules.model import Tenant, User
from dragoman.store import permissions as permission_store
from dragoman.store import tenants as tenant_store
from dragoman.store import users as user_store
from dragoman.store.transaction import Read

MAX_ID = 2**63 - 1
"""The largest id; larger numbers do not fit into a column of 64 bits."""


async def get_user(read: Read, user_ref: str, *, is_id: bool = False) -> User:
    """Return the user with this username, e-mail address or id.

    A number that is the id of one user and the username of another is rejected as ambiguous,
    because anyone may have registered that username. ``is_id`` treats it as an id.
    Raises CliError.
    """
    user_by_name = None if is_id else await user_store.find_by_login_name(read, user_ref)
    user_by_id: User | None = None
    if user_ref.isascii() and user_ref.isdigit() and int(user_ref) <= MAX_ID:
        with contextlib.suppress(NotFound):
            user_by_id = await user_lists.get(read, int(user_ref))
    if user_by_name and user_by_id and user_by_name.id != user_by_id.id:
        raise CliError(
            USAGE,
            f"{user_ref!r} is ambiguous: it is the id of one user and the username of another "
            f"(use --id for the id, or the e-mail address)",
        )
    user = user_by_name or user_by_id
    if user is None:
        raise CliError(NOT_FOUND, f"user {user_ref!r} not found")
    return user


async def get_user_id(read: Read, user_ref: str) -> int:
    """Return the id of a user by username, e-mail address, public id or id; also a deleted one's.

    Raises CliError.
    """
    try:
        return (await get_user(read, user_ref)).id
    except CliError as error:
        if error.exit_code != NOT_FOUND:
            raise
    user_id = await user_store.find_id(read, user_ref)
    if user_id is None:
        raise CliError(NOT_FOUND, f"user {user_ref!r} not found")
    return user_id


async def get_tenant(read: Read, slug: str) -> Tenant:
    """Return the tenant with this slug; raises CliError if there is none."""
    tenant = await tenant_store.find_by_slug(read, slug)
    if tenant is None:
        raise CliError(NOT_FOUND, f"tenant {slug!r} not found")
    return tenant


async def get_permission_ids(read: Read, codenames: tuple[str, ...]) -> list[int]:
    """Return the ids of these permissions; raises CliError that lists all unknown codenames."""
    ids_by_codename = {entry.codename: entry.id for entry in await permission_store.list_all(read)}
    missing = [name for name in codenames if name not in ids_by_codename]
    if missing:
        lines = [f"permission {name!r} not found" for name in missing]
        raise CliError(NOT_FOUND, *lines, "run 'dragoman permissions list' to see all permissions")
    return [ids_by_codename[name] for name in codenames]
