"""Mailed links: issue their one-time secrets, enqueue the mails, and find what a secret opens."""

from __future__ import annotations

from typing import TypeGuard

from dragoman.actions.directory import Directory
from dragoman.actions.steps import guess_limits, mails
from dragoman.rules import crypto
from dragoman.rules.errors import InvalidLink, NotFound
from dragoman.rules.fields import canonical
from dragoman.rules.model import DAY, User
from dragoman.store import one_time_secrets, outbox, users
from dragoman.store.one_time_secrets import OneTimeSecret
from dragoman.store.transaction import Read, Tx

RESET = "reset"
"""Purpose of links that set a password, and the kind of the mail that its user has asked for."""
PASSWORD = "password"
"""The kind of the mail with such a link to a page of the directory itself."""
VERIFY = "verify"
"""Purpose and mail kind of links that prove an e-mail address."""
UNDO = "undo"
"""Purpose (with a former address) and mail kind of links that undo a change of the address."""
NOBODY = 0
"""An id that no user has."""
LIFETIME = 7 * DAY
"""How long the links are valid, except those that a user has asked for to reset its password."""
PASSWORD_KINDS = (RESET, PASSWORD)
CURRENT_ADDRESS_KINDS = (*PASSWORD_KINDS, VERIFY)
"""Kinds of the mails whose links prove that somebody reads the mails to the current address."""


def undo_purpose(former_email: str) -> str:
    """Return the purpose of the secret that brings a former address back; one for each."""
    return f"{UNDO}:{canonical(former_email)}"


def derive_secret(directory: Directory, row: OneTimeSecret) -> str:
    """Return the secret of a link; it is derived from the server's key and never stored."""
    kind, _, _ = row.purpose.partition(":")
    return crypto.derive(directory.server_key, kind, row.id, row.user_id, row.generation)


def is_open(row: OneTimeSecret | None, user: User, now: int) -> TypeGuard[OneTimeSecret]:
    """Return whether a link is valid: not used, void or expired, and its user active.

    A link that sets a password is void once the user's sessions were revoked.

    Args:
        row: the one-time secret, if there is one.
        user: the link's user.
        now: the time in microseconds since 1970.
    """
    return (
        row is not None
        and not row.used_at
        and user.active
        and (row.purpose != RESET or row.user_epoch == user.auth_epoch)
        and now < row.expires_at
    )


async def find_user(reader: Read | Tx, secret: str) -> User:
    """Return the active user to whom a link of ``/account/`` belongs; raises InvalidLink.

    Locks its row in a transaction. The secret itself is not checked.
    """
    public_id = secret[: crypto.PUBLIC_ID_LENGTH]
    is_well_formed = public_id.isascii() and public_id.isalnum()
    user = await users.find_by_public_id(reader, public_id) if is_well_formed else None
    if user is not None and isinstance(reader, Tx):
        try:
            user = await users.get(reader, user.id)
        except NotFound:
            user = None
    if user is None or not user.active:
        raise InvalidLink
    return user


def ensure_opens(
    directory: Directory, row: OneTimeSecret | None, user: User, derived: str, now: int
) -> OneTimeSecret:
    """Return the row if a link's secret opens it; raises InvalidLink.

    Args:
        directory: the application's shared state.
        row: the one-time secret that the link is for, if there is one.
        user: its user.
        derived: the secret in the link, without the user's public id.
        now: the time in microseconds since 1970.
    """
    if not is_open(row, user, now) or not crypto.equal_in_constant_time(
        derive_secret(directory, row), derived
    ):
        raise InvalidLink
    return row


async def lock_email_owner(tx: Tx, candidate: User | None, email: str) -> User | None:
    """Return the user, its row locked, if ``email`` is its e-mail address (not its username).

    Looks for a row even if there is no candidate, so that the work is the same.
    """
    try:
        user = await users.get(tx, candidate.id if candidate else NOBODY)
    except NotFound:
        return None
    return user if canonical(user.email) == canonical(email.strip()) else None


async def do_the_same_work(tx: Tx, address: str) -> None:
    """Run as many statements, and write as many rows, as the sending of a link, for nobody.

    The rows are counters that nobody reads, which are deleted within the hour.
    """
    account = "link:" + crypto.digest(canonical(address.strip())).hex()
    await guess_limits.count_unread(tx, account, "one-time secret")
    await guess_limits.remove_unread(tx, account, "mail")
    await guess_limits.count_unread(tx, account, "mail")
    await guess_limits.count_unread(tx, account, "history")


async def send_verification(tx: Tx, user: User) -> None:
    """Mail the link that proves a user's e-mail address, unless the settings or the limit forbid."""
    if tx.settings.verify_email == "off" or not user.email or await mails.reserve(tx, user.email):
        return
    row = await _issue(tx, user, VERIFY, tx.now + LIFETIME)
    await outbox.remove_unsent(tx, user.id, [VERIFY])
    await mails.enqueue(
        tx, VERIFY, user_id=user.id, recipient=user.email, generation=row.generation
    )


async def send_password_link(tx: Tx, user: User, kind: str, lifetime: int) -> None:
    """Mail a link that sets a user's password; the caller has reserved the mail.

    Args:
        tx: the transaction.
        user: the user; its row is locked.
        kind: RESET or PASSWORD.
        lifetime: how long the link is valid, in microseconds.
    """
    row = await _issue(tx, user, RESET, tx.now + lifetime)
    await outbox.remove_unsent(tx, user.id, [kind])  # one of the other kind is dropped, unsent
    await mails.enqueue(tx, kind, user_id=user.id, recipient=user.email, generation=row.generation)


async def send_undo(tx: Tx, user_id: int, former_email: str) -> None:
    """Mail a former address, which was proven, the link that brings it back.

    The link is issued even if the limit forbids the mail: it can be asked for again.
    """
    purpose = undo_purpose(former_email)
    expires_at = tx.now + LIFETIME
    row = await one_time_secrets.issue(
        tx,
        user_id=user_id,
        user_epoch=0,
        purpose=purpose,
        expires_at=expires_at,
        data=former_email,
    )
    if not await mails.reserve(tx, former_email):
        await enqueue_undo(tx, row)


async def enqueue_undo(tx: Tx, row: OneTimeSecret) -> None:
    """Enqueue the mail with the link that brings a former address back; it is reserved."""
    await mails.enqueue(
        tx, UNDO, user_id=row.user_id, recipient=row.data, generation=row.generation
    )


async def _issue(tx: Tx, user: User, purpose: str, expires_at: int) -> OneTimeSecret:
    return await one_time_secrets.issue(
        tx, user_id=user.id, user_epoch=user.auth_epoch, purpose=purpose, expires_at=expires_at
    )


async def void_for_address(tx: Tx, user_id: int) -> None:
    """Void the links mailed to a user's current address; those to former ones stay valid."""
    await one_time_secrets.remove(tx, user_id, (RESET, VERIFY))
    await outbox.remove_unsent(tx, user_id, CURRENT_ADDRESS_KINDS)


async def void_password_links(tx: Tx, user_id: int) -> None:
    """Void the links that set a user's password."""
    await one_time_secrets.remove(tx, user_id, (RESET,))
    await outbox.remove_unsent(tx, user_id, PASSWORD_KINDS)
