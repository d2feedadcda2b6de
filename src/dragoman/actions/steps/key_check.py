"""The check value of the server's secret key, with which a wrong key is noticed.

It is derived from the key (256 random bits), which cannot be found from it.
"""

from __future__ import annotations

from dragoman.actions.directory import Directory
from dragoman.rules import crypto
from dragoman.rules.errors import Unavailable
from dragoman.store import server_state
from dragoman.store.transaction import Read, Tx

PURPOSE = "server key check"


def check_value(directory: Directory) -> str:
    """Return the check value of this process's key."""
    return crypto.derive(directory.server_key, PURPOSE)


async def matches(reader: Read | Tx, directory: Directory) -> bool | None:
    """Return whether this process has the key of the database; None if no server ever started."""
    stored = await server_state.find(reader, server_state.KEY_CHECK)
    if stored is None:
        return None
    return crypto.equal_in_constant_time(stored, check_value(directory))


async def require(reader: Read | Tx, directory: Directory) -> None:
    """Raise Unavailable if this process has another key than the database."""
    if await matches(reader, directory) is False:
        raise Unavailable("server key")
