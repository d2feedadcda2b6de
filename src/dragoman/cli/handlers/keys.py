"""What ``dragoman keys …`` does; imported when a command runs, not to show its help."""

from __future__ import annotations

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.steps import jwt_keys
from dragoman.cli import render
from dragoman.cli.errors import ERROR, Told, tell
from dragoman.cli.session import command_line, has_key, run
from dragoman.settings import load
from dragoman.store import signing_keys
from dragoman.store.signing_keys import SigningKey

COLUMNS = ("kid", "state", "created_at", "retired_at")
CURRENT, RETIRED = "current", "retired"


class KeyOut(msgspec.Struct, frozen=True):
    """A key as the terminal shows it; its private half never is."""

    kid: str
    state: str
    created_at: str | None
    retired_at: str | None


def _shown(key: SigningKey) -> KeyOut:
    return KeyOut(
        kid=key.kid,
        state=RETIRED if key.retired_at else CURRENT,
        created_at=render.moment(key.created_at),
        retired_at=render.moment(key.retired_at),
    )


def rotate(form: str) -> None:
    """Let a new key sign and show it.

    Raises Told without the server's key: what were sealed with another one, no server could use.
    """
    if not has_key(load()):
        raise Told(ERROR, "the server's key is not here: set DRAGOMAN_SECRET_KEY")

    async def work(directory: Directory) -> None:
        actor = command_line()
        async with directory.begin(actor) as tx:
            kid = await jwt_keys.rotate(tx, directory)
        if form == "table":
            render.line(kid)
            tell(["it signs from now on; the one before is published for two hours more"])
        else:
            made = await signing_keys.every(directory.read(actor))
            render.one(next(_shown(key) for key in made if key.kid == kid), form)

    run(work)


def listing(form: str) -> None:
    """Show the keys that are published."""

    async def work(directory: Directory) -> None:
        read = directory.read(command_line())
        lines = render.Listing(form, COLUMNS)
        found = await signing_keys.verifying(read, read.now - jwt_keys.PUBLISHED)
        lines.add([_shown(key) for key in found])
        lines.end()

    run(work)
