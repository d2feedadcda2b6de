"""``dragoman keys …``: rotate and list the keys that sign JWTs, adopt another server key."""

from __future__ import annotations

import msgspec

from dragoman import app, server_key
from dragoman.actions.directory import Directory
from dragoman.actions.steps import jwt_keys, key_adoption
from dragoman.cli import render
from dragoman.cli.errors import ERROR, CliError, echo
from dragoman.cli.session import command_line_actor, has_key, run
from dragoman.rules.model import MINUTE
from dragoman.store import signing_keys
from dragoman.store.signing_keys import SigningKey

COLUMNS = ("kid", "algorithm", "state", "created_at", "signs_from", "retired_at")
CURRENT, NEXT, RETIRED = "current", "next", "retired"


class KeyOut(msgspec.Struct, frozen=True):
    """A key as shown in output, without its private part."""

    kid: str
    algorithm: str
    state: str
    created_at: str | None
    signs_from: str | None
    retired_at: str | None


def _key_out(key: SigningKey, now: int) -> KeyOut:
    state = RETIRED if key.retired_at else NEXT if key.signs_from > now else CURRENT
    return KeyOut(
        kid=key.kid,
        algorithm=key.algorithm,
        state=state,
        created_at=render.timestamp(key.created_at),
        signs_from=render.timestamp(max(key.created_at, key.signs_from)),
        retired_at=render.timestamp(key.retired_at),
    )


def _require_key() -> None:
    """Raise CliError if there is no server key: with another one, a server could open nothing."""
    if not has_key(app.load_settings()):
        raise CliError(ERROR, "server key not found: set DRAGOMAN_SECRET_KEY")


def rotate(output_format: str, *, at_once: bool) -> None:
    """Create a new signing key and show it.

    ``at_once``: it signs at once, and all others are withdrawn. Raises CliError if the server key
    is not available.
    """
    _require_key()

    async def work(directory: Directory) -> None:
        async with directory.begin(command_line_actor()) as tx:
            key = await jwt_keys.rotate(tx, directory, at_once=at_once)
        if output_format != "table":
            render.show_record(_key_out(key, tx.now), output_format)
            return
        render.show_text(key.kid)
        minutes = jwt_keys.KEY_SET_MAX_AGE // MINUTE
        if at_once:
            echo(["The new key is in use; no other is published any longer"])
        elif key.signs_from > tx.now:
            echo(
                [f"The new key is published; it signs in {minutes} minutes, until then the others"]
            )
        else:
            echo(["The first key is in use"])

    run(work)


def adopt() -> None:
    """Use this server key with a database whose own is lost.

    On SQLite, a key file is created beside the database if there is no key. Raises CliError if
    there is none on PostgreSQL.
    """
    settings = app.load_settings()
    path = settings.sqlite_path
    if path is not None and path.exists():
        server_key.with_server_key(settings)
    _require_key()

    async def work(directory: Directory) -> None:
        async with directory.begin(command_line_actor()) as tx:
            adopted = await key_adoption.adopt(tx, directory)
        echo(
            ["This key is now the database's; signing keys and mailed links are no longer valid"]
            if adopted
            else ["This key is the database's already; nothing was changed"]
        )

    run(work)


def list_keys(output_format: str) -> None:
    """Show the published keys, newest first."""

    async def work(directory: Directory) -> None:
        read = directory.read(command_line_actor())
        writer = render.ListWriter(output_format, COLUMNS, KeyOut)
        keys = await signing_keys.list_verifying(read, read.now - jwt_keys.RETIRED_KEY_LIFETIME)
        writer.add([_key_out(key, read.now) for key in keys])
        writer.close()

    run(work)
