"""E-mail addresses that somebody only claims give way to whoever is known to hold them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dragoman.actions.steps import mailed_links, mails
from dragoman.rules.fields import canonical
from dragoman.rules.model import User
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import audit, login_names, users
from dragoman.store.transaction import Tx

RELEASED = "released"
"""The kind of the mail about an account that has lost an address to its holder."""


async def take_over(tx: Tx, *names: str, exclude_id: int = 0) -> None:
    """Release the names that are e-mail addresses of users who only claim them.

    Such a user keeps its account, sessions and password. Its address becomes empty, the links
    mailed there become void, and a username that was the address becomes its public id. One mail
    tells the address.

    Call it before locking a tenant or an invitation: users who sign in are locked before these.

    Args:
        tx: the transaction that gives the names to somebody else.
        names: usernames and e-mail addresses.
        exclude_id: the id of a user who keeps its own names; 0 for none.
    """
    keys = {canonical(name.strip()) for name in names}
    for user_id in await login_names.claimants(tx, keys, exclude_id):
        user = await users.lock_anywhere(tx, user_id)
        if user is not None and canonical(user.email) in keys and not user.holds_email:
            await _release(tx, user)


async def _release(tx: Tx, user: User) -> None:
    """Take the claimed e-mail address from a user whose row is locked."""
    changed: dict[str, Any] = {"email": "", "verified": False, "email_assigned": False}
    if canonical(user.username) == canonical(user.email):
        changed["username"] = user.public_id
    await mailed_links.void_for_address(tx, user.id)
    await users.save(tx, user, changed)
    if not await mails.reserve(tx, user.email):
        await mails.enqueue(tx, RELEASED, user_id=user.id, recipient=user.email)
    audit.write(
        tx,
        AuditAction.RELEASE_EMAIL,
        target_id=user.id,
        tenant_id=user.tenant_id,
        fields=_released_fields(changed),
    )


def _released_fields(changed: Iterable[str]) -> list[str]:
    return [name for name in ("username", "email") if name in changed]
