"""Mail builders: make the e-mail of each kind from the current rows, with its link."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.steps import give_way, mailed_links, open_invitations
from dragoman.actions.system import system_actor
from dragoman.jobs.mail import messages
from dragoman.jobs.mail.messages import Email
from dragoman.jobs.mail.smtp import NotSent
from dragoman.rules.model import HOUR, SECOND, User
from dragoman.store import invitations, one_time_secrets, users
from dragoman.store.one_time_secrets import OneTimeSecret
from dragoman.store.outbox import OutboxMessage
from dragoman.store.transaction import Read

MAIL_ACTOR = system_actor("mails")


class _LinkPayload(msgspec.Struct):
    """The payload of a mail with a one-time link: the generation of its secret."""

    generation: int


async def _build_password(directory: Directory, outbox_message: OutboxMessage) -> Email | None:
    """Return the mail with a link that sets a password; None if the link is no longer valid."""
    found = await _find_current(directory, outbox_message, mailed_links.RESET)
    if found is None:
        return None
    user, row = found
    is_requested = outbox_message.kind == mailed_links.RESET
    return Email(
        template="reset" if is_requested else "password",
        recipient=outbox_message.recipient,
        subject="Choose a new password" if is_requested else "Choose a password",
        context={
            "link": _one_time_link(directory, outbox_message, user, row),
            "hours": round((row.expires_at - outbox_message.created_at) / HOUR),
            "until": _format_timestamp(row.expires_at),
        },
    )


async def _build_verification(directory: Directory, outbox_message: OutboxMessage) -> Email | None:
    """Return the mail with a link that proves an address; None if the link is no longer valid."""
    found = await _find_current(directory, outbox_message, mailed_links.VERIFY)
    if found is None or directory.settings.verify_email == "off":
        return None
    user, row = found
    return Email(
        template="verify",
        recipient=outbox_message.recipient,
        subject="Confirm your e-mail address",
        context={
            "link": _one_time_link(directory, outbox_message, user, row),
            "until": _format_timestamp(row.expires_at),
        },
    )


async def _find_current(
    directory: Directory, outbox_message: OutboxMessage, purpose: str
) -> tuple[User, OneTimeSecret] | None:
    """Return the user and the valid secret of a mail to the user's current address, or None."""
    generation = msgspec.json.decode(outbox_message.payload, type=_LinkPayload).generation
    read = directory.read(MAIL_ACTOR)
    user = await users.find(read, outbox_message.user_id or 0)
    if user is None or user.email != outbox_message.recipient:
        return None
    row = await one_time_secrets.find(read, user.id, purpose)
    if not mailed_links.is_open(row, user, read.now) or row.generation != generation:
        return None
    return user, row


async def _build_undo(directory: Directory, outbox_message: OutboxMessage) -> Email | None:
    """Return the mail to a former address; None if its link is no longer valid."""
    generation = msgspec.json.decode(outbox_message.payload, type=_LinkPayload).generation
    read = directory.read(MAIL_ACTOR)
    row = await _find_undo(read, outbox_message)
    user = await users.find(read, outbox_message.user_id or 0)
    if user is None or row is None or row.generation != generation:
        return None
    if not mailed_links.is_open(row, user, read.now):
        return None
    return Email(
        template="undo",
        recipient=outbox_message.recipient,
        subject="Your e-mail address was changed",
        context={
            "link": _one_time_link(directory, outbox_message, user, row),
            "until": _format_timestamp(row.expires_at),
        },
    )


async def _find_undo(read: Read, outbox_message: OutboxMessage) -> OneTimeSecret | None:
    purpose = mailed_links.undo_purpose(outbox_message.recipient)
    return await one_time_secrets.find(read, outbox_message.user_id or 0, purpose)


async def _build_released(_: Directory, outbox_message: OutboxMessage) -> Email | None:
    """Return the mail to an address that an account has lost to the address's holder."""
    return Email(
        template="released",
        recipient=outbox_message.recipient,
        subject="An account no longer has your e-mail address",
        context={},
    )


class _InvitationPayload(msgspec.Struct):
    """The payload of an invitation mail: the invitation's public id and generation."""

    invitation: str
    generation: int


async def _build_invitation(directory: Directory, outbox_message: OutboxMessage) -> Email | None:
    """Return the mail with an invitation link; None if the link is no longer valid."""
    payload = msgspec.json.decode(outbox_message.payload, type=_InvitationPayload)
    open_invitation = await open_invitations.find_open(
        directory.read(MAIL_ACTOR), payload.invitation
    )
    if open_invitation is None:
        return None
    invitation = open_invitation.invitation
    if (invitation.generation, invitation.email) != (payload.generation, outbox_message.recipient):
        return None
    secret = open_invitations.link_secret(directory, invitation)
    return Email(
        template="invitation",
        recipient=outbox_message.recipient,
        subject="You are invited",
        context={
            "link": _link(directory, outbox_message, invitation.public_id, secret),
            "organisation": messages.safe_name(open_invitation.tenant.name),
            "until": _format_timestamp(invitation.expires_at),
        },
    )


def _one_time_link(
    directory: Directory, outbox_message: OutboxMessage, user: User, row: OneTimeSecret
) -> str:
    return _link(
        directory, outbox_message, user.public_id, mailed_links.derive_secret(directory, row)
    )


def _link(directory: Directory, outbox_message: OutboxMessage, public_id: str, secret: str) -> str:
    """Return the URL that a mail links to; raises NotSent if no contract has a page for it."""
    path = directory.mail_links.get(outbox_message.kind)
    if path is None:
        raise NotSent("no contract has a page for the link")
    return directory.settings.public_url + path.format(public_id=public_id, secret=secret)


def _format_timestamp(timestamp: int) -> str:
    """Return a time (microseconds since 1970) as text for a mail."""
    return f"{datetime.fromtimestamp(timestamp // SECOND, UTC):%Y-%m-%d %H:%M} UTC"


EMAIL_BUILDERS: dict[str, Callable[[Directory, OutboxMessage], Awaitable[Email | None]]] = {
    mailed_links.RESET: _build_password,
    mailed_links.PASSWORD: _build_password,
    mailed_links.VERIFY: _build_verification,
    mailed_links.UNDO: _build_undo,
    give_way.RELEASED: _build_released,
    invitations.OUTBOX_KIND: _build_invitation,
}
"""The function that builds each kind of mail; it returns None if the mail is obsolete."""
