"""``dragoman keys …``: rotate and list the keys that sign JWTs."""

from __future__ import annotations

import msgspec

from dragoman import app
from dragoman.actions.directory import Directory
from dragoman.actions.steps import jwt_keys
from dragoman.cli import render
from dragoman.cli.errors import ERROR, CliError, echo
from dragoman.cli.session import command_line_actor, has_key, run
from dragoman.store import signing_keys
from dragoman.store.signing_keys import SigningKey

COLUMNS = ("kid", "state", "created_at", "retired_at")
CURRENT, RETIRED = "current", "retired"


class KeyOut(msgspec.Struct, frozen=True):
    """A key as shown in output, without its private part."""

    kid: str
    state: str
    created_at: str | None
    retired_at: str | None


def _key_out(key: SigningKey) -> KeyOut:
    return KeyOut(
        kid=key.kid,
        state=RETIRED if key.retired_at else CURRENT,
        created_at=render.timestamp(key.created_at),
        retired_at=render.timestamp(key.retired_at),
    )


def rotate(output_format: str) -> None:
    """Create a new signing key and show it.

    Raises CliError if the server key is not available: a signing key that is encrypted with
    another key would be unusable for the server.
    """
    if not has_key(app.load_settings()):
        raise CliError(ERROR, "server key not found: set DRAGOMAN_SECRET_KEY")

    async def work(directory: Directory) -> None:
        actor = command_line_actor()
        async with directory.begin(actor) as tx:
            kid = await jwt_keys.rotate(tx, directory)
        if output_format == "table":
            render.show_text(kid)
            echo(["The new key is in use; the previous one stays published for two hours"])
        else:
            keys = await signing_keys.list_all(directory.read(actor))
            render.show_record(next(_key_out(key) for key in keys if key.kid == kid), output_format)

    run(work)


def list_keys(output_format: str) -> None:
    """Show the published keys, newest first."""

    async def work(directory: Directory) -> None:
        read = directory.read(command_line_actor())
        writer = render.ListWriter(output_format, COLUMNS)
        keys = await signing_keys.list_verifying(read, read.now - jwt_keys.RETIRED_KEY_LIFETIME)
        writer.add([_key_out(key) for key in keys])
        writer.close()

    run(work)
