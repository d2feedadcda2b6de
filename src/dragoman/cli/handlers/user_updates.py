"""``dragoman users update`` and ``set-tenant``: change a user's fields and tenant."""

from __future__ import annotations

import msgspec

from dragoman.actions import tenant_membership, users
from dragoman.actions.directory import Directory
from dragoman.cli import render
from dragoman.cli.errors import echo
from dragoman.cli.lookup import get_tenant, get_user
from dragoman.cli.session import command_line_actor, run
from dragoman.cli.user_output import UserFormatter
from dragoman.rules.fields import UsernameCharset
from dragoman.rules.model import User, UserChanges


def update(user_ref: str, values: dict[str, str], output_format: str, *, is_id: bool) -> None:
    """Change fields of a user and show the user.

    Args:
        user_ref: a username, an e-mail address or an id.
        values: the new values by the name of the field in ``UserChanges``.
        output_format: one of ``options.OUTPUT_FORMATS``.
        is_id: whether ``user_ref`` is an id, even if it is also a username.
    """

    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        user = await get_user(directory.read(actor), user_ref, is_id=is_id)
        async with directory.begin(actor) as tx:
            user = await users.update(
                tx,
                user.id,
                msgspec.convert(values, UserChanges),
                charset=UsernameCharset.PERMISSIVE,
            )
        await _show(directory, user, output_format)

    run(work)


def set_tenant(user_ref: str, slug: str | None, output_format: str, *, is_id: bool) -> None:
    """Move a user to another tenant and show the user.

    Args:
        user_ref: a username, an e-mail address or an id.
        slug: the new tenant; None for no tenant.
        output_format: one of ``options.OUTPUT_FORMATS``.
        is_id: whether ``user_ref`` is an id, even if it is also a username.
    """

    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        read = directory.read(actor)
        user = await get_user(read, user_ref, is_id=is_id)
        tenant = None if slug is None else await get_tenant(read, slug)
        tenant_id = tenant.id if tenant else None
        if user.tenant_id == tenant_id:
            echo([f"User {user.username} is there already; nothing was changed"])
        async with directory.begin(actor) as tx:
            user = await tenant_membership.move(tx, user.id, tenant_id)
        await _show(directory, user, output_format)

    run(work)


async def _show(directory: Directory, user: User, output_format: str) -> None:
    formatter = UserFormatter(directory.read(command_line_actor()))
    render.show_record(await formatter.user_out(user), output_format)
