"""``dragoman users export-data``."""

from __future__ import annotations

import sys
from contextlib import aclosing

from dragoman.actions import personal_data
from dragoman.actions.directory import Directory
from dragoman.cli.lookup import get_user, get_user_id
from dragoman.cli.session import command_line_actor, run


def export(user_ref: str, *, is_id: bool) -> None:
    """Write everything that is held about a person to standard output, as JSON.

    Args:
        user_ref: a username, an e-mail address, an id or a public id; of deleted users, an id.
        is_id: whether ``user_ref`` is an id, even if it is also a username.
    """

    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        read = directory.read(actor)
        if is_id:
            user_id = (await get_user(read, user_ref, is_id=True)).id
        else:
            user_id = await get_user_id(read, user_ref)
        async with aclosing(personal_data.export(directory, actor, user_id)) as pieces:
            async for piece in pieces:
                sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()

    run(work)
