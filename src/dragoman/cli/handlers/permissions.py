"""``dragoman permissions …``: list the catalogue; show, grant and revoke permissions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from dragoman.actions import permissions
from dragoman.actions.directory import Directory
from dragoman.cli import render
from dragoman.cli.lookup import get_permission_ids, get_user
from dragoman.cli.session import command_line_actor, run
from dragoman.rules.model import Permission
from dragoman.store import permissions as permission_store
from dragoman.store.transaction import Tx

COLUMNS = ("id", "codename", "name")


def list_permissions(output_format: str) -> None:
    """Show all permissions of the catalogue."""

    async def work(directory: Directory) -> None:
        _show(await permission_store.list_all(directory.read(command_line_actor())), output_format)

    run(work)


def show(user_ref: str, output_format: str, *, is_id: bool) -> None:
    """Show the permissions granted directly to a user."""

    async def work(directory: Directory) -> None:
        read = directory.read(command_line_actor())
        user = await get_user(read, user_ref, is_id=is_id)
        _show(await permissions.list_for_user(read, user.id), output_format)

    run(work)


def grant(user_ref: str, codenames: tuple[str, ...], output_format: str, *, is_id: bool) -> None:
    """Grant permissions to a user and show all that are granted directly.

    Args:
        user_ref: a username, an e-mail address or an id.
        codenames: the permissions to grant; either all are granted or none.
        output_format: one of ``options.OUTPUT_FORMATS``.
        is_id: whether ``user_ref`` is an id, even if it is also a username.
    """
    _change(permissions.grant, user_ref, codenames, output_format, is_id=is_id)


def revoke(user_ref: str, codenames: tuple[str, ...], output_format: str, *, is_id: bool) -> None:
    """Revoke permissions granted directly to a user and show the remaining ones.

    Args:
        user_ref: a username, an e-mail address or an id.
        codenames: the permissions to revoke; either all are revoked or none.
        output_format: one of ``options.OUTPUT_FORMATS``.
        is_id: whether ``user_ref`` is an id, even if it is also a username.
    """
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
        permission_ids = await get_permission_ids(read, codenames)
        async with directory.begin(actor) as tx:
            granted = await change(tx, user.id, permission_ids)
        _show(granted, output_format)

    run(work)


def _show(granted: list[Permission], output_format: str) -> None:
    writer = render.ListWriter(output_format, COLUMNS, Permission)
    writer.add(granted)
    writer.close()
