"""Sends a test mail at once, past the outbox, so that an operator sees whether mails arrive."""

from __future__ import annotations

import secrets

from dragoman.jobs.mail import messages
from dragoman.jobs.mail.messages import Email
from dragoman.jobs.mail.smtp import SmtpClient
from dragoman.settings import Settings, with_public_url
from dragoman.store.transaction import now


async def send(settings: Settings, recipient: str) -> None:
    """Send a test mail with the mail server of the settings; needs no database.

    Raises:
        ValueError: the recipient, or the sender in the settings, is not a valid e-mail address.
        NotSent: the mail server cannot be reached, or refuses the mail.
    """
    settings = with_public_url(settings)
    email = Email(
        template="test",
        recipient=recipient,
        subject="Test mail",
        context={"public_url": settings.public_url},
    )
    message = messages.compose(
        email, sender=settings.mail_from, message_id=secrets.token_urlsafe(16), sent_at=now()
    )
    client = SmtpClient(settings.smtp_url, settings.public_url)
    try:
        await client.send(message)
    except BaseException:
        client.abort()
        raise
    await client.close()
