"""What ``dragoman permissions …`` does; imported when a command runs, not to show its help."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from dragoman.actions import permissions
from dragoman.actions.directory import Directory
from dragoman.cli import render
from dragoman.cli.errors import NOT_FOUND, CliError
from dragoman.cli.handlers.users import get_user
from dragoman.cli.session import command_line_actor, run
from dragoman.rules.model import Permission
from dragoman.store import permissions as permission_store
from dragoman.store.transaction import Read, Tx

COLUMNS = ("id", "codename", "name")


async def permission_ids(read: Read, codenames: tuple[str, ...]) -> list[int]:
    """Return the ids of permissions; raises Told with every codename that is none."""
    ids_by_codename = {entry.codename: entry.id for entry in await permission_store.list_all(read)}
    missing = [name for name in codenames if name not in ids_by_codename]
    if missing:
        lines = [f"there is no permission {name!r}" for name in missing]
        raise CliError(NOT_FOUND, *lines, "'dragoman permissions list' shows those that there are")
    return [ids_by_codename[name] for name in codenames]


def list_permissions(output_format: str) -> None:
    """Show every permission that there is."""

    async def work(directory: Directory) -> None:
        _show(await permission_store.list_all(directory.read(command_line_actor())), output_format)

    run(work)


def show(user_ref: str, output_format: str, *, is_id: bool) -> None:
    """Show what a user was granted."""

    async def work(directory: Directory) -> None:
        read = directory.read(command_line_actor())
        user = await get_user(read, user_ref, is_id=is_id)
        _show(await permissions.list_for_user(read, user.id), output_format)

    run(work)


def grant(user_ref: str, codenames: tuple[str, ...], output_format: str, *, is_id: bool) -> None:
    """Grant permissions to a user and show what it was granted in all."""
    _change(permissions.grant, user_ref, codenames, output_format, is_id=is_id)


def revoke(user_ref: str, codenames: tuple[str, ...], output_format: str, *, is_id: bool) -> None:
    """Take granted permissions back and show what is left."""
    _change(permissions.revoke, user_ref, codenames, output_format, is_id=is_id)


def _change(
    change: Callable[[Tx, int, Sequence[int]], Awaitable[list[Permission]]],
    user_ref: str,
    codenames: tuple[str, ...],
    output_format: str,
    *,
    is_id: bool,
) -> None:
    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        read = directory.read(actor)
        user = await get_user(read, user_ref, is_id=is_id)
        ids = await permission_ids(read, codenames)
        async with directory.begin(actor) as tx:
            granted = await change(tx, user.id, ids)
        _show(granted, output_format)

    run(work)


def _show(granted: list[Permission], output_format: str) -> None:
    writer = render.ListWriter(output_format, COLUMNS)
    writer.add(granted)
    writer.close()
