"""Mail delivery: send the mails of the outbox, at least once each, with retries."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Coroutine
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import structlog

from dragoman.actions.directory import Directory
from dragoman.actions.steps import key_check
from dragoman.jobs.mail import messages
from dragoman.jobs.mail.builders import EMAIL_BUILDERS, MAIL_ACTOR
from dragoman.jobs.mail.smtp import NotSent, SmtpClient
from dragoman.rules import crypto
from dragoman.rules.errors import DirectoryError
from dragoman.rules.model import DAY, SECOND
from dragoman.store import outbox
from dragoman.store.outbox import OutboxMessage

T = TypeVar("T")

MAX_MAILS_PER_CONNECTION = 100
"""Maximum number of mails sent over one connection."""
LEASE = 60 * SECOND
"""How long a worker reserves a mail that it is sending (microseconds)."""
RETRY_DELAYS_S = (10, 60, 300, 1800, 7200)
"""Delay after each failed attempt, in seconds, varied by a fifth; the last one repeats."""
GIVE_UP_AFTER = DAY
"""Age from which a failed mail is not retried (microseconds)."""
SHUTDOWN_GRACE_S = 2.0
"""How long shutdown waits for a mail that is being sent, in seconds."""

log: Any = structlog.get_logger()


class _Outcome(Enum):
    SENT = "sent"
    DROPPED = "dropped"
    FAILED = "failed"
    OUTAGE = "outage"


async def send_due(directory: Directory) -> int:
    """Send the mails that are due; return how many were sent.

    Without a mail server in the settings, mails stay in the outbox. A failed mail is retried until
    it is older than ``GIVE_UP_AFTER``. A mail whose link is no longer valid is deleted. Raises
    Unavailable.
    """
    settings = directory.settings
    if not settings.smtp_url or not await outbox.has_due(directory.read(MAIL_ACTOR)):
        return 0
    await key_check.require(directory.read(MAIL_ACTOR), directory)  # links would be dead
    sent_count = 0
    client = SmtpClient(settings.smtp_url, settings.public_url)
    try:
        for _ in range(MAX_MAILS_PER_CONNECTION):
            outbox_message = await _lease_next(directory)
            if outbox_message is None:
                break
            outcome = await _finish_despite_cancellation(
                _deliver(directory, client, outbox_message)
            )
            sent_count += outcome is _Outcome.SENT
            if outcome is _Outcome.OUTAGE:
                break
    except BaseException:
        client.abort()
        raise
    await client.close()
    return sent_count


async def preview(directory: Directory, outbox_message: OutboxMessage) -> str | None:
    """Return the text of a waiting mail, its link included, for the operator to pass on.

    None if the mail was sent or given up, is of an unknown kind, or has no valid link.
    """
    if (
        outbox_message.sent_at
        or outbox_message.failed_at
        or outbox_message.kind not in EMAIL_BUILDERS
    ):
        return None
    try:
        email = await EMAIL_BUILDERS[outbox_message.kind](directory, outbox_message)
    except NotSent:
        return None
    return None if email is None else messages.render_text(email)


async def _lease_next(directory: Directory) -> OutboxMessage | None:
    async with directory.begin(MAIL_ACTOR) as tx:
        leased = await outbox.lease(tx, until=tx.now + LEASE, limit=1)
    return leased[0] if leased else None


async def _deliver(
    directory: Directory, client: SmtpClient, outbox_message: OutboxMessage
) -> _Outcome:
    """Send, delete or postpone one mail; an error in it does not affect the others."""
    read = directory.read(MAIL_ACTOR)
    try:
        email = await EMAIL_BUILDERS[outbox_message.kind](directory, outbox_message)
        if email is None:
            async with directory.begin(MAIL_ACTOR) as tx:
                await outbox.remove(tx, outbox_message.id)
            log.info("mail_dropped", mail=outbox_message.id, kind=outbox_message.kind)
            return _Outcome.DROPPED
        message = messages.compose(
            email,
            sender=directory.settings.mail_from,
            message_id=crypto.derive(
                directory.server_key, "mail", outbox_message.id, outbox_message.created_at
            ),
            sent_at=read.now,
        )
        await client.send(message)
    except DirectoryError:
        raise  # the database is unavailable; the lease expires by itself
    except NotSent as error:
        await _postpone(directory, outbox_message, error.summary, give_up=error.permanent)
        return _Outcome.OUTAGE if error.outage else _Outcome.FAILED
    except Exception as error:  # noqa: BLE001 - a bug in one mail must not stop the others
        await _postpone(directory, outbox_message, type(error).__name__, at=_source_location(error))
        return _Outcome.FAILED
    async with directory.begin(MAIL_ACTOR) as tx:
        await outbox.mark_sent(tx, outbox_message.id)
    log.info(
        "mail_sent",
        mail=outbox_message.id,
        kind=outbox_message.kind,
        attempts=outbox_message.attempts,
    )
    return _Outcome.SENT


async def _postpone(
    directory: Directory,
    outbox_message: OutboxMessage,
    last_error: str,
    *,
    give_up: bool = False,
    **log_fields: str,
) -> None:
    """Postpone a mail, or give it up if it is too old.

    Args:
        directory: the application's shared state.
        outbox_message: the mail.
        last_error: the error to store and log; never text of the mail.
        give_up: do not retry, whatever the mail's age.
        log_fields: further fields of the log event; with any, it is logged as an error.
    """
    delay_s = RETRY_DELAYS_S[min(outbox_message.attempts, len(RETRY_DELAYS_S)) - 1]
    jitter = random.uniform(0.8, 1.2)  # noqa: S311 - spreads retries
    async with directory.begin(MAIL_ACTOR) as tx:
        give_up = give_up or tx.now - outbox_message.created_at > GIVE_UP_AFTER
        due_at = tx.now + round(delay_s * jitter * SECOND)
        await outbox.postpone(
            tx, outbox_message.id, due_at=due_at, last_error=last_error, give_up=give_up
        )
    log_method = log.error if give_up or log_fields else log.warning
    log_method(
        "mail_given_up" if give_up else "mail_postponed",
        mail=outbox_message.id, kind=outbox_message.kind, attempts=outbox_message.attempts, error=last_error, **log_fields,
    )  # fmt: skip


def _source_location(error: Exception) -> str:
    """Return file and line of an error; its message is not logged, for it may quote the mail."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return (
        f"{Path(traceback.tb_frame.f_code.co_filename).name}:{traceback.tb_lineno}"
        if traceback
        else ""
    )


async def _finish_despite_cancellation(coroutine: Coroutine[Any, Any, T]) -> T:
    """Await a delivery; on cancellation, wait ``SHUTDOWN_GRACE_S`` for it to be recorded."""
    task = asyncio.ensure_future(coroutine)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=SHUTDOWN_GRACE_S)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, DirectoryError):
            await task
        raise
