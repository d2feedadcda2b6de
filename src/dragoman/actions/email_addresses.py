"""E-mail addresses: prove one with a mailed link, and undo the change of a proven one."""

from __future__ import annotations

from dragoman.actions.directory import Directory
from dragoman.actions.steps import give_way, mailed_links, mails
from dragoman.actions.steps.mailed_links import RESET, UNDO, VERIFY
from dragoman.rules import crypto, fields
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Invalid, InvalidLink, NotFound, Taken
from dragoman.rules.fields import canonical
from dragoman.rules.model import User
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import audit, invitations, login_names, one_time_secrets, outbox, users
from dragoman.store.one_time_secrets import OneTimeSecret
from dragoman.store.transaction import Read, Tx


async def get_unproven(directory: Directory, visitor: Actor, secret: str) -> User:
    """Return the user whose address a link proves; the link stays valid. Raises InvalidLink."""
    user, _ = await _find_verification(directory, directory.read(visitor), secret)
    return user


async def verify(directory: Directory, visitor: Actor, secret: str) -> User:
    """Prove an e-mail address with the link that was mailed there, and use the link up.

    Raises:
        InvalidLink: the link is used, void, expired or wrong.
        Unavailable: the database cannot serve.
    """
    async with directory.begin(visitor) as tx:
        user, row = await _find_verification(directory, tx, secret)
        await one_time_secrets.consume(tx, row)
        await users.save(tx, user, {"verified": True})
        audit.write(
            tx,
            AuditAction.VERIFY_EMAIL,
            target_id=user.id,
            tenant_id=user.tenant_id,
            fields=("email",),
        )
    return user


async def _find_verification(
    directory: Directory, reader: Read | Tx, secret: str
) -> tuple[User, OneTimeSecret]:
    user = await mailed_links.find_user(reader, secret)
    row = await one_time_secrets.find(reader, user.id, VERIFY, for_update=isinstance(reader, Tx))
    derived = secret[crypto.PUBLIC_ID_LENGTH :]
    return user, mailed_links.ensure_opens(directory, row, user, derived, reader.now)


async def resend_verification(directory: Directory, visitor: Actor, email: str) -> None:
    """Mail the link that proves an address again, if an active user has it and it is not proven.

    The caller cannot tell whether a mail is sent. Raises Invalid if ``email`` is not a valid
    e-mail address.
    """
    if problems := fields.email_problems(email):
        raise Invalid(*problems)
    if directory.settings.verify_email == "off":
        return
    candidate = await users.find_by_login_name(directory.read(visitor), email)
    async with directory.begin(visitor) as tx:
        user = await mailed_links.lock_email_owner(tx, candidate, email)
        if user is None or not user.active or user.verified:
            if not await mails.reserve(tx, email):
                await mailed_links.do_the_same_work(tx, email)
            return
        await mailed_links.send_verification(tx, user)
        audit.write(tx, AuditAction.SEND_LINK, target_id=user.id, tenant_id=user.tenant_id)


async def get_changed(directory: Directory, visitor: Actor, secret: str) -> tuple[User, str]:
    """Return the user whose change of address a link undoes, and the former address.

    The link stays valid. Raises InvalidLink, or Taken if somebody else holds the ``email`` now.
    """
    read = directory.read(visitor)
    user, row = await _find_undo(directory, read, secret)
    names = {"username": row.data, "email": row.data}
    if await login_names.taken(read, **names, exclude_id=user.id, takes_over=True):
        raise Taken("email")
    return user, row.data


async def undo_change(directory: Directory, visitor: Actor, secret: str) -> tuple[User, str]:
    """Bring a former address back with the link that was mailed there; revoke all sessions.

    The password no longer opens the account, since somebody else may know it. Returns the user,
    and the secret of a link that sets a new password.

    Raises:
        InvalidLink: the link is used, void, expired or wrong.
        Taken: somebody else holds the ``email`` now.
        Unavailable: the database cannot serve.
    """
    async with directory.begin(visitor) as tx:
        user, row = await _find_undo(directory, tx, secret)
        changed = {"email": row.data, "verified": True, "email_assigned": False}
        if canonical(user.username) == canonical(user.email):
            changed["username"] = row.data
        await give_way.take_over(tx, row.data, exclude_id=user.id)
        await one_time_secrets.remove_for_user(tx, user.id)
        await outbox.remove_for_user(tx, user.id)
        try:
            await users.save(tx, user, changed)
        except Taken:
            raise Taken("email") from None
        await users.set_password(tx, user.id, "", strong=False, reaches=None)
        await users.revoke_sessions(tx, user.id)
        await invitations.revoke_by_inviter(tx, user.id)
        audit.write(
            tx,
            AuditAction.UNDO_EMAIL_CHANGE,
            target_id=user.id,
            tenant_id=user.tenant_id,
            fields=("email", "password"),
        )
        user = await users.get(tx, user.id)
        reset = await one_time_secrets.issue(
            tx,
            user_id=user.id,
            user_epoch=user.auth_epoch,
            purpose=RESET,
            expires_at=tx.now + mailed_links.LIFETIME,
        )
    return user, user.public_id + mailed_links.derive_secret(directory, reset)


async def _find_undo(
    directory: Directory, reader: Read | Tx, secret: str
) -> tuple[User, OneTimeSecret]:
    user = await mailed_links.find_user(reader, secret)
    derived = secret[crypto.PUBLIC_ID_LENGTH :]
    for row in await one_time_secrets.list_with_data(reader, user.id):
        if crypto.equal_in_constant_time(mailed_links.derive_secret(directory, row), derived):
            return user, mailed_links.ensure_opens(directory, row, user, derived, reader.now)
    raise InvalidLink


async def resend_undo(directory: Directory, visitor: Actor, email: str) -> None:
    """Mail the link that brings a former address back again, if there is one.

    The caller cannot tell whether a mail is sent. Raises Invalid if ``email`` is not a valid
    e-mail address.
    """
    if problems := fields.email_problems(email):
        raise Invalid(*problems)
    async with directory.begin(visitor) as tx:
        row = await one_time_secrets.find_by_purpose(tx, mailed_links.undo_purpose(email.strip()))
        if await mails.reserve(tx, email):
            return
        user = await _lock_changed(tx, row)
        if row is not None and user is not None:
            await outbox.remove_unsent(tx, user.id, [UNDO])
            await mailed_links.enqueue_undo(tx, row)
            audit.write(tx, AuditAction.SEND_LINK, target_id=user.id, tenant_id=user.tenant_id)
        else:
            await mailed_links.do_the_same_work(tx, email)


async def _lock_changed(tx: Tx, row: OneTimeSecret | None) -> User | None:
    """Return the user whose change of address a secret undoes, its row locked; None if it cannot."""
    try:
        user = await users.get(tx, row.user_id if row else mailed_links.NOBODY)
    except NotFound:
        return None
    return user if mailed_links.is_open(row, user, tx.now) else None
