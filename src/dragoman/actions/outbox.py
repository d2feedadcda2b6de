"""The outbox: list its mails, try them again, drop them."""

from __future__ import annotations

from dragoman.rules import policy
from dragoman.rules.errors import InUse
from dragoman.rules.model import MINUTE
from dragoman.rules.vocabulary import Action, AuditAction
from dragoman.store import audit, outbox
from dragoman.store.outbox import OutboxMessage
from dragoman.store.transaction import Read, Tx

MAX_LEASE = MINUTE
"""How long a mail may be in the hands of a process that is sending it (microseconds)."""


async def list_latest(read: Read, limit: int) -> list[OutboxMessage]:
    """Return the newest mails, newest first; raises Forbidden."""
    policy.require_reach(read.actor, Action.MANAGE_OUTBOX)
    return await outbox.list_latest(read, limit)


async def list_failed(read: Read) -> list[int]:
    """Return the ids of all mails that were given up; raises Forbidden."""
    policy.require_reach(read.actor, Action.MANAGE_OUTBOX)
    return await outbox.list_failed(read)


async def retry(tx: Tx, message_id: int) -> OutboxMessage:
    """Make a mail due now, and return it as it was.

    A mail that is due within a minute stays as it is: a process may be sending it. A mail that is
    older than a day has one attempt.

    Raises:
        Forbidden: the actor may not manage the outbox.
        NotFound: there is no such mail.
        InUse: it was sent already.
    """
    policy.require_reach(tx.actor, Action.MANAGE_OUTBOX)
    message = await outbox.get(tx, message_id)
    if message.sent_at:
        raise InUse
    if message.failed_at or message.due_at > tx.now + MAX_LEASE:
        await outbox.make_due(tx, message_id)
        audit.write(tx, AuditAction.RETRY_MAIL, target_kind="mail", target_id=message_id)
    return message


async def drop(tx: Tx, message_id: int) -> OutboxMessage:
    """Delete a mail, which is not sent then, and return it as it was.

    Raises Forbidden or NotFound.
    """
    policy.require_reach(tx.actor, Action.MANAGE_OUTBOX)
    message = await outbox.get(tx, message_id)
    await outbox.remove(tx, message_id)
    audit.write(tx, AuditAction.DROP_MAIL, target_kind="mail", target_id=message_id)
    return message
