"""The server's secret key and the database: confirm that they match, or adopt another key."""

from __future__ import annotations

from dragoman.actions.directory import Directory
from dragoman.actions.steps import jwt_keys, key_check
from dragoman.rules.errors import Forbidden, Reason
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import audit, server_state, signing_keys
from dragoman.store.transaction import LOCK_SIGNING_KEYS, Tx


async def confirm(tx: Tx, directory: Directory) -> bool:
    """Return whether this process has the key of the database.

    A database without a check value gets it now, unless its newest signing key is sealed with
    another key.
    """
    found = await key_check.matches(tx, directory)
    if found is not None:
        return found
    if await jwt_keys.can_unseal(tx, directory) is False:
        return False
    await server_state.save(tx, server_state.KEY_CHECK, key_check.check_value(directory))
    return True


async def adopt(tx: Tx, directory: Directory) -> bool:
    """Make this process's key the key of the database; return False if it was that already.

    Signing keys that it does not open are removed, and links mailed before are no longer valid.
    People, passwords and sessions stay. Raises Forbidden unless the actor is the system.
    """
    if tx.actor.kind != "system":
        raise Forbidden(Reason.FUNCTION)
    await tx.lock(LOCK_SIGNING_KEYS)
    if await confirm(tx, directory):
        return False
    await signing_keys.remove_all(tx)
    await server_state.save(tx, server_state.KEY_CHECK, key_check.check_value(directory))
    audit.write(tx, AuditAction.ADOPT_KEY, target_kind="server_key")
    return True
