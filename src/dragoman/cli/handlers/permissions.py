"""What ``dragoman permissions …`` does; imported when a command runs, not to show its help."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from dragoman.actions import permissions
from dragoman.actions.directory import Directory
from dragoman.cli import render
from dragoman.cli.errors import NOT_FOUND, Told
from dragoman.cli.handlers.users import named
from dragoman.cli.session import command_line, run
from dragoman.rules.model import Permission
from dragoman.store import permissions as entries
from dragoman.store.transaction import Read, Tx

COLUMNS = ("id", "codename", "name")


async def ids_of(read: Read, codenames: tuple[str, ...]) -> list[int]:
    """Return the ids of permissions; raises Told with every codename that is none."""
    known = {entry.codename: entry.id for entry in await entries.every(read)}
    missing = [name for name in codenames if name not in known]
    if missing:
        lines = [f"there is no permission {name!r}" for name in missing]
        raise Told(NOT_FOUND, *lines, "'dragoman permissions list' shows those that there are")
    return [known[name] for name in codenames]


def catalogue(form: str) -> None:
    """Show every permission that there is."""

    async def work(directory: Directory) -> None:
        _show(await entries.every(directory.read(command_line())), form)

    run(work)


def show(name: str, form: str, *, is_id: bool) -> None:
    """Show what a user was granted."""

    async def work(directory: Directory) -> None:
        read = directory.read(command_line())
        user = await named(read, name, is_id=is_id)
        _show(await permissions.view(read, user.id), form)

    run(work)


def grant(name: str, codenames: tuple[str, ...], form: str, *, is_id: bool) -> None:
    """Grant permissions to a user and show what it was granted in all."""
    _change(permissions.grant, name, codenames, form, is_id=is_id)


def revoke(name: str, codenames: tuple[str, ...], form: str, *, is_id: bool) -> None:
    """Take granted permissions back and show what is left."""
    _change(permissions.revoke, name, codenames, form, is_id=is_id)


def _change(
    verb: Callable[[Tx, int, Sequence[int]], Awaitable[list[Permission]]],
    name: str,
    codenames: tuple[str, ...],
    form: str,
    *,
    is_id: bool,
) -> None:
    async def work(directory: Directory) -> None:
        actor = command_line()
        read = directory.read(actor)
        user = await named(read, name, is_id=is_id)
        ids = await ids_of(read, codenames)
        async with directory.begin(actor) as tx:
            left = await verb(tx, user.id, ids)
        _show(left, form)

    run(work)


def _show(found: list[Permission], form: str) -> None:
    lines = render.Listing(form, COLUMNS)
    lines.add(found)
    lines.end()
