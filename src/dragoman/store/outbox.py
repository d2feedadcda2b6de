"""Outbox: messages are written in the transaction of their cause and sent after it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from dragoman.rules.errors import NotFound
from dragoman.store.query import Query, Row, bind, in_list
from dragoman.store.schema import outbox
from dragoman.store.transaction import Read, Tx


class OutboxMessage(msgspec.Struct, frozen=True):
    """A message to send; ``payload`` is JSON and contains no secrets.

    Times are microseconds since 1970 UTC; ``sent_at`` and ``failed_at`` are 0 while it is pending.
    """

    id: int
    kind: str
    user_id: int | None
    recipient: str
    payload: str
    created_at: int
    due_at: int
    attempts: int
    sent_at: int
    failed_at: int
    last_error: str


_COLUMNS = tuple(outbox.c[name] for name in OutboxMessage.__struct_fields__)


def _from_row(row: Row) -> OutboxMessage:
    return OutboxMessage(*row)


_INSERT: Query[int] = Query(
    sa.insert(outbox)
    .values(
        kind=bind("kind", sa.Text),
        user_id=bind("user_id"),
        recipient=bind("recipient", sa.Text),
        payload=bind("payload", sa.Text),
        created_at=bind("now"),
        due_at=bind("now"),
    )
    .returning(outbox.c.id)
)
_DUE = (
    sa.select(outbox.c.id)
    .where(outbox.c.sent_at == 0, outbox.c.failed_at == 0, outbox.c.due_at <= bind("now"))
    .order_by(outbox.c.due_at)
    .limit(bind("limit"))
)
_ANY_DUE: Query[int] = Query(_DUE, indexed=True)
_DUE_IDS: Query[int] = Query(_DUE.with_for_update(skip_locked=True), sqlite=_DUE)
_LEASE: Query[OutboxMessage] = Query(
    sa.update(outbox)
    .where(in_list(outbox.c.id, "ids"))
    .values(due_at=bind("until"), attempts=outbox.c.attempts + 1)
    .returning(*_COLUMNS),
    _from_row,
)
_MARK_SENT: Query[None] = Query(
    sa.update(outbox)
    .where(outbox.c.id == bind("id"))
    .values(sent_at=bind("now"), recipient="", payload="{}", last_error="")
)
_POSTPONE: Query[None] = Query(
    sa.update(outbox)
    .where(outbox.c.id == bind("id"))
    .values(
        due_at=bind("due_at"), failed_at=bind("failed_at"), last_error=bind("last_error", sa.Text)
    )
)
_REMOVE: Query[None] = Query(sa.delete(outbox).where(outbox.c.id == bind("id")))
_REMOVE_FOR_USER: Query[None] = Query(sa.delete(outbox).where(outbox.c.user_id == bind("user_id")))
_REMOVE_KIND: Query[None] = Query(
    sa.delete(outbox).where(
        outbox.c.user_id == bind("user_id"),
        outbox.c.sent_at == 0,
        outbox.c.kind == bind("kind", sa.Text),
    )
)
_OLDEST = (
    sa.select(outbox.c.id, outbox.c.created_at)
    .order_by(outbox.c.id)
    .limit(bind("limit"))
    .subquery()
)
_PURGE: Query[None] = Query(
    sa.delete(outbox).where(
        outbox.c.id.in_(sa.select(_OLDEST.c.id).where(_OLDEST.c.created_at < bind("before")))
    )
)
_BY_ID = sa.select(*_COLUMNS).where(outbox.c.id == bind("id"))
_GET: Query[OutboxMessage] = Query(_BY_ID.with_for_update(), _from_row, sqlite=_BY_ID)
_MAKE_DUE: Query[None] = Query(
    sa.update(outbox)
    .where(outbox.c.id == bind("id"))
    .values(due_at=bind("now"), failed_at=0, attempts=0)
)
_LIST_FAILED: Query[int] = Query(
    sa.select(outbox.c.id).where(outbox.c.failed_at > 0).order_by(outbox.c.id)
)
_LIST: Query[OutboxMessage] = Query(
    sa.select(*_COLUMNS).order_by(outbox.c.id.desc()).limit(bind("limit")), _from_row
)

_LIST_UNSENT: Query[OutboxMessage] = Query(
    sa.select(*_COLUMNS).where(
        outbox.c.kind == bind("kind", sa.Text),
        outbox.c.sent_at == 0,
        in_list(outbox.c.recipient, "recipients"),
    ),
    _from_row,
)


async def insert(tx: Tx, kind: str, *, user_id: int | None, recipient: str, payload: str) -> int:
    """Insert a message and return its id.

    Args:
        tx: the transaction of the message's cause.
        kind: which message it is.
        user_id: the user that it concerns: it is deleted when the user's data is erased.
        recipient: the recipient's e-mail address.
        payload: JSON that the message is built from; must not contain secrets.
    """
    values = {"kind": kind, "user_id": user_id, "recipient": recipient, "payload": payload}
    message_id = await tx.fetch_one(_INSERT, **values, now=tx.now)
    assert message_id is not None, "INSERT … RETURNING returns a row"
    return message_id


async def get(tx: Tx, message_id: int) -> OutboxMessage:
    """Return the message with this id and lock its row; raises NotFound."""
    message = await tx.fetch_one(_GET, id=message_id)
    if message is None:
        raise NotFound
    return message


async def has_due(reader: Read) -> bool:
    """Return whether a message is due, without leasing it."""
    return await reader.fetch_one(_ANY_DUE, now=reader.now, limit=1) is not None


async def lease(tx: Tx, *, until: int, limit: int = 10) -> list[OutboxMessage]:
    """Lease due messages until ``until`` (microseconds); each lease counts as an attempt."""
    ids = await tx.fetch(_DUE_IDS, now=tx.now, limit=limit)
    return await tx.fetch(_LEASE, ids=ids, until=until) if ids else []


async def mark_sent(tx: Tx, message_id: int) -> None:
    """Mark a message as sent, and blank its recipient and payload."""
    await tx.run(_MARK_SENT, id=message_id, now=tx.now)


async def postpone(tx: Tx, message_id: int, *, due_at: int, last_error: str, give_up: bool) -> None:
    """Schedule the next attempt to send a message, or give up.

    Args:
        tx: the transaction.
        message_id: the message's id.
        due_at: when to try again (microseconds).
        last_error: why the attempt failed.
        give_up: do not try again.
    """
    failed_at = tx.now if give_up else 0
    await tx.run(
        _POSTPONE, id=message_id, due_at=due_at, failed_at=failed_at, last_error=last_error
    )


async def make_due(tx: Tx, message_id: int) -> None:
    """Make a message due now, as if it had never been tried."""
    await tx.run(_MAKE_DUE, id=message_id, now=tx.now)


async def remove(tx: Tx, message_id: int) -> None:
    """Delete a message unsent, because its cause no longer exists."""
    await tx.run(_REMOVE, id=message_id)


async def remove_for_user(tx: Tx, user_id: int) -> int:
    """Delete the messages that concern a user and return their number."""
    return await tx.run(_REMOVE_FOR_USER, user_id=user_id)


async def remove_unsent(tx: Tx, user_id: int, kinds: Iterable[str]) -> None:
    """Delete the messages of these kinds that concern a user and were not sent."""
    for kind in kinds:
        await tx.run(_REMOVE_KIND, user_id=user_id, kind=kind)


async def purge(tx: Tx, cutoff: int, limit: int) -> int:
    """Delete messages, sent or not, from before ``cutoff`` (microseconds); return their number.

    Only the oldest ``limit`` messages are looked at.
    """
    return await tx.run(_PURGE, before=cutoff, limit=limit)


async def list_failed(reader: Read) -> list[int]:
    """Return the ids of the messages that were given up, oldest first."""
    return await reader.fetch(_LIST_FAILED)


async def list_latest(reader: Read, limit: int = 100) -> list[OutboxMessage]:
    """Return the newest messages, newest first."""
    return await reader.fetch(_LIST, limit=limit)


async def list_unsent(reader: Read, kind: str, recipients: Iterable[str]) -> list[OutboxMessage]:
    """Return the messages of a kind to these addresses that were not sent."""
    return await reader.fetch(_LIST_UNSENT, kind=kind, recipients=list(recipients))
